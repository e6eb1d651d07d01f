"""Least squares through the truncated pseudo-inverse."""

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
