"""Singular value decompositions without what is rounding, the stable way to a pseudo-inverse."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, eps
from tnattn.linalg import small_svd


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
    kept = (s > max(a.shape[-2:]) * eps(a) * s[..., :1]) & (s > 0)
    inverse = xp.where(kept, 1 / xp.where(kept, s, xp.ones_like(s)), xp.zeros_like(s))
    u = xp.where(kept[..., None, :], u, xp.zeros_like(u))
    vt = xp.where(kept[..., None], vt, xp.zeros_like(vt))
    return u, inverse, vt, xp.sum(xp.astype(kept, xp.int64), axis=-1)
