"""Segments of queries whose statistics come from what the first of them may see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tnattn.attention.masks import CausalMask, SlidingWindowMask
from tnattn.attention.problem import AttentionProblem
from tnattn.scalars import Parameters

__all__: list[str] = []  # parts of the methods of this chapter


@dataclass(frozen=True)
class Segment(Parameters):
    """Consecutive queries, and the first queries and keys from which their statistics are taken.

    Parameters
    ----------
    start, stop : int
        Of the queries.
    queries, keys : int
        Numbers of first queries and keys that the first query of the segment may depend on.
    exact : bool
        No query of the segment sees more keys than are kept.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, CausalMask
    >>> from tnattn.attention.sparse.row_segments import row_segments
    >>> problem = AttentionProblem(*np.zeros((3, 1, 24, 2)), mask=CausalMask())
    >>> for segment in row_segments(problem, width=12):
    ...     print(segment)
    Segment(start=0, stop=12, queries=1, keys=1, exact=True)
    Segment(start=12, stop=17, queries=13, keys=13, exact=False)
    Segment(start=17, stop=23, queries=18, keys=18, exact=False)
    Segment(start=23, stop=24, queries=24, keys=24, exact=False)
    """

    start: int
    stop: int
    queries: int
    keys: int
    exact: bool = False


def positions_ahead(problem: AttentionProblem) -> int | None:
    """Return how many keys behind its own position a query may see, or None if the mask reads no positions."""
    ahead: int | None = None
    for part in problem.mask.conjuncts:
        match part:
            case CausalMask():
                ahead = 0
            case SlidingWindowMask(_, right):
                ahead = right if ahead is None else min(ahead, right)
            case _:  # explicit masks are not read
                pass
    return ahead


def seen_keys(problem: AttentionProblem, query: int) -> int:
    """Return one past the last key that the positional parts of the mask leave to a query."""
    ahead = positions_ahead(problem)
    return problem.n_k if ahead is None else min(problem.n_k, query + problem.n_k - problem.n_q + ahead + 1)


def row_segments(problem: AttentionProblem, *, width: int, block: int = 1, renewed: bool = True) -> Iterator[Segment]:
    """Yield segments of the queries of a problem, in order.

    Parameters
    ----------
    problem : AttentionProblem
    width : int
        Kept keys of every query.
    block : int
        Segments begin at multiples of it.
    renewed : bool
        Whether statistics are taken from the problem, so that a segment ends where the sequence is 4/3 as long: then
        all encodings together take four times as long as one of all keys, and no statistics are older than that.
    """
    n = problem.n_q
    if width >= problem.n_k:
        yield Segment(0, n, n, problem.n_k, exact=True)
        return
    if positions_ahead(problem) is None:
        yield Segment(0, n, n, problem.n_k)
        return
    # the first query sees this many keys, and every other one more than the query before it
    start = max(0, min(n, width + 1 - seen_keys(problem, 0))) // block * block
    if start:
        yield Segment(0, start, 1, seen_keys(problem, 0), exact=True)
    while start < n:
        keys = seen_keys(problem, start)
        length = -(-keys // 3) if renewed else n - start
        stop = min(n, start + -(-length // block) * block)
        yield Segment(start, stop, start + 1, keys)
        start = stop
