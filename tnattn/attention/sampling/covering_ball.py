"""Balls around the values that queries see, of which none tells a query about keys that it does not see."""

from __future__ import annotations

from typing import NamedTuple

from tnattn.arrays import Array, array_namespace, device, eps, widened
from tnattn.attention.broadcasting import concat_broadcast
from tnattn.attention.masks import FullMask
from tnattn.attention.problem import AttentionProblem
from tnattn.structured.gather import take_rows

__all__: list[str] = []  # parts of the methods of this chapter

_STEPS = 16  # of the centre: the radius is within a quarter of the least one, and mostly within a tenth
_ROWS = 256  # queries with a common centre, whose cost is then a tenth of that of their scores


class CoveringBalls(NamedTuple):
    """Centres of blocks of queries, and the distance of the farthest value that each query sees.

    Parameters
    ----------
    points : Array, (..., p, 17), int64
        Keys whose mean value is the centre of the block.
    share : Array, (..., p, 1)
        Weight of each of them: 1 / 17, or zero in blocks without a key that all queries see.
    centres : Array, (..., p, d_v)
    block : Array, (n_q,), int64
        Block of every query.
    radius : Array, (..., n_q)

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, CausalMask
    >>> from tnattn.attention.sampling.covering_ball import covering_balls
    >>> x = np.asarray([[[0.0], [2.0], [10.0]]])
    >>> covering_balls(AttentionProblem(x, x, x, mask=CausalMask()), x[:, None]).radius.tolist()  # the first value
    [[[0.0, 2.0, 10.0]]]
    """

    points: Array
    share: Array
    centres: Array
    block: Array
    radius: Array


def covering_balls(problem: AttentionProblem, values: Array) -> CoveringBalls:
    """Return balls around values (..., G, 1, n_k, d_v): one without a mask, else one for 256 consecutive queries.

    A centre depends on keys that all queries of the block see, and on no others; under a causal mask, on those up to
    the first query.

    Notes
    -----
    Bădoiu and Clarkson 2003, section 3, from the largest value on. O(n_k d_v) per head and block.
    """
    xp = array_namespace(values)
    n_q = problem.n_q
    step = n_q if isinstance(problem.mask, FullMask) else _ROWS
    blocks = [slice(start, min(start + step, n_q)) for start in range(0, n_q, step)]
    found = [_ball(values, _seen(problem, rows, values)) for rows in blocks]
    points, share, centres = (concat_broadcast([ball[i] for ball in found], axis=-2) for i in range(3))
    sizes = [rows.stop - rows.start for rows in blocks]
    radii = [xp.broadcast_to(ball[3], (*ball[3].shape[:-1], n)) for ball, n in zip(found, sizes, strict=True)]
    radius = concat_broadcast(radii, axis=-1)
    block = xp.arange(n_q, dtype=xp.int64, device=device(values)) // step
    return CoveringBalls(points, share, centres, block, radius)


def covering_flops(problem: AttentionProblem) -> float:
    """Return the operations of the balls of a problem: differences, squares and sums of all values in every step."""
    blocks = 1 if isinstance(problem.mask, FullMask) else -(-problem.n_q // _ROWS)
    return 3.0 * (_STEPS + 1) * blocks * problem.groups * problem.n_k * problem.value_width


def _ball(values: Array, seen: Array | None) -> tuple[Array, Array, Array, Array]:
    """Return points (..., 1, 17), their share (..., 1, 1), the centre (..., 1, d_v) and radii (..., r or 1)."""
    xp = array_namespace(values)
    if seen is None:
        seen = xp.ones((1, values.shape[-2]), dtype=xp.bool, device=device(values))
    common = xp.astype(xp.all(seen, axis=-2), values.dtype)  # (..., n)
    some = xp.max(common, axis=-1, keepdims=True)[..., None]  # (..., 1, 1)
    norms = xp.vecdot(values, values)
    first = xp.argmax((1 + norms) * common, axis=-1, keepdims=True)  # (..., 1), whatever the order of the keys
    points = [first]
    centre = take_rows(values, first) * some
    for step in range(_STEPS):
        far = xp.argmax(_distances(values, centre) * common, axis=-1, keepdims=True)
        points.append(far)
        # the mean of all points so far
        centre = (centre * (step + 1) + take_rows(values, far) * some) / (step + 2)
    farthest = xp.max(
        xp.where(seen, _distances(values, centre)[..., None, :], xp.zeros_like(norms)[..., None, :]), axis=-1
    )
    radius = xp.sqrt(farthest) * (1 + (values.shape[-1] + 8) * eps(values))
    return xp.astype(xp.stack(points, axis=-1), xp.int64), some / len(points), centre, radius


def _seen(problem: AttentionProblem, rows: slice, like: Array) -> Array | None:
    """Return True for pairs that the mask admits, broadcastable to (..., r, n_k); None where it admits all."""
    xp = array_namespace(like)
    i = xp.arange(rows.start, rows.stop, device=device(like))[:, None]
    j = xp.arange(problem.n_k, device=device(like))[None, :]
    scores = widened(problem.q[..., :0, :])
    added = problem.grouped_mask.additive(i, j, n_q=problem.n_q, n_k=problem.n_k, like=scores)
    if added is None:
        return None
    return xp.broadcast_to(added > -float("inf"), (*added.shape[:-2], rows.stop - rows.start, problem.n_k))


def _distances(values: Array, centre: Array) -> Array:
    """Return squared distances of values (..., n, d_v) from a centre (..., 1, d_v), (..., n)."""
    apart = values - centre
    return array_namespace(values).sum(apart * apart, axis=-1)
