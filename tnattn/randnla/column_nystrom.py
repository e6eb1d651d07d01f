"""The Nyström approximation of positive semidefinite matrices from some of their columns."""

from __future__ import annotations

from dataclasses import dataclass, field

from tnattn.arrays import Array, Rng, array_namespace, device, eps
from tnattn.linalg import cholesky, solve_triangular
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.column_selection import ColumnSelection, UniformColumns
from tnattn.randnla.interpolative import require_selection
from tnattn.randnla.operand import EntriesOperator, require_count, require_rank, require_symmetric
from tnattn.randnla.submatrices import columns_at, take_rows
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense
from tnattn.structured.low_rank import Factored


@dataclass(frozen=True, eq=False, repr=False)
class ColumnNystromResult(Factored):
    """Positive semidefinite matrices ``factor factor^T``, C W^+ C^T for columns C and their intersection W.

    Parameters
    ----------
    factor : Array, (..., n, rank)
    indices : Array, (..., rank), integer
        The columns, in the order of the selection, with repetitions if it draws with replacement; -1 fills up stacks
        whose matrices took different numbers of columns.
    residual_trace : Array, (...)
        Trace of the matrix minus the approximation: its nuclear error. NaN where the diagonal is not at hand.
    """

    factor: Array
    indices: Array
    residual_trace: Array

    def factors(self) -> tuple[Array, Array]:
        return self.factor, self.factor.mT


@dataclass(frozen=True)
class ColumnNystrom(MatrixMethod):
    """Approximates a positive semidefinite matrix from chosen columns.

    Parameters
    ----------
    rank : int
        Number of columns, positive.
    selection : ColumnSelection
        The rule that chooses them: ``UniformColumns()``, ``GivenColumns(...)``, ``LeverageDraws()``,
        ``RidgeLeverageDraws()``, ``VolumeColumns()``.

    Notes
    -----
    The selection, ``rank`` columns of the matrix, and O(n rank^2); memory O(n rank) if the selection does with as much
    and the entries come on demand. Williams & Seeger 2001. Deviation: the intersection is shifted by a rounding error's
    worth instead of being pseudo-inverted, as Tropp et al. 2017 do for sketches. That the matrix is symmetric and not
    indefinite is checked as far as the columns show it.
    """

    rank: int = rank_budget(16)
    selection: ColumnSelection = field(default_factory=UniformColumns)

    def __post_init__(self) -> None:
        require_count(self.rank, "rank", least=1)
        require_selection(self.selection)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> ColumnNystromResult:
        require_symmetric(a)
        require_rank(self.rank, a.shape)
        return nystrom_of_columns(a, self.selection.select(a, self.rank, rng=rng))


def nystrom_of_columns(a: StructuredMatrix, indices: Array) -> ColumnNystromResult:
    """Return the Nyström approximation of matrices (..., n, n) from their columns at indices (..., r).

    An index of -1 stands for no column.
    """
    xp = array_namespace(a.like)
    real = indices >= 0
    if bool(xp.all(real)):
        columns = columns_at(a, indices)
        core = take_rows(columns, indices)
    else:
        places = xp.where(real, indices, xp.zeros_like(indices))
        columns = columns_at(a, places) * xp.astype(real, a.dtype)[..., None, :]
        core = take_rows(columns, places) * xp.astype(real, a.dtype)[..., None]
    factor = _factor(columns, core)
    diagonal = _diagonal(a)
    if diagonal is None:
        trace = xp.full_like(xp.sum(core, axis=(-2, -1)), float("nan"))
    else:
        trace = xp.sum(diagonal, axis=-1) - xp.sum(factor * factor, axis=(-2, -1))
    return ColumnNystromResult(factor, indices, trace)


def _factor(columns: Array, core: Array) -> Array:
    """Return C L^-T for the Cholesky factor L of the shifted intersection; checks that it is semidefinite."""
    xp = array_namespace(columns)
    r, n = core.shape[-1], columns.shape[-2]
    largest = xp.max(xp.abs(core), axis=(-2, -1))
    if bool(xp.any(xp.max(xp.abs(core - core.mT), axis=(-2, -1)) > 8 * n * eps(core) * largest)):
        raise ValueError("a is not symmetric where its columns meet; symmetrise it, or use CUR or RandomizedSVD")
    top = xp.max(xp.linalg.diagonal(core), axis=-1)
    shift = 4 * r * eps(core) * xp.where(top > 0, top, xp.ones_like(top))[..., None, None]
    identity = xp.eye(r, dtype=core.dtype, device=device(core))
    try:
        lower = cholesky((core + core.mT) / 2 + shift * identity)
    except ValueError as error:
        raise ValueError(
            f"a is not positive semidefinite: the {r} columns chosen meet in a matrix with a negative eigenvalue; "
            f"use RandomizedSVD for indefinite matrices"
        ) from error
    return solve_triangular(lower, columns.mT, lower=True).mT


def _diagonal(a: StructuredMatrix) -> Array | None:
    if isinstance(a, EntriesOperator):
        return a.diagonal()
    if isinstance(a, Dense):
        return array_namespace(a.array).linalg.diagonal(a.array)
    return None
