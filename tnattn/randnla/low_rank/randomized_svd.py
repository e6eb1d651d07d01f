"""Randomized singular value decomposition: a basis of the range, the SVD of the projection, truncation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, assert_never

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace
from tnattn.device_budget import DeviceBudget, DeviceCounts
from tnattn.linalg import leading_svd, orthonormalise, small_svd, truncation_tails
from tnattn.randnla.accuracy import LeadingTerms, RankOrTolerance, TrimmedFactors, leading_terms, require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.low_rank.adaptive_qb import AdaptiveQB
from tnattn.randnla.low_rank.range_finder import RangeFinder, narrowed, require_iteration, survives
from tnattn.randnla.sketches.base import Sketch
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.matrix_by_matrix import matrix_by_matrix

__all__ = ["RandomizedSVD", "RandomizedSVDResult"]


@dataclass(frozen=True, eq=False, repr=False)
class RandomizedSVDResult(TrimmedFactors):
    """Truncated singular value decompositions ``u diag(s) vt``.

    Parameters
    ----------
    u : Array, (..., m, rank)
        Columns orthonormal.
    s : Array, (..., rank)
        Descending, non-negative.
    vt : Array, (..., rank, n)
        Rows orthonormal.
    ranks, residual, converged
        See ``Accuracy``; with a tolerance.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import RandomizedSVD
    >>> svd = RandomizedSVD(rank=2)(np.diag([4.0, 3.0, 2.0, 1.0]), rng=np.random.default_rng(0))
    >>> print(svd.u.shape, np.round(svd.s, 3), svd.vt.shape, svd.storage)
    (4, 2) [4. 3.] (2, 4) 16
    """

    degrees: ClassVar[Mapping[str, float]] = {"s": 1.0}

    u: Array
    s: Array
    vt: Array

    def factors(self) -> tuple[Array, Array]:
        return self.u, self.s[..., None] * self.vt


@dataclass(frozen=True)
class RandomizedSVD(MatrixMethod, RankOrTolerance):
    """Singular value decomposition of the projection onto a randomized range, truncated to the target rank.

    Parameters
    ----------
    rank, rtol
        See ``RankOrTolerance``; ``AdaptiveQB`` for how small a tolerance may be and what it costs.
    oversampling : int
        Further columns of the test matrix, dropped again by the truncation.
    power_iterations : int
        Non-negative; each one costs two more products with the matrix. For slowly decaying spectra (``1 / j``,
        ``j^(-1/2)``) and ranks up to 100 the Frobenius error is at most 1.004 times the optimal one with four, 1.17 to
        1.5 times with none.
    sketch : Sketch
        Distribution of the test matrix.

    Notes
    -----
    2 m n (rank + oversampling) (2 + 2 power_iterations) flops in products with the matrix, and O((m + n) (rank +
    oversampling)^2). All but the last product with a large float64 array on the host are taken in float32 where that
    adds less than ``1e-7 (rank + oversampling)`` of the squared error, which is checked, see ``survives``; steep
    spectra, and anything without oversampling, stay in float64. Halko, Martinsson & Tropp 2011, Algorithms 4.4 and 5.1,
    truncated as in their Section 9.4.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import RandomizedSVD
    >>> from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = matrix_with_spectrum(polynomial_spectrum(50), (80, 50), rng)
    >>> svd = RandomizedSVD(rank=8)(a, rng=rng)
    >>> best = np.linalg.norm(polynomial_spectrum(50)[8:])
    >>> print(np.round(svd.s[:4], 2), round(float(np.linalg.norm(a - svd.to_dense()) / best), 2))
    [1.   0.5  0.33 0.25] 1.0
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(160, waits=8, copies=3), {"power iteration": DeviceCounts(70, waits=4, copies=1)}
    )

    rank: int = rank_budget(16)
    oversampling: int = 10
    power_iterations: int = 4
    sketch: Sketch = field(default_factory=Gaussian)
    rtol: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_iteration(self.oversampling, self.power_iterations, self.sketch)

    @property
    def range_finder(self) -> RangeFinder:
        """Basis of Stage A for a given rank."""
        return RangeFinder(self.rank, self.oversampling, self.power_iterations, self.sketch)

    @property
    def basis(self) -> RangeFinder | AdaptiveQB:
        """Basis of Stage A: of a given size, or extended until a tolerance is met."""
        if self.rtol is None:
            return self.range_finder
        size = self.range_finder.size
        return AdaptiveQB(self.rtol, size, power_iterations=self.power_iterations, sketch=self.sketch)

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"power iteration": self.power_iterations}

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> RandomizedSVDResult:
        require_rank(self.rank, a.shape)
        match self.basis:
            case RangeFinder() as basis:
                omega = basis.test_matrix(a, rng=rng)
                return RandomizedSVDResult(*matrix_by_matrix(lambda one: self._one(one, omega), a))
            case AdaptiveQB() as basis:
                projection = basis.extended(a, rng=rng)
                # Stage B for the projection Q B that is already there
                v, s, wt = small_svd(projection.b.mT)
                residual = array_namespace(s).astype(projection.residual, accumulator_dtype(s), copy=False)
                terms = leading_terms(projection_errors(s, residual**2), basis.rtol, like=s, most=self.rank)
                return trimmed(projection.q @ wt.mT, s, v.mT, terms, terms.accuracy(basis.rtol, f"rank {self.rank}"))
            case _ as never:
                assert_never(never)

    def _one(self, a: StructuredMatrix, omega: StructuredMatrix) -> tuple[Array, Array, Array]:
        """Return the leading singular triples for a test matrix: Algorithm 5.1, Stages A and B."""
        narrow = narrowed(a) if self.rank < omega.shape[-1] else None
        if narrow is not None:
            # one triple more than asked for: its singular value decides whether float32 was accurate enough
            u, s, vt = projected_svd(a, self.range_finder.sample_in_float32(narrow, a, omega), keep=self.rank + 1)
            if survives(s, self.rank):
                return u[:, : self.rank], s[: self.rank], vt[: self.rank, :]
        return projected_svd(a, self.range_finder.sample(a, omega), keep=self.rank)


