"""Errors of nested projections, of a matrix onto its first 0, 1, 2, ... chosen columns, and the rank they ask for."""

from __future__ import annotations

from tnattn.arrays import Array, accumulator_dtype, array_namespace, device
from tnattn.linalg import frobenius_norm
from tnattn.randnla.arguments import worth_forming
from tnattn.randnla.columns.pivoted_qr import largest_entry, pivoted_qr
from tnattn.randnla.columns.selection import with_unused
from tnattn.randnla.tolerance import require_above_rounding, require_resolved
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.gather import take_columns


def in_greedy_order(columns: Array, indices: Array) -> tuple[Array, Array, Array]:
    """Sort chosen columns so that each is the farthest from the span of those before; O(m r^2).

    Parameters
    ----------
    columns : Array, (..., m, r), r <= m
    indices : Array, (..., r), integer
        What they are called.

    Returns
    -------
    columns, indices
        Sorted.
    q : Array, (..., m, r)
        The first k columns span the first k of ``columns``; orthonormal, zero where the columns are exhausted.
    """
    xp, r = array_namespace(columns), columns.shape[-1]
    result = pivoted_qr(columns, r)
    order = with_unused(result.pivots, r)
    return take_columns(columns, order), xp.take_along_axis(indices, order, axis=-1), result.q


def nested_errors(a: StructuredMatrix, left: Array, right: Array, gains: Array, *, unit: Array, rtol: float) -> Array:
    """Return relative Frobenius errors of nested projections of a matrix, for ranks 0, 1, ..., r.

    Parameters
    ----------
    a : StructuredMatrix, (..., m, n)
    left : Array, (..., m, r)
    right : Array, (..., r, n)
        The projection onto everything chosen is ``left right``.
    gains : Array, (..., r)
        Squared Frobenius norm of what the projection gains by each rank, in units of ``unit^2``.
    unit : Array, (..., 1, 1)
        Positive, of the size of the projection.
    rtol : float
        What has to be resolved.

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
    What the last projection leaves and the gains beyond rank k add up to the squared error at rank k: sums of positive
    numbers, without the cancellation of ``||a||^2 - ||projection||^2``. Only for implicit matrices of more than a
    million entries the former is such a difference. 2 m n r flops.
    """
    xp = array_namespace(left)
    require_above_rounding(rtol, left)
    wide = accumulator_dtype(gains)
    gains = xp.astype(gains, wide, copy=False)
    if worth_forming(a):
        missed = a.to_dense() - left @ right
        nothing = xp.all(gains == 0, axis=-1)[..., None, None]
        common = largest_entry(missed)
        common = xp.where(nothing | (common > unit), common, unit)
        gains = gains * xp.astype((unit / common)[..., 0], wide, copy=False) ** 2
        rest = xp.astype(frobenius_norm(missed / common), wide, copy=False) ** 2
    else:
        require_resolved(rtol, a.like)
        square = xp.astype(unit[..., 0, 0], wide, copy=False) ** 2
        rest = a.squared_norm() / square - xp.sum(gains, axis=-1)
        rest = xp.maximum(rest, xp.zeros_like(rest))
    steps = xp.concat([rest[..., None], xp.flip(gains, axis=-1)], axis=-1)  # the last rank first
    squares = xp.flip(xp.cumulative_sum(steps, axis=-1), axis=-1)
    return relative_errors(squares, like=left)


def relative_errors(squares: Array, *, like: Array) -> Array:
    """Return roots of squared errors (..., 1 + r) over that of rank 0, in the dtype of an array; zero for zeros."""
    xp, whole = array_namespace(squares), squares[..., :1]
    return xp.astype(xp.sqrt(squares / xp.where(whole > 0, whole, xp.ones_like(whole))), like.dtype, copy=False)


def kept_ranks(errors: Array, rtol: float) -> tuple[Array, Array, Array]:
    """Return the smallest ranks within a tolerance, or all there are, what they leave, and which are kept.

    Parameters
    ----------
    errors : Array, (..., 1 + r)
        Relative errors, for ranks 0, 1, ..., r.
    rtol : float
        At least ``64 eps``.

    Returns
    -------
    ranks : Array, (...), integer
    residual : Array, (...)
    kept : Array, (..., largest rank, at least 1), boolean
    """
    xp = array_namespace(errors)
    steps = xp.arange(errors.shape[-1], dtype=xp.int64, device=device(errors))
    ranks = xp.min(xp.where(errors <= rtol, steps, xp.full_like(steps, errors.shape[-1] - 1)), axis=-1)
    residual = xp.take_along_axis(errors, ranks[..., None], axis=-1)[..., 0]
    largest = max(1, int(xp.max(ranks)))
    return ranks, residual, xp.arange(largest, device=device(errors)) < ranks[..., None]


def stored(ranks: Array, shape: tuple[int, ...]) -> int:
    """Return the scalars of two factors of the true ranks (...), without the zeros that pad them."""
    return int(array_namespace(ranks).sum(ranks)) * (shape[-2] + shape[-1])
