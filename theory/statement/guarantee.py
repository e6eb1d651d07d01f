"""Guarantees: the sense in which a right-hand side bounds an error, and the statistical test of it."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from theory.statement.evidence import Condition, Evidence, Moment
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
        """Return True if its test is valid under optional stopping and can support the statement.

        ``ceiling`` is an almost sure upper bound on the error, None where none is known.
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

    Examples
    --------
    >>> import numpy as np
    >>> from theory.statement import Deterministic, Evidence
    >>> one, none = np.ones((1, 1)), np.zeros((1, 1))
    >>> str(Deterministic().judge(Evidence(np.array([[0.5], [1.1]]), one, none, none[0], None, None, 0), 1e-3).verdict)
    'refuted'
    """

    always: ClassVar[bool] = True

    condition: Condition = 1.0
    subtraction: bool = False

    def judge(self, evidence: Evidence, level: float) -> Judgement:
        """Refute by a single violation beyond rounding; an identity is violated on both sides."""
        errors, right, slack = evidence.errors, evidence.right, evidence.slack
        # a right-hand side that is too large violates an equality as well
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

    Examples
    --------
    >>> import numpy as np
    >>> from theory.statement import Evidence, InExpectation
    >>> one, none = np.ones((1, 1)), np.zeros((1, 1))
    >>> seen = Evidence(np.tile([[0.0], [1.1]], (100, 1)), one, none, none[0], np.array([2.0]), None, 0)
    >>> str(InExpectation().judge(seen, 1e-3).verdict)
    'supported'
    """

    averaged: ClassVar[bool] = True

    ceiling: Moment | None = None
    spread: Moment | None = None
    condition: Condition = 1.0

    def judge(self, evidence: Evidence, level: float) -> Judgement:
        """Bet against the bound; given the result, against 1 as a bound on the quotient of both sides."""
        errors, right, slack = evidence.errors, evidence.right, evidence.slack
        # given the result both sides are random, and their quotient has mean at most one; it has no ceiling
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
        """Return True if the error has a ceiling, without which no sample supports a bound on the mean."""
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

    Examples
    --------
    >>> import numpy as np
    >>> from theory.statement import Evidence, ExactExpectation
    >>> half, none = np.full((1, 1), 0.5), np.zeros((1, 1))
    >>> seen = Evidence(np.tile([[0.0], [1.1]], (2000, 1)), half, none, none[0], None, None, 0)
    >>> ExactExpectation().judge(seen, 1e-3).detail
    '4000 trials, mean / expected in [1.1, 1.1]'
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
            # rounding in units of the right-hand side, the largest over the trials
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

    Examples
    --------
    >>> import numpy as np
    >>> from theory.statement import Evidence, WithProbability
    >>> one, none = np.ones((1, 1)), np.zeros((1, 1))
    >>> seen = Evidence(np.full((100, 1), 0.9), one, none, np.array([0.1]), None, None, 0)
    >>> str(WithProbability().judge(seen, 1e-3).verdict)
    'supported'
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

    Examples
    --------
    >>> from theory.statement import Asymptotic
    >>> str(Asymptotic(rate=-0.5)), Asymptotic(rate=-0.5).growth
    ('rate -0.5', True)
    """

    growth: ClassVar[bool] = True

    rate: float
    condition: Condition = 1.0

    def judge(self, evidence: Evidence, level: float) -> Judgement:
        """Return "not contradicted": a rate needs several sizes."""
        return Judgement(Verdict.NOT_CONTRADICTED, None, "a rate needs several sizes; see theory.studies")

    def __str__(self) -> str:
        return f"rate {self.rate:g}"
