"""Factorizations, products and norms of stacks of matrices, on every array library.

The last two axes are the matrix, all others are batch. The standard's ``linalg`` does the work where it can; what it
lacks (triangular solves, orthonormalisation that is both fast and safe) and what differs between libraries is here.
NumPy stacks go to LAPACK one matrix at a time, device stacks through batched kernels.
"""

from typing import Any

import array_api_compat
import numpy as np

from tnattn import lapack
from tnattn.arrays import Array, accumulator_dtype, array_namespace, device, eps, require_floating
from tnattn.orthonormal import (
    extend_basis,
    host_row_pivots,
    lu_normalise,
    near_orthonormal,
    orthonormalise,
    orthonormalise_with_factor,
)
from tnattn.triangular import cholesky, solve_triangular

__all__ = [
    "cholesky",
    "eigh",
    "extend_basis",
    "frobenius_norm",
    "host_row_pivots",
    "leading_eigh",
    "leading_svd",
    "lu_normalise",
    "near_orthonormal",
    "nuclear_norm",
    "orthonormalise",
    "orthonormalise_with_factor",
    "product_with_rows",
    "pseudo_inverse_apply",
    "rank_for_tolerance",
    "singular_values",
    "small_svd",
    "solve_triangular",
    "spectral_norm",
    "svd",
    "transposed_product",
    "truncation_tails",
]

_NARROW = 96  # columns below which the price of a Gram matrix and of what repairs it is that of the small SVD

# --- spectral factorizations --------------------------------------------------------------------------------------


def eigh(a: Array) -> tuple[Array, Array]:
    """Return eigenvalues (..., n), ascending, and eigenvectors (..., n, n) of symmetric matrices."""
    values, vectors = array_namespace(a).linalg.eigh(a)
    return values, vectors


def leading_eigh(a: Array, *, keep: int) -> tuple[Array, Array]:
    """Return the largest ``keep`` eigenvalues (..., keep), descending, and their eigenvectors (..., n, keep).

    On the host, few of many come from relatively robust representations, without the other vectors: half the price of
    the whole decomposition, which is taken elsewhere.
    """
    xp = array_namespace(a)
    n = a.shape[-1]
    if not 1 <= keep <= n:
        raise ValueError(f"keep {keep} is outside 1 ... n = {n}; reduce keep")
    if not array_api_compat.is_numpy_array(a) or 8 * keep > n:
        values, vectors = eigh(a)
        return xp.flip(values[..., n - keep :], axis=-1), xp.flip(vectors[..., n - keep :], axis=-1)
    return lapack.leading_eigh(a, keep=keep)


def svd(a: Array) -> tuple[Array, Array, Array]:
    """Return the thin singular value decomposition u (..., m, r), s (..., r), vt (..., r, n), r = min(m, n)."""
    u, s, vt = array_namespace(a).linalg.svd(a, full_matrices=False)
    return u, s, vt


def singular_values(a: Array) -> Array:
    """Return the singular values (..., min(m, n)) of matrices (..., m, n), largest first."""
    return array_namespace(a).linalg.svdvals(a)


def small_svd(a: Array) -> tuple[Array, Array, Array]:
    """Return the thin singular value decomposition of short-and-wide or tall-and-thin matrices.

    An orthonormal factorization of the long side leaves a square core of the short side, whose decomposition is cheap
    and as accurate as the direct one. Squarer than 2 : 1, the direct one is taken.
    """
    xp = array_namespace(a)
    m, n = a.shape[-2:]
    if n > m:
        u, s, vt = small_svd(xp.matrix_transpose(a))
        return xp.matrix_transpose(vt), s, xp.matrix_transpose(u)
    if m < 2 * n:
        return svd(a)
    q, r = orthonormalise_with_factor(a)
    u, s, vt = svd(r)
    return xp.matmul(q, u), s, vt


