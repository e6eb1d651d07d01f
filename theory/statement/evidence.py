"""Measured values of both sides of a statement, with the entries of the stack on one axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from theory.statement.prediction import Values

__all__ = ["Condition", "Evidence", "Kind", "Moment", "Side"]

Side: TypeAlias = Literal["upper", "lower"]
Kind: TypeAlias = Literal["prior", "conditional", "identity"]

Condition: TypeAlias = float | Callable[..., Any]
"""Factor on the rounding allowance, or a function of the theorem's arguments that computes it from the data."""

Moment: TypeAlias = Callable[..., Any]
"""Function of the theorem's arguments; its value belongs to the error under the method's randomness."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Evidence for a verdict, one column per entry of the stack.

    Parameters
    ----------
    errors : ndarray, (trials, entries)
    value : ndarray, (1, entries) or (trials, entries)
        Right-hand sides; one per trial for statements about a realised result.
    slack : ndarray, like value
        Rounding allowance.
    failure : ndarray, (entries,)
    ceiling, spread : ndarray, (entries,), or None
        Largest possible error, and bound on its relative variance.
    left_out : int
        Entries whose error is not finite in some trial, which are not among the columns.
    side : "upper" or "lower"
    kind : "prior", "conditional" or "identity"

    Examples
    --------
    >>> import numpy as np
    >>> from theory.statement import Deterministic, Evidence, InExpectation
    >>> none = np.zeros((1, 1))
    >>> seen = Evidence(np.array([[1.0], [3.0]]), np.array([[2.5]]), none, none[0], None, None, left_out=0)
    >>> [str(guarantee.judge(seen, 1e-3).verdict) for guarantee in (Deterministic(), InExpectation())]
    ['refuted', 'not contradicted']
    """

    errors: Values
    value: Values
    slack: Values
    failure: Values
    ceiling: Values | None
    spread: Values | None
    left_out: int
    side: Side = "upper"
    kind: Kind = "prior"

    def __repr__(self) -> str:
        trials, entries = self.errors.shape[0], self.errors.shape[-1]
        left = f", {self.left_out} left out" if self.left_out else ""
        return f"<evidence on a {self.kind} {self.side} bound: {trials} trials of {entries} entries{left}>"

    @property
    def right(self) -> Values:
        """Right-hand sides; those of a bound on an error that rounding made negative count as zero."""
        return self.value if self.kind == "identity" else np.maximum(self.value, 0.0)

    def quotient(self, right: Values) -> Values:
        """Return left over right: given the result the mean of their quotient is at most, or equal to, one."""
        with np.errstate(over="ignore"):  # an error where none is allowed: infinite evidence
            quotient = self.errors / np.maximum(right, np.finfo(np.float64).tiny)
        return np.where((self.errors == 0) & (right == 0), 1.0, quotient)  # both sides vanish: they are equal
