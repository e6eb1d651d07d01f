"""Rows and columns of stacks of arrays at indices, each matrix having its own."""

from __future__ import annotations

import math

from tnattn.arrays import Array, array_namespace, broadcast_shape, device


def take_columns(x: Array, indices: Array) -> Array:
    """Return the columns (..., m, b) of arrays (..., m, n) at indices (..., b)."""
    xp = array_namespace(x)
    *batch, m, n = x.shape
    if indices.ndim == 1:  # all matrices have the same indices
        return xp.take(x, indices, axis=-1)
    # row i of the flattened stack begins at i n: one take on the flat array gathers the columns of all matrices
    start = xp.reshape(xp.arange(math.prod(batch) * m, device=device(x)) * n, (*batch, m, 1))
    flat = start + indices[..., None, :]
    return xp.reshape(xp.take(xp.reshape(x, (-1,)), xp.reshape(flat, (-1,))), flat.shape)


def take_rows(x: Array, indices: Array) -> Array:
    """Return the rows (..., b, n) of arrays (..., m, n) at indices (..., b)."""
    return gather_rows(x, indices[..., None])[..., 0, :]


def gather_rows(x: Array, indices: Array) -> Array:
    """Return the rows of a stack at given indices.

    Parameters
    ----------
    x : Array, (..., n, c)
    indices : Array, (..., m, w), integer
        Batch axes broadcast against those of ``x``.

    Returns
    -------
    Array, (..., m, w, c)
    """
    xp = array_namespace(x)
    m, w = indices.shape[-2:]
    if math.prod(indices.shape[:-2]) == 1:  # all matrices have the same indices
        flat = xp.reshape(indices, (m * w,))
        return xp.reshape(xp.take(x, flat, axis=-2), (*x.shape[:-2], m, w, x.shape[-1]))
    batch = broadcast_shape(indices.shape[:-2], x.shape[:-2])
    count, (n, c) = math.prod(batch), x.shape[-2:]
    # flattened batch: entry (b, j) of the stack is row b * n + j, so that one take serves every matrix
    offset = xp.reshape(xp.arange(count, dtype=indices.dtype, device=device(indices)) * n, (count, 1))
    flat = xp.reshape(xp.broadcast_to(indices, (*batch, m, w)), (count, m * w)) + offset
    stacked = xp.reshape(xp.broadcast_to(x, (*batch, n, c)), (count * n, c))
    return xp.reshape(xp.take(stacked, xp.reshape(flat, (-1,)), axis=0), (*batch, m, w, c))
