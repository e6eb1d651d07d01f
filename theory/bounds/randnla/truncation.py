"""Truncating what a range finder found: the loss, given the basis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from theory import errors
from theory.bound import Instance, Source, Values, conditional_bound, require
from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_singular_values
from theory.errors import singular_values
from theory.guarantee import Deterministic
from tnattn.arrays import Array, Rng
from tnattn.linalg import small_svd
from tnattn.randnla.base import MatrixMethod
from tnattn.randnla.qb import QB
from tnattn.randnla.range_finder import RangeFinder
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import Factored


@dataclass(frozen=True, eq=False, repr=False)
class TruncatedProjection(Factored):
    """The best approximation of a projection ``q q^T a`` at a lower rank, ``left right``, beside its basis."""

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
    """

    range_finder: RangeFinder = field(default_factory=RangeFinder)

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> TruncatedProjection:
        found, k = QB(self.range_finder).factorise(a, rng=rng), self.range_finder.rank
        v, s, wt = small_svd(found.b.mT)
        return TruncatedProjection(found.q @ wt.mT[..., :k], s[..., :k, None] * v.mT[..., :k, :], found.q)


def _gap(rng: np.random.Generator) -> Instance:
    return TruncatedQB(RangeFinder(rank=4, oversampling=4)), with_singular_values(rng, gap_spectrum(4, 48), 48, 56)


def _slow(rng: np.random.Generator) -> Instance:
    return TruncatedQB(RangeFinder(rank=5, oversampling=5)), with_singular_values(rng, slow_spectrum(40), 48, 40)


@conditional_bound(
    method=TruncatedQB,
    error=errors.projection_spectral,
    guarantee=Deterministic(),
    source=Source("Halko, Martinsson & Tropp 2011", "Theorem 9.3"),
    extremal=_gap,
    generic=_slow,
)
def rsvd_truncation_structural(method: TruncatedQB, a: Any, result: TruncatedProjection) -> Values:
    """||A - Q [Q^T A]_k|| <= s_{k+1} + ||A - Q Q^T A||, whatever the basis.

    For diag(3, 2, 1), k = 1 and the first two coordinates as Q: the error is 2, at most 2 + 1.
    """
    k, s = method.range_finder.rank, singular_values(a)
    require(k < s.shape[-1], "k < min(m, n)")
    q, matrix = errors.dense(result.q), errors.dense(a)
    missed = np.linalg.norm(matrix - q @ (np.swapaxes(q, -1, -2) @ matrix), ord=2, axis=(-2, -1))
    return np.asarray(s[..., k] + missed)
