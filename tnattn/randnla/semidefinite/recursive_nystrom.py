"""Nyström approximation from columns sampled by ridge leverage scores, estimated recursively or exact."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace, choice, device, eps, require_rng, uniform
from tnattn.device_budget import DeviceBudget, DeviceCounts, blocks
from tnattn.linalg import cholesky, eigh, solve_triangular
from tnattn.linalg.scaling import smallest_normal
from tnattn.randnla.accuracy import require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.columns.selection import for_every_matrix
from tnattn.randnla.scores import relative_scores, sample_indices
from tnattn.randnla.semidefinite.column_nystrom import ColumnNystromResult, nystrom_of_columns
from tnattn.randnla.symmetry import symmetric_dense
from tnattn.scalars import require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense
from tnattn.structured.gather import take_rows


@dataclass(frozen=True)
class RecursiveNystrom(MatrixMethod):
    """Nyström approximation from columns sampled by ridge leverage scores that are estimated recursively.

    Parameters
    ----------
    rank : int
        Number of columns, positive.

    Notes
    -----
    ``rank`` columns of the matrix at each of log2(n / rank) levels, O(n rank^2) operations there and O(n rank) memory;
    the matrix may be implicit. The scores of all columns are estimated from a sample of half of them, those of the half
    from a quarter, and so on: Musco & Musco 2017, Algorithm 3, with its ridge, the mean of the eigenvalues of the
    sampled kernel beyond the first rank / (4 log rank). Deviations: samples have a fixed size and are taken with
    replacement, the last one without; entire columns are read at every level, not their halves. The halves and the
    uniform numbers are shared by the matrices of a stack.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import RecursiveNystrom
    >>> from tnattn.gallery import gaussian_kernel
    >>> points = np.linspace(0, 10, 200)[:, None]
    >>> result = RecursiveNystrom(rank=40)(gaussian_kernel(points), rng=np.random.default_rng(0))
    >>> print(np.unique(result.indices).shape, result.residual < 1e-3)
    (40,) True
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(180, waits=9, copies=3), {"level": DeviceCounts(110, waits=3, copies=3)}
    )

    domain: ClassVar = "semidefinite"
    residual_norm: ClassVar = "trace"

    rank: int = rank_budget(16)

    def __post_init__(self) -> None:
        require_count(self.rank, "rank", least=1)

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"level": blocks(target.shape[-1], self.rank).bit_length()}  # each halves the columns

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> ColumnNystromResult:
        source = require_rng(rng, "RecursiveNystrom")
        require_rank(self.rank, a.shape)
        if not a.symmetric:
            a = symmetric_dense(a)
        xp, n = array_namespace(a.like), a.shape[-1]
        # nested halves of one random permutation
        order = choice(source, n, n, replace=False, like=a.like)
        sizes = _halves(n, self.rank)
        sample = for_every_matrix(order[: self.rank], a)
        weights = xp.full((*a.batch, self.rank), sizes[0] / self.rank, dtype=a.dtype, device=device(a.like))
        for size in sizes[1:]:
            scores = self._scores(a, sample, weights)
            if size == n:
                return nystrom_of_columns(a, _distinct(scores, uniform(source, (n,), like=a.like), self.rank))
            scores = xp.take(scores, order[:size], axis=-1)
            drawn = sample_indices(scores, uniform(source, (self.rank,), like=a.like))
            # weights 1 / (rank p_i) make the sampled kernel unbiased
            chance = xp.take_along_axis(scores, drawn, axis=-1) / xp.sum(scores, axis=-1, keepdims=True)
            sample, weights = _lookup(order, drawn), 1 / (self.rank * chance)
        return nystrom_of_columns(a, sample)

    def _scores(self, a: StructuredMatrix, sample: Array, weights: Array) -> Array:
        """Return multiples of the ridge leverage scores (..., n), estimated from a weighted sample (..., s) of columns.

        The diagonal of ``K - K S (S^T K S + ridge I)^-1 S^T K``: Musco & Musco 2017, Algorithm 3, without its factor.
        """
        xp = array_namespace(a.like)
        root = xp.sqrt(weights)
        columns = a.columns(sample) * root[..., None, :]
        core = take_rows(columns, sample) * root[..., None]
        core = (core + core.mT) / 2
        values = xp.maximum(xp.flip(eigh(core)[0], axis=-1), xp.zeros_like(root))
        k = max(1, math.ceil(self.rank / (4 * math.log(max(self.rank, 3)))))
        tiny = smallest_normal(core)  # a zero matrix has no scale of its own
        least_ridge = self.rank * xp.maximum(eps(core) * values[..., 0], xp.full_like(values[..., 0], tiny))
        ridge = xp.maximum(xp.sum(values[..., k:], axis=-1) / k, least_ridge)
        identity = xp.eye(self.rank, dtype=core.dtype, device=device(core))
        try:
            lower = cholesky(core + ridge[..., None, None] * identity)
        except ValueError as error:
            raise ValueError("a is not positive semidefinite; use RandomizedSVD for indefinite matrices") from error
        seen = xp.sum(xp.square(solve_triangular(lower, columns.mT, lower=True)), axis=-2)
        diagonal = a.diagonal()
        # cancellation may turn a small score into zero, which is never sampled; the least score is relative to the
        # entry itself, so that zero columns do not compete with those that the sample has exhausted
        size = xp.abs(diagonal)
        least = eps(core) * (size + eps(core) * xp.max(size, axis=-1, keepdims=True)) + tiny
        return xp.maximum(diagonal - seen, least)


