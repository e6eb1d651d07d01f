"""CUR decomposition: approximation by some columns and some rows of the matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.device_budget import DeviceBudget, DeviceCounts, blocks
from tnattn.linalg import largest_entry, numerical_svd, orthonormalise_with_factor
from tnattn.randnla.accuracy import LeadingTerms, RankOrTolerance, TrimmedFactors, leading_terms, require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.columns.deim import QDEIMColumns
from tnattn.randnla.columns.nested_errors import in_greedy_order, nested_errors
from tnattn.randnla.columns.selection import ColumnSelection, SubspaceSelection, require_selection
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.gather import take_rows


@dataclass(frozen=True, eq=False, repr=False)
class CURResult(TrimmedFactors):
    """Matrices ``C middle R`` with columns C and rows R of the original, held as ``left core right``.

    The middle matrix is as ill-conditioned as the columns and the rows; products are therefore computed with
    orthonormal bases of their spans, which avoids the loss of accuracy.

    Parameters
    ----------
    left : Array, (..., m, rank)
    core : Array, (..., rank, rank)
    right : Array, (..., rank, n)
    middle : Array, (..., rank, rank)
        The matrix U of CUR, for the columns at ``column_indices`` and the rows at ``row_indices``.
    column_indices, row_indices : Array, (..., rank), integer
    ranks, residual, converged
        See ``Accuracy``. Without a tolerance ``ranks`` are the numerical ranks of what was inverted: the smaller of
        those of columns and rows, or that of their intersection.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import CUR
    >>> a = np.outer([1.0, 2.0, 3.0], [4.0, 0.0, 5.0, 1.0])
    >>> result = CUR(rank=1)(a)
    >>> c, r = a[:, result.column_indices], a[result.row_indices]
    >>> print(result.column_indices, result.row_indices, np.allclose(c @ result.middle @ r, a))
    [2] [2] True
    """

    degrees: ClassVar[Mapping[str, float]] = {"core": 1.0, "middle": -1.0}

    left: Array
    core: Array
    right: Array
    middle: Array
    column_indices: Array
    row_indices: Array

    def factors(self) -> tuple[Array, Array]:
        return self.left @ self.core, self.right


@dataclass(frozen=True)
class CUR(MatrixMethod, RankOrTolerance):
    """Approximation by selected columns and rows, with the optimal middle matrix.

    Parameters
    ----------
    rank, rtol
        See ``RankOrTolerance``: the number of columns, and of rows. A tolerance needs the projection; leading
        parts of the selected columns and rows are used, in the order of pivoted QR factorisations of them.
    selection : ColumnSelection
        Rule for the columns and, applied to the transpose, for the rows: ``QDEIMColumns()``, ``DEIMColumns()`` and
        ``LeverageDraws()`` share one singular value decomposition for both; ``QRColumns()`` needs none.
    projection : bool
        Middle matrix C^+ A R^+, which is optimal and costs one more product with the matrix. Otherwise the
        pseudo-inverse of the intersection of columns and rows, and no other entries are read.

    Notes
    -----
    The selection, a product with the matrix and O((m + n) rank^2); with a tolerance three times that, or twice and the
    Frobenius norm of an implicit matrix, for which the tolerance is at least ``2 sqrt(eps)``. Residuals are exact, not
    estimates. Mahoney & Drineas 2009; Sorensen & Embree 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import CUR
    >>> from tnattn.gallery import exponential_spectrum, matrix_with_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = matrix_with_spectrum(exponential_spectrum(50), (80, 50), rng)
    >>> result = CUR(rank=8)(a)
    >>> best = np.linalg.norm(exponential_spectrum(50)[8:])
    >>> print(result.column_indices.shape, np.linalg.norm(a - result.to_dense()) < 4 * best)
    (8,) True
    """

    # columns and rows are selected
    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(320, waits=12, copies=6),
        {"pivot": DeviceCounts(95), "block of 32 pivots": DeviceCounts(12, waits=1, copies=1)},
    )

    rank: int = rank_budget(16)
    selection: ColumnSelection = field(default_factory=QDEIMColumns)
    projection: bool = True
    rtol: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_selection(self.selection)
        if self.rtol is not None and not self.projection:
            raise ValueError(
                f"rtol is {self.rtol} without the projection, but columns and rows alone do not determine the error; "
                f"set projection=True, or use PartialPivotCross(rtol=...), which estimates it"
            )

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"pivot": 2 * self.rank, "block of 32 pivots": 2 * blocks(self.rank, 32)}

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
        terms = _leading_terms(a, left, right, self.rtol)
        result = _projected(
            a, terms.columns(columns), terms.rows(across.mT), terms.indices(columns_of), terms.indices(rows_of)
        )
        return replace(result, **terms.accuracy(self.rtol, f"rank {self.rank}"))

    def _indices(self, a: StructuredMatrix, rng: Rng | None) -> tuple[Array, Array]:
        rule = self.selection
        if isinstance(rule, SubspaceSelection):
            # one decomposition: right singular vectors select columns, left ones rows
            parts = rule.decompose(a, self.rank, rng=rng)
            return rule.points(parts.vt.mT, self.rank, rng=rng), rule.points(parts.u, self.rank, rng=rng)
        return rule.select(a, self.rank, rng=rng), rule.select(a.mT, self.rank, rng=rng)


def _projected(a: StructuredMatrix, columns: Array, rows: Array, columns_of: Array, rows_of: Array) -> CURResult:
    # C (C^+ A R^+) R = U (U^T A V) V^T with orthonormal bases of the spans, truncated at the numerical ranks
    u, column_inverse, wt, column_ranks = numerical_svd(columns)
    y, row_inverse, vt, row_ranks = numerical_svd(rows)
    xp, core = array_namespace(columns), u.mT @ (a @ vt.mT)
    middle = (wt.mT * column_inverse[..., None, :]) @ core @ (row_inverse[..., None] * y.mT)
    return CURResult(u, core, vt, middle, columns_of, rows_of, ranks=xp.minimum(column_ranks, row_ranks))


def _leading_terms(a: StructuredMatrix, left: Array, right: Array, rtol: float) -> LeadingTerms:
    """Return the leading columns and rows that a tolerance needs, from orthonormal bases of their spans."""
    xp = array_namespace(left)
    core = left.mT @ (a @ right)
    unit = largest_entry(core)  # squares neither overflow nor vanish
    squares = (core / unit) ** 2
    # squared norm of the last row and column of each leading block: the gain of one more column and row
    gains = xp.sum(xp.tril(squares), axis=-1) + xp.sum(xp.triu(squares, k=1), axis=-2)
    return leading_terms(nested_errors(a, left @ core, right.mT, gains, unit=unit, rtol=rtol), rtol, like=core)


def _through_intersection(columns: Array, rows: Array, columns_of: Array, rows_of: Array) -> CURResult:
    # C G^+ R with the pseudo-inverse truncated at the numerical rank of the intersection G
    u, inverse, vt, ranks = numerical_svd(take_rows(columns, rows_of))
    scaled = vt.mT * inverse[..., None, :]  # (..., rank, rank)
    q, r = orthonormalise_with_factor(rows.mT)  # the core alone has the scale of the matrix, as ``degrees`` states
    return CURResult(columns @ scaled, u.mT @ r.mT, q.mT, scaled @ u.mT, columns_of, rows_of, ranks=ranks)
