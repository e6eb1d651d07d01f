"""Errors of nested projections of a matrix onto the first 0, 1, 2, ... selected columns."""

from __future__ import annotations

from tnattn.arrays import Array, accumulator_dtype, array_namespace
from tnattn.linalg import frobenius_norm, largest_entry, pivoted_qr, with_unused
from tnattn.randnla.accuracy import relative_errors, require_above_rounding, require_resolved
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.conversion import worth_forming
from tnattn.structured.gather import take_columns

__all__: list[str] = []  # for cur and interpolative


def in_greedy_order(columns: Array, indices: Array) -> tuple[Array, Array, Array]:
    """Sort columns so that each has the largest distance from the span of those before; O(m r^2).

    Parameters
    ----------
    columns : Array, (..., m, r), r <= m
    indices : Array, (..., r), integer
        Their indices in the matrix.

    Returns
    -------
    columns, indices
        Sorted.
    q : Array, (..., m, r)
        The first k columns span the first k of ``columns``; orthonormal, zero where the columns are exhausted.
    """
    xp, r = array_namespace(columns), columns.shape[-1]
    q, _, pivots, _ = pivoted_qr(columns, r)
    order = with_unused(pivots, r)
    return take_columns(columns, order), xp.take_along_axis(indices, order, axis=-1), q


def nested_errors(a: StructuredMatrix, left: Array, right: Array, gains: Array, *, unit: Array, rtol: float) -> Array:
    """Return relative Frobenius errors of nested projections of a matrix, for ranks 0, 1, ..., r.

    Parameters
    ----------
    a : StructuredMatrix, (..., m, n)
    left : Array, (..., m, r)
    right : Array, (..., r, n)
        Factors of the projection onto all selected columns (and rows).
    gains : Array, (..., r)
        Increase of the squared Frobenius norm of the projection from rank k - 1 to rank k, in units of ``unit^2``.
    unit : Array, (..., 1, 1)
        Positive, of the size of the projection.
    rtol : float
        Tolerance that the errors have to resolve.

    Returns
    -------
    Array, (..., 1 + r)
        Descending; zero for a zero matrix.

    Raises
    ------
    ValueError
        If the tolerance is below rounding, or below ``2 sqrt(eps)`` where the matrix is not formed.

    Notes
    -----
    The squared error at rank k is that of the last projection plus the gains beyond k: a sum of positive numbers,
    without the cancellation of ``||a||^2 - ||projection||^2``. Only for implicit matrices of more than a million
    entries the error of the last projection is such a difference. 2 m n r flops.
    """
    xp = array_namespace(left)
    require_above_rounding(rtol, left)
    wide = accumulator_dtype(gains)
    gains = xp.astype(gains, wide, copy=False)
    if worth_forming(a):
        residual = a.to_dense() - left @ right
        # the larger of residual and projection is the common unit of all squares
        nothing = xp.all(gains == 0, axis=-1)[..., None, None]
        common = largest_entry(residual)
        common = xp.where(nothing | (common > unit), common, unit)
        gains = gains * xp.astype((unit / common)[..., 0], wide, copy=False) ** 2
        residual_squared = xp.astype(frobenius_norm(residual / common), wide, copy=False) ** 2
    else:
        require_resolved(rtol, a.like)
        square = xp.astype(unit[..., 0, 0], wide, copy=False) ** 2
        residual_squared = a.squared_norm() / square - xp.sum(gains, axis=-1)
        residual_squared = xp.maximum(residual_squared, xp.zeros_like(residual_squared))
    steps = xp.concat([residual_squared[..., None], xp.flip(gains, axis=-1)], axis=-1)  # the last rank first
    squares = xp.flip(xp.cumulative_sum(steps, axis=-1), axis=-1)
    return relative_errors(squares, like=left)
