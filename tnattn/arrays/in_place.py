"""Operations that overwrite an argument where the library can; the array API standard has none.

Callers use the returned array and never the argument: where a library cannot overwrite, the result is a new array.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import array_api_compat
import numpy as np
import scipy.linalg

from tnattn.arrays.dtypes import dtype_name
from tnattn.arrays.layout import broadcast_shape
from tnattn.arrays.libraries import Array, array_namespace
from tnattn.arrays.matrix_products import stacked_matmul
from tnattn.arrays.threads import runs_on_host


def exp_in_place(x: Array) -> Array:
    """Return exp(x), overwriting ``x`` where the library can."""
    if array_api_compat.is_numpy_array(x) or array_api_compat.is_cupy_array(x):
        return array_namespace(x).exp(x, out=x)
    if array_api_compat.is_torch_array(x):
        return x.exp_()
    return array_namespace(x).exp(x)


def scaled_exponential(like: Array) -> tuple[float, Callable[[Array], Array]]:
    """Return a number c and a function e with e(c x) = exp(x), overwriting its argument where the library can.

    c is not one where exponentials to base two are faster: for whoever scales the factors of x anyway.
    """
    if array_api_compat.is_torch_array(like) and runs_on_host(like):
        # 0.6 of the time of exp, and 0.2 where entries are minus infinity
        return 1 / math.log(2), lambda x: x.exp2_()
    return 1.0, exp_in_place


def matmul_into(a: Array, b: Array, spare: Array | None) -> Array:
    """Return a @ b, written over the front of ``spare`` where the library can and its size and dtype allow.

    Fresh memory costs the host a page fault every few kilobytes, which for tiles is a third of the product.
    """
    # devices reuse freed memory themselves
    if spare is None or not runs_on_host(a) or not a.dtype == b.dtype == spare.dtype:
        return stacked_matmul(a, b)
    shape = (*broadcast_shape(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    # PyTorch's product of stacks with different batch axes cannot be written into another array
    alike = array_api_compat.is_numpy_array(a) or a.shape[:-2] == b.shape[:-2]
    out = _front(spare, shape) if alike else None
    # PyTorch keeps the operands of a product for its gradient
    if out is None or getattr(a, "requires_grad", False) or getattr(b, "requires_grad", False):
        return stacked_matmul(a, b)
    return array_namespace(a).matmul(a, b, out=out)


def _front(spare: Array, shape: tuple[int, ...]) -> Array | None:
    """Return an array of a shape in the memory of another one on the host, or None if it does not fit."""
    if tuple(spare.shape) == shape:
        return spare
    plain = spare.is_contiguous() if array_api_compat.is_torch_array(spare) else spare.flags.c_contiguous
    size = math.prod(shape)
    return spare.reshape(-1)[:size].reshape(shape) if plain and size <= math.prod(spare.shape) else None


def subtract_product(x: Array, a: Array, b: Array) -> Array:
    """Return x - a @ b, written over ``x`` where the library can.

    Parameters
    ----------
    x : Array, (..., m, n)
    a, b : Array, (..., m, k) and (..., k, n)
        Nothing of ``b`` may lie in the memory of ``x``.

    Notes
    -----
    On the host a single matrix takes one call of BLAS, without the product as an array of its own.
    """
    if array_api_compat.is_numpy_array(x):
        plain = x.flags.c_contiguous and x.flags.writeable and x.dtype == a.dtype == b.dtype
        if plain and x.ndim == a.ndim == b.ndim == 2 and dtype_name(x.dtype) in ("float32", "float64"):
            # gemm with beta = 1 adds to c; it writes into x only if x has the layout it wants, else into a copy
            update: Any = scipy.linalg.get_blas_funcs("gemm", (x,))
            made = update(-1.0, b.T, a.T, beta=1.0, c=x.T, overwrite_c=1).T  # BLAS sees rows as columns
            if not np.may_share_memory(made, x):
                x[...] = made
            return x
    elif not (array_api_compat.is_torch_array(x) or array_api_compat.is_cupy_array(x)):
        return x - a @ b
    x -= stacked_matmul(a, b)
    return x
