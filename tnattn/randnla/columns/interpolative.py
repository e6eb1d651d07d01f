"""Interpolative decomposition: a matrix as combinations of some of its columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device
from tnattn.randnla.arguments import require_count, require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.columns.pivoted_qr import QRColumns, largest_entry
from tnattn.randnla.columns.selection import ColumnSelection
from tnattn.randnla.columns.truncated_pseudo_inverse import numerical_svd
from tnattn.randnla.nested_errors import in_greedy_order, kept_ranks, nested_errors, stored
from tnattn.randnla.tolerance import require_above_rounding, require_optional_tolerance, warn_of_missed, within
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import LowRankMatrix


@dataclass(frozen=True, eq=False, repr=False)
class InterpolativeResult(LowRankMatrix):
    """Matrices ``skeleton coefficients``, which agree with the original in the chosen columns.

    Parameters
    ----------
    skeleton : Array, (..., m, rank)
        The columns of the matrix at ``indices``.
    coefficients : Array, (..., rank, n)
        The identity at ``indices``.
    indices : Array, (..., rank), integer
    ranks : Array, (...), integer
        Numerical ranks of the chosen columns; where a tolerance chose them, the number of columns kept for every
        matrix, beyond which columns and coefficients are zero and indices -1.
    residual : Array, (...), optional
        Realised ``||a - skeleton coefficients||_F / ||a||_F``, with a tolerance.
    converged : Array, (...), boolean, optional
        Whether the residual is within the tolerance, or is rounding.
    """

    degrees: ClassVar[Mapping[str, float]] = {"skeleton": 1.0}

    skeleton: Array
    coefficients: Array
    indices: Array
    ranks: Array
    residual: Array | None = None
    converged: Array | None = None

    def factors(self) -> tuple[Array, Array]:
        return self.skeleton, self.coefficients

    @property
    def storage(self) -> int:
        if self.converged is None:
            return super().storage
        return stored(self.ranks, self.shape)


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
    rtol : float, optional
        Tolerance ``||a - skeleton coefficients||_F <= rtol ||a||_F``. Every matrix of a stack then keeps the smallest
        leading part of the selected columns, in the order of a pivoted QR factorisation of them, that meets it,
        ``rank`` columns at most. One that would need more keeps
        ``rank``, is not ``converged``, and causes a ``ToleranceWarning``. No smaller than ``2 sqrt(eps)`` for implicit
        matrices of more than a million entries.

    Notes
    -----
    The selection, one product with the transpose of the matrix and O((m + n) rank^2); with a tolerance twice that, or
    the Frobenius norm of an implicit matrix. The errors are those of the projections onto the leading columns, not
    estimates. Cheng, Gimbutas, Martinsson &
    Rokhlin 2005. Deviation: coefficients are least-squares solutions for the matrix itself, not for its sketch: the
    same as the usual ones without a sketch, and better with one.
    """

    rank: int = rank_budget(16)
    selection: ColumnSelection = field(default_factory=QRColumns)
    rtol: float | None = None

    def __post_init__(self) -> None:
        require_count(self.rank, "rank", least=1)
        require_selection(self.selection)
        require_optional_tolerance(self.rtol)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> InterpolativeResult:
        require_rank(self.rank, a.shape)
        if self.rtol is not None:
            return self._adaptive(a, self.rtol, rng)
        indices = self.selection.select(a, self.rank, rng=rng)
        columns = a.columns(indices)
        coefficients, ranks = _least_squares(a, columns)
        return InterpolativeResult(columns, _with_identity(coefficients, indices), indices, ranks)

    def _adaptive(self, a: StructuredMatrix, rtol: float, rng: Rng | None) -> InterpolativeResult:
        xp, rule = array_namespace(a.like), self.selection
        require_above_rounding(rtol, a.like)
        if isinstance(rule, QRColumns):
            indices = rule.select_within(a, self.rank, rtol=rtol, rng=rng)
        else:
            indices = rule.select(a, self.rank, rng=rng)
        columns = a.columns(indices)
        columns, indices, q = in_greedy_order(columns, indices)
        b = (a.mT @ q).mT
        unit = largest_entry(b)
        errors = nested_errors(a, q, b, xp.sum((b / unit) ** 2, axis=-1), unit=unit, rtol=rtol)
        ranks, residual, kept = kept_ranks(errors, rtol)
        width = kept.shape[-1]
        columns = columns[..., :width] * xp.astype(kept, columns.dtype)[..., None, :]
        indices = xp.where(kept, indices[..., :width], -xp.ones_like(indices[..., :width]))
        coefficients = _with_identity(_least_squares(a, columns)[0], indices)
        coefficients = coefficients * xp.astype(kept, columns.dtype)[..., None]
        converged = within(residual, rtol)
        warn_of_missed(converged, residual, rtol, f"rank {self.rank}")
        return InterpolativeResult(columns, coefficients, indices, ranks, residual, converged)


def _least_squares(a: StructuredMatrix, columns: Array) -> tuple[Array, Array]:
    """Return the coefficients (..., rank, n) that come closest to a matrix, and the numerical ranks of the columns."""
    u, inverse, vt, ranks = numerical_svd(columns)
    return vt.mT @ (inverse[..., None] * (a.mT @ u).mT), ranks


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
