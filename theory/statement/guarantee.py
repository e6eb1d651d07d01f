"""In which sense a theorem's right-hand side bounds an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Condition: TypeAlias = float | Callable[..., Any]
"""Factor on the rounding allowance, or a function of the theorem's arguments that computes it from the data."""

Moment: TypeAlias = Callable[..., Any]
"""Function of the theorem's arguments; its value belongs to the error under the method's randomness."""


@dataclass(frozen=True)
class Deterministic:
    """The inequality holds for every realisation, up to rounding.

    Parameters
    ----------
    condition : float or callable
        Factor on the rounding allowance, for sides that amplify rounding. A callable takes the arguments of the
        theorem, ``(method, target)`` or ``(method, target, result)``, and returns one factor per matrix of the stack:
        condition numbers come from the data.
    subtraction : bool
        Whether a side is a difference of squares, which loses half of the digits.
    """

    condition: Condition = 1.0
    subtraction: bool = False

    def __str__(self) -> str:
        return "always"


@dataclass(frozen=True)
class InExpectation:
    """The mean of the error over the method's randomness is at most (or at least) the right-hand side.

    Parameters
    ----------
    ceiling : callable, optional
        Arguments of the theorem to a value that the error never exceeds, for this method on this target: without it no
        sample supports an upper bound or refutes a lower one, for a rare large error may carry the mean. The error's
        own ceiling serves where this is None.
    spread : callable, optional
        As in ``ExactExpectation``; it serves lower bounds, as a ceiling does.
    condition : float or callable
        As in ``Deterministic``.
    """

    ceiling: Moment | None = None
    spread: Moment | None = None
    condition: Condition = 1.0

    def __str__(self) -> str:
        return "in expectation"


@dataclass(frozen=True)
class ExactExpectation:
    """The mean of the error over the method's randomness equals the right-hand side.

    Parameters
    ----------
    margin : float
        Relative deviation that the detail of the verdict speaks about.
    ceiling : callable, optional
        As in ``InExpectation``.
    spread : callable, optional
        Arguments of the theorem to a bound on the relative variance Var X / (E X)^2 of the error X, infinite where
        none is known. It makes a sample mean below the right-hand side evidence against the statement, at every number
        of trials; ``theory.statistics.moments`` has it for polynomials of Gaussian variables.
    condition : float or callable
        As in ``Deterministic``.
    """

    margin: float = 0.1
    ceiling: Moment | None = None
    spread: Moment | None = None
    condition: Condition = 1.0

    def __str__(self) -> str:
        return "exact expectation"


@dataclass(frozen=True)
class WithProbability:
    """The inequality fails with at most the probability that the bound returns beside its right-hand side.

    Parameters
    ----------
    condition : float or callable
        As in ``Deterministic``.
    """

    condition: Condition = 1.0

    def __str__(self) -> str:
        return "with probability"


@dataclass(frozen=True)
class Asymptotic:
    """The error follows the stated rate in its budget; no verdict from a single size.

    Parameters
    ----------
    rate : float
        Exponent: the error behaves like budget ** rate.
    condition : float or callable
        As in ``Deterministic``.
    """

    rate: float
    condition: Condition = 1.0

    def __str__(self) -> str:
        return f"rate {self.rate:g}"


Guarantee: TypeAlias = Deterministic | InExpectation | ExactExpectation | WithProbability | Asymptotic
