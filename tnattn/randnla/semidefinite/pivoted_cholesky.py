"""Partial Cholesky factorisations of positive semidefinite matrices, with random or greedy pivots."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace, require_rng, uniform
from tnattn.device_budget import DeviceBudget, DeviceCounts, blocks
from tnattn.randnla.accuracy import Accuracy, RankOrTolerance, counted, judged, require_above_rounding
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.scores.leverage import sample_indices
from tnattn.randnla.semidefinite.elimination import Elimination
from tnattn.randnla.semidefinite.greedy_elimination import GreedyElimination
from tnattn.scalars import require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import LowRankMatrix

_ACCEPTED = 0.8  # share of the proposals of a block that is accepted where the residual decays slowly


@dataclass(frozen=True, eq=False, repr=False)
class PivotedCholeskyResult(Accuracy, LowRankMatrix):
    """Partial Cholesky factorisations ``factor factor^T``, equal to the matrix in the pivot columns.

    Parameters
    ----------
    factor : Array, (..., n, rank)
        Zero columns where the residual was exhausted before the rank was reached.
    pivots : Array, (..., rank), integer
        In the order of elimination, distinct; -1 for the zero columns.
    residual_trace : Array, (...)
        Trace of the matrix minus the approximation: the error in the nuclear norm.
    ranks, residual, converged
        See ``Accuracy``; the residual in the nuclear norm.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import GreedyPivotedCholesky
    >>> result = GreedyPivotedCholesky(rank=2)(np.diag([1.0, 4.0, 2.0]))
    >>> print(result.pivots, round(float(result.residual_trace), 3), round(float(result.residual), 3))
    [1 2] 1.0 0.143
    """

    degrees: ClassVar[Mapping[str, float]] = {"factor": 0.5, "residual_trace": 1.0}

    factor: Array
    pivots: Array
    residual_trace: Array

    def factors(self) -> tuple[Array, Array]:
        return self.factor, self.factor.mT


@dataclass(frozen=True)
class RandomlyPivotedCholesky(MatrixMethod, RankOrTolerance):
    """Partial Cholesky factorisation with pivots sampled in proportion to the diagonal of the residual.

    Parameters
    ----------
    rank, rtol
        See ``RankOrTolerance``: the number of pivots, and a tolerance on the trace of the residual relative to that of
        the matrix; ``rtol=0`` takes all pivots.
    block : int
        Pivots proposed at a time, positive. It changes the samples, not their distribution.

    Notes
    -----
    O(n rank^2). Reads the diagonal, the entries among the proposals and the columns of the pivots; for implicit
    matrices without ``principal`` (see ``PrincipalEntries``) the columns of rejected proposals too. Chen, Epperly,
    Tropp & Webber 2025, Algorithm 1, with the rejection sampling of Epperly, Tropp & Webber 2024: pivots proposed by
    the residual before a block are accepted with the probability that makes them samples by the current residual, and
    the block is eliminated at once. Deviation: residual entries below the rounding error of the elimination count as
    zero.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import RandomlyPivotedCholesky
    >>> from tnattn.gallery import gaussian_kernel
    >>> points = np.linspace(0, 10, 200)[:, None]
    >>> result = RandomlyPivotedCholesky(rank=60, rtol=1e-3)(gaussian_kernel(points), rng=np.random.default_rng(0))
    >>> print(result.ranks < 20, result.converged)
    True True
    """

    # rejected proposals make further blocks
    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(120, waits=10, copies=4), {"block of proposals": DeviceCounts(130, waits=11, copies=13)}
    )

    domain: ClassVar = "semidefinite"
    residual_norm: ClassVar = "trace"
    no_tolerance: ClassVar = 0.0

    rank: int = rank_budget(16)
    block: int = 150  # larger blocks reject more proposals, smaller ones make thinner products
    rtol: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self.block, "block", least=1)

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"block of proposals": 3 + 2 * blocks(self.rank, self.block)}

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> PivotedCholeskyResult:
        return self.with_samples(a, self.samples(rng, like=a.like))

    def flops(self, n: int) -> float:
        """Return the operations of the elimination of one matrix of order n, without those of reading its columns.

        n rank (rank + w) for blocks of w accepted pivots, about four fifths of the proposals, and the blocks alone.
        """
        width = min(float(self.rank), _ACCEPTED * self.block)
        blocks, proposed = self.rank / width, min(self.rank, self.block)
        return n * self.rank * (self.rank + width + 2) + blocks * (proposed**3 / 3 + width**3)

    def samples(self, rng: Rng | None, *, like: Array) -> SharedSamples:
        """Return the random numbers of one factorisation, which all matrices of a stack share."""
        return SharedSamples(require_rng(rng, "RandomlyPivotedCholesky"), min(self.block, self.rank), like)

    def with_samples(self, a: StructuredMatrix, samples: SharedSamples) -> PivotedCholeskyResult:
        """Return the factorisation of matrices with given random numbers, part of a larger stack for instance."""
        result = self.well_conditioned(a, samples, least=0.0)
        assert result is not None
        return result

    def well_conditioned(
        self, a: StructuredMatrix, samples: SharedSamples, *, least: float
    ) -> PivotedCholeskyResult | None:
        """Return the factorisation, or None as soon as a pivot of a matrix has a residual below ``least``.

        A matrix whose residual is exhausted before the rank is reached is not well-conditioned either.
        """
        require_above_rounding(self.rtol, a.like)
        elimination = Elimination(a, self.rank, self.rtol)
        xp, block = array_namespace(a.like), 0
        while elimination.unfinished:
            drawn = samples.block(block)
            elimination.advance(sample_indices(elimination.residual, drawn[0, :]), drawn[1, :])
            block += 1
            if least and bool(xp.any(elimination.weakest < least)):
                return None
        result = _result(elimination, self.rank, self.rtol)
        return None if least and bool(xp.any(result.pivots < 0)) else result


class SharedSamples:
    """Uniform numbers of the blocks of an elimination, the same for all matrices of a stack.

    A block is sampled when the first matrix needs it, so that matrices factorised one by one, in any order and by any
    thread, get the numbers of the stack factorised at once.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import RandomlyPivotedCholesky
    >>> samples = RandomlyPivotedCholesky(rank=4).samples(np.random.default_rng(0), like=np.zeros(1))
    >>> samples.block(1).shape, bool((samples.block(1) == samples.block(1)).all())
    ((2, 4), True)
    """

    def __init__(self, rng: Rng, size: int, like: Array) -> None:
        self._rng, self._size, self._like = rng, size, like
        self._blocks: list[Array] = []
        self._lock = threading.Lock()

    def block(self, index: int) -> Array:
        """Return the numbers (2, size) of a block: places of its proposals, and thresholds."""
        with self._lock:
            while len(self._blocks) <= index:
                self._blocks.append(uniform(self._rng, (2, self._size), like=self._like))
            return self._blocks[index]


@dataclass(frozen=True)
class GreedyPivotedCholesky(MatrixMethod, RankOrTolerance):
    """Partial Cholesky factorisation pivoted by the largest diagonal entry of the residual; deterministic.

    Parameters
    ----------
    rank, rtol
        See ``RandomlyPivotedCholesky``.

    Notes
    -----
    O(n rank^2), one column at a time. Harbrecht, Peters & Schneider 2012. Ties go to the first index.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import GreedyPivotedCholesky
    >>> from tnattn.gallery import gaussian_kernel
    >>> points = np.linspace(0, 10, 200)[:, None]
    >>> result = GreedyPivotedCholesky(rank=60, rtol=1e-3)(gaussian_kernel(points))
    >>> print(result.ranks < 20, result.converged)
    True True
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(130, waits=8, copies=2),
        {"pivot": DeviceCounts(55), "block of 32 pivots": DeviceCounts(10, waits=1, copies=1)},
    )

    domain: ClassVar = "semidefinite"
    residual_norm: ClassVar = "trace"
    no_tolerance: ClassVar = 0.0

    rank: int = rank_budget(16)
    rtol: float = 0.0

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        count, length = blocks(self.rank, 32), min(self.rank, 32)
        return {"pivot": count * length, "block of 32 pivots": count}  # blocks are completed

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> PivotedCholeskyResult:
        require_above_rounding(self.rtol, a.like)
        return _result(GreedyElimination(a, self.rank, self.rtol), self.rank, self.rtol)


def _result(elimination: Elimination | GreedyElimination, rank: int, rtol: float) -> PivotedCholeskyResult:
    factor, pivots = elimination.result()
    trace = array_namespace(factor).sum(elimination.tail, axis=-1)
    residual, converged = judged(trace, elimination.trace, rtol, f"rank {rank}")
    accuracy = {"ranks": counted(pivots), "residual": residual, "converged": converged}
    return PivotedCholeskyResult(factor, pivots, trace, **accuracy)
