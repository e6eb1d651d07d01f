"""Factorizations, products and norms of stacks of matrices, on every array library.

The last two axes are the matrix, all others are batch. The standard's ``linalg`` does the work where it can; what it
lacks (triangular solves, orthonormalisation that is both fast and safe) and what differs between libraries is here.
NumPy stacks go to LAPACK one matrix at a time, device stacks through batched kernels.
"""

from tnattn.arrays import Array, array_namespace, computed_in_single, eps
from tnattn.eigenvalues import eigh, leading_eigh
from tnattn.norms import frobenius_norm, nuclear_norm, rank_for_tolerance, spectral_norm, truncation_tails
from tnattn.orthonormal import (
    extend_basis,
    host_row_pivots,
    lu_normalise,
    near_orthonormal,
    orthonormalise,
    orthonormalise_with_factor,
)
from tnattn.scalars import as_real
from tnattn.singular_values import leading_svd, singular_values, small_svd, svd
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

# --- products and least squares ----------------------------------------------------------------------------------


@computed_in_single
def transposed_product(a: Array, x: Array) -> Array:
    """Return ``a^T x`` (..., n, l) for a (..., m, n) and a narrow x (..., m, l), computed with x stored as rows.

    The product ``(x^T a)^T`` walks along the rows of ``a``: half again as fast as ``a^T x`` where ``a`` is row-major.
    """
    xp = array_namespace(a, x)
    return xp.matrix_transpose(xp.matmul(xp.matrix_transpose(x), a))


@computed_in_single
def product_with_rows(a: Array, omega_rows: Array) -> Array:
    """Return ``a omega`` (..., m, l) for a (..., m, n) and a test matrix given by its rows, ``omega^T`` (..., l, n).

    In float64 computed as ``(omega^T a^T)^T``, whose rows follow each other in memory: a third faster there. In float32
    the plain order is, by a tenth for 74 columns and by half for 32.
    """
    xp = array_namespace(a, omega_rows)
    if eps(a) > 1e-10:
        return xp.matmul(a, xp.matrix_transpose(omega_rows))
    return xp.matrix_transpose(xp.matmul(omega_rows, xp.matrix_transpose(a)))


@computed_in_single
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
    rtol = as_real(rtol, "rtol")
    if not 0 <= rtol < 1:
        raise ValueError(f"rtol is {rtol}; 0 <= rtol < 1 is needed")
    u, s, vt = small_svd(a)
    kept = (s > rtol * s[..., :1])[..., None]
    # a quotient, for the reciprocal of a tiny value overflows where the solution does not
    coordinates = xp.matmul(xp.matrix_transpose(u), b) / xp.where(kept, s[..., None], xp.ones_like(s[..., None]))
    return xp.matmul(xp.matrix_transpose(vt), xp.where(kept, coordinates, xp.zeros_like(coordinates)))
