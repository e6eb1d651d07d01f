"""A far field that is replaced by exact entries at the keys that a sparse piece keeps."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace
from tnattn.attention.approximation import Approximation
from tnattn.structured import BandTiles, BlockSparse, Sparse, StructuredMatrix


def corrected(far: Approximation, near: Approximation) -> Approximation:
    """Return the far field without what it holds at the kept keys of a sparse piece, plus that piece.

    Parameters
    ----------
    far : Approximation
        Mergeable, over all keys, with columns that lift to the keys.
    near : Approximation
        With a sparse kernel.

    Raises
    ------
    ValueError
        If the far field cannot be merged or lifted.

    Notes
    -----
    The kernel is exact at the kept places and the far field's elsewhere. 2 n_q w m operations for w kept keys and m
    columns.
    """
    xp = array_namespace(far.values)
    if far.expand is None:
        raise ValueError("the far field has no weights over the original keys; choose one that lifts (expand)")
    both = far + near  # keys that are kept count twice
    assert isinstance(near.kernel, (Sparse, BlockSparse, BandTiles))
    overlap = Approximation(
        kernel=near.kernel.with_product(far.kernel, far.expand),
        shift=far.shift,
        values=near.values,
        expand=near.expand,
        units=near.units,
    )
    return both - overlap
