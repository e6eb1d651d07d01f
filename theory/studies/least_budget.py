"""Least budget at which each method errs by no more than a given error, by bisection on measured errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from theory.statement import errors
from theory.studies.candidates import Candidate, Refusal, fit
from tnattn.attention.cost import exact_cost
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem

__all__ = ["LeastBudget", "least_budget", "least_budgets"]

_FIRST = 4  # columns at which doubling begins
_NEAR = 1.05  # bisection ends at budgets that differ by less: one draw does not tell them apart


@dataclass(frozen=True)
class LeastBudget:
    """The least budget of a method for an error, or the least error that it reaches.

    Parameters
    ----------
    method : str
    oracle, control : bool
    budget : int
        0 for a method without budget.
    flops : float
        Predicted operations, relative to exact attention.
    error, worst : float
        Measured there: the median over the heads of the relative output error, and that of the worst head.
    reached : bool
        False where no budget up to the number of keys is enough; then those of the largest budget.
    note : str
        Why there are no numbers; empty where there are.

    Examples
    --------
    >>> from theory.studies import LeastBudget
    >>> LeastBudget("TopK", True, True, 16, 0.5, 0.04, 0.06, True)
    <TopK: budget 16, error 0.04>
    """

    method: str
    oracle: bool
    control: bool
    budget: int
    flops: float
    error: float
    worst: float
    reached: bool
    note: str = ""

    def __repr__(self) -> str:
        found = f"budget {self.budget}, error {self.error:.3g}" if self.reached else self.note or "not reached"
        return f"<{self.method}: {found}>"


def least_budgets(
    problem: AttentionProblem,
    candidates: Sequence[Candidate],
    error: float,
    *,
    seed: int = 0,
    on_done: Callable[[LeastBudget], None] | None = None,
) -> list[LeastBudget]:
    """Return the least budgets of methods: those that reach the error first, by their cost; oracles last.

    Parameters
    ----------
    problem : AttentionProblem
    candidates : sequence of Candidate
    error : float
        Relative, of the median head.
    seed : int
        Of one draw at every budget.
    on_done : callable, optional
        Called with the result of every method.
    """
    if not 0 < error < math.inf:
        raise ValueError(f"error is {error}; it must be a positive number, such as 0.05")
    found = []
    for candidate in candidates:
        found.append(least_budget(problem, candidate, error, seed=seed))
        if on_done is not None:
            on_done(found[-1])
    return sorted(found, key=lambda one: (one.oracle, not one.reached, one.flops if one.reached else one.error))


def least_budget(problem: AttentionProblem, candidate: Candidate, error: float, *, seed: int = 0) -> LeastBudget:
    """Return the least budget of a method: the first power of two that is enough, and bisection below it.

    Errors of randomized methods are those of one draw, and need not fall with every step of the budget.
    """
    fitted = fit(candidate, problem)
    if isinstance(fitted, Refusal):
        return _without(candidate, fitted.reason)

    def at(budget: int) -> LeastBudget:
        method = fitted.method.with_budget(budget) if budget else fitted.method
        return _measured(problem, fitted, method, error, seed)

    try:
        if fitted.method.budget_field is None:
            return at(0)
        return _bisected(at, problem.n_k)
    except Exception as failed:  # whatever a method raises, the others are ranked
        return _without(fitted, str(failed) or type(failed).__name__)


def _bisected(at: Callable[[int], LeastBudget], most: int) -> LeastBudget:
    low, high = 0, min(_FIRST, most)
    found = at(high)
    while not found.reached and high < most:
        low, high = high, min(2 * high, most)
        found = at(high)
    while found.reached and high > low + 1 and high > _NEAR * low:
        middle = (low + high) // 2
        tried = at(middle)
        low, high, found = (low, middle, tried) if tried.reached else (middle, high, found)
    return found


def _measured(
    problem: AttentionProblem, candidate: Candidate, method: AttentionMethod, error: float, seed: int
) -> LeastBudget:
    with np.errstate(all="ignore"):  # rows that are not finite count as infinite errors
        relative = errors.relative_output(problem, method(problem, rng=np.random.default_rng(seed)))
    every = np.nan_to_num(np.asarray(relative, dtype=np.float64).ravel(), nan=np.inf)
    middle = float(np.sort(every)[every.size // 2])  # the upper of the two middle ones
    return LeastBudget(
        method=candidate.label,
        oracle=candidate.oracle,
        control=candidate.control,
        budget=method.budget or 0,
        flops=method.cost(problem).flops / exact_cost(problem).flops,
        error=middle,
        worst=float(every.max()),
        reached=middle <= error,
    )


def _without(candidate: Candidate, reason: str) -> LeastBudget:
    nothing = math.inf
    return LeastBudget(
        candidate.label, candidate.oracle, candidate.control, 0, nothing, nothing, nothing, reached=False, note=reason
    )
