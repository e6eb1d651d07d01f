"""Partial Cholesky factorisations of positive semidefinite matrices, with random or greedy pivots."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, Rng, array_namespace, device, eps, require_rng, to_host, uniform
from tnattn.linalg import solve_triangular
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.leverage import sample_indices
from tnattn.randnla.operand import KernelEntries, require_count, require_rank, require_symmetric
from tnattn.randnla.submatrices import take_columns
from tnattn.randnla.tolerance import require_met, require_tolerance
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import Factored
from tnattn.structured.sparse import gather_rows


@dataclass(frozen=True, eq=False, repr=False)
class PivotedCholeskyResult(Factored):
    """Partial Cholesky factorisations ``factor factor^T``, which agree with the matrix in the pivot columns.

    Parameters
    ----------
    factor : Array, (..., n, rank)
        Zero columns where the residual was exhausted before the rank was reached.
    pivots : Array, (..., rank), integer
        In the order of elimination, distinct; -1 for the zero columns.
    residual_trace : Array, (...)
        Trace of the matrix minus the approximation: its nuclear error.
    """

    factor: Array
    pivots: Array
    residual_trace: Array

    def factors(self) -> tuple[Array, Array]:
        return self.factor, self.factor.mT

    @property
    def ranks(self) -> Array:
        """Number of columns that are not zero, (...), integer."""
        xp = array_namespace(self.pivots)
        return xp.sum(xp.astype(self.pivots >= 0, xp.int64), axis=-1)


@dataclass(frozen=True)
class RandomlyPivotedCholesky(MatrixMethod):
    """Draws each pivot with probability proportional to the diagonal of the residual.

    Parameters
    ----------
    rank : int
        Number of pivots at most, positive.
    block : int
        Pivots proposed at a time, positive. It changes the draws, not their distribution.
    rtol : float
        Stop after the block at which the trace of the residual is at most ``rtol`` times that of the matrix.

    Notes
    -----
    O(n rank^2), and reads little more than rank columns and the diagonal. Chen, Epperly, Tropp & Webber 2025, Algorithm
    1, with the rejection sampling of Epperly, Tropp & Webber 2024: pivots proposed from the residual at the start of a
    block are accepted with the probability that makes them draws from the current one, and the block is eliminated at
    once. Deviation: residual entries below the rounding error of the elimination count as zero.
    """

    rank: int = rank_budget(16)
    block: int = 32
    rtol: float = 0.0

    def __post_init__(self) -> None:
        require_count(self.rank, "rank", least=1)
        require_tolerance(self.rtol)
        require_count(self.block, "block", least=1)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> PivotedCholeskyResult:
        source = require_rng(rng, "RandomlyPivotedCholesky")
        elimination = _Elimination(a, self.rank, self.rtol)
        size = min(self.block, self.rank)
        while elimination.unfinished:
            drawn = uniform(source, (2, size), like=a.like)
            elimination.advance(sample_indices(elimination.residual, drawn[0, :]), drawn[1, :])
        return elimination.result()


@dataclass(frozen=True)
class GreedyPivotedCholesky(MatrixMethod):
    """Takes the largest entry of the diagonal of the residual as each pivot; deterministic.

    Parameters
    ----------
    rank : int
        Number of pivots at most, positive.
    rtol : float
        Stop as soon as the trace of the residual is at most ``rtol`` times that of the matrix; 0 takes all pivots.

    Notes
    -----
    O(n rank^2), one column at a time. Harbrecht, Peters & Schneider 2012. Ties go to the first index.
    """

    rank: int = rank_budget(16)
    rtol: float = 0.0

    def __post_init__(self) -> None:
        require_count(self.rank, "rank", least=1)
        require_tolerance(self.rtol)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> PivotedCholeskyResult:
        elimination = _Elimination(a, self.rank, self.rtol)
        xp = array_namespace(a.like)
        certain = xp.zeros((1,), dtype=a.dtype, device=device(a.like))
        while elimination.unfinished:
            elimination.advance(xp.argmax(elimination.residual, axis=-1)[..., None], certain)
        return elimination.result()


@dataclass(frozen=True)
class _ArrayEntries:
    """The entries of a stack of symmetric matrices held as one array."""

    like: Array

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.like.shape)

    def diagonal(self) -> Array:
        return array_namespace(self.like).linalg.diagonal(self.like)

    def columns(self, indices: Array) -> Array:
        return gather_rows(self.like, indices[..., None])[..., 0, :].mT  # symmetric: rows are columns


def _entries_of(a: StructuredMatrix) -> KernelEntries:
    """Return the entries of a matrix; whatever does not give them on demand is made dense."""
    if isinstance(a, KernelEntries):
        return a
    dense = a.to_dense()
    xp = array_namespace(dense)
    largest, diagonal = xp.max(xp.abs(dense), axis=(-2, -1)), xp.max(xp.linalg.diagonal(dense), axis=-1)
    if bool(xp.any(largest > diagonal * (1 + 8 * a.shape[-1] * eps(dense)))):
        raise ValueError(
            "a is not positive semidefinite: its largest entry is not on the diagonal; "
            "use RandomizedSVD for indefinite matrices"
        )
    return _ArrayEntries(dense)


class _Elimination:
    """Elimination of blocks of pivots, the matrices of a stack side by side at their own pace."""

    def __init__(self, a: StructuredMatrix, rank: int, rtol: float) -> None:
        require_symmetric(a)
        require_rank(rank, a.shape)
        self._xp = xp = array_namespace(a.like)
        self._entries = _entries_of(a)
        self._rank, self._rtol, self._place = rank, rtol, device(a.like)
        batch, n = a.batch, a.shape[-1]
        diagonal = self._entries.diagonal()
        self._noise = 8 * rank * eps(a.like) * xp.max(xp.abs(diagonal), axis=-1)[..., None]  # (..., 1)
        self._lowest = xp.min(diagonal, axis=-1)
        self.residual = xp.where(diagonal > self._noise, diagonal, xp.zeros_like(diagonal))
        self._tail = xp.maximum(diagonal, xp.zeros_like(diagonal))
        self._trace = xp.sum(self._tail, axis=-1, keepdims=True)
        self._rows = xp.zeros((*batch, rank, n), dtype=a.dtype, device=self._place)  # the factor, transposed
        self._pivots = xp.full((*batch, rank), -1, dtype=xp.int64, device=self._place)
        self._count = xp.zeros((*batch, 1), dtype=xp.int64, device=self._place)
        self._span = (0, 0)  # fewest and most pivots of a matrix of the stack
        self.unfinished = self._look()

    def _look(self) -> bool:
        """Update the span; return whether a matrix lacks pivots and has a residual. One transfer."""
        xp = self._xp
        alive = xp.any(self.residual > 0, axis=-1, keepdims=True) & (self._count < self._rank)
        count, on = to_host(self._count).reshape(-1), to_host(alive).reshape(-1)
        # matrices that are done have a full or final set of rows and do not widen the window
        self._span = (int(count[on].min()) if on.any() else 0, int(count.max()))
        return bool(on.any())

    def advance(self, proposals: Array, uniforms: Array) -> None:
        """Eliminate those of the proposed pivots (..., b) that are accepted at the given uniform numbers (b,)."""
        xp, most = self._xp, self._span[1]
        residual = self._entries.columns(proposals).mT  # (..., b, n)
        if most:
            residual = residual - take_columns(self._rows, proposals)[..., :most, :].mT @ self._rows[..., :most, :]
        lower, accepted, remaining = _accept(
            take_columns(residual, proposals),
            _take(self.residual, proposals),
            uniforms,
            self._noise,
            self._rank - self._count,
        )
        gained = xp.sum(xp.astype(accepted, xp.int64), axis=-1, keepdims=True)
        width = int(xp.max(gained))
        # accepted pivots to the front, in their order; the rest of the factor is the identity and stays triangular
        order = xp.argsort(xp.astype(~accepted, xp.int64), axis=-1, stable=True)[..., :width]
        used = _take(xp.astype(accepted, residual.dtype), order) > 0  # (..., width)
        lower = take_columns(gather_rows(lower, order[..., None])[..., 0, :], order)
        residual = gather_rows(residual, order[..., None])[..., 0, :]
        if self._xp.reshape(used, (-1, width)).shape[0] > 1:
            residual = xp.where(used[..., None], residual, xp.zeros_like(residual))
        rows = solve_triangular(lower, residual, lower=True)
        self._place_rows(rows, xp.where(used, _take(proposals, order), -1), gained)

        tail = self._tail - xp.sum(rows * rows, axis=-2)
        self._lowest = xp.minimum(self._lowest, xp.min(tail, axis=-1))
        self._tail = xp.maximum(tail, xp.zeros_like(tail))
        spent = accepted | (remaining <= self._noise)  # (..., b)
        indices = xp.arange(tail.shape[-1], device=self._place)
        never = xp.any((proposals[..., None] == indices) & spent[..., None], axis=-2)
        small = xp.sum(self._tail, axis=-1, keepdims=True) <= self._rtol * self._trace
        blocked = never | (self._tail <= self._noise) | (self.residual <= 0) | small
        self.residual = xp.where(blocked, xp.zeros_like(tail), self._tail)
        self.unfinished = self._look()

    def _place_rows(self, rows: Array, pivots: Array, gained: Array) -> None:
        """Append rows (..., width, n), zero where the pivot (..., width) is -1, to each matrix at its own position."""
        xp, (least, most) = self._xp, self._span
        width = pivots.shape[-1]
        window = slice(least, min(most + width, self._rank))
        if least == most:  # all matrices at one position: what is written beyond the gain of one is zero
            self._rows[..., window, :] = rows[..., : window.stop - least, :]
            self._pivots[..., window] = pivots[..., : window.stop - least]
        else:
            slots = xp.arange(window.start, window.stop, device=self._place)
            position = self._count + xp.arange(width, device=self._place)
            goes = (position[..., None, :] == slots[:, None]) & (pivots >= 0)[..., None, :]  # (..., window, width)
            self._rows[..., window, :] += xp.astype(goes, rows.dtype) @ rows
            named = xp.where(goes, pivots[..., None, :] + 1, xp.zeros_like(pivots[..., None, :]))
            self._pivots[..., window] += xp.sum(named, axis=-1)
        self._count = self._count + gained

    def result(self) -> PivotedCholeskyResult:
        """Return the factorisation, having checked that no pivot made the residual indefinite."""
        xp = self._xp
        # a column that exceeds what its diagonal entry allows leaves a negative entry on the residual's diagonal
        if bool(xp.any(self._lowest < -16 * self._noise[..., 0])):
            raise ValueError(
                f"a is not positive semidefinite: its residual has a diagonal entry of "
                f"{float(xp.min(self._lowest)):.3g}; use RandomizedSVD for indefinite matrices"
            )
        trace = xp.sum(self._tail, axis=-1)
        if self._rtol > 0:
            require_met(trace, self._trace[..., 0], self._rtol, f"rank {self._rank}")
        return PivotedCholeskyResult(self._rows.mT, self._pivots, trace)


def _take(values: Array, indices: Array) -> Array:
    """Return values (..., n) at indices (..., b)."""
    return array_namespace(values).take_along_axis(values, indices, axis=-1)


def _accept(core: Array, proposed: Array, uniforms: Array, noise: Array, room: Array) -> tuple[Array, Array, Array]:
    """Accept pivots one after the other, each with the probability that earlier ones of its block have left it.

    Parameters
    ----------
    core : Array, (..., b, b)
        Residual at the proposals, before the block.
    proposed : Array, (..., b)
        Diagonal entries in proportion to which they were proposed.
    uniforms : Array, (b,)
    noise, room : Array, (..., 1)
        Residuals up to ``noise`` are never accepted, nor are more than ``room`` proposals.

    Returns
    -------
    lower (..., b, b)
        Cholesky factor of the accepted part of the core, the identity elsewhere.
    accepted (..., b), boolean
    remaining (..., b)
        Residual at the proposals after the block.
    """
    xp = array_namespace(core)
    size = core.shape[-1]
    columns, flags = [], []
    for i in range(size):
        pivot = core[..., i, i][..., None]  # (..., 1)
        accepted = (pivot > noise) & (uniforms[i] * proposed[..., i][..., None] < pivot) & (room > 0)
        room = room - xp.astype(accepted, room.dtype)
        root = xp.sqrt(xp.where(accepted, pivot, xp.ones_like(pivot)))
        column = xp.where(accepted, core[..., :, i] / root, 0.0)
        core = core - column[..., :, None] * column[..., None, :]
        columns.append(column)
        flags.append(accepted[..., 0])
    accepted = xp.stack(flags, axis=-1)
    remaining = xp.linalg.diagonal(core)
    both = accepted[..., :, None] & accepted[..., None, :]
    identity = xp.eye(size, dtype=core.dtype, device=device(core))
    return xp.where(both, xp.tril(xp.stack(columns, axis=-1)), identity), accepted, remaining
