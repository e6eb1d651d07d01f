"""The values that rows of a problem may weight by their position, and the last of them for every row."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, device, widened
from tnattn.attention.masks import CausalMask, FullMask, Mask, PaddingMask, SlidingWindowMask
from tnattn.attention.problem import AttentionProblem


def visible_values(problem: AttentionProblem) -> Array:
    """Return values (..., G, 1, n, d_v) whose convex combinations are all exact outputs.

    Padding is left out. Where the mask may leave a row without keys, whose output is zero, a zero stands in front.
    In float32 for half precision.
    """
    values, n = widened(problem.values), _length(problem)
    xp = array_namespace(values)
    values = values[..., :n, :]
    for part in problem.mask.conjuncts:
        if isinstance(part, PaddingMask) and not isinstance(part.lengths, int):
            position = xp.arange(n, dtype=xp.int64, device=device(values))
            hidden = position >= xp.astype(part.lengths, xp.int64)[..., None]  # (..., n)
            values = xp.where(hidden[..., None, None, :, None], xp.zeros_like(values), values)
    if not may_be_empty(problem.mask):
        return values
    return xp.concat([xp.zeros_like(problem.values[..., :1, :], dtype=values.dtype), values], axis=-2)


def last_visible(problem: AttentionProblem) -> Array | None:
    """Return the place in ``visible_values`` (n_q,) of the last value that the position of a row admits.

    None where the mask has no part that reads positions of queries.
    """
    parts = [part for part in problem.mask.conjuncts if _positional(part)]
    right = [part.right if isinstance(part, SlidingWindowMask) else 0 for part in parts]
    if not right:
        return None
    xp, n = array_namespace(problem.q), _length(problem)
    position = xp.arange(problem.n_q, dtype=xp.int64, device=device(problem.q)) + (problem.n_k - problem.n_q)
    found = xp.minimum(position + min(right), xp.full_like(position, n - 1))
    return found + 1 if may_be_empty(problem.mask) else found


def may_be_empty(mask: Mask) -> bool:
    """Return false if the mask leaves every row a key, judged by its kinds, without reading arrays."""
    kinds = [type(part) for part in mask.conjuncts]
    if any(kind not in (FullMask, CausalMask, SlidingWindowMask, PaddingMask) for kind in kinds):
        return True  # arrays may forbid all keys of a row
    lengths = [part.lengths for part in mask.conjuncts if isinstance(part, PaddingMask)]
    if not all(isinstance(length, int) and length > 0 for length in lengths):
        return True
    # the first keys are visible to every row under padding and causal masks, but a window leaves them behind
    return bool(lengths) and SlidingWindowMask in kinds


def _positional(part: Mask) -> bool:
    return isinstance(part, (CausalMask, SlidingWindowMask))


def _length(problem: AttentionProblem) -> int:
    """Return the number of keys that integer lengths of padding leave."""
    lengths = [part.lengths for part in problem.mask.conjuncts if isinstance(part, PaddingMask)]
    return min([problem.n_k, *(length for length in lengths if isinstance(length, int))])
