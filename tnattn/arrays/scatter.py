"""Scattered sums: rows added up by index, and products with the transpose of a sparse matrix stored by rows."""

from __future__ import annotations

import math
from typing import Any

import array_api_compat
import numpy as np
import scipy.sparse

from tnattn.arrays.half_precision import computed_in_single
from tnattn.arrays.layout import plain_array
from tnattn.arrays.libraries import Array, array_namespace, device
from tnattn.arrays.threads import parallel_map

_SLAB = 64  # columns of a sparse product at a time on the host, whose results (size, 64) stay in cache


@computed_in_single
def scatter_rows(updates: Array, indices: Array, size: int) -> Array:
    """Return stacks of ``size`` rows in which row ``indices[..., i]`` is the sum of the updates i sent to it.

    Parameters
    ----------
    updates : Array, (..., m, c)
        Rows to be added up.
    indices : Array, (..., m), integer
        In 0, ..., size - 1; not checked. The batch shape is that of ``updates``.
    size : int
        Number of rows of the result.

    Returns
    -------
    Array, (..., size, c)
    """
    xp, updates = array_namespace(updates), plain_array(updates, "updates")
    *batch, m, c = updates.shape
    count = math.prod(batch)
    # one scatter for the whole stack: row i of matrix b is row b * size + i of the result
    offset = xp.reshape(xp.arange(count, dtype=indices.dtype, device=device(indices)) * size, (count, 1))
    flat = xp.reshape(xp.reshape(indices, (count, m)) + offset, (count * m,))
    rows = xp.reshape(updates, (count * m, c))
    out = xp.zeros((count * size, c), dtype=updates.dtype, device=device(updates))
    if array_api_compat.is_numpy_array(updates):
        # a product with a zero-one matrix: np.add.at takes ten times as long (4000 rows of 64 columns)
        one = np.ones(count * m, dtype=updates.dtype)
        picker = scipy.sparse.csr_array((one, (flat, np.arange(count * m))), shape=(count * size, count * m))
        out = np.asarray(picker @ rows)
    elif array_api_compat.is_torch_array(updates):
        out.index_add_(0, flat, rows)
    elif array_api_compat.is_cupy_array(updates):
        xp.add.at(out, flat, rows)
    else:  # the standard has no scatter: a dense zero-one matrix, for the strict rings of the tests
        target = xp.arange(count * size, dtype=flat.dtype, device=device(updates))
        out = xp.astype(target[:, None] == flat[None, :], updates.dtype) @ rows
    return xp.reshape(out, (*batch, size, c))


@computed_in_single
def scatter_products(values: Array, indices: Array, y: Array, size: int) -> Array:
    """Return the product of the transpose of a sparse matrix with a block, ``sum_i sum_w values[i, w] y[i]``.

    Parameters
    ----------
    values, indices : Array, (m, w)
        One sparse matrix of m rows and ``size`` columns: the w stored entries of every row and their columns.
    y : Array, (..., m, c)
        Stored in any order.
    size : int

    Returns
    -------
    Array, (..., size, c)

    Notes
    -----
    O(m w c). On the host in slabs of columns whose results stay in a core's cache while ``y`` is read once; threads
    share the slabs. Elsewhere one scatter per stored entry of a row.
    """
    xp = array_namespace(values, y)
    if not array_api_compat.is_numpy_array(values):
        batch = tuple(y.shape[:-2])
        out = None
        for slot in range(values.shape[-1]):
            rows = xp.broadcast_to(indices[:, slot], (*batch, indices.shape[0]))
            part = scatter_rows(values[:, slot, None] * y, rows, size)
            out = part if out is None else out + part
        return out
    values, y = plain_array(values, "values"), plain_array(y, "y")  # SciPy knows one byte order only
    m, width = values.shape
    # the stored rows of the matrix are the stored columns of its transpose
    starts = np.arange(0, m * width + 1, width)
    entries = (np.ascontiguousarray(values).reshape(-1), np.ascontiguousarray(indices).reshape(-1), starts)
    transposed = scipy.sparse.csc_array(entries, shape=(size, m))
    columns = y.shape[-1]
    out = np.empty((*y.shape[:-2], size, columns), np.result_type(values, y))
    slabs = [slice(i, min(i + _SLAB, columns)) for i in range(0, columns, _SLAB)]

    def work(place: tuple[tuple[int, ...], slice]) -> None:
        batch, slab = place
        block: Any = transposed @ np.ascontiguousarray(y[batch][:, slab])
        out[batch][:, slab] = block

    parallel_map(work, [(batch, slab) for batch in np.ndindex(*y.shape[:-2]) for slab in slabs], like=values)
    return out


@computed_in_single
def scattered_entries(values: Array, indices: Array, size: int) -> Array:
    """Return the matrices (..., m, size) whose row i holds the sum of the ``values[..., i, s]`` sent to each column.

    Parameters
    ----------
    values : Array, (..., m, w)
    indices : Array, (..., m, w), integer
        In 0, ..., size - 1; not checked. Broadcasts against ``values``.
    size : int

    Notes
    -----
    O(m (size + w)) per matrix.
    """
    xp, values = array_namespace(values), plain_array(values, "values")
    *batch, m, w = values.shape
    rows = math.prod(batch) * m
    out = xp.zeros((rows, size), dtype=values.dtype, device=device(values))
    columns = xp.reshape(xp.broadcast_to(xp.astype(indices, xp.int64, copy=False), values.shape), (rows, w))
    entries = xp.reshape(values, (rows, w))
    if array_api_compat.is_numpy_array(values) or array_api_compat.is_cupy_array(values):
        xp.add.at(out, (xp.arange(rows, device=device(values))[:, None], columns), entries)
    elif array_api_compat.is_torch_array(values):
        out.scatter_add_(-1, columns, entries)
    else:  # the standard has no scatter: entries are compared with all columns, one of every row at a time
        position = xp.arange(size, dtype=columns.dtype, device=device(values))
        for slot in range(w):
            here = position == columns[:, slot, None]
            out = out + xp.where(here, entries[:, slot, None], xp.zeros_like(out))
    return xp.reshape(out, (*batch, m, size))


def with_entries(x: Array, indices: Array, values: Array) -> Array:
    """Return x (..., m, n) with ``values[..., i]`` at row i, column ``indices[..., i]``; written over ``x`` if it can.

    Parameters
    ----------
    x : Array, (..., m, n)
    indices, values : Array, (..., m)
    """
    xp = array_namespace(x)
    values = xp.broadcast_to(values, indices.shape)[..., None]
    if array_api_compat.is_numpy_array(x):
        np.put_along_axis(x, indices[..., None], values, axis=-1)
        return x
    if array_api_compat.is_torch_array(x):
        return x.scatter_(-1, indices[..., None], values)
    position = xp.arange(x.shape[-1], dtype=indices.dtype, device=device(x))
    return xp.where(position == indices[..., None], values, x)
