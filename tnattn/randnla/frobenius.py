"""Frobenius norms of matrices of any kind, as exact as their storage allows."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from tnattn.arrays import Array, accumulator_dtype, array_namespace, device, dtype_name, eps, quiet_overflow
from tnattn.linalg import orthonormalise_with_factor
from tnattn.randnla.host_operator import HostOperator
from tnattn.randnla.operand import EntriesOperator, largest_entries
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense
from tnattn.structured.low_rank import Factored

_BLOCK = 1 << 22  # entries of a matrix evaluated at a time


@runtime_checkable
class RowsOnDemand(Protocol):
    """An implicit matrix whose rows are cheaper than its products with unit vectors."""

    def rows(self, indices: Array) -> Array:
        """Return the rows (..., len(indices), n)."""


def squared_frobenius_norm(a: StructuredMatrix) -> Array:
    """Return ``||A||_F^2`` (...), summed in float64 where the device has it.

    Notes
    -----
    O(m n) for dense matrices, O((m + n) r^2) for factored ones, O(stored entries) for SciPy's sparse matrices; a pass
    over the rows, or a product with the identity, in blocks, for implicit ones.
    """
    xp = array_namespace(a.like)
    if isinstance(a, Dense):
        return _sum_of_squares(a.array, axis=(-2, -1))
    if isinstance(a, Factored) and a.rank <= min(a.shape[-2:]):
        left, right = a.factors()
        _, r = orthonormalise_with_factor(left)
        return _sum_of_squares(r @ right, axis=(-2, -1))
    if isinstance(a, HostOperator) and a.sparse:
        return _sum_of_squares(xp.asarray(a.operator.data), axis=None)
    m, n = a.shape[-2:]
    step = max(1, _BLOCK // (max(m, n) * a.count))
    place = device(a.like)
    total: Any = 0.0
    if isinstance(a, RowsOnDemand):
        for start in range(0, m, step):
            total = total + _sum_of_squares(a.rows(xp.arange(start, min(start + step, m), device=place)), axis=(-2, -1))
        return total
    for start in range(0, n, step):
        indices = xp.arange(start, min(start + step, n), device=place)
        if isinstance(a, EntriesOperator):
            part = a.columns(xp.broadcast_to(indices, (*a.batch, *indices.shape)))
        else:
            unit = xp.astype(xp.arange(n, device=place)[:, None] == indices[None, :], a.dtype)
            part = a @ unit
        total = total + _sum_of_squares(part, axis=(-2, -1))
    return total


def resolved_square(a: StructuredMatrix) -> Array:
    """Return ``||A||_F^2`` (...); raise ValueError if it has overflowed or vanished. One synchronisation."""
    with quiet_overflow():
        square = squared_frobenius_norm(a)
    xp = array_namespace(square)
    least = float(xp.finfo(square.dtype).smallest_normal) / eps(square) ** 2
    lost = ~xp.isfinite(square)
    small = square < least
    if bool(xp.any(small)):
        # of implicit matrices there are no entries to look at: a square that has vanished stands for a zero matrix
        entries = a.array if isinstance(a, Dense) else square[..., None, None]
        lost = lost | (small & (largest_entries(entries) > 0))
    if bool(xp.any(lost)):
        raise ValueError(
            f"the squared Frobenius norm of a matrix of the {a.shape} stack leaves the range of "
            f"{dtype_name(square.dtype)}; scale a to entries of about one, or give a rank"
        )
    return square


def _sum_of_squares(x: Array, axis: tuple[int, ...] | None) -> Array:
    xp = array_namespace(x)
    wide = xp.astype(x, accumulator_dtype(x), copy=False)
    return xp.sum(wide * wide, axis=axis)
