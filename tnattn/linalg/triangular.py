"""Triangular solves and Cholesky factors of stacks of matrices, on every array library."""

import sys
from typing import Any

import array_api_compat
import numpy as np

from tnattn.arrays import Array, array_namespace, computed_in_single, to_host
from tnattn.linalg import lapack


@computed_in_single
def solve_triangular(a: Array, b: Array, *, lower: bool, transpose: bool = False) -> Array:
    """Return the solution x of ``a x = b`` (of ``a^T x = b`` if transpose) for triangular a.

    Parameters
    ----------
    a : Array, (..., n, n)
        Only the named triangle is read.
    b : Array, (..., n, k)
        Batch axes broadcast with those of ``a``.
    lower, transpose : bool
        ``lower`` names the triangle of ``a`` itself, before the transposition.

    Returns
    -------
    Array, (..., n, k)

    Notes
    -----
    O(n^2 k). A zero on the diagonal is not checked: the result holds infinities.
    """
    xp = array_namespace(a, b)
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != a.shape[-2] or a.shape[-1] != b.shape[-2]:
        raise ValueError(
            f"a {tuple(a.shape)} and b {tuple(b.shape)} do not fit; (..., n, n) and (..., n, k) are needed"
        )
    if array_api_compat.is_torch_array(a):
        triangle = xp.matrix_transpose(a) if transpose else a
        return sys.modules["torch"].linalg.solve_triangular(triangle, b, upper=lower == transpose)
    batch = np.broadcast_shapes(tuple(a.shape[:-2]), tuple(b.shape[:-2]))
    a, b = xp.broadcast_to(a, batch + tuple(a.shape[-2:])), xp.broadcast_to(b, batch + tuple(b.shape[-2:]))
    if array_api_compat.is_numpy_array(a):
        return lapack.solve_triangular(a, b, lower=lower, transpose=transpose)
    if array_api_compat.is_cupy_array(a):
        from cupyx.scipy.linalg import solve_triangular as cupy_solve  # needs cuBLAS: only when it is wanted

        return cupy_solve(a, b, trans=int(transpose), lower=lower)
    # the standard has no triangular solve
    triangle = xp.tril(a) if lower else xp.triu(a)
    return xp.linalg.solve(xp.matrix_transpose(triangle) if transpose else triangle, b)


@computed_in_single
def cholesky(a: Array) -> Array:
    """Return the lower Cholesky factor of a stack of symmetric positive definite matrices (..., n, n).

    Raises
    ------
    ValueError
        If a matrix is not numerically positive definite. One synchronisation on a device.
    """
    xp = array_namespace(a)
    factor = cholesky_or_nan(xp, a)
    if array_api_compat.is_cupy_array(a):
        factor = _cupy_cholesky_checked(xp, a, factor)
    bad = xp.any(~xp.isfinite(factor), axis=(-2, -1))
    if bool(xp.any(bad)):
        where = np.argwhere(to_host(bad))[0]
        place = f"matrix {tuple(int(i) for i in where)} of the stack" if len(where) else "the matrix"
        raise ValueError(f"{place} is not positive definite in {a.dtype}; add a ridge or use eigh")
    return factor


def cholesky_or_nan(xp: Any, a: Array) -> Array:
    """Return Cholesky factors, with NaN in place of one that does not exist."""
    if array_api_compat.is_torch_array(a):  # cholesky_ex reports failures in an array, without an exception
        factor, info = sys.modules["torch"].linalg.cholesky_ex(a)
        return xp.where((info == 0)[..., None, None], factor, xp.nan)
    if array_api_compat.is_cupy_array(a):
        # CuPy does not look at cuSOLVER's report: a failure leaves a non-positive or NaN pivot on the diagonal.
        factor = xp.linalg.cholesky(a)
        sound = xp.all(xp.linalg.diagonal(factor) > 0, axis=-1)
        return xp.where(xp.expand_dims(sound, axis=(-2, -1)), factor, xp.nan)
    try:
        return xp.linalg.cholesky(a)
    except np.linalg.LinAlgError:  # of one matrix, which one is not said: factorise them one by one
        if a.ndim == 2:
            return xp.full_like(a, xp.nan)
    return xp.stack([cholesky_or_nan(xp, a[i, ...]) for i in range(a.shape[0])])


def _cupy_cholesky_checked(xp: Any, a: Array, factor: Array) -> Array:
    """Return the factor, or NaN if cuSOLVER reports a failure, which CuPy looks at only when told to."""
    import cupyx

    try:
        with cupyx.errstate(linalg="raise"):
            return xp.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        return xp.where(xp.expand_dims(xp.any(xp.isnan(factor), axis=(-2, -1)), axis=(-2, -1)), xp.nan, factor)
