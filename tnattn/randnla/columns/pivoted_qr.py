"""Partial QR factorisation with greedy column pivoting, all matrices of a stack at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device, eps
from tnattn.randnla.arguments import require_count, require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.columns.selection import ColumnSelection, admissible_columns, with_unused
from tnattn.randnla.sketches.base import Sketch
from tnattn.randnla.tolerance import require_above_rounding, require_tolerance, warn_of_missed, within
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.gather import take_columns
from tnattn.structured.low_rank import LowRankMatrix


@dataclass(frozen=True, eq=False, repr=False)
class PivotedQRResult(LowRankMatrix):
    """The projection ``q r`` of matrices onto their pivot columns.

    Parameters
    ----------
    q : Array, (..., m, rank)
        Columns orthonormal, zero where the residual was exhausted before the rank was reached.
    r : Array, (..., rank, n)
        ``q^T a``; upper triangular in the order of the pivots.
    pivots : Array, (..., rank), integer
        In the order of elimination, distinct; -1 for the zero columns.
    residual : Array, (...)
        Realised ``||a - q r||_F / ||a||_F``; zero for a zero matrix.
    converged : Array, (...), boolean
        Whether the residual is within the tolerance, or is rounding.
    """

    degrees: ClassVar[Mapping[str, float]] = {"r": 1.0}

    q: Array
    r: Array
    pivots: Array
    residual: Array
    converged: Array

    def factors(self) -> tuple[Array, Array]:
        return self.q, self.r

    @property
    def ranks(self) -> Array:
        """Number of pivots, (...), integer."""
        xp = array_namespace(self.pivots)
        return xp.sum(xp.astype(self.pivots >= 0, xp.int64), axis=-1)


@dataclass(frozen=True)
class PivotedQR(MatrixMethod):
    """Projects a matrix onto columns taken greedily, each the farthest from the span of those before; deterministic.

    Parameters
    ----------
    rank : int
        Number of pivots at most, positive.
    rtol : float
        Stop as soon as the residual is at most ``rtol`` times the Frobenius norm; 0 takes all pivots. A matrix that
        needs more than ``rank`` keeps those, is not ``converged``, and causes a ``ToleranceWarning``.

    Notes
    -----
    4 m n rank flops and the dense matrix. Businger & Golub 1965, with one product with the matrix for each pivot: the
    residual is not formed, but its column norms are, anew whenever they have fallen by the square root of eps. One
    synchronisation for each pivot. Residual columns at the rounding error of the elimination count as zero.
    """

    rank: int = rank_budget(16)
    rtol: float = 0.0

    def __post_init__(self) -> None:
        require_count(self.rank, "rank", least=1)
        require_tolerance(self.rtol)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> PivotedQRResult:
        require_rank(self.rank, a.shape)
        require_above_rounding(self.rtol, a.like)
        result = pivoted_qr(a.to_dense(), self.rank, rtol=self.rtol)
        if self.rtol > 0:
            warn_of_missed(result.converged, result.residual, self.rtol, f"rank {self.rank}")
        return result


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
        return with_unused(self.factor(a, size, rng=rng).pivots, a.shape[-1])

    def select_within(self, a: StructuredMatrix, size: int, *, rtol: float, rng: Rng | None) -> Array:
        """Choose as ``select`` does, but no more columns than the projection onto them needs for a tolerance.

        Without a sketch; with one, whose residual is not that of the matrix, all are chosen.
        """
        if self.sketch is not None:
            return self.select(a, size, rng=rng)
        size = admissible_columns(size, a.shape[-1])
        # a little more than asked for: the residual is known by differences, good for half of the digits
        result = pivoted_qr(a.to_dense(), size, rtol=0.99 * rtol)
        largest = max(1, int(array_namespace(result.ranks).max(result.ranks)))
        return with_unused(result.pivots[..., :largest], a.shape[-1])

    def factor(self, a: StructuredMatrix, size: int, *, rng: Rng | None) -> PivotedQRResult:
        """Return the factorisation whose pivots are chosen: of the matrix, or of its sketch."""
        size = admissible_columns(size, a.shape[-1])
        return pivoted_qr(compressed(a, self.sketch, size + self.oversampling, rng=rng), size)


def compressed(a: StructuredMatrix, sketch: Sketch | None, rows: int, *, rng: Rng | None) -> Array:
    """Return the matrix, or a sketch of it with that many rows, (..., rows, n), where that is fewer."""
    if sketch is None or rows >= a.shape[-2]:
        return a.to_dense()
    return a.mT.sketch(sketch.draw(a.shape[-2], rows, rng=rng, like=a.like)).mT


def pivoted_qr(a: Array, steps: int, *, rtol: float = 0.0) -> PivotedQRResult:
    """Return the first ``steps`` pivots of matrices (..., m, n) with their factors; see ``PivotedQR``.

    More steps than min(m, n) leave zero columns.
    """
    xp = array_namespace(a)
    *batch, m, n = a.shape
    place = device(a)
    scale = largest_entry(a)
    a = a / scale  # squares neither overflow nor underflow
    squares = xp.sum(a * a, axis=-2)  # (..., n)
    total = xp.sum(squares, axis=-1)
    noise = max(m, n) * eps(a) * xp.sqrt(xp.max(squares, axis=-1))
    reference = xp.max(squares, axis=-1)
    q = xp.zeros((*batch, m, steps), dtype=a.dtype, device=place)
    r = xp.zeros((*batch, steps, n), dtype=a.dtype, device=place)
    pivots = xp.full((*batch, steps), -1, dtype=xp.int64, device=place)
    free = xp.ones((*batch, n), dtype=xp.bool, device=place)
    columns = xp.arange(n, device=place)
    for step in range(steps):
        open_squares = xp.where(free, squares, -xp.ones_like(squares))
        if bool(xp.any(xp.max(open_squares, axis=-1) < eps(a) ** 0.5 * reference)):
            # differences of squares have lost half of their digits
            squares = xp.sum(xp.square(a - q[..., :step] @ r[..., :step, :]), axis=-2)
            open_squares = xp.where(free, squares, -xp.ones_like(squares))
            reference = xp.max(squares, axis=-1)
        pivot = xp.argmax(open_squares, axis=-1)[..., None]  # (..., 1)
        before = q[..., :step]
        w = take_columns(a, pivot)
        w = w - before @ (before.mT @ w)
        w = w - before @ (before.mT @ w)  # once more: twice is enough
        length = xp.linalg.vector_norm(w, axis=-2)[..., 0]  # (...)
        alive = (length > noise) & (xp.sum(squares, axis=-1) > rtol**2 * total)
        if not bool(xp.any(alive)):
            break
        unit = w / xp.where(alive, length, xp.ones_like(length))[..., None, None]
        unit = xp.where(alive[..., None, None], unit, xp.zeros_like(unit))
        here = columns == pivot
        row = xp.where(free, (unit.mT @ a)[..., 0, :], xp.zeros_like(squares))
        row = xp.where(here & alive[..., None], length[..., None], row)
        q[..., step], r[..., step, :] = unit[..., 0], row
        pivots[..., step] = xp.where(alive, pivot[..., 0], xp.full_like(pivot[..., 0], -1))
        free = free & ~(here & alive[..., None])
        squares = xp.maximum(squares - row * row, xp.zeros_like(squares))
    safe = xp.where(total > 0, total, xp.ones_like(total))
    residual = xp.sqrt(xp.sum(xp.square(a - q @ r), axis=(-2, -1)) / safe)
    return PivotedQRResult(q, r * scale, pivots, residual, within(residual, rtol))


def largest_entry(a: Array) -> Array:
    """Return the largest absolute entries (..., 1, 1) of matrices, or 1 for a zero matrix: a unit for squares."""
    xp = array_namespace(a)
    largest = xp.max(xp.abs(a), axis=(-2, -1), keepdims=True)
    return xp.where(largest > 0, largest, xp.ones_like(largest))