def leading_svd(a: Array, *, keep: int) -> tuple[Array, Array, Array]:
    """Return the leading ``keep`` singular triples of short-and-wide or tall-and-thin matrices.

    Parameters
    ----------
    a : Array, (..., m, n)
        A stack of matrices.
    keep : int
        ``1 <= keep <= min(m, n)``.

    Returns
    -------
    u (..., m, keep), s (..., keep), vt (..., keep, n)
        Factors orthonormal to rounding.

    Notes
    -----
    Through the Gram matrix of the short side, in float64 where the device has it: O(m n min(m, n)) in products plus an
    eigenvalue problem of the short side, half the price of :func:`small_svd`, which takes narrow float64 matrices. The
    eigenvalues lose the singular values below ``sqrt(eps) s_1``, so a stack that has ``s_keep <= eps^(1/4) s_1``
    anywhere (eps of the Gram matrix), or that overflows, goes to :func:`small_svd` too. What the guard lets through
    departs from the best choice of directions by ``eps^(1/2) s_keep`` at most. Two synchronisations.
    """
    xp = array_namespace(a)
    m, n = a.shape[-2:]
    if not 1 <= keep <= min(m, n):
        raise ValueError(f"keep {keep} is outside 1 ... min(m, n) = {min(m, n)}; reduce keep")
    if n > m:
        u, s, vt = leading_svd(xp.matrix_transpose(a), keep=keep)
        return xp.matrix_transpose(vt), s, xp.matrix_transpose(u)
    wide = xp.astype(a, accumulator_dtype(a), copy=False)
    if eps(wide) == eps(a) and n < _NARROW:
        return _cut(small_svd(a), keep)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows here fails the guard
        gram = _gram(xp, wide)
    largest = xp.max(xp.linalg.diagonal(gram), axis=-1)
    if not bool(xp.all(xp.isfinite(largest) & (largest > 0))):
        return _cut(small_svd(a), keep)
    values, vectors = eigh(gram)
    if bool(xp.any(values[..., n - keep] <= eps(values) ** 0.5 * values[..., -1])):
        return _cut(small_svd(a), keep)
    leading = xp.flip(vectors[..., n - keep :], axis=-1)
    if eps(values) < eps(a):  # eps (s_1 / s)^2, by which the columns below depart from orthonormality, is nothing to a
        s = xp.sqrt(xp.flip(values[..., n - keep :], axis=-1))
        u = xp.astype(xp.matmul(wide, leading / s[..., None, :]), a.dtype)
        return u, xp.astype(s, a.dtype), xp.matrix_transpose(xp.astype(leading, a.dtype))
    # u = product / s would lose its orthogonality as (s_1 / s)^2 eps; a factorization of the product does not, and the
    # columns, scaled to length one, are so nearly orthonormal that one pass does.
    product = xp.matmul(a, leading)
    lengths = xp.linalg.vector_norm(product, axis=-2, keepdims=True)
    q, r = orthonormalise_with_factor(product / lengths)
    u, s, wt = svd(r * lengths)
    return xp.matmul(q, u), s, xp.matmul(wt, xp.matrix_transpose(leading))


def _cut(triples: tuple[Array, Array, Array], keep: int) -> tuple[Array, Array, Array]:
    u, s, vt = triples
    return u[..., :keep], s[..., :keep], vt[..., :keep, :]


# --- products and least squares ----------------------------------------------------------------------------------


def transposed_product(a: Array, x: Array) -> Array:
    """Return ``a^T x`` (..., n, l) for a (..., m, n) and a narrow x (..., m, l), computed with x stored as rows.

    The product ``(x^T a)^T`` walks along the rows of ``a``: half again as fast as ``a^T x`` where ``a`` is row-major.
    """
    xp = array_namespace(a, x)
    return xp.matrix_transpose(xp.matmul(xp.matrix_transpose(x), a))


def product_with_rows(a: Array, omega_rows: Array) -> Array:
    """Return ``a omega`` (..., m, l) for a (..., m, n) and a test matrix given by its rows, ``omega^T`` (..., l, n).

    In float64 computed as ``(omega^T a^T)^T``, whose rows follow each other in memory: a third faster there. In float32
    the plain order is, by a tenth for 74 columns and by half for 32.
    """
    xp = array_namespace(a, omega_rows)
    if eps(a) > 1e-10:
        return xp.matmul(a, xp.matrix_transpose(omega_rows))
    return xp.matrix_transpose(xp.matmul(omega_rows, xp.matrix_transpose(a)))


