"""Adaptive cross approximation: Gaussian elimination with complete or partial pivoting, stopped early."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device, eps, runs_on_host
from tnattn.device_budget import DeviceBudget, DeviceCounts, blocks
from tnattn.randnla.accuracy import Accuracy, RankOrTolerance, judged, require_above_rounding, require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.gather import take_columns, take_rows
from tnattn.structured.low_rank import LowRankMatrix

_BLOCK = 32  # crosses of a device between two waits: those of exhausted matrices are zero


@dataclass(frozen=True, eq=False, repr=False)
class CrossResult(Accuracy, LowRankMatrix):
    """Cross approximations ``left right``, equal to the matrix in the selected rows and columns.

    C G^-1 R, with C and R the columns and rows at the indices and G their intersection.

    Parameters
    ----------
    left : Array, (..., m, rank)
        Zero columns where the residual was exhausted before the rank was reached.
    right : Array, (..., rank, n)
    row_indices, column_indices : Array, (..., rank), integer
        In the order of elimination; -1 for the zero columns.
    ranks, residual, converged
        See ``Accuracy``, and the method for the norm.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import FullPivotCross
    >>> cross = FullPivotCross(rank=2)(np.diag([1.0, 4.0, 2.0]))
    >>> print(cross.row_indices, cross.column_indices, cross.ranks, cross.residual)
    [1 2] [1 2] 2 0.25
    """

    degrees: ClassVar[Mapping[str, float]] = {"right": 1.0}

    left: Array
    right: Array
    row_indices: Array
    column_indices: Array

    def factors(self) -> tuple[Array, Array]:
        return self.left, self.right


@dataclass(frozen=True)
class FullPivotCross(MatrixMethod, RankOrTolerance):
    """Gaussian elimination with complete pivoting, stopped early; deterministic.

    Parameters
    ----------
    rank, rtol
        See ``RankOrTolerance``; ``rtol=0`` takes all crosses.

    Notes
    -----
    2 m n rank flops and the dense matrix, twice. Bebendorf 2000. ``residual`` is the largest entry of the error over
    that of the matrix. Ties go to the first entry. Pivots at the rounding error of the elimination count as zero.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import FullPivotCross
    >>> i = np.arange(1.0, 41.0)
    >>> a = 1 / (i[:, None] + i)  # smooth entries: the error decays exponentially with the rank
    >>> for rank in 2, 4, 8:
    ...     print(rank, f"{float(FullPivotCross(rank=rank)(a).residual):.0e}")
    2 2e-02
    4 1e-03
    8 2e-07
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(80, waits=8),
        {"pivot": DeviceCounts(50), "block of 32 pivots": DeviceCounts(12, waits=1)},
    )

    residual_norm: ClassVar = "largest entry"
    no_tolerance: ClassVar = 0.0

    rank: int = rank_budget(16)
    rtol: float = 0.0

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"pivot": self.rank, "block of 32 pivots": blocks(self.rank, 32)}

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> CrossResult:
        require_rank(self.rank, a.shape)
        require_above_rounding(self.rtol, a.like)
        residual = a.to_dense()
        xp, n = array_namespace(residual), a.shape[-1]
        largest = xp.max(xp.abs(residual), axis=(-2, -1))
        crosses = _Crosses(a, self.rank)
        # Bebendorf 2000: R_0 = A, R_k = R_{k-1} - R_{k-1}(:, j) R_{k-1}(i, :) / R_{k-1}(i, j)
        for step in range(self.rank):
            flat = xp.reshape(xp.abs(residual), (*a.batch, -1))
            best = xp.argmax(flat, axis=-1)[..., None]  # (..., 1)
            size = xp.take_along_axis(flat, best, axis=-1)
            # an exhausted matrix of a stack adds zero crosses while others go on
            alive = size > max(self.rank * eps(residual), self.rtol) * largest[..., None]
            if _looks(step, residual) and not bool(xp.any(alive)):
                break
            column, row = take_columns(residual, best % n)[..., 0], take_rows(residual, best // n)[..., 0, :]
            u, v = crosses.put(column, row, best // n, best % n, alive)
            residual = residual - u[..., None] * v[..., None, :]
        error = xp.max(xp.abs(residual), axis=(-2, -1))
        return crosses.result(*judged(error, largest, self.rtol, f"rank {self.rank}"))


@dataclass(frozen=True)
class PartialPivotCross(MatrixMethod, RankOrTolerance):
    """Gaussian elimination that reads one row and one column of the matrix at each step; deterministic.

    The column is that of the largest residual entry of the current row, the next row that of the largest residual entry
    of this column.

    Parameters
    ----------
    rank, rtol
        See ``RankOrTolerance``; ``rtol=0`` takes all crosses.

    Notes
    -----
    O((m + n) rank^2) and rank rows and columns of the matrix. Bebendorf 2000, with his stopping rule. No guarantee:
    entries outside the rows and columns read remain undetected. ``residual`` is the Frobenius norm of the last cross
    over that of the approximation, an estimate, and zero after every row has been read. Rows whose residual is zero
    are skipped, in order.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import PartialPivotCross
    >>> i = np.arange(1.0, 41.0)
    >>> a = 1 / (i[:, None] + i)
    >>> cross = PartialPivotCross(rank=20, rtol=1e-4)(a)
    >>> print(cross.ranks, np.linalg.norm(a - cross.to_dense()) < 1e-4 * np.linalg.norm(a))
    7 True
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(80, waits=8),
        {"pivot": DeviceCounts(115), "block of 32 pivots": DeviceCounts(12, waits=1)},
    )

    residual_norm: ClassVar = "estimate"
    no_tolerance: ClassVar = 0.0

    rank: int = rank_budget(16)
    rtol: float = 0.0

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"pivot": self.rank, "block of 32 pivots": blocks(self.rank, 32)}

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> CrossResult:
        require_rank(self.rank, a.shape)
        require_above_rounding(self.rtol, a.like)
        search, step = _PartialSearch(a, self.rank, self.rtol), 0
        while search.unfinished:
            search.advance()
            step += 1
            if _looks(step, a.like) or step == self.rank:
                search.look()
        return search.result()


def _looks(step: int, like: Array) -> bool:
    """Return true where an elimination looks whether it is finished: at each step, on a device once for a block."""
    return runs_on_host(like) or step % _BLOCK == 0


class _Crosses:
    """Crosses computed so far, with a separate count for every matrix of a stack."""

    def __init__(self, a: StructuredMatrix, rank: int) -> None:
        xp = array_namespace(a.like)
        place, (m, n) = device(a.like), a.shape[-2:]
        self.left = xp.zeros((*a.batch, m, rank), dtype=a.dtype, device=place)
        self.right = xp.zeros((*a.batch, rank, n), dtype=a.dtype, device=place)
        self.rows = xp.full((*a.batch, rank), -1, dtype=xp.int64, device=place)
        self.columns = xp.full((*a.batch, rank), -1, dtype=xp.int64, device=place)
        self.count = xp.zeros((*a.batch, 1), dtype=xp.int64, device=place)

    def put(self, column: Array, row: Array, i: Array, j: Array, alive: Array) -> tuple[Array, Array]:
        """Append the cross of residual columns (..., m) and rows (..., n) at pivots i, j (..., 1) where alive (..., 1).

        Return the cross as two vectors, zero where not alive.
        """
        xp = array_namespace(column)
        pivot = xp.take_along_axis(row, j, axis=-1)  # (..., 1)
        column = column / xp.where(alive & (pivot != 0), pivot, xp.ones_like(pivot))
        column, row = (xp.where(alive, x, xp.zeros_like(x)) for x in (column, row))
        # matrices of a stack are at different counts: write to slot ``count`` by a mask
        slot = (xp.arange(self.rows.shape[-1], device=device(column)) == self.count) & alive  # (..., rank)
        there = xp.astype(slot, column.dtype)
        self.left = self.left + column[..., None] * there[..., None, :]
        self.right = self.right + there[..., None] * row[..., None, :]
        self.rows = xp.where(slot, i, self.rows)
        self.columns = xp.where(slot, j, self.columns)
        self.count = self.count + xp.astype(alive, xp.int64)
        return column, row

    def result(self, residual: Array, converged: Array) -> CrossResult:
        sides = self.left, self.right, self.rows, self.columns
        return CrossResult(*sides, ranks=self.count[..., 0], residual=residual, converged=converged)


class _PartialSearch:
    """State of partial pivoting: next row, rows and columns visited, and norm of the approximation."""

    def __init__(self, a: StructuredMatrix, rank: int, rtol: float) -> None:
        xp = array_namespace(a.like)
        place, (m, n), batch = device(a.like), a.shape[-2:], a.batch
        self._a, self._rank, self._rtol, self._xp = a, rank, rtol, xp
        self._crosses = _Crosses(a, rank)
        self._row = xp.zeros((*batch, 1), dtype=xp.int64, device=place)
        self._fresh = xp.ones((*batch, m), dtype=xp.bool, device=place)  # rows not read yet
        self._open = xp.ones((*batch, n), dtype=xp.bool, device=place)  # columns not used as pivots
        # the unit is the first row taken: in it squares neither overflow nor underflow
        self._square, self._last, self._seen, self._unit = (
            xp.zeros((*batch, 1), dtype=a.dtype, device=place) for _ in range(4)
        )
        self._converged = xp.zeros((*batch, 1), dtype=xp.bool, device=place)
        self.unfinished = True

    def advance(self) -> None:
        """Read one row and, unless its residual is zero, one column of every matrix."""
        xp, made = self._xp, self._crosses
        ready = self._pending()
        given = self._a.rows(self._row)
        self._seen = xp.maximum(self._seen, xp.max(xp.abs(given), axis=-1))
        row = (given - take_rows(made.left, self._row) @ made.right)[..., 0, :]
        # used columns have a zero residual up to rounding: excluded, so that pivots are distinct
        sizes = xp.where(self._open, xp.abs(row), -xp.ones_like(row))
        j = xp.argmax(sizes, axis=-1)[..., None]
        alive = ready & (xp.take_along_axis(sizes, j, axis=-1) > self._rank * eps(row) * self._seen)
        column = (self._a.columns(j) - made.left @ take_columns(made.right, j))[..., 0]
        visited = (xp.arange(column.shape[-1], device=device(column)) == self._row) & ready
        self._fresh = self._fresh & ~visited
        self._open = self._open & ~((xp.arange(row.shape[-1], device=device(row)) == j) & alive)
        before = (made.left, made.right)
        u, v = made.put(column, row, self._row, j, alive)
        self._measure(before, u, v, alive)
        # next row: largest entry of the new column; after a zero row all entries are equal and the first fresh row wins
        heights = xp.where(self._fresh, xp.abs(u), -xp.ones_like(u))
        self._row = xp.argmax(heights, axis=-1)[..., None]

    def look(self) -> None:
        """Update ``unfinished``: a matrix with all its crosses, no row left, or converged, takes no more."""
        self.unfinished = bool(self._xp.any(self._pending()))

    def _measure(self, before: tuple[Array, Array], u: Array, v: Array, alive: Array) -> None:
        """Update the squared Frobenius norm of the approximation and test the last cross against the tolerance."""
        xp = self._xp
        left, right = before
        self._unit = xp.where(self._unit > 0, self._unit, xp.max(xp.abs(v), axis=-1, keepdims=True))
        unit = xp.where(self._unit > 0, self._unit, xp.ones_like(self._unit))
        v = v / unit
        # ||S + u v^T||^2 = ||S||^2 + 2 sum_k (u_k^T u) (v_k^T v) + ||u||^2 ||v||^2, without forming S
        overlaps = (left.mT @ u[..., None])[..., 0] * ((right / unit[..., None]) @ v[..., None])[..., 0]
        own = xp.linalg.vector_norm(u, axis=-1, keepdims=True) * xp.linalg.vector_norm(v, axis=-1, keepdims=True)
        self._square = self._square + own * own + 2 * xp.sum(overlaps, axis=-1, keepdims=True)
        self._last = xp.where(alive, own, self._last)
        small = own <= self._rtol * xp.sqrt(xp.maximum(self._square, xp.zeros_like(self._square)))
        self._converged = self._converged | (alive & small)

    def _pending(self) -> Array:
        """Return which matrices lack crosses, have rows to read and have not converged, booleans (..., 1)."""
        xp = self._xp
        return (self._crosses.count < self._rank) & xp.any(self._fresh, axis=-1, keepdims=True) & ~self._converged

    def result(self) -> CrossResult:
        """Return the crosses; warn if the last one exceeds the tolerance and the rank is used up."""
        xp = self._xp
        size = xp.sqrt(xp.maximum(self._square, xp.zeros_like(self._square)))
        error = xp.where(xp.any(self._fresh, axis=-1, keepdims=True), self._last, xp.zeros_like(size))
        return self._crosses.result(*judged(error[..., 0], size[..., 0], self._rtol, f"rank {self._rank}"))
