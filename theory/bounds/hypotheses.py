"""Hypotheses that many theorems share, checked to the rounding of the precision in which the target is given."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.statement.bound import require
from theory.statement.errors import dense, spectrum_of
from theory.statement.prediction import Values
from tnattn.arrays import eps


def unit_roundoff(target: Any) -> float:
    """Return the machine epsilon of the precision of a matrix or tensor, in which methods compute."""
    return eps(getattr(target, "like", target))


def rounding_level(target: Any, s: Values) -> Values:
    """Return max(m, n) eps s_1, below which singular values (..., r) of a target are rounding, (..., 1)."""
    return np.asarray(max(target.shape[-2:]) * unit_roundoff(target) * s[..., :1])


def has_rank(target: Any, k: int, s: Values | None = None) -> bool:
    """Return True if all matrices of a stack have at least the rank k, beyond rounding.

    ``s`` are their singular values, where they are known already.
    """
    values = spectrum_of(target) if s is None else s
    # singular values below max(m, n) eps s_1 are rounding of the data, whatever they are exactly
    return k <= values.shape[-1] and bool(np.all(values[..., k - 1 : k] > rounding_level(target, values)))


def require_full_column_rank(a: Any) -> tuple[Values, int]:
    """Return the singular values and the number of columns of a tall matrix of full column rank."""
    s, k = spectrum_of(a), int(a.shape[-1])
    require(a.shape[-2] >= k, "A is tall")
    require(has_rank(a, k, s), "A has full column rank, beyond rounding")
    return s, k


def require_every_step(method: Any) -> None:
    """Require that no tolerance ends a method before it reaches its rank."""
    require(not getattr(method, "rtol", None), "no tolerance ends the method before its rank")


def require_semidefinite(a: Any) -> None:
    """Require that matrices are square, symmetric and positive semidefinite, to rounding."""
    require(a.shape[-1] == a.shape[-2], "K is square")
    kernel = dense(a)
    # float32 kernels are symmetric and definite to rounding only
    tolerance = a.shape[-1] * 2.0**-20 * np.abs(kernel).max(axis=(-2, -1), initial=0.0)
    asymmetry = np.abs(kernel - np.swapaxes(kernel, -1, -2)).max(axis=(-2, -1), initial=0.0)
    require(bool(np.all(asymmetry <= tolerance)), "K is symmetric")
    require(bool(np.all(np.linalg.eigvalsh(kernel)[..., 0] >= -tolerance)), "K is positive semidefinite")
