"""Column-pivoted QR factorisation: projection onto the pivot columns, and column selection by pivots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.device_budget import DeviceBudget, DeviceCounts, blocks
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
    """Projections ``q r`` of matrices onto their pivot columns.

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

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import PivotedQR
    >>> result = PivotedQR(rank=2)(np.diag([1.0, 4.0, 2.0]))
    >>> print(result.pivots, result.r.shape, result.ranks)
    [1 2] (2, 3) 2
    """

    degrees: ClassVar[Mapping[str, float]] = {"r": 1.0}

    q: Array
    r: Array
    pivots: Array

    def factors(self) -> tuple[Array, Array]:
        return self.q, self.r


@dataclass(frozen=True)
class PivotedQR(MatrixMethod, RankOrTolerance):
    """Truncated QR factorisation with column pivoting: each pivot is farthest from the span of those before.

    Parameters
    ----------
    rank, rtol
        See ``RankOrTolerance``; ``rtol=0`` takes all pivots.

    Notes
    -----
    Deterministic. 4 m n rank flops and the dense matrix; see ``linalg.pivoted_qr``. Businger & Golub 1965.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import PivotedQR
    >>> a = np.diag([1.0, 4.0, 2.0, 0.1])
    >>> for rtol in 0.0, 0.1:
    ...     result = PivotedQR(rank=4, rtol=rtol)(a)
    ...     print(result.pivots, round(float(result.residual), 3))
    [1 2 0 3] 0.0
    [ 1  2  0 -1] 0.022
    """

    # a block that loses digits takes its pivots twice
    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(80, waits=8),
        {"pivot": DeviceCounts(95), "block of 32 pivots": DeviceCounts(12, waits=1, copies=1)},
    )

    no_tolerance: ClassVar = 0.0

    rank: int = rank_budget(16)
    rtol: float = 0.0

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"pivot": self.rank, "block of 32 pivots": blocks(self.rank, 32)}

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
    """Pivots of a column-pivoted QR factorisation, of the matrix itself or of a sketch of it.

    Parameters
    ----------
    sketch : Sketch, optional
        Distribution of the test matrix that multiplies from the left; None factors the matrix itself.
    oversampling : int
        Rows of the sketch beyond the number of columns.

    Notes
    -----
    With a sketch one product with the transpose of the matrix and O(n size^2): Voronin & Martinsson 2017. Pivots beyond
    the rank are the first unused columns.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Dense, Gaussian, QRColumns
    >>> a = Dense(np.diag([1.0, 4.0, 2.0, 0.1]))
    >>> print(QRColumns().select(a, 2, rng=None))
    [1 2]
    >>> print(np.sort(QRColumns(sketch=Gaussian(), oversampling=1).select(a, 2, rng=np.random.default_rng(0))))
    [1 2]
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
        """Select as ``select`` does, but no more columns than a tolerance of the projection onto them needs.

        With a sketch, whose residual is not that of the matrix, ``size`` columns.
        """
        if self.sketch is not None:
            return self.select(a, size, rng=rng)
        size = admissible_columns(size, a.shape[-1])
        # 1 % tighter: the residual is a difference of squares, accurate to half of the digits
        pivots = pivoted_qr(a.to_dense(), size, rtol=0.99 * rtol)[2]
        largest = max(1, int(array_namespace(pivots).max(counted(pivots))))
        return with_unused(pivots[..., :largest], a.shape[-1])


def compressed(a: StructuredMatrix, sketch: Sketch | None, rows: int, *, rng: Rng | None) -> Array:
    """Return the matrix, or a sketch of it (..., rows, n) where that has fewer rows."""
    if sketch is None or rows >= a.shape[-2]:
        return a.to_dense()
    return a.mT.sketch(sketch.draw(a.shape[-2], rows, rng=rng, like=a.like)).mT
