"""Intervals of keys that positional masks admit for every query."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, device
from tnattn.attention.masks import CausalMask, PaddingMask, SlidingWindowMask
from tnattn.attention.problem import AttentionProblem


def admissible_span(problem: AttentionProblem) -> tuple[Array, Array]:
    """Return the first key and one past the last key that the positional parts of the mask leave to every query.

    Parameters
    ----------
    problem : AttentionProblem
        Explicit masks and biases are not looked at.

    Returns
    -------
    first, stop : Array, (n_q,) or (..., 1, 1, n_q), int64
        ``0 <= first`` and ``stop <= n_k``; a query with ``stop <= first`` sees no key. O(n_q).
    """
    xp = array_namespace(problem.q)
    n_q, n_k = problem.n_q, problem.n_k
    position = xp.arange(n_q, dtype=xp.int64, device=device(problem.q)) + (n_k - n_q)
    first, stop = xp.zeros_like(position), xp.zeros_like(position) + n_k
    # the intersection of intervals is an interval
    for part in problem.mask.conjuncts:
        match part:
            case CausalMask():
                stop = xp.minimum(stop, position + 1)
            case SlidingWindowMask(left, right):
                first = xp.maximum(first, position - left)
                stop = xp.minimum(stop, position + right + 1)
            case PaddingMask(int(length)):
                stop = xp.minimum(stop, xp.full_like(stop, length))
            case PaddingMask(lengths):
                stop = xp.minimum(stop, xp.astype(lengths, xp.int64)[..., None, None, None])
            case _:  # full masks; explicit masks and biases, which may only forbid more
                pass
    return first, stop
