"""Partial Cholesky factorisation of stacks of positive semidefinite matrices in blocks of proposed pivots."""

from __future__ import annotations

from tnattn.arrays import (
    Array,
    array_namespace,
    device,
    dtype_name,
    eps,
    quiet_overflow,
    scatter_rows,
    squared_column_norms,
    to_host,
)
from tnattn.linalg import largest_entries
from tnattn.randnla.accuracy import require_rank
from tnattn.randnla.semidefinite.rejection import NOT_FINITE, Step, accept
from tnattn.randnla.semidefinite.substitution import next_rows
from tnattn.randnla.symmetry import require_symmetric
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense
from tnattn.structured.gather import take_columns, take_rows

__all__: list[str] = []  # for pivoted_cholesky

_PATIENCE = 64  # blocks without progress; with consistent entries every block accepts or discards its first proposal


class Elimination:
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
    residual : Array, (..., n)
        Diagonal of the residual, zero where no pivot is admissible: at pivots, rounding errors, in finished matrices.
    tail : Array, (..., n)
        Diagonal of the residual.
    trace : Array, (...)
    weakest : Array, (...)
        Smallest residual of a pivot when it was eliminated, at most one.
    unfinished : bool
        True while a matrix has fewer pivots than ``rank`` and a residual.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Dense
    >>> from tnattn.randnla.semidefinite.elimination import Elimination
    >>> elimination = Elimination(Dense(np.diag([1.0, 4.0, 2.0])), rank=2, rtol=0.0)
    >>> elimination.advance(np.array([1, 2]), np.zeros(2))  # both proposals are accepted
    >>> print(elimination.residual, elimination.unfinished, elimination.result()[1])
    [1. 0. 0.] False [1 2]
    """

    def __init__(self, a: StructuredMatrix, rank: int, rtol: float) -> None:
        require_symmetric(a)
        require_rank(rank, a.shape)
        self._xp = xp = array_namespace(a.like)
        self._matrix = _with_entries(a)
        self._rank, self._rtol, self._place = rank, rtol, device(a.like)
        self._batch, n = a.batch, a.shape[-1]
        diagonal = self._matrix.diagonal()
        # rounding is relative to the diagonal entry itself, as elimination commutes with diagonal scaling; errors of
        # implicit entries are relative to the largest
        wrong = self._matrix.entry_accuracy() * xp.max(xp.abs(diagonal), axis=-1)
        self._noise = 8 * rank * eps(a.like) * xp.abs(diagonal) + wrong[..., None]
        self._lowest = xp.min(diagonal, axis=-1)
        self.residual = xp.where(diagonal > self._noise, diagonal, xp.zeros_like(diagonal))
        self.tail = xp.maximum(diagonal, xp.zeros_like(diagonal))
        with quiet_overflow():
            self.trace = xp.sum(self.tail, axis=-1)
        _require_range(self.trace, a)
        self.weakest = xp.ones_like(self.trace)
        self._rows = xp.zeros((*self._batch, rank, n), dtype=a.dtype, device=self._place)  # the factor, transposed
        self._pivots = xp.full((*self._batch, rank), -1, dtype=xp.int64, device=self._place)
        self._count = xp.zeros((*self._batch, 1), dtype=xp.int64, device=self._place)
        self._span = (0, 0)  # smallest and largest number of pivots in the stack
        self._progress, self._stalled = (-1, -1), 0  # pivots and open entries; blocks that changed neither
        self.unfinished = self._look()

    def _look(self) -> bool:
        """Update the span; return True if a matrix is unfinished; raise ValueError if the iteration would never end."""
        xp = self._xp
        open_count = xp.sum(xp.astype(self.residual > 0, xp.int64), axis=-1, keepdims=True)
        finite = xp.all(xp.isfinite(self.tail), axis=-1, keepdims=True)
        open_count = to_host(xp.where(finite, open_count, -xp.ones_like(open_count)))
        if open_count.min(initial=0) < 0:
            raise ValueError(f"a of shape {(*self._batch, *self.tail.shape[-1:] * 2)} {NOT_FINITE}")
        alive = xp.any(self.residual > 0, axis=-1, keepdims=True) & (self._count < self._rank)
        count, on = to_host(self._count).reshape(-1), to_host(alive).reshape(-1)
        # finished matrices get no more rows: they do not extend the window
        self._span = (int(count[on].min()) if on.any() else 0, int(count.max()))
        progress = (int(count.sum()), int(open_count.sum()))
        self._stalled = self._stalled + 1 if progress == self._progress else 0
        self._progress = progress
        if self._stalled > _PATIENCE:
            raise ValueError(
                f"no pivot of {_PATIENCE} blocks was accepted: the columns of a contradict its diagonal; return "
                "the same entries from diagonal(), columns() and principal()"
            )
        return bool(on.any())

    def advance(self, proposals: Array, uniforms: Array) -> None:
        """Eliminate those of the proposed pivots (..., b) that are accepted at the given uniform numbers (b,)."""
        xp, most = self._xp, self._span[1]
        core, rows = self._core(proposals)
        known = take_columns(self._rows[..., :most, :], proposals)  # (..., most, b)
        if most:
            core = core - known.mT @ known
        noise = xp.take_along_axis(self._noise, proposals, axis=-1)
        # accepted where the current residual exceeds u times the proposing one: samples by the current residual
        thresholds = xp.maximum(uniforms * xp.take_along_axis(self.residual, proposals, axis=-1), noise)
        step = accept(core, thresholds, noise, self._rank - self._count)
        width = step.order.shape[-1]
        if width:
            self.weakest = xp.minimum(self.weakest, xp.min(xp.linalg.diagonal(step.lower), axis=-1) ** 2)
            chosen = xp.take_along_axis(proposals, step.order, axis=-1)
            raw = self._matrix.rows(chosen) if rows is None else take_rows(rows, step.order)
            self._append(step, raw, chosen, take_columns(known, step.order).mT)
        spent = scatter_rows(xp.astype(step.spent, core.dtype)[..., None], proposals, self.tail.shape[-1])[..., 0] > 0
        done = xp.sum(self.tail, axis=-1) <= self._rtol * self.trace
        blocked = spent | (self.tail <= self._noise) | (self.residual <= 0) | done[..., None]
        self.residual = xp.where(blocked, xp.zeros_like(self.tail), self.tail)
        self.unfinished = self._look()

    def _core(self, proposals: Array) -> tuple[Array, Array | None]:
        """Return the entries (..., b, b) among proposals, and their rows (..., b, n) where those had to be read."""
        core = self._matrix.principal(proposals)
        if core is not None:
            return core, None
        rows = self._matrix.rows(proposals)  # symmetric: rows are columns
        return take_columns(rows, proposals), rows

    def _append(self, step: Step, raw: Array, pivots: Array, coupling: Array) -> None:
        """Eliminate the accepted pivots (..., w), whose columns are ``raw`` (..., w, n), and store their rows."""
        xp, (least, most), width = self._xp, self._span, raw.shape[-2]
        taken = xp.arange(width, device=self._place) < step.gained  # (..., w)
        if not step.even:  # matrices that gain fewer than w: the place of a pivot holds one that adds nothing
            raw = xp.where(taken[..., None], raw, xp.zeros_like(raw))
            coupling = xp.where(taken[..., None], coupling, xp.zeros_like(coupling))
        together = least == most  # all matrices at one position: what is beyond the gain of one is zero
        window = slice(least, min(most + width, self._rank))
        target = self._rows[..., window, :] if together else None
        rows = next_rows(step.lower, raw, coupling, self._rows[..., :most, :], out=target)
        if self._rtol > 0:
            taken = taken & self._needed(rows)
            rows = xp.where(taken[..., None], rows, xp.zeros_like(rows))
        if not together:
            slots = xp.arange(window.start, window.stop, device=self._place)
            position = self._count + xp.arange(width, device=self._place)
            goes = (position[..., None, :] == slots[:, None]) & taken[..., None, :]  # (..., window, w)
            self._rows[..., window, :] += xp.astype(goes, rows.dtype) @ rows
            named = xp.where(goes, pivots[..., None, :] + 1, xp.zeros_like(pivots[..., None, :]))
            self._pivots[..., window] += xp.sum(named, axis=-1)
        else:
            if rows is not target:
                self._rows[..., window, :] = rows
            self._pivots[..., window] = xp.where(taken, pivots, xp.full_like(pivots, -1))
        self._count = self._count + xp.sum(xp.astype(taken, xp.int64), axis=-1, keepdims=True)
        tail = self.tail - squared_column_norms(rows)
        self._lowest = xp.minimum(self._lowest, xp.min(tail, axis=-1))
        self.tail = xp.maximum(tail, xp.zeros_like(tail))

    def _needed(self, rows: Array) -> Array:
        """Return which of the next rows (..., w, n) precede the one that meets the tolerance, booleans (..., w)."""
        xp = self._xp
        gains = xp.cumulative_sum(xp.sum(rows * rows, axis=-1), axis=-1, include_initial=True)
        before = xp.sum(self.tail, axis=-1, keepdims=True) - gains[..., :-1]
        return before > self._rtol * self.trace[..., None]

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


def _require_range(trace: Array, a: StructuredMatrix) -> None:
    """Raise ValueError unless traces (...) are finite, and zero or far above the smallest normal number.

    Pivots cannot be sampled in proportion to a sum that has overflowed.
    """
    xp = array_namespace(trace)
    least = float(xp.finfo(trace.dtype).smallest_normal) / eps(trace) ** 2
    if bool(xp.any(~xp.isfinite(trace) | ((trace > 0) & (trace < least)))):
        raise ValueError(
            f"the trace of a matrix of the {a.shape} stack leaves the range of {dtype_name(trace.dtype)}, or its "
            f"rounding does; scale a to entries of about one"
        )


def _with_entries(a: StructuredMatrix) -> StructuredMatrix:
    """Return a matrix with cheap rows: symmetric by construction, or dense."""
    if a.symmetric:
        return a
    dense = Dense(a.to_dense())
    xp = array_namespace(dense.array)
    largest, diagonal = largest_entries(dense.array), xp.max(dense.diagonal(), axis=-1)
    # |a_ij| <= max(a_ii, a_jj) in a positive semidefinite matrix
    if bool(xp.any(largest > diagonal * (1 + 8 * a.shape[-1] * eps(dense.array)))):
        raise ValueError(
            "a is not positive semidefinite: its largest entry is not on the diagonal; "
            "use RandomizedSVD for indefinite matrices"
        )
    return dense
