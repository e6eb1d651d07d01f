"""Errors of the leading parts of a decomposition that is no projection: they need not decrease with the rank."""

from __future__ import annotations

from tnattn.arrays import Array, accumulator_dtype, array_namespace
from tnattn.linalg import frobenius_norm
from tnattn.randnla.arguments import worth_forming
from tnattn.randnla.columns.pivoted_qr import largest_entry
from tnattn.randnla.frobenius import resolved_square
from tnattn.randnla.nested_errors import relative_errors
from tnattn.randnla.tolerance import require_above_rounding, require_resolved
from tnattn.structured.base import StructuredMatrix


def truncation_errors(a: StructuredMatrix, left: Array, vt: Array, *, rtol: float) -> Array:
    """Return ``||a - left_k vt_k||_F / ||a||_F`` (..., 1 + r) for the first k = 0, 1, ..., r columns and rows.

    Parameters
    ----------
    a : StructuredMatrix, (..., m, n)
    left, vt : Array, (..., m, r), (..., r, n)
        The rows of ``vt`` orthonormal.
    rtol : float
        What has to be resolved.

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
    2 m n r flops for one product with ``a``, and as many again where it is at hand or small; a pass over it, or a
    product with the identity, elsewhere.
    """
    require_above_rounding(rtol, left)
    xp, wide = array_namespace(left), accumulator_dtype(left)
    images = a.sketch(vt.mT)
    if worth_forming(a):
        dense = a.to_dense()
        unit = largest_entry(dense)  # squares neither overflow nor vanish
        rest = xp.astype(frobenius_norm((dense - images @ vt) / unit), wide, copy=False) ** 2
        squares = squared_truncation_errors(images / unit, left / unit, rest)
    else:
        require_resolved(rtol, left)
        rest = resolved_square(a) - xp.sum(xp.astype(images, wide, copy=False) ** 2, axis=(-2, -1))
        squares = squared_truncation_errors(images, left, xp.maximum(rest, xp.zeros_like(rest)))
    return relative_errors(squares, like=left)


def squared_truncation_errors(images: Array, left: Array, rest: Array) -> Array:
    """Return ``||A - left_k V_k^T||_F^2`` (..., 1 + r) for the first k = 0, 1, ..., r columns.

    Parameters
    ----------
    images : Array, (..., m, r)
        ``A V``, the columns of V orthonormal.
    left : Array, (..., m, r)
    rest : Array, (...)
        ``||A - A V V^T||_F^2``, of the accumulating dtype.

    Notes
    -----
    Sums of squares: the kept columns miss ``A v - left`` and the others ``A v``.
    """
    xp = array_namespace(images)
    wide, wrong = (xp.astype(x, rest.dtype, copy=False) for x in (images, images - left))
    cut, kept = xp.sum(wide * wide, axis=-2), xp.sum(wrong * wrong, axis=-2)
    before = xp.cumulative_sum(kept, axis=-1, include_initial=True)
    behind = xp.flip(xp.cumulative_sum(xp.flip(cut, axis=-1), axis=-1, include_initial=True), axis=-1)
    return rest[..., None] + before + behind
