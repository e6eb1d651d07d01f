"""Senses in which a theorem's right-hand side bounds an error, each with the test of it."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np

from theory.statement.evidence import Evidence
from theory.statistics.judge import (
    judge_deterministic,
    judge_exact_expectation,
    judge_expectation,
    judge_lower_expectation,
    judge_probability,
)
from theory.statistics.verdict import Judgement, Verdict

__all__ = [
    "Asymptotic",
    "Deterministic",
    "ExactExpectation",
    "Guarantee",
    "InExpectation",
    "WithProbability",
]

Condition: TypeAlias = float | Callable[..., Any]
"""Factor on the rounding allowance, or a function of the theorem's arguments that computes it from the data."""

Moment: TypeAlias = Callable[..., Any]
"""Function of the theorem's arguments; its value belongs to the error under the method's randomness."""


class Guarantee(abc.ABC):
    """Sense in which a statement holds.

    Attributes
    ----------
    always : bool
        The statement holds for every realisation, so that a few runs suffice.
    averaged : bool
        It is about the mean of the error over the method's randomness.
    equality : bool
        A right-hand side that is too large violates it as well.
    chance : bool
        The theorem returns a failure probability beside its right-hand side.
    growth : bool
        It is about the growth of the error, so that no single size decides it.
    """

    always: ClassVar[bool] = False
    averaged: ClassVar[bool] = False
    equality: ClassVar[bool] = False
    chance: ClassVar[bool] = False
    growth: ClassVar[bool] = False

    condition: Condition
    subtraction: bool = False
    ceiling: Moment | None = None
    spread: Moment | None = None

    @abc.abstractmethod
    def judge(self, evidence: Evidence, level: float) -> Judgement:
        """Return the verdict on a statement with this guarantee.

        Parameters
        ----------
        evidence : Evidence
        level : float
            Probability of a wrong "refuted".
        """

    def decides_early(self, ceiling: Any) -> bool:
        """Return whether its test stays valid under optional stopping and can end in favour of the statement.

        ``ceiling`` is what the error never exceeds, None where that is not known.
        """
        return False

    def of_a_bound(self) -> Guarantee:
        """Return the guarantee of an upper bound that follows from the statement by a monotone concave function."""
        return self


@dataclass(frozen=True)
class Deterministic(Guarantee):
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

    always: ClassVar[bool] = True

    condition: Condition = 1.0
    subtraction: bool = False

    def judge(self, evidence: Evidence, level: float) -> Judgement:
        """Refute by a single violation beyond rounding; an identity is violated on both sides."""
        errors, right, slack = evidence.errors, evidence.right, evidence.slack
        if evidence.kind == "identity":
            return judge_deterministic(np.abs(errors - right), 0.0, slack)
        if evidence.side == "lower":
            return judge_deterministic(right, errors, slack)
        return judge_deterministic(errors, right, slack)

    def __str__(self) -> str:
        return "always"


@dataclass(frozen=True)
class InExpectation(Guarantee):
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

    averaged: ClassVar[bool] = True

    ceiling: Moment | None = None
    spread: Moment | None = None
    condition: Condition = 1.0

    def judge(self, evidence: Evidence, level: float) -> Judgement:
        """Bet against the bound; given the result, against 1 as a bound on the quotient of both sides."""
        errors, right, slack = evidence.errors, evidence.right, evidence.slack
        given = evidence.kind == "conditional"
        if evidence.side == "lower":
            spread = evidence.spread
            if given:
                return judge_lower_expectation(evidence.quotient(right - slack), 1.0, None, level, spread=spread)
            (least,) = np.maximum(right - slack, 0.0)
            return judge_lower_expectation(errors, least, evidence.ceiling, level, spread=spread)
        if given:
            return judge_expectation(evidence.quotient(right + slack), 1.0, None, level)
        (right,), (slack,) = right, slack
        return judge_expectation(errors, right, evidence.ceiling, level, slack=slack)

    def decides_early(self, ceiling: Any) -> bool:
        """Return whether the error has a ceiling, without which no sample supports a bound on the mean."""
        return (ceiling or self.ceiling) is not None

    def of_a_bound(self) -> Guarantee:
        """Return the guarantee without ceiling and spread, which are those of another quantity."""
        return InExpectation()

    def __str__(self) -> str:
        return "in expectation"


@dataclass(frozen=True)
class ExactExpectation(Guarantee):
    """The mean of the error over the method's randomness equals the right-hand side.

    Parameters
    ----------
    margin : float
        Relative deviation that the detail of the verdict reports.
    ceiling : callable, optional
        As in ``InExpectation``.
    spread : callable, optional
        Arguments of the theorem to a bound on the relative variance Var X / (E X)^2 of the error X, infinite where
        none is known. It makes a sample mean below the right-hand side evidence against the statement, at every number
        of trials; ``theory.statistics.moments`` has it for polynomials of Gaussian variables.
    condition : float or callable
        As in ``Deterministic``.
    """

    averaged: ClassVar[bool] = True
    equality: ClassVar[bool] = True

    margin: float = 0.1
    ceiling: Moment | None = None
    spread: Moment | None = None
    condition: Condition = 1.0

    def judge(self, evidence: Evidence, level: float) -> Judgement:
        """Bet against the mean from above, and from below where a spread or a ceiling is known."""
        right, slack, spread, margin = evidence.right, evidence.slack, evidence.spread, self.margin
        if evidence.kind == "conditional":
            quotient = evidence.quotient(right)
            room = (slack / np.maximum(right, np.finfo(np.float64).tiny)).max(axis=0)
            return judge_exact_expectation(quotient, 1.0, level, spread=spread, margin=margin, slack=room)
        (right,), (slack,), upper = right, slack, evidence.ceiling
        return judge_exact_expectation(
            evidence.errors, right, level, spread=spread, upper=upper, margin=margin, slack=slack
        )

    def of_a_bound(self) -> Guarantee:
        """Return "in expectation": a function of an equality is an inequality, by Jensen."""
        return InExpectation()

    def __str__(self) -> str:
        return "exact expectation"


@dataclass(frozen=True)
class WithProbability(Guarantee):
    """The inequality fails with at most the probability that the bound returns beside its right-hand side.

    Parameters
    ----------
    condition : float or callable
        As in ``Deterministic``.
    """

    chance: ClassVar[bool] = True

    condition: Condition = 1.0

    def judge(self, evidence: Evidence, level: float) -> Judgement:
        """Count the runs that fail."""
        errors, right, slack = evidence.errors, evidence.right, evidence.slack
        failed = errors < right - slack if evidence.side == "lower" else errors > right + slack
        return judge_probability(failed, evidence.failure, level)

    def __str__(self) -> str:
        return "with probability"


@dataclass(frozen=True)
class Asymptotic(Guarantee):
    """The error follows the stated rate in its budget; no verdict from a single size.

    Parameters
    ----------
    rate : float
        Exponent: the error behaves like budget ** rate.
    condition : float or callable
        As in ``Deterministic``.
    """

    growth: ClassVar[bool] = True

    rate: float
    condition: Condition = 1.0

    def judge(self, evidence: Evidence, level: float) -> Judgement:
        """Return "not contradicted": a rate needs several sizes."""
        return Judgement(Verdict.NOT_CONTRADICTED, None, "a rate needs several sizes; see theory.studies")

    def __str__(self) -> str:
        return f"rate {self.rate:g}"
