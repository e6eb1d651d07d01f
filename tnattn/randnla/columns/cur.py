"""CUR decomposition: a matrix through some of its columns and some of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.linalg import orthonormalise_with_factor
from tnattn.randnla.arguments import require_count, require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.columns.deim import QDEIMColumns
from tnattn.randnla.columns.interpolative import require_selection
from tnattn.randnla.columns.pivoted_qr import largest_entry
from tnattn.randnla.columns.selection import ColumnSelection
from tnattn.randnla.columns.subspace_selection import SubspaceSelection
from tnattn.randnla.columns.truncated_pseudo_inverse import numerical_svd
from tnattn.randnla.nested_errors import in_greedy_order, kept_ranks, nested_errors, stored
from tnattn.randnla.tolerance import require_optional_tolerance, warn_of_missed, within
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.gather import take_rows
from tnattn.structured.low_rank import LowRankMatrix


@dataclass(frozen=True, eq=False, repr=False)
class CURResult(LowRankMatrix):
    """Matrices ``C middle R`` with columns C and rows R of the original, held as ``left core right``.

    The middle matrix is as ill-conditioned as the columns and the rows are; products go through bounded factors of the
    spans of columns and rows instead, which gives the same without the loss.

    Parameters
    ----------
    left : Array, (..., m, rank)
    core : Array, (..., rank, rank)
    right : Array, (..., rank, n)
    middle : Array, (..., rank, rank)
        The matrix U of CUR, for the columns at ``column_indices`` and the rows at ``row_indices``.
    column_indices, row_indices : Array, (..., rank), integer
    ranks : Array, (...), integer
        Numerical ranks of what was inverted: the smaller of those of columns and rows, or that of their intersection.
        Where a tolerance chose them, the number of columns and of rows kept for every matrix, beyond which everything
        is zero and indices are -1.
    residual : Array, (...), optional
        Realised ``||a - C middle R||_F / ||a||_F``, with a tolerance.
    converged : Array, (...), boolean, optional
        Whether the residual is within the tolerance, or is rounding.
    """

    degrees: ClassVar[Mapping[str, float]] = {"core": 1.0, "middle": -1.0}

    left: Array
    core: Array
    right: Array
    middle: Array
    column_indices: Array
    row_indices: Array
    ranks: Array
    residual: Array | None = None
    converged: Array | None = None

    @property
    def storage(self) -> int:
        if self.converged is None:
            return super().storage
        return stored(self.ranks, self.shape)

    def factors(self) -> tuple[Array, Array]:
        return self.left @ self.core, self.right


@dataclass(frozen=True)
class CUR(MatrixMethod):
    """Approximates a matrix by chosen columns and rows with the middle matrix that suits them best.

    Parameters
    ----------
    rank : int
        Number of columns and of rows, positive.
    selection : ColumnSelection
        The rule that chooses columns, and rows of the transpose: ``QDEIMColumns()``, ``DEIMColumns()`` and
        ``LeverageDraws()`` share one singular value decomposition for both; ``QRColumns()`` needs none.
    projection : bool
        Take the middle matrix C^+ A R^+, which is optimal and costs one more product with the matrix. Otherwise it is
        the pseudo-inverse of the intersection of columns and rows, and no other entries are looked at.
    rtol : float, optional
        Tolerance ``||a - C middle R||_F <= rtol ||a||_F``, with the projection only. Every matrix of a stack then keeps
        the smallest leading parts of the selected columns and rows, equally many of both and in the order of pivoted QR
        factorisations of them, that meet it, ``rank`` at most. One that would need more keeps ``rank``, is not
        ``converged``, and causes a ``ToleranceWarning``. No smaller than ``2 sqrt(eps)`` for implicit matrices of more
        than a million entries.

    Notes
    -----
    The selection, a product with the matrix and O((m + n) rank^2); with a tolerance thrice that, or twice and the
    Frobenius norm of an implicit matrix. The errors are those of the projections, not estimates. Mahoney & Drineas
    2009; Sorensen & Embree 2016.
    """

    rank: int = rank_budget(16)
    selection: ColumnSelection = field(default_factory=QDEIMColumns)
    projection: bool = True
    rtol: float | None = None

    def __post_init__(self) -> None:
        require_count(self.rank, "rank", least=1)
        require_selection(self.selection)
        require_optional_tolerance(self.rtol)
        if self.rtol is not None and not self.projection:
            raise ValueError(
                f"rtol is {self.rtol} without the projection, whose error nobody sees in the columns and rows alone; "
                f"set projection=True, or use PartialPivotCross(rtol=...), which estimates it"
            )

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> CURResult:
        require_rank(self.rank, a.shape)
        columns_of, rows_of = self._indices(a, rng)
        columns, rows = a.columns(columns_of), a.rows(rows_of)
        if not self.projection:
            return _through_intersection(columns, rows, columns_of, rows_of)
        if self.rtol is None:
            return _projected(a, columns, rows, columns_of, rows_of)
        columns, columns_of, left = in_greedy_order(columns, columns_of)
        across, rows_of, right = in_greedy_order(rows.mT, rows_of)
        rows = across.mT
        ranks, residual, kept = _needed(a, left, right, self.rtol)
        converged = within(residual, self.rtol)
        warn_of_missed(converged, residual, self.rtol, f"rank {self.rank}")
        xp, width = array_namespace(columns), kept.shape[-1]
        there = xp.astype(kept, columns.dtype)
        columns, rows = columns[..., :width] * there[..., None, :], rows[..., :width, :] * there[..., None]
        columns_of, rows_of = (
            xp.where(kept, i[..., :width], -xp.ones_like(i[..., :width])) for i in (columns_of, rows_of)
        )
        result = _projected(a, columns, rows, columns_of, rows_of)
        return replace(result, ranks=ranks, residual=residual, converged=converged)

    def _indices(self, a: StructuredMatrix, rng: Rng | None) -> tuple[Array, Array]:
        rule = self.selection
        if isinstance(rule, SubspaceSelection):
            parts = rule.decompose(a, self.rank, rng=rng)
            return rule.points(parts.vt.mT, self.rank, rng=rng), rule.points(parts.u, self.rank, rng=rng)
        return rule.select(a, self.rank, rng=rng), rule.select(a.mT, self.rank, rng=rng)


def _projected(a: StructuredMatrix, columns: Array, rows: Array, columns_of: Array, rows_of: Array) -> CURResult:
    u, column_inverse, wt, column_ranks = numerical_svd(columns)
    y, row_inverse, vt, row_ranks = numerical_svd(rows)
    xp, core = array_namespace(columns), u.mT @ (a @ vt.mT)
    middle = (wt.mT * column_inverse[..., None, :]) @ core @ (row_inverse[..., None] * y.mT)
    return CURResult(u, core, vt, middle, columns_of, rows_of, xp.minimum(column_ranks, row_ranks))


def _needed(a: StructuredMatrix, left: Array, right: Array, rtol: float) -> tuple[Array, Array, Array]:
    """Return how many columns and rows, of which bases are given, a tolerance needs, what is left, which are kept."""
    xp = array_namespace(left)
    core = left.mT @ (a @ right)
    unit = largest_entry(core)
    squares = (core / unit) ** 2
    # what the leading block of the core has in its last row and column
    gains = xp.sum(xp.tril(squares), axis=-1) + xp.sum(xp.triu(squares, k=1), axis=-2)
    return kept_ranks(nested_errors(a, left @ core, right.mT, gains, unit=unit, rtol=rtol), rtol)


def _through_intersection(columns: Array, rows: Array, columns_of: Array, rows_of: Array) -> CURResult:
    u, inverse, vt, ranks = numerical_svd(take_rows(columns, rows_of))
    scaled = vt.mT * inverse[..., None, :]  # (..., rank, rank)
    q, r = orthonormalise_with_factor(rows.mT)  # so that the core alone has the scale of the matrix
    return CURResult(columns @ scaled, u.mT @ r.mT, q.mT, scaled @ u.mT, columns_of, rows_of, ranks)
