"""Instances on which theorems are tested: their own, and every method on every generated problem."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from theory.statement.bound import Bound, Instance
from theory.studies import candidates
from tnattn import gallery

__all__ = ["OWN", "cases", "make"]

OWN = ("extremal", "generic")
"""Kinds of instance that a theorem names itself; the others are "METHOD on PROBLEM"."""

# of every instance, thoroughly
DRAWS = 5
# small enough for the dense references of every theorem
TOKENS, WIDTH, HEADS, BUDGET = 48, 8, 2, 8


def cases(bounds: Sequence[Bound], *, thorough: bool = False) -> list[tuple[Bound, str, int]]:
    """Return theorem, kind of instance and number of the sample, the extremal ones first.

    Parameters
    ----------
    bounds : sequence of Bound
    thorough : bool
        Five samples of the theorem's own instances, and every attention method that it is about on every problem of
        the gallery.
    """
    draws = range(DRAWS if thorough else 1)
    found = [(b, kind, draw) for kind in OWN for b in bounds if getattr(b, kind) is not None for draw in draws]
    return [*found, *_product(bounds)] if thorough else found


def make(b: Bound, kind: str) -> Callable[[np.random.Generator], Instance]:
    """Return the function that makes an instance of a kind."""
    if kind in OWN:
        own: Any = getattr(b, kind)
        return own  # type: ignore[no-any-return]
    name, _, problem = kind.partition(" on ")
    method = candidates.methods()[name]()
    if method.budget_field is not None:
        method = method.with_budget(BUDGET)
    family = gallery.problems()[problem]
    return lambda rng: (method, family(TOKENS, WIDTH, HEADS, rng=rng))


def _product(bounds: Sequence[Bound]) -> Iterator[tuple[Bound, str, int]]:
    for b in bounds:
        for name, cls in candidates.methods().items():
            if b.is_about(cls()):
                yield from ((b, f"{name} on {problem}", 0) for problem in gallery.problems())