def _halves(n: int, least: int) -> list[int]:
    """Return n, n/2, n/4, ..., rounded up, not below ``least``, in ascending order."""
    sizes = [n]
    while sizes[-1] > least:
        sizes.append(max(least, -(-sizes[-1] // 2)))
    return sizes[::-1]


def _lookup(table: Array, indices: Array) -> Array:
    xp = array_namespace(table)
    return xp.reshape(xp.take(table, xp.reshape(indices, (-1,))), indices.shape)


def _distinct(weights: Array, uniforms: Array, size: int) -> Array:
    """Sample ``size`` distinct indices, one after the other in proportion to positive weights (..., n)."""
    xp = array_namespace(weights)
    tiny = xp.full_like(uniforms, eps(uniforms))
    clocks = -xp.log(xp.maximum(1 - uniforms, tiny)) / weights  # exponential waiting times with these rates
    return xp.argsort(clocks, axis=-1)[..., :size]


@dataclass(frozen=True)
class RidgeNystrom(MatrixMethod):
    """Nyström approximation from columns included independently by their exact ridge leverage scores.

    Parameters
    ----------
    ridge : float
        Positive, relative to the mean of the diagonal: the target error in the spectral norm.
    failure : float
        Probability that the error exceeds the ridge, in (0, 1/8).

    Notes
    -----
    O(n^3) and the dense matrix for the exact scores l_i; column i is included with probability min(1, 16 l_i log(sum l
    / failure)), independently. Musco & Musco 2017, Theorem 3. The uniform numbers are shared by the matrices of a
    stack, whose factors are padded by zero columns.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import RidgeNystrom
    >>> from tnattn.gallery import gaussian_kernel
    >>> a = gaussian_kernel(np.linspace(0, 2, 200)[:, None])
    >>> result = RidgeNystrom(ridge=1.0)(a, rng=np.random.default_rng(0))
    >>> print(result.ranks < 150, np.linalg.norm(a - result.to_dense(), 2) < 1.0)
    True True
    """

    domain: ClassVar = "semidefinite"
    residual_norm: ClassVar = "trace"

    ridge: float = 0.1
    failure: float = 0.1

    def __post_init__(self) -> None:
        if not self.ridge > 0:
            raise ValueError(f"ridge is {self.ridge!r}; a positive number is needed")
        if not 0 < self.failure < 1 / 8:
            raise ValueError(f"failure is {self.failure!r}; 0 < failure < 1/8 is needed")

    def probabilities(self, kernel: Array) -> Array:
        """Return the inclusion probabilities (..., n) of the columns of dense matrices (..., n, n)."""
        xp = array_namespace(kernel)
        scores = relative_scores(kernel, self.ridge)
        # an effective dimension below the failure probability makes the logarithm negative: at least log(e) = 1
        level = xp.sum(scores, axis=-1, keepdims=True) / self.failure
        boost = 16 * xp.log(xp.maximum(level, xp.full_like(level, math.e)))
        return xp.minimum(boost * scores, xp.ones_like(scores))

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> ColumnNystromResult:
        source = require_rng(rng, "RidgeNystrom")
        dense = symmetric_dense(a).dense_view()
        xp = array_namespace(dense)
        taken = uniform(source, (a.shape[-1],), like=dense) < self.probabilities(dense)  # (..., n)
        # the included columns of every matrix first, -1 beyond
        width = max(1, int(xp.max(xp.sum(xp.astype(taken, xp.int64), axis=-1))))
        front = xp.argsort(xp.astype(~taken, xp.int64), axis=-1, stable=True)[..., :width]
        included = xp.take_along_axis(xp.astype(taken, xp.int64), front, axis=-1) > 0
        return nystrom_of_columns(Dense(dense), xp.where(included, front, xp.full_like(front, -1)))
