"""Sums over windows of consecutive rows by binary doubling, without cancellation."""

from __future__ import annotations

from tnattn.arrays import Array, accumulator_dtype, array_namespace, clipped


def window_sums(x: Array, first: Array, stop: Array) -> Array:
    """Return the sums of rows ``first, ..., stop - 1`` of arrays of rows, in the widest floating dtype of the device.

    Parameters
    ----------
    x : Array, (..., n, c), floating
    first, stop : Array, (w,) or (..., w), integer
        ``0 <= first`` and ``stop <= n``; a window with ``stop <= first`` is empty and has sum zero.

    Returns
    -------
    Array, (..., w, c)

    Notes
    -----
    O((n + w) c log n), memory O((n + w) c). A window is cut into runs of lengths 2^b, one for each binary digit of its
    length, whose sums come from doubling. Only rows of the window are added, so that its sum is exact to the rounding
    of its own terms; a difference of running sums loses what is small against everything before it.
    """
    xp = array_namespace(x)
    doubled = xp.astype(x, accumulator_dtype(x))  # row i: sum of the rows i, ..., i + 2^b - 1
    length = xp.maximum(stop - first, xp.zeros_like(first))
    position, n, size = first, x.shape[-2], 1
    batch = tuple(x.shape[:-2])
    total = xp.zeros_like(_rows(doubled, xp.zeros_like(first)))
    while size <= n:
        taken = (length // size) % 2 == 1  # the binary digit of the length for runs of this size
        run = _rows(doubled, clipped(position, 0, doubled.shape[-2] - 1))
        chosen = xp.broadcast_to(taken[..., None], (*batch, taken.shape[-1], 1))
        total = total + xp.where(chosen, run, xp.zeros_like(run))
        position = xp.where(taken, position + size, position)
        if 2 * size <= n:  # doubled[i] covers 2 size rows from i on
            doubled = doubled[..., :-size, :] + doubled[..., size:, :]
        size *= 2
    return total


def _rows(x: Array, indices: Array) -> Array:
    """Return the rows of x (..., n, c) at indices (w,) or (..., w)."""
    xp = array_namespace(x)
    if indices.ndim == 1:
        return xp.take(x, indices, axis=-2)
    index = xp.broadcast_to(indices[..., None], (*x.shape[:-2], indices.shape[-1], x.shape[-1]))
    return xp.take_along_axis(x, index, axis=-2)
