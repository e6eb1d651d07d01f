"""Evaluated theorem: right-hand side, failure probability, and the moments that its verdict needs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Prediction", "Values"]

Values: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Right-hand side of a theorem for one case.

    Parameters
    ----------
    value : ndarray
        Right-hand side, one per matrix of the stack.
    failure : ndarray
        Probability with which the inequality may fail; 0 unless the guarantee is a probability.
    observed : ndarray or None
        Left-hand side, where the theorem is an identity that gives both sides.
    condition : ndarray
        Factor on the rounding allowance, of the shape of ``value``.
    ceiling : ndarray or None
        Value that the error never exceeds, where the guarantee states one.
    spread : ndarray or None
        Bound on the relative variance of the error, where the guarantee states one.
    left_out : ndarray or None
        Entries, of the shape of ``value``, of heads with bad rows, to which the theorem does not apply.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.statement import Prediction
    >>> prediction = Prediction(np.array([2.0, 3.0]), failure=np.full(2, 0.05))
    >>> prediction
    <prediction 2 to 3 of shape (2,), failure at most 0.05>
    >>> prediction.scaled(0.3).value.round(2).tolist()
    [0.6, 0.9]
    """

    value: Values
    failure: Values
    observed: Values | None = None
    condition: Values = field(default_factory=lambda: np.ones(()))
    ceiling: Values | None = None
    spread: Values | None = None
    left_out: npt.NDArray[np.bool_] | None = None

    def __repr__(self) -> str:
        extent = f"{np.min(self.value):.3g} to {np.max(self.value):.3g}" if self.value.size else "nothing"
        failure = float(np.max(self.failure, initial=0.0))
        return f"<prediction {extent} of shape {self.value.shape}, failure at most {failure:.3g}>"

    def scaled(self, factor: float) -> Prediction:
        """Return the prediction with another right-hand side; rounding, ceiling and relative variance stay."""
        return self if factor == 1.0 else replace(self, value=factor * self.value)
