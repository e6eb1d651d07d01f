"""Sums over windows of consecutive rows without cancellation."""

from __future__ import annotations

from typing import Any

from tnattn.arrays import (
    Array,
    accumulator_dtype,
    array_namespace,
    broadcast_shape,
    clipped,
    device,
    parallel_map,
    runs_on_host,
)
from tnattn.structured.row_tiles import HOST_TILE, Stack


def window_sums(x: Array, first: Array | None, stop: Array, *, dtype: Any = None) -> Array:
    """Return the sums of rows ``first, ..., stop - 1`` of arrays of rows, added in the widest dtype of the device.

    Parameters
    ----------
    x : Array, (..., n, c), floating
    first, stop : Array, (w,) or (..., w), integer
        ``0 <= first`` and ``stop <= n``; a window with ``stop <= first`` is empty and has sum zero. Without ``first``
        all windows start at the first row.
    dtype : dtype, optional
        Of the result; the one in which sums are added by default.

    Returns
    -------
    Array, (..., w, c)

    Notes
    -----
    O((n + w) c log n), or O((n + w) c) without ``first``; memory for the result and O((n + w) c) per thread. A window
    is cut into runs of lengths 2^b, one for each binary digit of its length, whose sums come from doubling. Only rows
    of the window are added, so that its sum is exact to the rounding of its own terms; a difference of running sums
    loses what is small against everything before it. Windows from the first row on are running sums themselves.
    """
    xp = array_namespace(x)
    batch, (n, c) = tuple(x.shape[:-2]), x.shape[-2:]
    stack, wide = Stack(batch), accumulator_dtype(x)
    # (w,), or (count, w) where matrices have windows of their own
    ends = [None if side is None else _flat(side, stack) for side in (first, stop)]
    rows = stack.flat(x)
    out = xp.empty((stack.count, stop.shape[-1], c), dtype=wide if dtype is None else dtype, device=device(x))
    together = max(1, HOST_TILE // max(1, n * c)) if runs_on_host(x) else max(1, stack.count)

    def work(heads: slice) -> None:
        begin, end = (side if side is None or side.ndim == 1 else side[heads, :] for side in ends)
        if begin is None:
            out[heads, ...] = _rows(_running(rows[heads, ...], wide, out.dtype), end)
        else:
            out[heads, ...] = xp.astype(_doubled(xp.astype(rows[heads, ...], wide), begin, end), out.dtype, copy=False)

    parallel_map(work, [slice(h, min(h + together, stack.count)) for h in range(0, stack.count, together)], like=x)
    return stack.restored(out)


def _flat(ends: Array, stack: Stack) -> Array:
    """Return limits of windows (..., w) as (count, w), and (w,) as they are."""
    if ends.ndim == 1:
        return ends
    broadcast_shape(ends.shape[:-1], stack.batch)  # refuses others
    return stack.flat(ends[..., None])[..., 0]


def _running(x: Array, wide: Any, dtype: Any) -> Array:
    """Return the sums of the first 0, ..., n rows of x, (g, n + 1, c), added in ``wide``, block by block of rows."""
    xp = array_namespace(x)
    g, n, c = x.shape
    sums = xp.zeros((g, n + 1, c), dtype=dtype, device=device(x))
    step = max(1, HOST_TILE // max(1, c)) if runs_on_host(x) else max(1, n)
    before = xp.zeros((g, 1, c), dtype=wide, device=device(x))
    for start in range(0, n, step):
        part = xp.cumulative_sum(xp.astype(x[:, start : start + step, :], wide), axis=-2)
        part += before
        sums[:, start + 1 : start + 1 + part.shape[-2], :] = xp.astype(part, dtype, copy=False)
        before = xp.asarray(part[:, -1:, :], copy=True)
    return sums


def _doubled(x: Array, first: Array, stop: Array) -> Array:
    """Return the sums of the rows ``first, ..., stop - 1`` of x, (g, w, c), by binary doubling."""
    xp = array_namespace(x)
    length = xp.maximum(stop - first, xp.zeros_like(first))
    n, size, longest = x.shape[-2], 1, _largest(length)
    position = first + xp.zeros_like(stop)
    total = xp.zeros_like(_rows(x, xp.zeros_like(position)))
    while size <= min(n, longest):
        taken = (length // size) % 2 == 1  # the binary digit of the length for runs of this size
        run = _rows(x, clipped(position, 0, x.shape[-2] - 1))
        total = total + xp.where(taken[..., None], run, xp.zeros_like(run))
        position = xp.where(taken, position + size, position)
        if 2 * size <= n:  # x[i] covers 2 size rows from i on
            x = x[..., :-size, :] + x[..., size:, :]
        size *= 2
    return total


def _largest(length: Array) -> int:
    """Return the largest length, at least zero."""
    xp = array_namespace(length)
    return int(xp.max(length)) if length.shape[-1] and 0 not in length.shape else 0


def _rows(x: Array, indices: Array) -> Array:
    """Return the rows of x (g, n, c) at indices (w,) or (g, w)."""
    xp = array_namespace(x)
    if indices.ndim == 1:
        return xp.take(x, indices, axis=-2)
    index = xp.broadcast_to(indices[..., None], (*x.shape[:-2], indices.shape[-1], x.shape[-1]))
    return xp.take_along_axis(x, index, axis=-2)
