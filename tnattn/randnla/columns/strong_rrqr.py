"""Columns by strong rank-revealing QR: greedy pivots, improved by interchanges until none gains much volume."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, Rng, array_namespace, device, eps
from tnattn.linalg import largest_entry, orthonormalise_with_factor, solve_triangular
from tnattn.randnla.columns.pivoted_qr import QRColumns, compressed
from tnattn.randnla.columns.selection import ColumnSelection, admissible_columns
from tnattn.randnla.sketches.base import Sketch
from tnattn.scalars import require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense
from tnattn.structured.gather import take_columns

__all__ = ["StrongColumns"]


@dataclass(frozen=True)
class StrongColumns(ColumnSelection):
    """Column-pivoted QR followed by interchanges while one raises the volume of the chosen columns enough.

    Parameters
    ----------
    growth : float
        Larger than 1: f of Gu & Eisenstat. Interchanges stop when none multiplies the volume by more than that; then
        no coefficient of the interpolation exceeds it.
    sketch : Sketch, optional
        Work on a sketch of the rows, with ``oversampling`` more of them than columns; the matrix itself by default.
    oversampling : int

    Notes
    -----
    O(m n size) for each interchange, of which there are O(size log_f n) at most and few as a rule. Gu & Eisenstat 1996,
    Algorithm 4. Deviation: the factors are computed anew after an interchange, not updated. Matrices of a lower rank
    than the number of columns keep their greedy pivots, which span everything.
    """

    growth: float = 2.0
    sketch: Sketch | None = None
    oversampling: int = 10

    def __post_init__(self) -> None:
        if not self.growth > 1:
            raise ValueError(f"growth is {self.growth!r}; growth > 1 is needed")
        require_count(self.oversampling, "oversampling", least=0)

    def select(self, a: StructuredMatrix, size: int, *, rng: Rng | None) -> Array:
        size = admissible_columns(size, a.shape[-1])
        dense = compressed(a, self.sketch, size + self.oversampling, rng=rng)
        dense = dense / largest_entry(dense)
        if dense.shape[-2] > dense.shape[-1]:
            dense = orthonormalise_with_factor(dense)[1]  # volumes and lengths are those of the triangular factor
        chosen = QRColumns().select(Dense(dense), size, rng=None)
        # more columns than rows are dependent: they span everything, and have no volume
        return chosen if size > dense.shape[-2] else _interchanged(dense, chosen, self.growth)


def _interchanged(a: Array, chosen: Array, growth: float) -> Array:
    xp = array_namespace(a)
    n, size = a.shape[-1], chosen.shape[-1]
    while True:
        gains = volume_gains(a, chosen)  # (..., size, n)
        flat = xp.reshape(gains, (*gains.shape[:-2], size * n))
        best = xp.argmax(flat, axis=-1)[..., None]
        better = xp.take_along_axis(flat, best, axis=-1) > growth  # (..., 1)
        if not bool(xp.any(better)):
            return chosen
        swap = better & (xp.arange(size, device=device(a)) == best // n)
        chosen = xp.where(swap, best % n, chosen)


def volume_gains(a: Array, chosen: Array) -> Array:
    """Return by what the volume of chosen columns grows when one of them makes room for another.

    Parameters
    ----------
    a : Array, (..., m, n)
    chosen : Array, (..., size), integer, size <= m
        Distinct.

    Returns
    -------
    Array, (..., size, n)
        Entry (i, j): the quotient of the volumes after column j has replaced the chosen column i, without the sign;
        zero where j is chosen already, and for matrices whose chosen columns are dependent to rounding.

    Notes
    -----
    Gu & Eisenstat 1996, Lemma 3.1: with R the triangular factor of the chosen columns, T their coefficients in column
    j and c what is left of it, the quotient squared is T_ij^2 + (||row i of R^-1|| ||c||)^2.
    """
    xp = array_namespace(a)
    n = a.shape[-1]
    q, r = orthonormalise_with_factor(take_columns(a, chosen))
    diagonal = xp.abs(xp.linalg.diagonal(r))
    smallest, largest = xp.min(diagonal, axis=-1), xp.max(diagonal, axis=-1)
    sound = (smallest > n * eps(a) * largest)[..., None, None]
    identity = xp.broadcast_to(xp.eye(r.shape[-1], dtype=r.dtype, device=device(r)), r.shape)
    inverse = solve_triangular(xp.where(sound, r, identity), identity, lower=False)
    inside = q.mT @ a
    distance = xp.linalg.vector_norm(a - q @ inside, axis=-2)  # (..., n)
    gains = xp.hypot(inverse @ inside, xp.linalg.vector_norm(inverse, axis=-1)[..., None] * distance[..., None, :])
    taken = xp.any(chosen[..., None] == xp.arange(n, device=device(a)), axis=-2)
    return xp.where(sound & ~taken[..., None, :], gains, xp.zeros_like(gains))
