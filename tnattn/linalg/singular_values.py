"""Singular value decompositions of stacks of matrices, on every array library.

The last two axes are the matrix, all others are batch. A power of two times a matrix has the same vectors and that
power times the values, over the whole range of the dtype; a value beyond the largest number is infinite.
"""

from __future__ import annotations

import array_api_compat
import numpy as np

from tnattn.arrays import Array, accumulator_dtype, array_namespace, computed_in_single, eps
from tnattn.linalg.eigenvalues import eigh
from tnattn.linalg.orthonormal import orthonormalise_with_factor
from tnattn.linalg.scaling import binary_scale, in_square_range
from tnattn.scalars import as_integer

_NARROW = 96  # columns below which a Gram matrix and the factorization of the product cost as much as the small SVD


@computed_in_single
def svd(a: Array) -> tuple[Array, Array, Array]:
    """Return the thin singular value decomposition u (..., m, r), s (..., r), vt (..., r, n), r = min(m, n)."""
    xp = array_namespace(a)
    if _scales_itself(a):
        u, s, vt = xp.linalg.svd(a, full_matrices=False)
        return u, s, vt
    scale = binary_scale(a, axis=(-2, -1))  # exact: vectors and digits of the values stay as they are
    u, s, vt = xp.linalg.svd(a / scale, full_matrices=False)
    return u, s * scale[..., 0], vt


@computed_in_single
def singular_values(a: Array) -> Array:
    """Return the singular values (..., min(m, n)) of matrices (..., m, n), largest first."""
    xp = array_namespace(a)
    if _scales_itself(a):
        return xp.linalg.svdvals(a)
    scale = binary_scale(a, axis=(-2, -1))
    return xp.linalg.svdvals(a / scale) * scale[..., 0]


def _scales_itself(a: Array) -> bool:
    """Return whether LAPACK factorises a matrix, which brings it into range; kernels of devices do not."""
    return bool(array_api_compat.is_numpy_array(a)) or 0 in a.shape


@computed_in_single
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
    if bool(xp.all(xp.isfinite(r))):
        u, s, vt = svd(r)
        return xp.matmul(q, u), s, vt
    # a column, no entry of it, is longer than the largest number
    scale = binary_scale(a, axis=(-2, -1))
    q, r = orthonormalise_with_factor(a / scale)
    u, s, vt = svd(r)
    with np.errstate(over="ignore"):
        return xp.matmul(q, u), s * scale[..., 0], vt


@computed_in_single
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
    anywhere (eps of the Gram matrix), or squares beyond the range of the dtype, goes to :func:`small_svd` too. The
    error of the directions of other stacks is at most ``eps^(1/2) s_keep`` above the optimal one. Two synchronisations.
    """
    xp = array_namespace(a)
    m, n = a.shape[-2:]
    keep = as_integer(keep, "keep")
    if not 1 <= keep <= min(m, n):
        raise ValueError(f"keep {keep} is outside 1 ... min(m, n) = {min(m, n)}; reduce keep")
    if n > m:
        u, s, vt = leading_svd(xp.matrix_transpose(a), keep=keep)
        return xp.matrix_transpose(vt), s, xp.matrix_transpose(u)
    wide = xp.astype(a, accumulator_dtype(a), copy=False)
    if eps(wide) == eps(a) and n < _NARROW:
        return _cut(small_svd(a), keep)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows here fails the guard
        gram = xp.matmul(xp.matrix_transpose(wide), wide)
    if not bool(xp.all(in_square_range(xp.max(xp.linalg.diagonal(gram), axis=-1)))):
        return _cut(small_svd(a), keep)
    values, vectors = eigh(gram)
    if bool(xp.any(values[..., n - keep] <= eps(values) ** 0.5 * values[..., -1])):
        return _cut(small_svd(a), keep)
    leading = xp.flip(vectors[..., n - keep :], axis=-1)
    if eps(values) < eps(a):  # the columns below depart from orthonormality by eps (s_1 / s)^2, less than eps of a
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
