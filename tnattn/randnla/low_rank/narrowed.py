"""Float32 copies of float64 matrices, in which a basis is found at half the price."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, dtype_name, prefers_host_tiles, quiet_overflow
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense

_LARGE = 1 << 16  # entries from which the conversion pays


def narrowed(a: StructuredMatrix) -> Dense | None:
    """Return one large dense float64 matrix on the host as float32; None for others, or if float32 cannot hold it."""
    if not a.explicit or a.batch or a.storage < _LARGE:
        return None
    if dtype_name(a.dtype) != "float64" or not prefers_host_tiles(a.like):
        return None
    xp = array_namespace(a.like)
    with quiet_overflow():
        narrow = xp.astype(a.dense_view(), xp.float32)
        flat = xp.reshape(narrow, (-1,))
        square = float(xp.vecdot(flat, flat))
    # between these, what underflows is far below rounding, and nothing overflows in products
    return Dense(narrow) if 1e-20 < square < 1e20 else None


def survives(s: Array, rank: int) -> bool:
    """Return whether a basis found in float32 is as good as one found in float64, from singular values in the basis.

    Parameters
    ----------
    s : Array, (size,)
        Singular values of the projection, largest first, ``size > rank``: oversampling is needed.
    rank : int
        Target rank.

    Notes
    -----
    Rounding in float32 turns a basis by ``eps_32 s_1 / s_i`` in direction i, which adds ``size (eps_32 s_1)^2`` to the
    squared error. The first singular value that is dropped anyway being above ``sqrt(eps_32) s_1``, that is at most
    ``size eps_32`` of the error.
    """
    xp = array_namespace(s)
    return bool(s[rank] > xp.finfo(xp.float32).eps ** 0.5 * s[0])
