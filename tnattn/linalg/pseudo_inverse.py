"""The singular value decomposition truncated at the numerical rank, and least squares through the pseudo-inverse."""

from tnattn.arrays import Array, array_namespace, computed_in_single, eps
from tnattn.linalg.singular_values import small_svd
from tnattn.scalars import as_real


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
    inverse: the error grows with the condition number of the truncated matrix, not with its square.
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


def numerical_svd(a: Array) -> tuple[Array, Array, Array, Array]:
    """Return the parts of the pseudo-inverse of matrices, ``vt^T diag(inverse) u^T``.

    Parameters
    ----------
    a : Array, (..., m, n)
        Of any rank, zero included.

    Returns
    -------
    u : Array, (..., m, r)
        Orthonormal columns, zero where the singular value is at most ``max(m, n) eps`` times the largest.
    inverse : Array, (..., r)
        Reciprocal singular values, zero there.
    vt : Array, (..., r, n)
        Orthonormal rows, zero there.
    ranks : Array, (...), integer
        Number of those that are not zero.
    """
    xp = array_namespace(a)
    u, s, vt = small_svd(a)
    # the second condition keeps a zero matrix out, of which every value equals the largest
    regular = (s > max(a.shape[-2:]) * eps(a) * s[..., :1]) & (s > 0)
    inverse = xp.where(regular, 1 / xp.where(regular, s, xp.ones_like(s)), xp.zeros_like(s))
    u = xp.where(regular[..., None, :], u, xp.zeros_like(u))
    vt = xp.where(regular[..., None], vt, xp.zeros_like(vt))
    return u, inverse, vt, xp.sum(xp.astype(regular, xp.int64), axis=-1)
