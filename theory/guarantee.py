"""In which sense a theorem's right-hand side bounds an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Deterministic:
    """The inequality holds for every realisation, up to rounding.

    Parameters
    ----------
    condition : float
        Factor on the rounding slack, for right-hand sides that amplify rounding.
    subtraction : bool
        Whether a side is a difference of squares, which loses half of the digits.
    """

    condition: float = 1.0
    subtraction: bool = False

    def __str__(self) -> str:
        return "always"


@dataclass(frozen=True)
class InExpectation:
    """The mean of the error over the method's randomness is at most (or at least) the right-hand side.

    Parameters
    ----------
    light_tails : bool
        No rare value can carry the mean, so that a sample below a lower bound is evidence against it.
    """

    light_tails: bool = False

    def __str__(self) -> str:
        return "in expectation"


@dataclass(frozen=True)
class ExactExpectation:
    """The mean of the error over the method's randomness equals the right-hand side.

    Parameters
    ----------
    margin : float
        Relative deviation that the detail of the verdict speaks about.
    light_tails : bool
        No rare value can carry the mean, whatever the target, as for polynomials of Gaussian numbers: only then is a
        sample with a smaller mean evidence against the statement.
    """

    margin: float = 0.1
    light_tails: bool = False

    def __str__(self) -> str:
        return "exact expectation"


@dataclass(frozen=True)
class WithProbability:
    """The inequality fails with at most the probability that the bound returns beside its right-hand side."""

    def __str__(self) -> str:
        return "with probability"


@dataclass(frozen=True)
class Asymptotic:
    """The error follows the stated rate in its budget; no verdict from a single size.

    Parameters
    ----------
    rate : float
        Exponent: the error behaves like budget ** rate.
    """

    rate: float

    def __str__(self) -> str:
        return f"rate {self.rate:g}"


Guarantee: TypeAlias = Deterministic | InExpectation | ExactExpectation | WithProbability | Asymptotic
