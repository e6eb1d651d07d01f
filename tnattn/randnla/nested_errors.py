"""Errors of nested projections, of a matrix onto its first 0, 1, 2, ... chosen columns, and the rank they ask for."""

from __future__ import annotations

from tnattn.arrays import Array, accumulator_dtype, array_namespace, device, eps
from tnattn.linalg import frobenius_norm
from tnattn.randnla.frobenius import squared_frobenius_norm
from tnattn.randnla.tolerance import require_above_rounding, require_resolved
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense

_SMALL = 1 << 20  # entries up to which an implicit matrix is formed: 8 MB of float64


def ordered_basis(columns: Array) -> Array:
    """Return q (..., m, r) whose first k columns span the first k of ``columns`` (..., m, r), m >= r, for every k.

    Orthonormal, but zero where a column depends on those before it to rounding. O(m r^2) in r steps: a factorisation
    that fills a dependent column with any direction would take that direction from the columns after it.
    """
    xp = array_namespace(columns)
    q = xp.zeros_like(columns)
    for j in range(columns.shape[-1]):
        before, w = q[..., :j], columns[..., j : j + 1]
        least = max(columns.shape[-2:]) * eps(columns) * xp.linalg.vector_norm(w, axis=-2)  # (..., 1)
        w = w - before @ (before.mT @ w)
        w = w - before @ (before.mT @ w)  # once more: twice is enough
        length = xp.linalg.vector_norm(w, axis=-2)
        unit = w[..., 0] / xp.where(length > least, length, xp.ones_like(length))
        q[..., j] = xp.where(length > least, unit, xp.zeros_like(unit))
    return q


def nested_errors(a: StructuredMatrix, left: Array, right: Array, gains: Array, *, rtol: float) -> Array:
    """Return relative Frobenius errors of nested projections of a matrix, for ranks 0, 1, ..., r.

    Parameters
    ----------
    a : StructuredMatrix, (..., m, n)
    left : Array, (..., m, r)
    right : Array, (..., r, n)
        The projection onto everything chosen is ``left right``.
    gains : Array, (..., r)
        Squared Frobenius norm of what the projection gains by each rank.
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
    gains = xp.astype(gains, accumulator_dtype(gains), copy=False)
    require_above_rounding(rtol, left)
    if isinstance(a, Dense) or a.shape[-2] * a.shape[-1] <= _SMALL:
        rest = xp.astype(frobenius_norm(a.to_dense() - left @ right), gains.dtype, copy=False) ** 2
    else:
        require_resolved(rtol, a.like)
        rest = squared_frobenius_norm(a) - xp.sum(gains, axis=-1)
        rest = xp.maximum(rest, xp.zeros_like(rest))
    steps = xp.concat([rest[..., None], xp.flip(gains, axis=-1)], axis=-1)  # the last rank first
    squares = xp.flip(xp.cumulative_sum(steps, axis=-1), axis=-1)
    whole = squares[..., :1]
    return xp.astype(xp.sqrt(squares / xp.where(whole > 0, whole, xp.ones_like(whole))), left.dtype, copy=False)


def kept_ranks(errors: Array, rtol: float) -> tuple[Array, Array, Array]:
    """Return the smallest ranks within a tolerance, or all there are, what they leave, and which are kept.

    Parameters
    ----------
    errors : Array, (..., 1 + r)
        Descending relative errors, for ranks 0, 1, ..., r.
    rtol : float
        At least ``64 eps``.

    Returns
    -------
    ranks : Array, (...), integer
    residual : Array, (...)
    kept : Array, (..., largest rank, at least 1), boolean
    """
    xp = array_namespace(errors)
    missed = xp.sum(xp.astype(errors > rtol, xp.int64), axis=-1)
    ranks = xp.minimum(missed, xp.full_like(missed, errors.shape[-1] - 1))
    residual = xp.take_along_axis(errors, ranks[..., None], axis=-1)[..., 0]
    largest = max(1, int(xp.max(ranks)))
    return ranks, residual, xp.arange(largest, device=device(errors)) < ranks[..., None]


def stored(ranks: Array, shape: tuple[int, ...]) -> int:
    """Return the scalars of two factors of the true ranks (...), without the zeros that pad them."""
    return int(array_namespace(ranks).sum(ranks)) * (shape[-2] + shape[-1])