def pseudo_inverse_apply(a: Array, b: Array, *, rtol: float | None = None) -> Array:
    """Return the least-squares solution x of smallest norm, min ``||a x - b||_F``.

    Parameters
    ----------
    a : Array, (..., m, n)
        Of any rank.
    b : Array, (..., m, k)
        Right-hand sides.
    rtol : float, optional
        Singular values up to ``rtol`` times the largest count as zero; ``max(m, n) eps`` if None.

    Returns
    -------
    Array, (..., n, k)

    Notes
    -----
    O(m n min(m, n)). Through a truncated singular value decomposition, never the normal equations or an explicit
    inverse: the error grows with the condition number of what is kept, not with its square.
    """
    xp = array_namespace(a, b)
    if b.ndim < 2 or a.shape[-2] != b.shape[-2]:
        raise ValueError(
            f"a {tuple(a.shape)} and b {tuple(b.shape)} do not fit; (..., m, n) and (..., m, k) are needed"
        )
    if rtol is None:
        rtol = max(a.shape[-2:]) * eps(a)
    if not 0 <= rtol < 1:
        raise ValueError(f"rtol is {rtol}; 0 <= rtol < 1 is needed")
    u, s, vt = small_svd(a)
    kept = s > rtol * s[..., :1]
    inverse = xp.where(kept, 1 / xp.where(kept, s, xp.ones_like(s)), xp.zeros_like(s))
    return xp.matmul(xp.matrix_transpose(vt), inverse[..., None] * xp.matmul(xp.matrix_transpose(u), b))


# --- norms and ranks ---------------------------------------------------------------------------------------------


def spectral_norm(a: Array) -> Array:
    """Return the largest singular values (...) of matrices (..., m, n).

    Through the Gram matrix of the short side, scaled against overflow: the largest singular value loses nothing there.
    """
    xp = array_namespace(a)
    require_floating(a, "a")
    m, n = a.shape[-2:]
    if min(m, n) == 0:
        return xp.zeros(tuple(a.shape[:-2]), dtype=a.dtype, device=device(a))
    scale = _scale(xp, a)
    scaled = a / scale
    gram = _gram(xp, scaled if n <= m else xp.matrix_transpose(scaled))
    largest = xp.linalg.eigvalsh(gram)[..., -1]
    return scale[..., 0, 0] * xp.sqrt(largest)


def frobenius_norm(a: Array) -> Array:
    """Return the Frobenius norms (...) of matrices (..., m, n), summed in float64 where the device has it."""
    xp = array_namespace(a)
    require_floating(a, "a")
    wide = xp.astype(a, accumulator_dtype(a), copy=False)
    return xp.astype(xp.sqrt(xp.sum(wide * wide, axis=(-2, -1))), a.dtype, copy=False)


def nuclear_norm(a: Array) -> Array:
    """Return the sums of singular values (...) of matrices (..., m, n)."""
    return array_namespace(a).sum(singular_values(a), axis=-1)


def truncation_tails(s: Array) -> Array:
    """Return ``tails[..., r] = sqrt(sum_{i >= r} s_i^2)``, r = 0 ... k, of singular values (..., k).

    ``tails[..., r]`` is the Frobenius error of the best rank-r approximation. Summed from the small end, in float64
    where the device has it.
    """
    xp = array_namespace(s)
    require_floating(s, "s")
    wide = xp.astype(s, accumulator_dtype(s), copy=False)
    sums = xp.flip(xp.cumulative_sum(xp.flip(wide * wide, axis=-1), axis=-1, include_initial=True), axis=-1)
    return xp.astype(xp.sqrt(sums), s.dtype, copy=False)


def rank_for_tolerance(s: Array, *, rtol: float) -> Array:
    """Return the smallest ranks (...), integers, whose discarded tail is at most ``rtol`` times the Frobenius norm.

    Parameters
    ----------
    s : Array, (..., k)
        Singular values, largest first. All zero: rank 0.
    rtol : float
        ``0 <= rtol``; 0 asks for every singular value that is not zero.
    """
    if not rtol >= 0:
        raise ValueError(f"rtol is {rtol}; a non-negative number is needed")
    xp = array_namespace(s)
    tails = truncation_tails(s)
    return xp.sum(xp.astype(tails[..., :-1] > rtol * tails[..., :1], xp.int64), axis=-1)


def _gram(xp: Any, a: Array) -> Array:
    return xp.matmul(xp.matrix_transpose(a), a)


def _scale(xp: Any, a: Array) -> Array:
    """Return the largest magnitude (..., 1, 1) of each matrix, 1 for a zero one."""
    largest = xp.max(xp.abs(a), axis=(-2, -1), keepdims=True)
    return xp.where(largest > 0, largest, xp.ones_like(largest))
