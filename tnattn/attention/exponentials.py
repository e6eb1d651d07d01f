"""Exponentials of the scores of queries with few keys, evaluated in tiles."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial

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
_KEYS = 1024  # keys of a tile, at most: with more, tiles would have too few queries for fast products


def exponentials(
    queries: Array,
    keys: Array,
    *,
    bias: Array | None = None,
    softcap: float | None = None,
    by_columns: bool = False,
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
    by_columns : bool
        On the host, store the kernel by columns, as LAPACK wants it: tiles are transposed while they are in cache.

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
    scores = partial(_scores, bias=bias, softcap=softcap)
    if not prefers_host_tiles(queries):  # a device fills itself with one product for all heads
        with quiet_overflow():
            return _shifted(scores(queries, keys, slice(None)))
    n, m = queries.shape[-2], keys.shape[-2]
    batch = broadcast_shape(queries.shape[:-2], keys.shape[:-2])
    q, k = (xp.reshape(xp.broadcast_to(x, (*batch, *x.shape[-2:])), (-1, *x.shape[-2:])) for x in (queries, keys))
    count = math.prod(batch)
    stored = (count, m, n) if by_columns else (count, n, m)
    kernel = xp.empty(stored, dtype=q.dtype, device=device(q))
    kernel = kernel.mT if by_columns else kernel
    shift = xp.empty((count, n), dtype=q.dtype, device=device(q))
    # whole heads while they fit into a tile, blocks of rows of one head otherwise
    heads, rows = max(1, _TILE // (n * m)), max(1, min(n, _TILE // min(m, _KEYS)))

    def fill(place: tuple[slice, slice]) -> None:
        shift[place] = _fill(kernel[place], partial(scores, q[place], k[place[0]]))

    tiles = [
        (slice(h, min(h + heads, count)), slice(i, min(i + rows, n)))
        for h, i in itertools.product(range(0, count, heads), range(0, n, rows))
    ]
    with quiet_overflow():
        parallel_map(fill, tiles, like=queries)
    return xp.reshape(kernel, (*batch, n, m)), xp.reshape(shift, (*batch, n))


def _fill(kernel: Array, scores: Callable[[slice], Array]) -> Array:
    """Write exp(scores - top) into the rows of a kernel (..., rows, m), and return the largest scores of the rows."""
    xp, m = array_namespace(kernel), kernel.shape[-1]
    if m <= _KEYS:
        kernel[...], top = _shifted(scores(slice(None)))
        return top
    # few queries with many keys: the shifts are known when all keys have been seen
    spans = [slice(start, min(start + _KEYS, m)) for start in range(0, m, _KEYS)]
    tops = []
    for span in spans:
        kernel[..., span] = part = scores(span)
        tops.append(xp.max(part, axis=-1))
    top = _finite_or_nan(xp.max(xp.stack(tops), axis=0))
    for span in spans:
        part = kernel[..., span]
        part -= top[..., None]
        exp_in_place(part)
    return top


def _scores(query: Array, key: Array, columns: slice, *, bias: Array | None, softcap: float | None) -> Array:
    scores = query @ key[..., columns, :].mT
    if softcap is not None:
        scores = softcap * array_namespace(scores).tanh(scores / softcap)
    if bias is not None:
        scores += bias[columns]
    return scores


def _shifted(scores: Array) -> tuple[Array, Array]:
    """Return exp(scores - top), overwriting the scores, and the largest of every row."""
    top = _finite_or_nan(array_namespace(scores).max(scores, axis=-1))
    scores -= top[..., None]  # exp stays within [0, 1]; the shift cancels in the quotient
    return exp_in_place(scores), top


def _finite_or_nan(top: Array) -> Array:
    """Return finite shifts; an infinite one would give exp(inf - inf), and NaN marks the whole row as bad."""
    xp = array_namespace(top)
    return xp.where(xp.isfinite(top), top, xp.full_like(top, float("nan")))
