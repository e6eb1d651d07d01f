"""Errors of truncations of a decomposition that is not a projection; they need not decrease with the rank."""

from __future__ import annotations

from tnattn.arrays import Array, accumulator_dtype, array_namespace
from tnattn.linalg import frobenius_norm, largest_entry
from tnattn.randnla.accuracy import relative_errors, require_above_rounding, require_resolved
from tnattn.randnla.units import resolved_square
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.conversion import worth_forming

__all__: list[str] = []  # for generalized_nystrom and error_sketch


def truncation_errors(a: StructuredMatrix, left: Array, vt: Array, *, rtol: float) -> Array:
    """Return ``||a - left_k vt_k||_F / ||a||_F`` (..., 1 + r) for the first k = 0, 1, ..., r columns and rows.

    Parameters
    ----------
    a : StructuredMatrix, (..., m, n)
    left, vt : Array, (..., m, r), (..., r, n)
        The rows of ``vt`` orthonormal.
    rtol : float
        Tolerance that the errors have to resolve.

    Returns
    -------
    Array, (..., 1 + r)
        Not always descending; zero for a zero matrix.

    Raises
    ------
    ValueError
        If the tolerance is below rounding, or below ``2 sqrt(eps)`` where the matrix is not formed.

    Notes
    -----
    2 m n r flops for one product with ``a``, twice that where it is explicit or small; a pass over it, or a product
    with the identity, elsewhere.
    """
    require_above_rounding(rtol, left)
    xp, wide = array_namespace(left), accumulator_dtype(left)
    images = a.sketch(vt.mT)
    if worth_forming(a):
        dense = a.to_dense()
        unit = largest_entry(dense)  # squares neither overflow nor vanish
        residual_squared = xp.astype(frobenius_norm((dense - images @ vt) / unit), wide, copy=False) ** 2
        squares = squared_truncation_errors(images / unit, left / unit, residual_squared)
    else:
        require_resolved(rtol, left)
        # ||A - A V V^T||^2 = ||A||^2 - ||A V||^2, a difference: hence the larger least tolerance
        residual_squared = resolved_square(a) - xp.sum(xp.astype(images, wide, copy=False) ** 2, axis=(-2, -1))
        residual_squared = xp.maximum(residual_squared, xp.zeros_like(residual_squared))
        squares = squared_truncation_errors(images, left, residual_squared)
    return relative_errors(squares, like=left)


def squared_truncation_errors(images: Array, left: Array, residual_squared: Array) -> Array:
    """Return ``||A - left_k V_k^T||_F^2`` (..., 1 + r) for the first k = 0, 1, ..., r columns.

    Parameters
    ----------
    images : Array, (..., m, r)
        ``A V``, the columns of V orthonormal.
    left : Array, (..., m, r)
    residual_squared : Array, (...)
        ``||A - A V V^T||_F^2``, of the accumulating dtype.

    Notes
    -----
    Sums of squares: ``A v - left`` for the leading columns and ``A v`` for the others.
    """
    xp = array_namespace(images)
    wide, difference = (xp.astype(x, residual_squared.dtype, copy=False) for x in (images, images - left))
    dropped_squared, error_squared = xp.sum(wide * wide, axis=-2), xp.sum(difference * difference, axis=-2)
    # (A - L V^T) V V^T and A (I - V V^T) are orthogonal: squares add up
    leading = xp.cumulative_sum(error_squared, axis=-1, include_initial=True)
    others = xp.flip(xp.cumulative_sum(xp.flip(dropped_squared, axis=-1), axis=-1, include_initial=True), axis=-1)
    return residual_squared[..., None] + leading + others
