"""Strong rank-revealing QR: greedy pivots improved by interchanges until no volume grows by more than a factor."""

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
    """Pivots of a QR factorisation, improved by interchanges that increase the volume of the selected columns.

    Parameters
    ----------
    growth : float
        Larger than 1: f of Gu & Eisenstat. Interchanges stop when none multiplies the volume by more than f; then no
        coefficient of the interpolation exceeds f in modulus.
    sketch : Sketch, optional
        Factor a sketch with ``oversampling`` more rows than selected columns; the matrix itself by default.
    oversampling : int

    Notes
    -----
    O(m n size) for each interchange, of which there are O(size log_f n) at most and few as a rule. Gu & Eisenstat 1996,
    Algorithm 4. Deviation: the factors are computed anew after an interchange, not updated. Matrices of a lower rank
    than the number of columns keep their greedy pivots, which span the range.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Dense, QRColumns, StrongColumns
    >>> from tnattn.gallery import kahan
    >>> a = kahan(20)  # greedy pivots leave a nearly dependent set of columns
    >>> for rule in QRColumns(), StrongColumns(growth=1.1):
    ...     columns = rule.select(Dense(a), 19, rng=None)
    ...     print(round(float(np.linalg.svd(a[:, columns])[1][-1]), 4))
    0.002
    0.3288
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
            dense = orthonormalise_with_factor(dense)[1]  # the triangular factor has the same volumes and norms
        chosen = QRColumns().select(Dense(dense), size, rng=None)
        # more columns than rows are dependent: they span the range, and their volume is zero
        return chosen if size > dense.shape[-2] else _interchanged(dense, chosen, self.growth)


def _interchanged(a: Array, chosen: Array, growth: float) -> Array:
    """Return columns (..., size) after the interchanges of Gu & Eisenstat 1996, Algorithm 4."""
    xp = array_namespace(a)
    n, size = a.shape[-1], chosen.shape[-1]
    # every interchange multiplies the volume by more than growth > 1, and the volume is bounded: the loop ends
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
    """Return the factors by which the volume of selected columns grows when another column replaces one of them.

    Parameters
    ----------
    a : Array, (..., m, n)
    chosen : Array, (..., size), integer, size <= m
        Distinct.

    Returns
    -------
    Array, (..., size, n)
        Entry (i, j): volume after column j has replaced the selected column i over the volume before; zero where j is
        selected already, and for matrices whose selected columns are dependent to rounding.

    Notes
    -----
    Gu & Eisenstat 1996, Lemma 3.1: with R the triangular factor of the selected columns, T the coefficients of column j
    and c its residual, the squared quotient is T_ij^2 + (||row i of R^-1|| ||c||)^2.
    """
    xp = array_namespace(a)
    n = a.shape[-1]
    q, r = orthonormalise_with_factor(take_columns(a, chosen))
    diagonal = xp.abs(xp.linalg.diagonal(r))
    smallest, largest = xp.min(diagonal, axis=-1), xp.max(diagonal, axis=-1)
    sound = (smallest > n * eps(a) * largest)[..., None, None]
    identity = xp.broadcast_to(xp.eye(r.shape[-1], dtype=r.dtype, device=device(r)), r.shape)
    # dependent columns have no inverse: the identity in its place, and gains of zero below
    inverse = solve_triangular(xp.where(sound, r, identity), identity, lower=False)
    inside = q.mT @ a
    distance = xp.linalg.vector_norm(a - q @ inside, axis=-2)  # (..., n)
    gains = xp.hypot(inverse @ inside, xp.linalg.vector_norm(inverse, axis=-1)[..., None] * distance[..., None, :])
    taken = xp.any(chosen[..., None] == xp.arange(n, device=device(a)), axis=-2)
    return xp.where(sound & ~taken[..., None, :], gains, xp.zeros_like(gains))
