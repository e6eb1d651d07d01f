"""A far field that is replaced by exact entries at the keys that a sparse piece keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from tnattn.arrays import Array, array_namespace
from tnattn.attention.approximation import Approximation, merge_all
from tnattn.structured import BandTiles, BlockSparse, Diagonal, Product, Sparse, Sum


def corrected(near: Approximation, far: Approximation) -> Approximation:
    """Return the far field without what it holds at the kept keys of a sparse piece, plus that piece.

    Parameters
    ----------
    near : Approximation
        With a sparse kernel.
    far : Approximation
        Mergeable, over all keys, with columns that lift to the keys.

    Raises
    ------
    ValueError
        If the far field cannot be merged or lifted.

    Notes
    -----
    The kernel is exact at the kept places and the far field's elsewhere. 2 n_q w m operations for w kept keys and m
    columns.
    """
    if far.expand is None:
        raise ValueError("the far field has no weights over the original keys; choose one that lifts (expand)")
    pattern = cast("Sparse | BlockSparse | BandTiles", near.kernel)
    overlap = pattern.with_product(far.kernel, far.expand)
    if not isinstance(overlap, BandTiles):  # entries that are stored: the algebra of pieces
        return far + (near - replace(near, kernel=overlap, shift=far.shift))
    xp = array_namespace(near.values)
    shift = xp.maximum(near.shift, far.shift)
    exact, other = near.unit_in(shift), far.unit_in(shift)
    numerators, denominators = overlap.combined(
        (near.values, xp.ones_like(near.values[..., :1])),
        -other[..., None],
        (exact[..., None], _sums(near)),
        (other[..., None], _sums(far)),
    )
    kernel = Sum((Product(Diagonal(exact), near.kernel), Product(Diagonal(-other), overlap)))
    correction = replace(near, kernel=kernel, shift=shift)
    del near  # whose products are no longer needed
    return merge_all([far, correction], products=(numerators, denominators[..., 0]))


def _sums(piece: Approximation) -> tuple[Array, Array]:
    numerators, denominators = piece._products
    return numerators, denominators[..., None]
