"""Candidates of a search: methods that honour the mask, at doubling budgets, in the order of their predicted cost."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tnattn.attention.baseline.exact import Exact
from tnattn.attention.cost import exact_cost
from tnattn.attention.masks import CausalMask, FullMask
from tnattn.attention.method import AttentionMethod, KeyMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.wrappers.causal import Causal
from tnattn.attention.wrappers.per_head import PerHead
from tnattn.namespace import HOMES
from tnattn.scalars import Parameters

FIRST_BUDGET = 16  # below, methods have more overhead than columns
_DOUBLINGS = 40  # a budget that no longer raises the cost ends the ladder before


@dataclass(frozen=True)
class BudgetedMethod(Parameters):
    """A method at a budget, and its predicted operations as a share of those of exact attention.

    Examples
    --------
    >>> from tnattn import SlidingWindow
    >>> from tnattn.certificate.candidates import BudgetedMethod
    >>> BudgetedMethod(SlidingWindow(16), "SlidingWindow", 0.1).budget
    16
    """

    method: AttentionMethod
    label: str
    share: float
    ladder: int = 0  # place of its method among those given: two of them may have one label

    @property
    def budget(self) -> int:
        """The budget of the method, zero where it has none."""
        return self.method.budget or 0


@dataclass(frozen=True)
class Skipped:
    """A method that takes no part, and the reason.

    Examples
    --------
    >>> from tnattn.certificate.candidates import Skipped
    >>> Skipped("Converted", "it takes layers").reason
    'it takes layers'
    """

    label: str
    reason: str


def default_methods() -> tuple[AttentionMethod, ...]:
    """Return the attention methods of the package that are no oracles, at the first budget."""
    found: list[AttentionMethod] = []
    for module, names in HOMES.items():
        if not module.startswith("tnattn.attention."):
            continue
        for name in names:
            cls = getattr(importlib.import_module(module), name)
            if not (inspect.isclass(cls) and issubclass(cls, AttentionMethod) and not inspect.isabstract(cls)):
                continue
            # an adapter is put around methods that need it; exact attention is what candidates compete with
            if cls.reads_weights or cls.role == "adapter" or issubclass(cls, (Exact, PerHead)):
                continue
            found.append(at_first_budget(cls()))
    return tuple(found)


def at_first_budget(method: AttentionMethod) -> AttentionMethod:
    """Return a method at the budget with which a search begins, if it has one."""
    return method if method.budget_field is None else method.with_budget(FIRST_BUDGET)


def method_label(method: AttentionMethod) -> str:
    """Return the name of a method's class, with that of the inner one in brackets."""
    inner = getattr(method, "method", None)
    name = type(method).__name__
    return f"{name}({method_label(inner)})" if isinstance(inner, AttentionMethod) else name


def candidates(
    problem: AttentionProblem, methods: Sequence[AttentionMethod]
) -> tuple[list[BudgetedMethod], tuple[Skipped, ...]]:
    """Return candidates cheaper than exact attention in the order of their cost, and the methods that are none.

    Parameters
    ----------
    problem : AttentionProblem
    methods : sequence of AttentionMethod
        At the budgets with which their ladders begin.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, SlidingWindow
    >>> from tnattn.certificate.candidates import candidates
    >>> found, skipped = candidates(AttentionProblem(*np.zeros((3, 1, 256, 4))), [SlidingWindow(16)])
    >>> [candidate.budget for candidate in found], skipped
    ([16, 32, 64, 128], ())
    """
    found: list[BudgetedMethod] = []
    skipped: list[Skipped] = []
    for place, method in enumerate(methods):
        try:
            found += _ladder(problem, _fitted(problem, method), place)
        except Exception as error:  # whatever a method raises, the others are tried
            skipped.append(Skipped(method_label(method), str(error) or type(error).__name__))
    return sorted(found, key=lambda candidate: candidate.share), tuple(skipped)


def _fitted(problem: AttentionProblem, method: AttentionMethod) -> AttentionMethod:
    """Return the method in a form that honours the mask; ValueError if there is none, or it is an oracle."""
    inner = getattr(method, "method", None)
    if method.reads_weights or getattr(inner, "reads_weights", False):
        raise ValueError("it reads all exact weights, so that its cost is that of no method")
    refused = [part for part in problem.mask.conjuncts if not method.honours(part)]
    if not refused:
        return method
    causal = all(isinstance(part, (FullMask, CausalMask)) for part in problem.mask.conjuncts)
    if causal and isinstance(method, KeyMethod) and not method.probes:
        return Causal(method)
    raise ValueError(f"it does not honour {type(refused[0]).__name__}")


def _ladder(problem: AttentionProblem, method: AttentionMethod, place: int) -> Iterator[BudgetedMethod]:
    """Yield the method at doubling budgets, up to the cost of exact attention."""
    most, name, last = exact_cost(problem).flops, method_label(method), -1.0
    for doubling in range(_DOUBLINGS):
        if doubling:
            method = method.with_budget(2 * int(method.budget or 1))
        flops = method.cost(problem).flops
        if not last < flops < most:
            return
        last = flops
        yield BudgetedMethod(method, name, flops / most, place)
        if method.budget_field is None:
            return


def on_rows(candidate: BudgetedMethod, problem: AttentionProblem, rows: int) -> float:
    """Return the predicted share of exact attention that the candidate takes for a part of the queries."""
    part = dataclasses.replace(problem, q=problem.q[..., :rows, :], check_finite=False)
    return candidate.method.cost(part).flops / exact_cost(problem).flops
