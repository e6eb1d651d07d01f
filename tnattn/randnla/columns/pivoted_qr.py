"""Column-pivoted QR: the projection onto greedily chosen columns, and the choice itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.linalg import pivoted_qr, with_unused
from tnattn.randnla.accuracy import (
    Accuracy,
    RankOrTolerance,
    counted,
    require_above_rounding,
    require_rank,
    warn_of_missed,
    within,
)
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.columns.selection import ColumnSelection, admissible_columns
from tnattn.randnla.sketches.base import Sketch
from tnattn.scalars import require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import LowRankMatrix

__all__ = ["PivotedQR", "PivotedQRResult", "QRColumns"]


@dataclass(frozen=True, eq=False, repr=False)
class PivotedQRResult(Accuracy, LowRankMatrix):
    """The projection ``q r`` of matrices onto their pivot columns.

    Parameters
    ----------
    q : Array, (..., m, rank)
        Columns orthonormal, zero where the residual was exhausted before the rank was reached.
    r : Array, (..., rank, n)
        ``q^T a``; upper triangular in the order of the pivots.
    pivots : Array, (..., rank), integer
        In the order of elimination, distinct; -1 for the zero columns.
    ranks, residual, converged
        See ``Accuracy``.
    """

    degrees: ClassVar[Mapping[str, float]] = {"r": 1.0}

    q: Array
    r: Array
    pivots: Array

    def factors(self) -> tuple[Array, Array]:
        return self.q, self.r


@dataclass(frozen=True)
class PivotedQR(MatrixMethod, RankOrTolerance):
    """Projects a matrix onto columns taken greedily, each the farthest from the span of those before; deterministic.

    Parameters
    ----------
    rank, rtol
        See ``RankOrTolerance``; ``rtol=0`` takes all pivots.

    Notes
    -----
    4 m n rank flops and the dense matrix; see ``linalg.pivoted_qr``. Businger & Golub 1965.
    """

    no_tolerance: ClassVar = 0.0

    rank: int = rank_budget(16)
    rtol: float = 0.0

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> PivotedQRResult:
        require_rank(self.rank, a.shape)
        require_above_rounding(self.rtol, a.like)
        q, r, pivots, residual = pivoted_qr(a.to_dense(), self.rank, rtol=self.rtol)
        converged = within(residual, self.rtol)
        if self.rtol > 0:
            warn_of_missed(converged, residual, self.rtol, f"rank {self.rank}")
        return PivotedQRResult(q, r, pivots, ranks=counted(pivots), residual=residual, converged=converged)


@dataclass(frozen=True)
class QRColumns(ColumnSelection):
    """The pivots of a column-pivoted QR factorisation, of the matrix itself or of a sketch of it.

    Parameters
    ----------
    sketch : Sketch, optional
        Distribution of the test matrix that is multiplied from the left; None factors the matrix itself.
    oversampling : int
        Rows of the sketch beyond the number of columns.

    Notes
    -----
    With a sketch one product with the transpose of the matrix and O(n size^2): Voronin & Martinsson 2017. Pivots beyond
    the rank are the first columns left.
    """

    sketch: Sketch | None = None
    oversampling: int = 10

    def __post_init__(self) -> None:
        require_count(self.oversampling, "oversampling", least=0)

    def select(self, a: StructuredMatrix, size: int, *, rng: Rng | None) -> Array:
        size = admissible_columns(size, a.shape[-1])
        pivots = pivoted_qr(compressed(a, self.sketch, size + self.oversampling, rng=rng), size)[2]
        return with_unused(pivots, a.shape[-1])

    def select_within(self, a: StructuredMatrix, size: int, *, rtol: float, rng: Rng | None) -> Array:
        """Choose as ``select`` does, but no more columns than the projection onto them needs for a tolerance.

        Without a sketch; with one, whose residual is not that of the matrix, all are chosen.
        """
        if self.sketch is not None:
            return self.select(a, size, rng=rng)
        size = admissible_columns(size, a.shape[-1])
        # a little more than asked for: the residual is known by differences, good for half of the digits
        pivots = pivoted_qr(a.to_dense(), size, rtol=0.99 * rtol)[2]
        largest = max(1, int(array_namespace(pivots).max(counted(pivots))))
        return with_unused(pivots[..., :largest], a.shape[-1])


def compressed(a: StructuredMatrix, sketch: Sketch | None, rows: int, *, rng: Rng | None) -> Array:
    """Return the matrix, or a sketch of it with that many rows, (..., rows, n), where that is fewer."""
    if sketch is None or rows >= a.shape[-2]:
        return a.to_dense()
    return a.mT.sketch(sketch.draw(a.shape[-2], rows, rng=rng, like=a.like)).mT
