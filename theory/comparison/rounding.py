"""Rounding allowance of a theorem, in the units of the data that are rounded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from theory.statement.bound import Bound, require
from theory.statement.prediction import Values
from theory.statistics.intervals import deterministic_slack
from tnattn.arrays import eps

__all__ = ["require_range", "rounding_slack", "sizes_and_precision"]

# float64 reaches 2^1024: squares and their sums over 2^60 entries fit, and so do reciprocals
LARGEST = 2.0**480
"""Of the size of the data in the units of an error, whose square enters; of squared errors the square of this."""


def rounding_slack(b: Bound, target: Any, predicted: Values, condition: ArrayLike | None = None) -> Values:
    """Return 8 max(m, n) eps times the size of the data times the condition number of the theorem.

    Parameters
    ----------
    b : Bound
        Its error gives the size of the operands, ``b.error.norm(target)``: for an output the largest value, however
        small the output or its error are.
    target : Any
    predicted : float64, (...)
        Right-hand side. A squared error E^2, with E off by r, is off by 2 E r + r^2: much less than the same share of
        the squared norm where the error is small. Statements that hold always may be differences of squares, and keep
        the whole share.
    condition : float64, (...), optional
        ``Prediction.condition``; without it that of the guarantee where it is a number, and 1 otherwise.

    Returns
    -------
    float64, (...)
        In the units of the theorem's error.
    """
    stated = b.guarantee.condition
    factor = np.asarray((1.0 if callable(stated) else stated) if condition is None else condition, dtype=np.float64)
    shape, precision = sizes_and_precision(target)
    if b.error.squared and not b.guarantee.always:
        root, size = np.sqrt(np.maximum(predicted, 0.0)), np.sqrt(b.error.norm(target))
        # E^2 changes by 2 E r + r^2 where E is off by r, and by the rounding of the measurement itself
        rounded = deterministic_slack(shape, precision, size, condition=factor)
        measured = deterministic_slack(shape, np.finfo(np.float64).eps, size) * size
        return np.asarray(2 * root * rounded + rounded**2 + measured)
    return deterministic_slack(
        shape, precision, b.error.norm(target), condition=factor, subtraction=b.guarantee.subtraction
    )


def sizes_and_precision(target: Any) -> tuple[tuple[int, int], float]:
    """Return the two sizes that enter the allowance, and the unit roundoff of the target's precision."""
    if hasattr(target, "n_q"):
        return (target.n_q, target.n_k), eps(target.q)
    if hasattr(target, "w_k"):  # the weights of a layer
        return (int(target.w_k.shape[-2]), int(target.w_k.shape[-1])), eps(target.w_k)
    shape = tuple(int(n) for n in target.shape)
    sizes = shape[-2:] if len(shape) >= 2 else (shape[0], 1)
    like = getattr(target, "like", target)
    return (max(shape), sizes[-1]), eps(like)


def require_range(b: Bound, target: Any) -> None:
    """Require that both sides of a theorem, and their squares, can be computed in float64 with all digits.

    Raises
    ------
    HypothesisViolated
        If the size of the data, in the units of the theorem's error, is so large or so small that squares overflow or
        lose digits. Zero data are admitted.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        size = np.asarray(b.error.norm(target), dtype=np.float64)
    limit = LARGEST**2 if b.error.squared else LARGEST
    held = (size == 0) | ((size >= 1 / limit) & (size <= limit))
    lost = bool(np.all(size == 0)) and isinstance(target, np.ndarray) and bool(np.any(target != 0))
    require(bool(np.all(held)) and not lost, f"the {b.error.name} of the data is within the range of float64 squares")
