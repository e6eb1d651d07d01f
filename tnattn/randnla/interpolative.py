"""Interpolative decomposition: a matrix as combinations of some of its columns."""

from __future__ import annotations

from dataclasses import dataclass, field

from tnattn.arrays import Array, Rng, array_namespace, device
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.column_selection import ColumnSelection
from tnattn.randnla.operand import require_count, require_rank
from tnattn.randnla.pivoted_qr import QRColumns
from tnattn.randnla.submatrices import columns_at
from tnattn.randnla.truncated_pseudo_inverse import numerical_svd
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import Factored


@dataclass(frozen=True, eq=False, repr=False)
class InterpolativeResult(Factored):
    """Matrices ``columns coefficients``, which agree with the original in the chosen columns.

    Parameters
    ----------
    columns : Array, (..., m, rank)
        The columns of the matrix at ``indices``.
    coefficients : Array, (..., rank, n)
        The identity at ``indices``.
    indices : Array, (..., rank), integer
    ranks : Array, (...), integer
        Numerical ranks of the chosen columns.
    """

    columns: Array
    coefficients: Array
    indices: Array
    ranks: Array

    def factors(self) -> tuple[Array, Array]:
        return self.columns, self.coefficients


@dataclass(frozen=True)
class InterpolativeDecomposition(MatrixMethod):
    """Combines chosen columns so that every other column is met as well as they can.

    Parameters
    ----------
    rank : int
        Number of columns, positive.
    selection : ColumnSelection
        The rule that chooses them: ``QRColumns()`` and ``StrongColumns()`` are deterministic, with a sketch they are
        randomized and look at the matrix through one product.

    Notes
    -----
    The selection, one product with the transpose of the matrix and O((m + n) rank^2). Cheng, Gimbutas, Martinsson &
    Rokhlin 2005. Deviation: coefficients are least-squares solutions for the matrix itself, not for its sketch: the
    same as the usual ones without a sketch, and better with one.
    """

    rank: int = rank_budget(16)
    selection: ColumnSelection = field(default_factory=QRColumns)

    def __post_init__(self) -> None:
        require_count(self.rank, "rank", least=1)
        require_selection(self.selection)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> InterpolativeResult:
        require_rank(self.rank, a.shape)
        indices = self.selection.select(a, self.rank, rng=rng)
        columns = columns_at(a, indices)
        u, inverse, vt, ranks = numerical_svd(columns)
        coefficients = vt.mT @ (inverse[..., None] * (a.mT @ u).mT)
        return InterpolativeResult(columns, _with_identity(coefficients, indices), indices, ranks)


def _with_identity(coefficients: Array, indices: Array) -> Array:
    """Put the identity at the chosen columns, where least squares gives it up to rounding or, if singular, not."""
    xp = array_namespace(coefficients)
    place = device(coefficients)
    chosen = indices[..., None] == xp.arange(coefficients.shape[-1], device=place)  # (..., rank, n)
    # of a column chosen twice the first speaks
    first = chosen & (xp.cumulative_sum(xp.astype(chosen, xp.int64), axis=-2) == 1)
    anywhere = xp.any(chosen, axis=-2, keepdims=True)
    return xp.where(anywhere, xp.astype(first, coefficients.dtype), coefficients)


def require_selection(selection: ColumnSelection) -> None:
    """Raise TypeError unless something is a rule that chooses columns."""
    if not isinstance(selection, ColumnSelection):
        raise TypeError(f"selection is {selection!r}; a ColumnSelection such as QRColumns() is needed")
