"""Exponentials of the scores of queries with few keys, evaluated in tiles."""

from __future__ import annotations

import itertools
import math

from tnattn.arrays import (
    Array,
    array_namespace,
    broadcast_shape,
    device,
    exp_in_place,
    parallel_map,
    prefers_host_tiles,
    quiet_overflow,
    widened,
)

_TILE = 1 << 17  # scores of a tile on the host: 512 KB of float32 stay in the second-level cache of a core


def exponentials(
    queries: Array, keys: Array, *, bias: Array | None = None, softcap: float | None = None
) -> tuple[Array, Array]:
    """Return exp(queries keys^T + bias - shift) with the largest score of every row as its shift.

    Parameters
    ----------
    queries : Array, (..., n, d)
        Scaled. Half precision is widened, and so are the results.
    keys : Array, (..., m, d)
        Batch axes broadcast against those of the queries.
    bias : Array, (m,), optional
    softcap : float, optional
        Scores s become softcap * tanh(s / softcap), before the bias.

    Returns
    -------
    kernel : Array, (..., n, m)
        In [0, 1], with a one in every row.
    shift : Array, (..., n)
        NaN, as the row of the kernel, where the largest score is not finite.

    Notes
    -----
    O(n m d), memory for the result only: on the host every tile is finished while it is in a core's cache.
    """
    xp = array_namespace(queries, keys)
    queries, keys = widened(queries), widened(keys)

    def work(query: Array, key: Array) -> tuple[Array, Array]:
        scores = query @ key.mT
        if softcap is not None:
            scores = softcap * xp.tanh(scores / softcap)
        if bias is not None:
            scores += bias
        top = xp.max(scores, axis=-1)
        # an infinite shift would give exp(inf - inf); NaN marks the whole row as bad
        top = xp.where(xp.isfinite(top), top, xp.full_like(top, float("nan")))
        scores -= top[..., None]  # exp stays within [0, 1]; the shift cancels in the quotient
        return exp_in_place(scores), top

    if not prefers_host_tiles(queries):  # a device fills itself with one product for all heads
        with quiet_overflow():
            return work(queries, keys)
    n, m = queries.shape[-2], keys.shape[-2]
    batch = broadcast_shape(queries.shape[:-2], keys.shape[:-2])
    q, k = (xp.reshape(xp.broadcast_to(x, (*batch, *x.shape[-2:])), (-1, *x.shape[-2:])) for x in (queries, keys))
    count = math.prod(batch)
    kernel = xp.empty((count, n, m), dtype=q.dtype, device=device(q))
    shift = xp.empty((count, n), dtype=q.dtype, device=device(q))
    # whole heads while they fit into a tile, blocks of rows of one head otherwise
    heads, rows = max(1, _TILE // (n * m)), max(1, min(n, _TILE // m))

    def fill(place: tuple[slice, slice]) -> None:
        kernel[place], shift[place] = work(q[place], k[place[0]])

    tiles = [
        (slice(h, min(h + heads, count)), slice(i, min(i + rows, n)))
        for h, i in itertools.product(range(0, count, heads), range(0, n, rows))
    ]
    with quiet_overflow():
        parallel_map(fill, tiles, like=queries)
    return xp.reshape(kernel, (*batch, n, m)), xp.reshape(shift, (*batch, n))
