"""Interpolative decomposition: linear combinations of some columns of the matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device
from tnattn.device_budget import DeviceBudget, DeviceCounts, blocks
from tnattn.linalg import largest_entry, numerical_svd
from tnattn.randnla.accuracy import RankOrTolerance, TrimmedFactors, leading_terms, require_above_rounding, require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.columns.nested_errors import in_greedy_order, nested_errors
from tnattn.randnla.columns.pivoted_qr import QRColumns
from tnattn.randnla.columns.selection import ColumnSelection, require_selection
from tnattn.structured.base import StructuredMatrix


@dataclass(frozen=True, eq=False, repr=False)
class InterpolativeResult(TrimmedFactors):
    """Approximations ``skeleton coefficients``, equal to the matrix in the selected columns.

    Parameters
    ----------
    skeleton : Array, (..., m, rank)
        The columns of the matrix at ``indices``.
    coefficients : Array, (..., rank, n)
        The identity at ``indices``.
    indices : Array, (..., rank), integer
    ranks, residual, converged
        See ``Accuracy``. Without a tolerance ``ranks`` are the numerical ranks of the chosen columns.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import InterpolativeDecomposition
    >>> a = np.array([[1.0, 0.0, 1.0], [0.0, 2.0, 2.0]])
    >>> result = InterpolativeDecomposition(rank=2)(a)
    >>> print(result.indices, np.round(result.coefficients, 2))
    [2 1] [[ 1.  0.  1.]
     [-1.  1.  0.]]
    """

    degrees: ClassVar[Mapping[str, float]] = {"skeleton": 1.0}

    skeleton: Array
    coefficients: Array
    indices: Array

    def factors(self) -> tuple[Array, Array]:
        return self.skeleton, self.coefficients


@dataclass(frozen=True)
class InterpolativeDecomposition(MatrixMethod, RankOrTolerance):
    """Least-squares approximation of all columns by linear combinations of selected ones.

    Parameters
    ----------
    rank, rtol
        See ``RankOrTolerance``: the number of columns. With a tolerance a leading part of the selected columns is kept,
        in the order of a pivoted QR factorisation of them.
    selection : ColumnSelection
        Rule for the columns: ``QRColumns()`` and ``StrongColumns()`` are deterministic; with a sketch they are
        randomized and take one product with the matrix.

    Notes
    -----
    The selection, one product with the transpose of the matrix and O((m + n) rank^2); with a tolerance twice that, or
    the Frobenius norm of an implicit matrix, for which the tolerance is at least ``2 sqrt(eps)``. Residuals are
    exact, not estimates. Cheng, Gimbutas, Martinsson & Rokhlin 2005. Deviation:
    coefficients are least-squares solutions for the matrix itself, not for its sketch: the same as the usual ones
    without a sketch, and better with one.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import InterpolativeDecomposition
    >>> from tnattn.gallery import exponential_spectrum, matrix_with_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = matrix_with_spectrum(exponential_spectrum(50), (80, 50), rng)
    >>> result = InterpolativeDecomposition(rank=8)(a)
    >>> best = np.linalg.norm(exponential_spectrum(50)[8:])
    >>> print(result.indices.shape, np.linalg.norm(a - result.to_dense()) < 3 * best)
    (8,) True
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(200, waits=8, copies=3),
        {"pivot": DeviceCounts(95), "block of 32 pivots": DeviceCounts(12, waits=1, copies=1)},
    )

    rank: int = rank_budget(16)
    selection: ColumnSelection = field(default_factory=QRColumns)
    rtol: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_selection(self.selection)

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"pivot": self.rank, "block of 32 pivots": blocks(self.rank, 32)}

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> InterpolativeResult:
        require_rank(self.rank, a.shape)
        if self.rtol is not None:
            return self._adaptive(a, self.rtol, rng)
        indices = self.selection.select(a, self.rank, rng=rng)
        columns = a.columns(indices)
        coefficients, ranks = _least_squares(a, columns)
        return InterpolativeResult(columns, _with_identity(coefficients, indices), indices, ranks=ranks)

    def _adaptive(self, a: StructuredMatrix, rtol: float, rng: Rng | None) -> InterpolativeResult:
        xp, rule = array_namespace(a.like), self.selection
        require_above_rounding(rtol, a.like)
        if isinstance(rule, QRColumns):
            indices = rule.select_within(a, self.rank, rtol=rtol, rng=rng)
        else:
            indices = rule.select(a, self.rank, rng=rng)
        columns = a.columns(indices)
        columns, indices, q = in_greedy_order(columns, indices)
        # the projection onto the first k columns is Q_k Q_k^T A: row k of Q^T A is the gain of column k
        b = (a.mT @ q).mT
        unit = largest_entry(b)
        errors = nested_errors(a, q, b, xp.sum((b / unit) ** 2, axis=-1), unit=unit, rtol=rtol)
        terms = leading_terms(errors, rtol, like=columns)
        # coefficients anew: those of fewer columns are not a part of those of all
        columns, indices = terms.columns(columns), terms.indices(indices)
        coefficients = terms.rows(_with_identity(_least_squares(a, columns)[0], indices))
        return InterpolativeResult(columns, coefficients, indices, **terms.accuracy(rtol, f"rank {self.rank}"))


def _least_squares(a: StructuredMatrix, columns: Array) -> tuple[Array, Array]:
    """Return the least-squares coefficients (..., rank, n) of a matrix, and the numerical ranks of the columns."""
    u, inverse, vt, ranks = numerical_svd(columns)
    return vt.mT @ (inverse[..., None] * (a.mT @ u).mT), ranks


def _with_identity(coefficients: Array, indices: Array) -> Array:
    """Return coefficients with the exact identity at the selected columns, also where these are dependent."""
    xp = array_namespace(coefficients)
    place = device(coefficients)
    chosen = indices[..., None] == xp.arange(coefficients.shape[-1], device=place)  # (..., rank, n)
    # a column selected twice: its first occurrence has the coefficient one
    first = chosen & (xp.cumulative_sum(xp.astype(chosen, xp.int64), axis=-2) == 1)
    anywhere = xp.any(chosen, axis=-2, keepdims=True)
    return xp.where(anywhere, xp.astype(first, coefficients.dtype), coefficients)
