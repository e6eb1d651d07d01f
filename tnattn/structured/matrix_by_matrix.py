"""Functions of stacks of matrices, evaluated matrix by matrix."""

from __future__ import annotations

import math
from collections.abc import Callable

from tnattn.arrays import Array, array_namespace, parallel_map, prefers_host_tiles
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense

_LARGE = 1 << 14  # entries of a matrix from which a call of its own pays: 128 x 128


def matrix_by_matrix(
    function: Callable[[StructuredMatrix], tuple[Array, ...]], a: StructuredMatrix
) -> tuple[Array, ...]:
    """Return a function of a stack of matrices, evaluated matrix by matrix where that is faster.

    Parameters
    ----------
    function : callable
        Of a stack (..., m, n); returns arrays with the same batch axes.
    a : StructuredMatrix

    Notes
    -----
    A dense stack on the host whose matrices are large: one matrix stays in the cache through all products with it, and
    threads share the stack. Everything else goes through ``function`` at once.
    """
    large = a.count > 1 and math.prod(a.shape[-2:]) >= _LARGE
    if not (large and a.explicit and prefers_host_tiles(a.like)):
        return function(a)
    xp = array_namespace(a.like)
    flat = xp.reshape(a.dense_view(), (-1, *a.shape[-2:]))
    parts = parallel_map(lambda i: function(Dense(flat[i, ...])), range(a.count), like=flat)
    return tuple(xp.reshape(xp.stack(each), (*a.batch, *each[0].shape)) for each in zip(*parts, strict=True))
