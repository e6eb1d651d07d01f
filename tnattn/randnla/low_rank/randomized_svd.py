"""The randomized singular value decomposition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace
from tnattn.linalg import leading_svd, orthonormalise, small_svd, truncation_tails
from tnattn.randnla.arguments import require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.low_rank.adaptive_qb import AdaptiveQB, AdaptiveQBResult
from tnattn.randnla.low_rank.narrowed import narrowed, survives
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.randnla.nested_errors import kept_ranks
from tnattn.randnla.sketches.base import Sketch, meeting
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.tolerance import warn_of_missed
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense
from tnattn.structured.low_rank import LowRankMatrix
from tnattn.structured.matrix_by_matrix import matrix_by_matrix


@dataclass(frozen=True, eq=False, repr=False)
class RandomizedSVDResult(LowRankMatrix):
    """Truncated singular value decompositions ``u diag(s) vt``.

    Parameters
    ----------
    u : Array, (..., m, rank)
        Columns orthonormal.
    s : Array, (..., rank)
        Descending, non-negative.
    vt : Array, (..., rank, n)
        Rows orthonormal.
    ranks : Array, (...), integer, optional
        Where a tolerance chose them: triples kept for every matrix, the others being zero.
    residual : Array, (...), optional
        Realised ``||a - u diag(s) vt||_F / ||a||_F``, with a tolerance.
    converged : Array, (...), boolean, optional
        Whether the residual is within the tolerance.
    """

    degrees: ClassVar[Mapping[str, float]] = {"s": 1.0}

    u: Array
    s: Array
    vt: Array
    ranks: Array | None = None
    residual: Array | None = None
    converged: Array | None = None

    @property
    def storage(self) -> int:
        if self.ranks is None:
            return super().storage
        total = int(array_namespace(self.ranks).sum(self.ranks))
        return total * (int(self.u.shape[-2]) + int(self.vt.shape[-1]))

    def factors(self) -> tuple[Array, Array]:
        return self.u, self.s[..., None] * self.vt


@dataclass(frozen=True)
class RandomizedSVD(MatrixMethod):
    """Truncates the projection onto a randomized range to the target rank.

    Parameters
    ----------
    rank : int
        Target rank, positive.
    oversampling : int
        Further columns of the test matrix, dropped again by the truncation.
    power_iterations : int
        Non-negative; each one costs two more products with the matrix. With four the Frobenius error on slow spectra
        (``1 / j``, ``j^(-1/2)``) is at most 1.004 of the best at ranks up to 100; with none it is 1.17 to 1.5.
    sketch : Sketch
        Distribution of the test matrix.
    rtol : float, optional
        Tolerance ``||a - u diag(s) vt||_F <= rtol ||a||_F``; every matrix of a stack then gets the smallest rank that
        its basis allows, ``rank`` at most. One that would need more keeps ``rank`` triples, is not ``converged``, and
        causes a ``ToleranceWarning``. See ``AdaptiveQB`` for how small it may be and what it costs.

    Notes
    -----
    2 m n (rank + oversampling) (2 + 2 power_iterations) flops in products with the matrix, and O((m + n) (rank +
    oversampling)^2). All but the last product with a large float64 array on the host are taken in float32 where that
    adds less than ``1e-7 (rank + oversampling)`` of the squared error, which is checked, see ``narrowed.survives``;
    steep spectra, and anything without oversampling, stay in float64. Halko, Martinsson & Tropp 2011, Algorithms 4.4
    and 5.1, truncated as in their Section 9.4.
    """

    rank: int = rank_budget(16)
    oversampling: int = 10
    power_iterations: int = 4
    sketch: Sketch = field(default_factory=Gaussian)
    rtol: float | None = None

    def __post_init__(self) -> None:
        self.range_finder.__post_init__()
        if self.rtol is not None:
            self._adaptive(self.rank).__post_init__()

    @property
    def range_finder(self) -> RangeFinder:
        """The range finder of the same parameters."""
        return RangeFinder(self.rank, self.oversampling, self.power_iterations, self.sketch)

    def _adaptive(self, limit: int) -> AdaptiveQB:
        assert self.rtol is not None
        return AdaptiveQB(self.rtol, limit, power_iterations=self.power_iterations, sketch=self.sketch)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> RandomizedSVDResult:
        if self.rtol is not None:
            require_rank(self.rank, a.shape)
            return self._within(self._adaptive(self.range_finder.size).extended(a, rng=rng), self.rtol)
        omega = self.range_finder.test_matrix(a, rng=rng)
        return RandomizedSVDResult(*matrix_by_matrix(lambda one: self._one(one, omega), a))

    def _one(self, a: StructuredMatrix, omega: StructuredMatrix) -> tuple[Array, Array, Array]:
        narrow = narrowed(a) if self.rank < omega.shape[-1] else None
        if narrow is not None:
            xp = array_namespace(narrow.array)
            y = self.range_finder.sample(narrow, Dense(xp.astype(meeting(omega, a).to_dense(), narrow.dtype)))
            u, s, vt = _projected(a, xp.astype(y, a.dtype), keep=self.rank + 1)
            if survives(s, self.rank):
                return u[:, : self.rank], s[: self.rank], vt[: self.rank, :]
        return _projected(a, self.range_finder.sample(a, omega), keep=self.rank)

    def _within(self, found: AdaptiveQBResult, rtol: float) -> RandomizedSVDResult:
        v, s, wt = small_svd(found.b.mT)
        wide = accumulator_dtype(s)
        missed = array_namespace(s).astype(found.residual, wide, copy=False) ** 2
        result = smallest_truncation(found.q @ wt.mT, s, v.mT, missed, rank=self.rank, rtol=rtol)
        assert result.converged is not None
        warn_of_missed(result.converged, result.residual, rtol, f"rank {self.rank}")
        return result


def smallest_truncation(u: Array, s: Array, vt: Array, missed: Array, *, rank: int, rtol: float) -> RandomizedSVDResult:
    """Return the smallest truncations of projections within a tolerance: what is missed and what is cut off add up.

    Parameters
    ----------
    u, s, vt : Array, (..., m, l), (..., l), (..., l, n)
        Singular triples of projections of matrices, all of them.
    missed : Array, (...)
        Relative squared errors of the projections, of the accumulating dtype.
    rank : int
        Largest number of triples kept.
    rtol : float
    """
    xp = array_namespace(s)
    tails = xp.astype(truncation_tails(s), accumulator_dtype(s), copy=False) ** 2
    # the squared norm of the projection is (1 - missed) ||a||^2
    whole = xp.where(tails[..., 0] > 0, tails[..., 0], xp.ones_like(missed)) / (1 - missed)
    errors = missed[..., None] + tails / whole[..., None]  # relative and squared, for ranks 0, 1, ...
    ranks, error, kept = kept_ranks(errors[..., : min(rank, s.shape[-1]) + 1], rtol**2)
    residual = xp.astype(xp.sqrt(error), s.dtype, copy=False)
    return RandomizedSVDResult(*padded(u, s, vt, kept), ranks, residual, error <= rtol**2)


def padded(u: Array, s: Array, vt: Array, kept: Array) -> tuple[Array, Array, Array]:
    """Return as many singular triples as some matrix of a stack keeps, zero where one does not."""
    keep, largest = array_namespace(s).astype(kept, s.dtype), kept.shape[-1]
    return u[..., :largest] * keep[..., None, :], s[..., :largest] * keep, vt[..., :largest, :] * keep[..., :, None]


def _projected(a: StructuredMatrix, y: Array, *, keep: int) -> tuple[Array, Array, Array]:
    """Return the leading singular triples of the projection of matrices onto the range of y."""
    q = orthonormalise(y)
    # q^T a = (a^T q)^T = (v s w^T)^T; the long factor stands on the left, where the small SVD wants it
    v, s, wt = leading_svd(a.mT @ q, keep=keep)
    return q @ wt.mT, s, v.mT