def projected_svd(a: StructuredMatrix, y: Array, *, keep: int) -> tuple[Array, Array, Array]:
    """Return the leading singular triples of the projection of matrices onto the range of y."""
    q = orthonormalise(y)
    # q^T a = (a^T q)^T = (v s w^T)^T; the long factor stands on the left, where the small SVD wants it
    v, s, wt = leading_svd(a.mT @ q, keep=keep)
    return q @ wt.mT, s, v.mT


def projection_errors(s: Array, residual_squared: Array) -> Array:
    """Return the relative errors (..., 1 + l) of the truncations of a projection to its first 0, 1, ..., l triples.

    Parameters
    ----------
    s : Array, (..., l)
        All singular values of the projection.
    residual_squared : Array, (...)
        Relative squared error of the projection, of the accumulating dtype; it and the truncation's add up.
    """
    xp = array_namespace(s)
    tails = xp.astype(truncation_tails(s), accumulator_dtype(s), copy=False) ** 2
    # the squared norm of the projection, tails[..., 0], is (1 - residual_squared) ||a||^2
    positive = xp.where(tails[..., 0] > 0, tails[..., 0], xp.ones_like(residual_squared))
    norm_squared = positive / (1 - residual_squared)
    return xp.sqrt(residual_squared[..., None] + tails / norm_squared[..., None])


def trimmed(u: Array, s: Array, vt: Array, terms: LeadingTerms, accuracy: dict[str, Array]) -> RandomizedSVDResult:
    """Return the leading terms of singular value decompositions (..., m, l), (..., l), (..., l, n)."""
    return RandomizedSVDResult(terms.columns(u), terms.values(s), terms.rows(vt), **accuracy)
