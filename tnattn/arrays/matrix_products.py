"""Products of stacks of matrices, sums of their rows, and sums of squares of their columns."""

from __future__ import annotations

import math

import array_api_compat
import numpy as np

from tnattn.arrays.half_precision import computed_in_single
from tnattn.arrays.layout import broadcast_shape
from tnattn.arrays.libraries import Array, array_namespace
from tnattn.arrays.threads import host_threads, parallel_map

_SMALL = 1 << 22  # operations of a stack of products below which threads do not pay: starting them takes 0.2 ms


@computed_in_single
def stacked_matmul(a: Array, b: Array) -> Array:
    """Return the matrix products of two stacks, (..., m, k) and (..., k, n).

    Notes
    -----
    On the host, threads with one BLAS thread each share the stack: BLAS would split every small product by itself, and
    wait for all its threads each time.
    """
    if a.ndim == b.ndim == 2:  # the usual case in tiles
        return a @ b
    batch = broadcast_shape(a.shape[:-2], b.shape[:-2])
    operations = math.prod(batch) * a.shape[-2] * a.shape[-1] * b.shape[-1]
    workers = host_threads()
    if not array_api_compat.is_numpy_array(a) or operations < _SMALL or max(batch, default=1) < workers or workers < 2:
        return a @ b
    # the stack is cut along its longest axis, counted from the end, where a and b are aligned
    longest = batch.index(max(batch)) - len(batch) - 2
    out = np.empty((*batch, a.shape[-2], b.shape[-1]), np.result_type(a, b))

    def cut(x: Array, part: slice) -> Array:
        """Return the part of a factor that belongs to a part of the stack; a shared factor is not cut."""
        where = x.ndim + longest
        return x if where < 0 or x.shape[where] == 1 else x[(slice(None),) * where + (part,)]

    def work(part: slice) -> None:
        np.matmul(cut(a, part), cut(b, part), out=cut(out, part))

    # four pieces per thread even out cores of different speed
    step = -(-batch[longest + 2] // (4 * workers))
    parallel_map(work, [slice(i, i + step) for i in range(0, batch[longest + 2], step)], like=a)
    return out


@computed_in_single
def squared_column_norms(x: Array) -> Array:
    """Return the sums of the squares of the columns, (..., n), of matrices (..., m, n) stored by rows."""
    if array_api_compat.is_numpy_array(x):
        squares: Array = np.einsum("...ij,...ij->...j", x, x)  # without an array of squares
        return squares
    return array_namespace(x).sum(x * x, axis=-2)


def sums_of_rows(x: Array) -> Array:
    """Return the sums of the rows, (..., m, 1), of matrices (..., m, n), in the dtype of the matrices."""
    if array_api_compat.is_numpy_array(x) and x.ndim > 1:
        return x @ np.ones((x.shape[-1], 1), dtype=x.dtype)  # BLAS is three times faster than a sum
    return array_namespace(x).sum(x, axis=-1, keepdims=True, dtype=x.dtype)
