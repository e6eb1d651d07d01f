"""Submatrices of locally maximal volume, and the cross approximation through one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device, runs_on_host
from tnattn.device_budget import DeviceBudget, DeviceCounts, blocks
from tnattn.linalg import orthonormalise, pivoted_qr, with_unused
from tnattn.randnla.accuracy import counted, judged, require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.columns.cross import CrossResult
from tnattn.randnla.columns.pivoted_qr import QRColumns
from tnattn.randnla.columns.selection import ColumnSelection, require_selection
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.scalars import as_real, require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.gather import take_columns, take_rows

_BLOCK = 8  # exchanges of a device between two waits; few are needed after elimination, and idle ones change nothing


def maxvol(a: Array, *, tolerance: float = 0.05) -> tuple[Array, Array]:
    """Return rows of tall matrices whose square submatrix has locally maximal volume (Goreinov et al. 2010).

    Parameters
    ----------
    a : Array, (..., m, r), m >= r
        Of any rank: an orthonormal basis is taken first.
    tolerance : float
        Positive. Rows are exchanged while an exchange multiplies the volume by more than 1 + tolerance.

    Returns
    -------
    rows : Array, (..., r), integer
        Distinct.
    coefficients : Array, (..., m, r)
        ``q q[rows]^-1`` for the basis q, that is ``a a[rows]^-1`` at full rank; entries of at most 1 + tolerance.

    Notes
    -----
    O(m r^2), and O(m r) for each exchange; a device waits once for eight of them. The initial rows are the pivots of a
    QR factorisation.
    """
    xp, tolerance = array_namespace(a), as_real(tolerance, "tolerance")
    if not tolerance > 0:
        raise ValueError(f"tolerance is {tolerance!r}; a positive number is needed")
    m, r = a.shape[-2:]
    q = orthonormalise(a)
    rows = with_unused(pivoted_qr(q.mT, r)[2], m)
    b = xp.linalg.solve(take_rows(q, rows).mT, q.mT).mT  # (..., m, r)
    slots = xp.arange(r, device=device(a))
    # |b_ij| is the factor by which the volume grows when row i replaces rows[j]
    for step in itertools.count():
        flat = xp.reshape(xp.abs(b), (*b.shape[:-2], m * r))
        best = xp.argmax(flat, axis=-1)[..., None]  # (..., 1)
        active = xp.take_along_axis(flat, best, axis=-1) > 1 + tolerance
        if (runs_on_host(a) or step % _BLOCK == 0) and not bool(xp.any(active)):
            break
        i, j = best // r, best % r
        swap = active & (slots == j)  # (..., r)
        rows = xp.where(swap, i, rows)
        column, row = take_columns(b, j), take_rows(b, i)  # (..., m, 1), (..., 1, r)
        pivot = xp.take_along_axis(row[..., 0, :], j, axis=-1)[..., None]
        # rank-one update of q q[rows]^-1 (Sherman & Morrison)
        change = column * ((row - xp.astype(slots == j, b.dtype)[..., None, :]) / pivot)
        b = xp.where(active[..., None], b - change, b)
    return rows, b


@dataclass(frozen=True)
class MaxvolCross(MatrixMethod):
    """Cross approximation C G^-1 R through an intersection of large volume, computed by alternating directions.

    Parameters
    ----------
    rank : int
        Number of rows and of columns, positive.
    sweeps : int
        Number of alternating selections of rows and columns, at least one; fewer if the columns no longer change.
    tolerance : float
        Positive; see ``maxvol``.
    selection : ColumnSelection
        Rule for the first columns; pivots of a sketch by default.

    Notes
    -----
    The selection, O((m + n) rank^2 sweeps), and (m + n) rank entries of the matrix for each sweep. Goreinov,
    Oseledets, Savostyanov, Tyrtyshnikov & Zamarashkin 2010. The volume is a local maximum only, so that the
    theorem on the largest volume does not apply. ``residual`` is the largest entry of the error in the rows read last
    over the largest entry there: rounding unless the intersection is singular.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import MaxvolCross
    >>> i = np.arange(1.0, 41.0)
    >>> a = 1 / (i[:, None] + i)
    >>> cross = MaxvolCross(rank=6)(a, rng=np.random.default_rng(0))
    >>> print(cross.row_indices.shape, np.linalg.norm(a - cross.to_dense()) < 1e-4 * np.linalg.norm(a))
    (6,) True
    """

    # a block of exchanges for eight rows: few are needed from pivots
    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(200, waits=8, copies=3),
        {
            "pivot": DeviceCounts(95),
            "block of 32 pivots": DeviceCounts(12, waits=1, copies=1),
            "block of 8 exchanges": DeviceCounts(260, waits=1),
            "selection": DeviceCounts(80, waits=4, copies=1),
        },
    )

    residual_norm: ClassVar = "estimate"

    rank: int = rank_budget(16)
    sweeps: int = 2
    tolerance: float = 0.05
    selection: ColumnSelection = field(default_factory=lambda: QRColumns(sketch=Gaussian()))

    def __post_init__(self) -> None:
        require_count(self.rank, "rank", least=1)
        require_count(self.sweeps, "sweeps", least=1)
        require_selection(self.selection)
        if not self.tolerance > 0:
            raise ValueError(f"tolerance is {self.tolerance!r}; a positive number is needed")

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        selections = 2 * self.sweeps  # the first columns, rows and columns in turn, rows
        return {
            "pivot": selections * self.rank,
            "block of 32 pivots": selections * blocks(self.rank, 32),
            "block of 8 exchanges": selections * blocks(self.rank, 8),
            "selection": selections,
        }

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> CrossResult:
        require_rank(self.rank, a.shape)
        xp = array_namespace(a.like)
        j = self.selection.select(a, self.rank, rng=rng)
        i, left = maxvol(a.columns(j), tolerance=self.tolerance)
        right = a.rows(i)
        for _ in range(self.sweeps - 1):
            j_next, _ = maxvol(right.mT, tolerance=self.tolerance)
            # the same set in another order gives the same cross
            if bool(xp.all(xp.sort(j_next, axis=-1) == xp.sort(j, axis=-1))):
                break
            j = j_next
            i, left = maxvol(a.columns(j), tolerance=self.tolerance)
            right = a.rows(i)
        error = xp.max(xp.abs(right - take_rows(left, i) @ right), axis=(-2, -1))
        largest = xp.max(xp.abs(right), axis=(-2, -1))
        residual, converged = judged(error, largest, 0.0, f"rank {self.rank}")
        return CrossResult(left, right, i, j, ranks=counted(i), residual=residual, converged=converged)
