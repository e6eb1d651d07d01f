"""Scaling by powers of two, after which squares and reciprocals neither overflow nor vanish.

Multiplication and division by a power of two are exact, so a computation that scales first gives 2^k times the same
digits for 2^k times the input, over the whole range of exponents.
"""

from __future__ import annotations

import sys
from typing import Any

import array_api_compat
import numpy as np

from tnattn.arrays import (
    Array,
    accumulator_dtype,
    array_namespace,
    clipped,
    device,
    dtype_name,
    eps,
    from_host,
    to_host,
)

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
    return power_of_two_below(largest_magnitude(x, axis=axes, keepdims=keepdims))


def largest_magnitude(x: Array, *, axis: Axis, keepdims: bool = False) -> Array:
    """Return the largest absolute values over axes that are not empty."""
    xp = array_namespace(x)
    # two reductions: the array of absolute values would be written and read again, which takes three times as long
    return xp.maximum(xp.max(x, axis=axis, keepdims=keepdims), -xp.min(x, axis=axis, keepdims=keepdims))


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
    xp, largest = array_namespace(a), largest_magnitude(a, axis=(-2, -1), keepdims=True)
    return xp.where(largest > 0, largest, xp.ones_like(largest))


def smallest_normal(x: Array) -> float:
    """Return the smallest normal number of the dtype of an array: smaller ones have lost digits."""
    return {"bfloat16": 2.0**-126, "float16": 2.0**-14, "float32": 2.0**-126, "float64": 2.0**-1022}[
        dtype_name(x.dtype)
    ]


def in_square_range(squares: Array) -> Array:
    """Return for each sum of squares whether it is finite and has lost no digits to underflow."""
    xp = array_namespace(squares)
    # terms that underflow are below the smallest normal number, which is rounding of a sum of that over eps
    return xp.isfinite(squares) & (squares >= smallest_normal(squares) / eps(squares))


def euclidean_norm(x: Array, *, axis: Axis, keepdims: bool = False) -> Array:
    """Return Euclidean norms over axes, in the dtype of ``x``, summed in float64 where the device has it.

    Digits do not depend on the scale of ``x``, and no norm overflows or vanishes that the dtype can hold.
    """
    xp = array_namespace(x)
    wide = xp.astype(x, accumulator_dtype(x), copy=False)
    with np.errstate(over="ignore"):
        sums = xp.sum(wide * wide, axis=axis, keepdims=True)
        # float64 holds the squares of float32; the second condition would synchronise a device
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
    """Return the exponents e of powers of two 2^e, as numbers of their dtype."""
    xp = array_namespace(scale)
    return xp.round(xp.log2(scale))


def times_power_of_two(x: Array, exponent: Array, *, stack: bool = False) -> Array:
    """Return ``x 2^e``, rounded once, which overflows or vanishes only where the product does; never ``x`` itself.

    Parameters
    ----------
    x : Array, floating
    exponent : Array
        Whole numbers of any size, integer or floating, that broadcast with ``x``: on the host (NumPy), or of the
        library of ``x``, where they stay.
    stack : bool
        One exponent (...) for each array of a stack (..., k, l, ...): axes of length one are put behind.

    Raises
    ------
    ValueError
        If ``stack`` and the leading axes of the two differ.

    Examples
    --------
    >>> import numpy as np
    >>> float(times_power_of_two(np.array(2.0**-1000), np.array(1500)) / 2.0**500)  # 2^1500 is no number
    1.0
    """
    if stack:
        exponent = _with_trailing_axes(exponent, x)
    most, on_host = _MOST[dtype_name(x.dtype)], isinstance(exponent, np.ndarray | np.generic)
    parts = []
    for _ in range(3):
        parts.append(clipped(exponent, -most, most))
        exponent = exponent - parts[-1]
    if on_host:  # where it costs no synchronisation, passes over x that change nothing are spared
        parts = [parts[0], *(part for part in parts[1:] if part.any())]
    with np.errstate(over="ignore", under="ignore"):
        # remainders first, full steps last: a number that a remainder rounds (to a denormal) vanishes in the full steps
        for part in reversed(parts):
            x = x * (_host_power(part, like=x) if on_host else _device_power(part, most, like=x))
    return x


# 2^e and 2^-e are numbers with all their digits; three such factors lead from the smallest number beyond the largest
_MOST = {"bfloat16": 100, "float16": 14, "float32": 100, "float64": 1000}


def _with_trailing_axes(exponent: Array, x: Array) -> Array:
    """Return exponents (...) with axes of length one behind, as many as the arrays (..., k, l, ...) of a stack have."""
    batch = tuple(exponent.shape)
    if tuple(x.shape[: len(batch)]) != batch:
        raise ValueError(f"an array of shape {tuple(x.shape)} lacks the batch axes {batch} of its exponents; add them")
    return array_namespace(exponent).reshape(exponent, (*batch, *(1,) * (x.ndim - len(batch))))


def _host_power(exponent: Any, *, like: Array) -> Array:
    """Return 2^e in the dtype and library of an array."""
    return from_host(np.asarray(np.ldexp(1.0, exponent.astype(np.int64))), like=like, dtype=like.dtype)


def _device_power(exponent: Array, most: int, *, like: Array) -> Array:
    """Return 2^e, |e| <= most, as a product of 2, 4, 16, ...: powers by pow are not exact on every device."""
    xp = array_namespace(like)
    magnitude = xp.astype(xp.abs(exponent), xp.int64)
    power = xp.ones_like(magnitude, dtype=like.dtype)
    for place in range(most.bit_length()):
        power = xp.where(magnitude // 2**place % 2 == 1, power * 2.0 ** (2**place), power)
    return xp.where(exponent < 0, 1 / power, power)
