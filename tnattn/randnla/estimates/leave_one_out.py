"""Leave-one-out residuals and downdates from the triangular factor of ``Y = Q R``."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, eps
from tnattn.linalg import svd

__all__: list[str] = []  # for error_estimate and trace


def left_out_squares(r: Array) -> Array:
    """Return the squared distances of the columns of Y from the span of the other columns.

    Parameters
    ----------
    r : Array, (..., s, s)
        Triangular factor of ``Y = Q R``, or any matrix with the Gram matrix of Y.

    Returns
    -------
    Array, (..., s)
        ``1 / ||R^-1(j, :)||^2``, for a singular factor its limit: zero for dependent columns.

    Notes
    -----
    O(s^3). Epperly & Tropp 2024, Section 3. Through a singular value decomposition: no inverse is formed, whose entries
    overflow where columns are dependent.
    """
    xp = array_namespace(r)
    _, s, vt = svd(r)
    largest = xp.where(s[..., :1] > 0, s[..., :1], xp.ones_like(s[..., :1]))
    # relative to the largest, so that squares neither overflow nor vanish; eps stands for zero singular values
    ratio = xp.where(s > eps(s) * largest, s / largest, eps(s) + xp.zeros_like(s))
    inverse = xp.sum(xp.square(vt / ratio[..., :, None]), axis=-2)
    return xp.where(s[..., :1] > 0, xp.square(largest) / inverse, xp.zeros_like(inverse))


def left_out_directions(r: Array) -> Array:
    """Return unit vectors s_j with ``Q (I - s_j s_j^T) Q^T`` the projector onto the range of Y without column j.

    Parameters
    ----------
    r : Array, (..., s, s)
        Triangular factor of ``Y = Q R``.

    Returns
    -------
    Array, (..., s, s)
        The vectors are columns, proportional to the columns of ``R^-T``. Where R is singular they lie in its left null
        space: the removed direction of the span of Q is then orthogonal to the range of Y.

    Notes
    -----
    O(s^3). Epperly, Tropp & Webber 2024, Section 2.
    """
    xp = array_namespace(r)
    u, s, vt = svd(r)
    largest = xp.where(s[..., :1] > 0, s[..., :1], xp.ones_like(s[..., :1]))
    ratio = xp.where(s > eps(s) * largest, s / largest, eps(s) + xp.zeros_like(s))
    # R^-T = U S^-1 V^T, columns normalised
    directions = u @ (vt / ratio[..., :, None])
    return directions / xp.linalg.vector_norm(directions, axis=-2, keepdims=True)
