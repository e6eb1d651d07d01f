"""Nyström approximation of positive semidefinite matrices from some of their columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device, eps, prefers_host_tiles
from tnattn.linalg import cholesky
from tnattn.randnla.accuracy import (
    Accuracy,
    RankOrTolerance,
    counted,
    judged,
    leading_terms,
    require_above_rounding,
    require_rank,
)
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.columns import ColumnSelection, UniformColumns, require_selection
from tnattn.randnla.semidefinite.substitution import extend_rows
from tnattn.randnla.symmetry import require_symmetric
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.gather import take_columns
from tnattn.structured.low_rank import LowRankMatrix

__all__ = ["ColumnNystrom", "ColumnNystromResult"]

# columns at a time on the host, where BLAS is at full speed; with a tolerance this is the first block, and each later
# one is as large as all before it, so that at most half of the columns read are unused
_BLOCK = 100


@dataclass(frozen=True, eq=False, repr=False)
class ColumnNystromResult(Accuracy, LowRankMatrix):
    """Positive semidefinite matrices ``factor factor^T``, C W^+ C^T for columns C and their intersection W.

    Parameters
    ----------
    factor : Array, (..., n, rank)
        Zero columns where a matrix has a smaller rank.
    indices : Array, (..., rank), integer
        The columns, in the order of the selection, with repetitions if it samples with replacement; padded by -1 where
        the matrices of a stack have different ranks.
    residual_trace : Array, (...)
        Trace of the matrix minus the approximation: the error in the nuclear norm. NaN without an explicit diagonal.
    ranks, residual, converged
        See ``Accuracy``; the residual in the nuclear norm, NaN without an explicit diagonal.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import ColumnNystrom, GivenColumns
    >>> a = np.diag([4.0, 3.0, 2.0, 1.0])
    >>> result = ColumnNystrom(rank=2, selection=GivenColumns((0, 1)))(a)
    >>> print(result.indices, round(float(result.residual_trace), 2), round(float(result.residual), 2))
    [0 1] 3.0 0.3
    """

    degrees: ClassVar[Mapping[str, float]] = {"factor": 0.5, "residual_trace": 1.0}

    factor: Array
    indices: Array
    residual_trace: Array

    def factors(self) -> tuple[Array, Array]:
        return self.factor, self.factor.mT


@dataclass(frozen=True)
class ColumnNystrom(MatrixMethod, RankOrTolerance):
    """Nyström approximation C W^+ C^T of a positive semidefinite matrix from selected columns.

    Parameters
    ----------
    rank, rtol
        See ``RankOrTolerance``: the number of columns, and a tolerance on the trace of the residual relative to that of
        the matrix. It needs the diagonal: an array, a sparse matrix, or ``KernelEntries``. Columns are read in the
        order of the selection, in growing blocks, until all matrices of a stack meet it.
    selection : ColumnSelection
        Rule for the columns: ``UniformColumns()``, ``GivenColumns(...)``, ``LeverageDraws()``,
        ``RidgeLeverageDraws()``, ``VolumeColumns()``.

    Notes
    -----
    The selection, ``rank`` columns of the matrix, and O(n rank^2); memory O(n rank) if the selection needs no more and
    the matrix is implicit. Williams & Seeger 2001. Deviation: the intersection is shifted by a multiple of its rounding
    error instead of being pseudo-inverted, as Tropp et al. 2017 do for sketches. Symmetry and semidefiniteness are
    checked within the selected columns.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import ColumnNystrom
    >>> from tnattn.gallery import gaussian_kernel
    >>> points = np.linspace(0, 10, 200)[:, None]
    >>> a = gaussian_kernel(points)
    >>> result = ColumnNystrom(rank=40)(a, rng=np.random.default_rng(0))
    >>> print(result.indices.shape, np.linalg.norm(a - result.to_dense()) < 1e-3 * np.linalg.norm(a))
    (40,) True
    """

    recovers_rank: ClassVar = False
    domain: ClassVar = "semidefinite"
    residual_norm: ClassVar = "trace"

    rank: int = rank_budget(16)
    selection: ColumnSelection = field(default_factory=UniformColumns)
    rtol: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_selection(self.selection)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> ColumnNystromResult:
        require_symmetric(a)
        require_rank(self.rank, a.shape)
        require_above_rounding(self.rtol or 0.0, a.like)
        if self.rtol is not None and not a.explicit_diagonal:
            raise ValueError(
                f"rtol {self.rtol:g} needs the diagonal, which a {type(a).__name__} does not give; pass an array, a "
                f"sparse matrix or KernelEntries, or leave rtol out"
            )
        return nystrom_of_columns(a, self.selection.select(a, self.rank, rng=rng), rtol=self.rtol)


def nystrom_of_columns(a: StructuredMatrix, indices: Array, *, rtol: float | None = None) -> ColumnNystromResult:
    """Return the Nyström approximation of matrices (..., n, n) from their columns at indices (..., r).

    An index of -1 stands for no column. With a tolerance, which needs the diagonal, from the fewest leading columns
    that meet it; see ``ColumnNystrom``.
    """
    xp = array_namespace(a.like)
    goal, spent = 0.0 if rtol is None else rtol, f"rank {indices.shape[-1]}"
    rows, traces = _enough_rows(a, indices, goal)
    ranks = xp.full(traces.shape[:-1], rows.shape[-2], dtype=xp.int64, device=device(traces))
    if goal > 0:
        positive = xp.where(traces[..., :1] > 0, traces[..., :1], xp.ones_like(traces[..., :1]))
        terms = leading_terms(traces / positive, goal, like=traces)
        rows, indices, ranks = terms.rows(rows), terms.indices(indices), terms.ranks
    trace = xp.take_along_axis(traces, ranks[..., None], axis=-1)[..., 0]
    residual, converged = judged(trace, traces[..., 0], goal, spent)
    accuracy = {"ranks": counted(indices), "residual": residual, "converged": converged}
    return ColumnNystromResult(rows.mT, indices, trace, **accuracy)


def _enough_rows(a: StructuredMatrix, indices: Array, rtol: float) -> tuple[Array, Array]:
    """Return the transposed factors (..., k, n) of leading columns, and the residual traces of the first 0, 1, ..., k.

    Of all columns, or of those read in growing blocks until all matrices of the stack meet a tolerance. Traces that are
    not available are NaN.
    """
    xp = array_namespace(a.like)
    (*batch, n), r = a.shape[:-1], indices.shape[-1]
    diagonal = a.diagonal() if a.explicit_diagonal else None
    if diagonal is None:
        step, top = r, None
        traces = xp.full((*batch, 1), float("nan"), dtype=a.dtype, device=device(a.like))
    else:
        step = r if rtol == 0 and not prefers_host_tiles(a.like) else _BLOCK
        top = xp.max(_columns_at(diagonal[..., None, :], indices)[..., 0, :], axis=-1)
        traces = xp.sum(diagonal, axis=-1, keepdims=True)
    start = 0
    # the factor of leading columns is a leading part of the factor: blocks are appended by forward substitution
    rows = xp.zeros((*batch, r, n), dtype=a.dtype, device=device(a.like))
    while start < r and (rtol == 0 or bool(xp.any(traces[..., -1:] > rtol * traces[..., :1]))):
        stop = min(start + step, r)
        raw = _rows_at(a, indices[..., start:stop])
        core = _columns_at(raw, indices[..., start:stop])
        coupling = _columns_at(rows[..., :start, :], indices[..., start:stop]).mT  # (..., stop - start, start)
        lower = _checked_cholesky(core, coupling, top, (r, n), a.entry_accuracy())
        extend_rows(rows, start, xp.concat([coupling, lower], axis=-1), raw)
        gains = xp.vecdot(rows[..., start:stop, :], rows[..., start:stop, :])
        traces = xp.concat([traces, traces[..., -1:] - xp.cumulative_sum(gains, axis=-1)], axis=-1)
        start, step = stop, stop if rtol > 0 else step
    return rows[..., : max(1, start), :], traces


def _rows_at(a: StructuredMatrix, indices: Array) -> Array:
    """Return the columns at indices (..., r), zero for -1, as rows (..., r, n)."""
    xp = array_namespace(indices)
    real = indices >= 0
    no_padding = bool(xp.all(real))
    places = indices if no_padding else xp.where(real, indices, xp.zeros_like(indices))
    # symmetric: rows of an array follow each other in memory, an operator may lack the product with its transpose
    rows = a.rows(places) if a.explicit else a.columns(places).mT
    return rows if no_padding else rows * xp.astype(real, rows.dtype)[..., None]


def _columns_at(rows: Array, indices: Array) -> Array:
    """Return the columns (..., k, r) of rows (..., k, n) at indices (..., r), zero for -1."""
    xp = array_namespace(rows)
    real = indices >= 0
    columns = take_columns(rows, xp.where(real, indices, xp.zeros_like(indices)))
    return columns * xp.astype(real, rows.dtype)[..., None, :]


def _checked_cholesky(core: Array, coupling: Array, top: Array | None, sizes: tuple[int, int], accuracy: Any) -> Array:
    """Return the Cholesky factors of ``core - coupling coupling^T``, shifted; check for symmetry and semidefiniteness.

    ``top`` (...) is the largest diagonal entry of the r columns of a matrix of size n, ``sizes`` are r and n, and
    entries have errors of ``accuracy`` (...) times that, besides rounding.
    """
    xp, (r, n) = array_namespace(core), sizes
    if top is None:
        top = xp.max(xp.linalg.diagonal(core), axis=-1)
    largest = xp.max(xp.abs(core), axis=(-2, -1))
    if bool(xp.any(xp.max(xp.abs(core - core.mT), axis=(-2, -1)) > (8 * n * eps(core) + accuracy) * largest)):
        raise ValueError("a is not symmetric where its columns meet; symmetrise it, or use CUR or RandomizedSVD")
    # errors of the entries of a matrix of order r perturb its eigenvalues by at most r times as much (Weyl)
    shift = (r * (4 * eps(core) + accuracy) * xp.where(top > 0, top, xp.ones_like(top)))[..., None, None]
    identity = xp.eye(core.shape[-1], dtype=core.dtype, device=device(core))
    schur = (core + core.mT) / 2 + shift * identity
    try:
        return cholesky(schur - coupling @ coupling.mT if coupling.shape[-1] else schur)
    except ValueError as error:
        raise ValueError(
            f"a is not positive semidefinite: the {r} columns chosen meet in a matrix with a negative eigenvalue; "
            f"use RandomizedSVD for indefinite matrices"
        ) from error
