"""Partial Cholesky factorisation of stacks of positive semidefinite matrices, pivoted by the largest residual entry."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, device, eps, quiet_overflow, runs_on_host, to_host
from tnattn.randnla.accuracy import require_rank
from tnattn.randnla.semidefinite.elimination import _require_range, _with_entries
from tnattn.randnla.symmetry import require_symmetric
from tnattn.structured.base import StructuredMatrix

__all__: list[str] = []  # for pivoted_cholesky

_BLOCK = 32  # pivots of a device between two waits: finished matrices of a stack take no more


class GreedyElimination:
    """State of the partial Cholesky factorisations of a stack, with a separate count of pivots for every matrix.

    Parameters
    ----------
    a : StructuredMatrix, (..., n, n)
        Symmetric; matrices without symmetric implicit entries are made dense.
    rank : int
        Largest number of pivots.
    rtol : float
        A matrix is finished at the first pivot after which the trace of its residual is at most ``rtol`` times its own.

    Attributes
    ----------
    tail : Array, (..., n)
        Diagonal of the residual.
    trace : Array, (...)

    Notes
    -----
    O(n rank^2). The device chooses the pivots: some 47 launches for each, however many matrices, and one wait for 32,
    beside those of implicit entries that are checked as they are read.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Dense
    >>> from tnattn.randnla.semidefinite.greedy_elimination import GreedyElimination
    >>> elimination = GreedyElimination(Dense(np.diag([1.0, 4.0, 2.0])), rank=2, rtol=0.0)
    >>> print(elimination.result()[1], elimination.tail)
    [1 2] [1. 0. 0.]
    """

    def __init__(self, a: StructuredMatrix, rank: int, rtol: float) -> None:
        require_symmetric(a)
        require_rank(rank, a.shape)
        self._xp = xp = array_namespace(a.like)
        self._matrix, self._rank, self._rtol = _with_entries(a), rank, rtol
        place, n, diagonal = device(a.like), a.shape[-1], self._matrix.diagonal()
        # relative to the entry itself, as elimination commutes with diagonal scaling; errors of implicit entries are
        # relative to the largest
        wrong = self._matrix.entry_accuracy() * xp.max(xp.abs(diagonal), axis=-1)
        self._noise = 8 * rank * eps(a.like) * xp.abs(diagonal) + wrong[..., None]
        self._lowest = xp.min(diagonal, axis=-1)
        self.tail = xp.maximum(diagonal, xp.zeros_like(diagonal))
        # where a pivot is admissible, zero elsewhere: at pivots, rounding errors, in finished matrices
        self._residual = xp.where(diagonal > self._noise, diagonal, xp.zeros_like(diagonal))
        with quiet_overflow():
            self.trace = xp.sum(self.tail, axis=-1)
        _require_range(self.trace, a)
        self._rows = xp.zeros((*a.batch, rank, n), dtype=a.dtype, device=place)  # the factor, transposed
        self._pivots = xp.full((*a.batch, rank), -1, dtype=xp.int64, device=place)
        self._count = xp.zeros((*a.batch, 1), dtype=xp.int64, device=place)
        self._columns, self._slots = xp.arange(n, device=place), xp.arange(rank, device=place)
        self._least = 0  # pivots of every unfinished matrix, at least
        self._run(a)

    def _run(self, a: StructuredMatrix) -> None:
        """Take pivots until every matrix has ``rank`` of them or no residual."""
        length, step = 1 if runs_on_host(a.like) else min(_BLOCK, self._rank), 0
        while self._look(a):
            for _ in range(length):
                self._advance(step)
                step += 1

    def _look(self, a: StructuredMatrix) -> bool:
        """Return true if a matrix is unfinished: the one read of the host."""
        xp = self._xp
        alive = xp.any(self._residual > 0, axis=-1, keepdims=True) & (self._count < self._rank)
        finite = xp.all(xp.isfinite(self.tail), axis=-1, keepdims=True)
        # -1: not finite; 0: finished; otherwise one more than the number of pivots
        state = to_host(xp.where(finite, xp.where(alive, self._count + 1, 0), -1))
        if state.min(initial=0) < 0:
            raise ValueError(
                f"a of shape {a.shape} has implicit entries that are NaN or infinite; check the points or the function "
                f"that they come from"
            )
        unfinished = state[state > 0]
        self._least = int(unfinished.min(initial=self._rank + 1)) - 1
        return bool(unfinished.size)

    def _advance(self, step: int) -> None:
        """Take the pivot of every unfinished matrix, or discard it if its residual is rounding."""
        xp = self._xp
        pivot = xp.argmax(self._residual, axis=-1)[..., None]  # (..., 1)
        raw = self._matrix.rows(pivot)[..., 0, :]  # symmetric: rows are columns
        done = self._rows[..., : min(step, self._rank), :]
        known = xp.take_along_axis(done, xp.broadcast_to(pivot[..., None, :], (*done.shape[:-1], 1)), axis=-1)
        row = raw - (known.mT @ done)[..., 0, :]
        left = xp.take_along_axis(row, pivot, axis=-1)
        open_before = xp.take_along_axis(self._residual, pivot, axis=-1) > 0
        taken = open_before & (left > xp.take_along_axis(self._noise, pivot, axis=-1)) & (self._count < self._rank)
        row = xp.where(taken, row / xp.sqrt(xp.where(taken, left, 1.0)), 0.0)
        self._store(row, pivot, taken, step)
        tail = self.tail - row * row
        self._lowest = xp.minimum(self._lowest, xp.min(tail, axis=-1))
        self.tail = xp.maximum(tail, xp.zeros_like(tail))
        finished = xp.sum(self.tail, axis=-1, keepdims=True) <= self._rtol * self.trace[..., None]
        blocked = (self._columns == pivot) | (self.tail <= self._noise) | (self._residual <= 0) | finished
        self._residual = xp.where(blocked, 0.0, self.tail)

    def _store(self, row: Array, pivot: Array, taken: Array, step: int) -> None:
        """Write rows (..., n) and pivots (..., 1) behind those before, where a pivot was taken (..., 1)."""
        xp = self._xp
        window = slice(self._least, min(step + 1, self._rank))  # counts of unfinished matrices lie in it
        here = (self._slots[window] == self._count) & taken  # (..., window), at most one true
        self._rows[..., window, :] += xp.where(here[..., None], row[..., None, :], 0.0)
        self._pivots[..., window] += xp.where(here, pivot + 1, 0)
        self._count = self._count + xp.astype(taken, xp.int64)

    def result(self) -> tuple[Array, Array]:
        """Return the factors (..., n, rank) and the pivots; raise ValueError if a residual became indefinite."""
        xp = self._xp
        # a column that exceeds what its diagonal entry allows leaves a negative entry on the residual's diagonal
        if bool(xp.any(self._lowest < -16 * xp.max(self._noise, axis=-1))):
            raise ValueError(
                f"a is not positive semidefinite: its residual has a diagonal entry of "
                f"{float(xp.min(self._lowest)):.3g}; use RandomizedSVD for indefinite matrices"
            )
        return self._rows.mT, self._pivots
