"""Powers of two that bring numbers where their squares and reciprocals neither overflow nor vanish.

Multiplication and division by a power of two are exact, so a computation that scales first gives 2^k times the same
digits for 2^k times the input, over the whole range of exponents.
"""

from __future__ import annotations

import sys
from typing import Any

import array_api_compat
import numpy as np

from tnattn.arrays import Array, accumulator_dtype, array_namespace, device, dtype_name, eps, from_host, to_host

Axis = int | tuple[int, ...] | None


def binary_scale(x: Array, *, axis: Axis = None, keepdims: bool = True) -> Array:
    """Return the powers of two 2^e with ``1 <= max |x| / 2^e < 2`` along axes of a floating array.

    Parameters
    ----------
    x : Array, floating
    axis : int or tuple of int, optional
        The axes over which the largest magnitude is taken; all by default.
    keepdims : bool
        Keep them with length one, so that ``x / binary_scale(x)`` broadcasts.

    Returns
    -------
    Array, dtype of ``x``
        1 where all entries are zero, where there are none, and where one is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> float(binary_scale(np.array([3.0, -5.0]))[0])
    4.0
    """
    xp = array_namespace(x)
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if 0 in (x.shape[i] for i in axes):
        kept = [1 if i in {j % x.ndim for j in axes} else n for i, n in enumerate(x.shape)]
        ones = xp.ones(tuple(kept), dtype=x.dtype, device=device(x))
        return ones if keepdims else xp.reshape(ones, tuple(n for n, m in zip(kept, x.shape, strict=True) if n == m))
    # two reductions: the array of absolute values would be written and read again
    largest = xp.maximum(xp.max(x, axis=axes, keepdims=keepdims), -xp.min(x, axis=axes, keepdims=keepdims))
    return power_of_two_below(largest)


def power_of_two_below(x: Array) -> Array:
    """Return the largest powers of two that are at most x > 0; 1 where x is zero or not finite."""
    xp = array_namespace(x)
    regular = xp.where(xp.isfinite(x) & (x > 0), x, xp.ones_like(x))
    # the quotient is a power of two, and division rounds correctly, so it is exact; 2 m keeps it below overflow
    return regular / (2 * _mantissa(xp, regular))


def _mantissa(xp: Any, x: Array) -> Array:
    """Return m in [1/2, 1) with ``x = m 2^e``."""
    if array_api_compat.is_numpy_array(x):
        return np.frexp(x)[0]
    if array_api_compat.is_torch_array(x):
        return sys.modules["torch"].frexp(x).mantissa
    if array_api_compat.is_cupy_array(x):
        return sys.modules["cupy"].frexp(x)[0]
    return from_host(np.frexp(to_host(x))[0], like=x)


def largest_entry(a: Array) -> Array:
    """Return the largest absolute entries (..., 1, 1) of matrices, or 1 for a zero matrix: a unit for squares."""
    xp = array_namespace(a)
    largest = xp.max(xp.abs(a), axis=(-2, -1), keepdims=True)
    return xp.where(largest > 0, largest, xp.ones_like(largest))


def smallest_normal(x: Array) -> float:
    """Return the smallest positive number of the dtype of an array that has all its digits."""
    return {"bfloat16": 2.0**-126, "float16": 2.0**-14, "float32": 2.0**-126, "float64": 2.0**-1022}[
        dtype_name(x.dtype)
    ]


def in_square_range(squares: Array) -> Array:
    """Return, for each sum of squares, whether it is finite and has lost no digits to underflow."""
    xp = array_namespace(squares)
    return xp.isfinite(squares) & (squares >= smallest_normal(squares) / eps(squares))


def euclidean_norm(x: Array, *, axis: Axis, keepdims: bool = False) -> Array:
    """Return Euclidean norms over axes, in the dtype of ``x``, summed in float64 where the device has it.

    Digits do not depend on the scale of ``x``, and no norm overflows or vanishes that the dtype can hold.
    """
    xp = array_namespace(x)
    wide = xp.astype(x, accumulator_dtype(x), copy=False)
    with np.errstate(over="ignore"):
        sums = xp.sum(wide * wide, axis=axis, keepdims=True)
        # float64 holds the squares of float32; a device would have to wait for the answer to the other question
        if eps(wide) < eps(x) or (array_api_compat.is_numpy_array(x) and bool(xp.all(in_square_range(sums)))):
            norms = xp.sqrt(sums)
        else:
            scale = binary_scale(wide, axis=axis)
            scaled = wide / scale
            norms = scale * xp.sqrt(xp.sum(scaled * scaled, axis=axis, keepdims=True))
        norms = xp.astype(norms, x.dtype, copy=False)
    axes = (axis,) if isinstance(axis, int) else tuple(range(x.ndim)) if axis is None else axis
    return norms if keepdims else xp.squeeze(norms, axis=axes)


def exponent_of(scale: Array) -> Array:
    """Return e, a whole number in the dtype of powers of two 2^e."""
    xp = array_namespace(scale)
    return xp.round(xp.log2(scale))


def times_power_of_two(x: Array, exponent: Array) -> Array:
    """Return ``x 2^e`` for whole numbers e of any size, which overflows or vanishes only where the product does."""
    xp = array_namespace(x, exponent)
    # a step keeps the sign of e, so that no intermediate number leaves the range before the product does
    step = xp.full_like(exponent, 100.0 if eps(x) > 1e-10 else 1000.0)
    two = xp.full_like(exponent, 2.0)
    with np.errstate(over="ignore", under="ignore"):
        for _ in range(16):
            part = xp.maximum(xp.minimum(exponent, step), -step)
            x, exponent = x * two**part, exponent - part
    return x
