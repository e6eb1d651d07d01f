"""Range finders at their target rank: the loss by truncation, and the angles of the leading vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from theory.bounds.hypotheses import has_rank
from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, steep_spectrum, with_singular_values
from theory.bounds.randnla.range_finder import require_gaussian
from theory.bounds.randnla.subspace import angle_expected
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error, spectrum_of
from theory.statement.guarantee import InExpectation
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.arrays import Array, Rng
from tnattn.linalg import small_svd
from tnattn.randnla.base import MatrixMethod
from tnattn.randnla.low_rank.qb import QB
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import LowRankMatrix


@dataclass(frozen=True, eq=False, repr=False)
class TruncatedProjection(LowRankMatrix):
    """The best approximation of a projection ``q q^T a`` at a lower rank, ``left right``, beside its basis.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.randnla.truncation import TruncatedProjection
    >>> q = np.eye(3)[:, :2]
    >>> cut = TruncatedProjection(q[:, :1], np.array([[3.0, 0.0, 0.0]]), q)
    >>> cut.rank, np.diagonal(cut.to_dense()).tolist()
    (1, [3.0, 0.0, 0.0])
    """

    degrees: ClassVar[Mapping[str, float]] = {"right": 1.0}  # the matrix is scaled before it is factorised

    left: Array
    right: Array
    q: Array

    def factors(self) -> tuple[Array, Array]:
        return self.left, self.right


@dataclass(frozen=True)
class TruncatedQB(MatrixMethod):
    """``RandomizedSVD`` with the basis that it forgets, to be compared with theorems.

    Parameters
    ----------
    range_finder : RangeFinder
        Its rank is that of the truncation.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.randnla.truncation import TruncatedQB
    >>> from tnattn.randnla.low_rank.range_finder import RangeFinder
    >>> a, method = np.diag([3.0, 2.0, 1.0]), TruncatedQB(RangeFinder(rank=1, oversampling=2))
    >>> result = method(a, rng=np.random.default_rng(0))
    >>> result.q.shape, round(float(np.linalg.norm(a - result.to_dense(), ord=2)), 4)
    ((3, 3), 2.0)
    """

    range_finder: RangeFinder = field(default_factory=RangeFinder)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> TruncatedProjection:
        found, k = QB(self.range_finder).factorise(a, rng=rng), self.range_finder.rank
        # b = Q^T A is short and wide: its transpose is tall, as the small SVD wants it
        v, s, wt = small_svd(found.b.mT)
        return TruncatedProjection(found.q @ wt.mT[..., :k], s[..., :k, None] * v.mT[..., :k, :], found.q)


def _gap(rng: np.random.Generator) -> Instance:
    return TruncatedQB(RangeFinder(rank=4, oversampling=4, power_iterations=0)), with_singular_values(
        rng, gap_spectrum(4, 48), 48, 56
    )


def _slow(rng: np.random.Generator) -> Instance:
    return TruncatedQB(RangeFinder(rank=5, oversampling=5, power_iterations=0)), with_singular_values(
        rng, slow_spectrum(40), 48, 40
    )


halko = Paper("Halko, Martinsson & Tropp 2011", method=TruncatedQB, instances=(_gap, _slow))


@halko("Theorem 9.3", error=errors.projection_spectral)
def rsvd_truncation_structural(method: TruncatedQB, a: Any, result: TruncatedProjection) -> Values:
    """||A - Q [Q^T A]_k|| <= s_{k+1} + ||A - Q Q^T A||, whatever the basis.

    For diag(3, 2, 1), k = 1 and the first two coordinates as Q: the error is 2, at most 2 + 1.

    Letters: Q the orthonormal basis; k the rank of the truncation.
    Hypotheses: k < min(m, n).
    """
    k, s = method.range_finder.rank, spectrum_of(a)
    require(k < s.shape[-1], "k < min(m, n)")
    q, matrix = errors.dense(result.q), errors.dense(a)
    # the norm of a difference, not a root of a difference of squares
    residual = np.linalg.norm(matrix - q @ (np.swapaxes(q, -1, -2) @ matrix), ord=2, axis=(-2, -1))
    return np.asarray(s[..., k] + residual)


def _sines_squared(target: Any, result: TruncatedProjection) -> Values:
    u = np.linalg.svd(errors.dense(target), full_matrices=False)[0][..., : result.rank]
    q = errors.dense(result.q)
    return np.asarray(np.sum((u - q @ (np.swapaxes(q, -1, -2) @ u)) ** 2, axis=-2))


def _one(target: Any) -> Values:
    return np.ones((*target.shape[:-2], 1))


leading_sines_squared = Error(
    "squared sines of the angles of leading left singular vectors to the range", _sines_squared, _one, _one, _one
)


def _apart(rng: np.random.Generator) -> Instance:
    spectrum = [80.0, 40.0, *([1.0] * 30)]
    return TruncatedQB(RangeFinder(rank=2, oversampling=3, power_iterations=0)), with_singular_values(
        rng, spectrum, 32, 40
    )


def _steep(rng: np.random.Generator) -> Instance:
    finder = RangeFinder(rank=4, oversampling=2, power_iterations=0)
    return TruncatedQB(finder), with_singular_values(rng, steep_spectrum(30, ratio=0.6), 40, 30)


saibaba = Paper("Saibaba 2019", method=TruncatedQB, instances=(_apart, _steep))


@saibaba("re-derived", error=leading_sines_squared, guarantee=InExpectation(), must_fail=0.1)
def subspace_vector_angles_expected(method: TruncatedQB, a: Any) -> Values:
    """E sin^2(u_j, range Q) <= sum_{i>k} (s_i/s_j)^(4q+2) / (p-1) for j <= k; one value per j.

    For s_j = 1/j, 30 of them, k = 5, p = 3 and q = 1: 1.9086e-05 for the first, 0.29822 for the fifth.

    Letters: u_j the left singular vectors; Q the orthonormal basis; k the rank of the truncation; q the number of power
    iterations; p the oversampling.
    Hypotheses: the test matrix is Gaussian; k >= 1; p >= 2; k + p <= min(m, n); rank A >= k, beyond rounding.
    """
    finder, s = method.range_finder, spectrum_of(a)
    require_gaussian(finder, a, rank=1, oversampling=2, power=True)
    require(has_rank(a, finder.rank, s), "rank A >= k, beyond rounding")
    k, p, q = finder.rank, finder.oversampling, finder.power_iterations
    return np.stack([angle_expected(s, j, k, p, q) for j in range(1, k + 1)], axis=-1)
