"""Norms of matrices, tails of singular values, and the smallest ranks that meet a tolerance, on every array library.

Matrices are scaled to order one by powers of two before entries are squared: a norm overflows or vanishes only where
it exceeds the range of the dtype.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tnattn.arrays import (
    Array,
    accumulator_dtype,
    array_namespace,
    computed_in_single,
    device,
    dtype_name,
    require_floating,
)
from tnattn.linalg.scaling import binary_scale, euclidean_norm, largest_magnitude
from tnattn.linalg.singular_values import singular_values
from tnattn.scalars import as_real

# values below 2^limit times the largest are multiplied by 2^shift before they are squared: their squares would
# lose digits to underflow (2^-126 in float32, 2^-1022 in float64)
_SHIFTS = {"float32": (90, -50), "float64": (600, -450)}


@computed_in_single
def spectral_norm(a: Array) -> Array:
    """Return the largest singular values (...) of matrices (..., m, n).

    Through the Gram matrix of the short side, scaled against overflow: the largest singular value loses nothing there.
    """
    xp = array_namespace(a)
    require_floating(a, "a")
    m, n = a.shape[-2:]
    if 0 in a.shape:
        return xp.zeros(tuple(a.shape[:-2]), dtype=a.dtype, device=device(a))
    scale = binary_scale(a, axis=(-2, -1))
    scaled = a / scale
    short = scaled if n <= m else xp.matrix_transpose(scaled)  # eigenvalues of order min(m, n)
    largest = xp.linalg.eigvalsh(xp.matmul(xp.matrix_transpose(short), short))[..., -1]
    with np.errstate(over="ignore"):
        return scale[..., 0, 0] * xp.sqrt(largest)


@computed_in_single
def frobenius_norm(a: Array) -> Array:
    """Return the Frobenius norms (...) of matrices (..., m, n), summed in float64 where the device has it."""
    require_floating(a, "a")
    return euclidean_norm(a, axis=(-2, -1))


@computed_in_single
def nuclear_norm(a: Array) -> Array:
    """Return the sums of singular values (...) of matrices (..., m, n)."""
    return array_namespace(a).sum(singular_values(a), axis=-1)


@computed_in_single
def truncation_tails(s: Array) -> Array:
    """Return ``tails[..., r] = sqrt(sum_{i >= r} s_i^2)``, r = 0 ... k, of singular values (..., k).

    ``tails[..., r]`` is the Frobenius error of the best rank-r approximation. Summed from the small end, in float64
    where the device has it.
    """
    xp = array_namespace(s)
    require_floating(s, "s")
    if s.shape[-1] == 0:
        return xp.zeros((*s.shape[:-1], 1), dtype=s.dtype, device=device(s))
    wide = xp.astype(s, accumulator_dtype(s), copy=False)
    scale = binary_scale(wide, axis=-1)
    shift, limit = _SHIFTS[dtype_name(wide.dtype)]
    with np.errstate(over="ignore"):  # where the shifted values overflow, the others stand
        tails, small = _root_sums(xp, wide / scale), _root_sums(xp, wide / scale * 2.0**shift) * 2.0**-shift
        return xp.astype(scale * xp.where(tails < 2.0**limit, small, tails), s.dtype, copy=False)


def _root_sums(xp: Any, x: Array) -> Array:
    """Return ``sqrt(sum_{i >= r} x_i^2)``, r = 0 ... k, summed from the end."""
    sums = xp.cumulative_sum(xp.flip(x * x, axis=-1), axis=-1, include_initial=True)
    return xp.sqrt(xp.flip(sums, axis=-1))


@computed_in_single
def rank_for_tolerance(s: Array, *, rtol: float) -> Array:
    """Return the smallest ranks (...), integers, whose discarded tail is at most ``rtol`` times the Frobenius norm.

    Parameters
    ----------
    s : Array, (..., k)
        Singular values, largest first. All zero: rank 0.
    rtol : float
        ``0 <= rtol``; 0 asks for every singular value that is not zero.
    """
    rtol = as_real(rtol, "rtol")
    if not rtol >= 0:
        raise ValueError(f"rtol is {rtol}; a non-negative number is needed")
    xp = array_namespace(s)
    tails = truncation_tails(s)
    return xp.sum(xp.astype(tails[..., :-1] > rtol * tails[..., :1], xp.int64), axis=-1)


def largest_entries(a: Array) -> Array:
    """Return the largest absolute values (...) of the entries of matrices (..., m, n)."""
    return largest_magnitude(a, axis=(-2, -1))
