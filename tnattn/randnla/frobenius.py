"""Squared Frobenius norms that have neither overflowed nor vanished."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, dtype_name, eps, quiet_overflow
from tnattn.linalg import largest_entries
from tnattn.structured.base import StructuredMatrix


def resolved_square(a: StructuredMatrix) -> Array:
    """Return ``||A||_F^2`` (...); raise ValueError if it has overflowed or vanished. One synchronisation."""
    with quiet_overflow():
        square = a.squared_norm()
    xp = array_namespace(square)
    least = float(xp.finfo(square.dtype).smallest_normal) / eps(square) ** 2
    lost = ~xp.isfinite(square)
    small = square < least
    if bool(xp.any(small)):
        # of implicit matrices there are no entries to look at: a square that has vanished stands for a zero matrix
        entries = a.dense_view() if a.explicit else square[..., None, None]
        lost = lost | (small & (largest_entries(entries) > 0))
    if bool(xp.any(lost)):
        raise ValueError(
            f"the squared Frobenius norm of a matrix of the {a.shape} stack leaves the range of "
            f"{dtype_name(square.dtype)}; scale a to entries of about one, or give a rank"
        )
    return square
