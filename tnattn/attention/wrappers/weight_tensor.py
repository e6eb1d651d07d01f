"""Tensor decompositions applied to the exact weights of all heads at once: the multi-head oracle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost, admissible_pairs
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, Mask, PaddingMask, SlidingWindowMask
from tnattn.attention.method import JointMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.tensor.weight_entries import WeightEntries
from tnattn.decomposition.base import Decomposition
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.structured import Selection, StructuredMatrix


@dataclass(frozen=True)
class WeightTensor(JointMethod):
    """Decompose the tensor (head, query, key) of the exact weights; its slices approximate those of the heads.

    An oracle that forms all weights: O(H n_q n_k) memory. It measures the structure that heads share. A decomposition
    of implicit tensors, such as ``TTCross``, reads single entries instead: then no array of that size is formed, and
    the one pass over all scores is the streamed one for the row sums.

    Parameters
    ----------
    decomposition : Decomposition
        Of order 3.
    rank : int, optional
        Wanted in every mode or bond, lowered where the sizes admit less; None leaves the decomposition's own ranks.
    renormalise : bool
        Divide by the row sums of the approximate weights. Without it the output is the approximate weights times the
        values, to which bounds on the tensor apply directly.

    Notes
    -----
    The heads are those of the queries, so that grouped queries make a tensor with H slices. The row shift is the exact
    logarithm of the row sums of exp(scores), so that pieces merge with their true mass.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, WeightTensor
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 1, 64, 4))
    >>> problem = AttentionProblem(*(np.repeat(x, 8, axis=0) for x in (q, k, v)))  # eight equal heads
    >>> outputs = [WeightTensor(rank=r)(problem).output for r in (2, 8, 32)]
    >>> [round(float(np.linalg.norm(x - problem.output) / np.linalg.norm(problem.output)), 2) for x in outputs]
    [0.68, 0.28, 0.01]
    """

    decomposition: Decomposition = field(default_factory=STHOSVD)
    rank: int | None = budget(16)
    renormalise: bool = True

    masks: ClassVar[tuple[type[Mask], ...]] = (CausalMask, SlidingWindowMask, PaddingMask, ExplicitMask, BiasMask)
    reads_weights: ClassVar[bool] = True
    guarantee: ClassVar[str] = "that of the decomposition, on the tensor of exact weights"
    source: ClassVar[str] = "Vannieuwenhoven, Vandebril & Meerbergen 2012"
    role: ClassVar = "representative"
    waives: ClassVar[Mapping[str, str]] = {
        "P2": "the factors mix all rows, also those of later queries",
        "P5": "the rows of padded queries are factored with the others, and cost a share of the ranks",
    }

    def __post_init__(self) -> None:
        if self.decomposition.order != 3:
            raise ValueError(f"decomposition has order {self.decomposition.order}; (head, query, key) needs order 3")
        if self.rank is not None and self.rank < 1:
            raise ValueError(f"rank must be a positive integer or None; got {self.rank!r}")

    def fitted(self, problem: AttentionProblem) -> Decomposition:
        """Return the decomposition with its ranks for the sizes of a problem."""
        if self.rank is None:
            return self.decomposition
        return self.decomposition.with_rank(self.rank, (problem.heads, problem.n_q, problem.n_k))

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        xp = array_namespace(problem.q)
        decomposition = self.fitted(problem)
        tensor = decomposition(_weights(decomposition, problem), rng=rng)
        shift = problem.weights.log_mass  # units in which the kernel is the matrix of weights, with the true mass
        return Approximation(
            kernel=Grouped(tensor.slices(0), problem.batch),  # slice h of the first mode holds the weights of head h
            shift=shift,
            values=problem.values,
            normaliser=None if self.renormalise else xp.ones_like(shift),
            expand=Selection(xp.arange(problem.n_k, device=device(problem.q)), problem.n_k, problem.q),
        )

    def stages(self, problem: AttentionProblem) -> list[tuple[Any, Any]]:
        decomposition = self.fitted(problem)
        return [(decomposition, _weights(decomposition, problem))]

    @property
    def budget(self) -> int | None:
        return self.rank

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of the weights, one product with every mode at the rank, and the application: a lower bound.

        For decompositions of implicit tensors: the scores that the row sums stream, the entries of ``rank`` rows and
        columns of every head, and one product with each of them.
        """
        h, n_q, n_k, d, e = problem.heads, problem.n_q, problem.n_k, problem.width, problem.value_width
        # without a rank the decomposition decides: the upper bound
        rank = min(self.rank or max(n_q, n_k), max(n_q, n_k))
        # the exact weights are computed whatever the decomposition
        size, scores = float(h * n_q * n_k), 2.0 * h * admissible_pairs(problem) * d
        applied = 2.0 * h * rank * (n_q + n_k + rank) * (e + 1)
        if self.decomposition.reads_entries:
            read = float(h * rank * (n_q + n_k))
            return Cost(scores + 2 * read * (d + rank) + applied, 2 * read, read, float(rank))
        return Cost(
            flops=scores + 6 * size * rank + applied,
            scalars_moved=4 * size,
            peak_scalars=size,
            state_per_token=float(rank),
        )


def _weights(decomposition: Decomposition, problem: AttentionProblem) -> Any:
    """Return the exact weights (..., H, n_q, n_k): implicit where the decomposition reads entries."""
    return WeightEntries(problem) if decomposition.reads_entries else problem.dense_weights()


@dataclass(frozen=True, eq=False, repr=False)
class Grouped(StructuredMatrix):
    """A stack of matrices (..., H, m, n) seen in the grouped layout (..., G, R, m, n).

    Parameters
    ----------
    heads : StructuredMatrix, (..., H, m, n)
    outer : tuple of int
        The batch shape (..., G, R).

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Dense
    >>> from tnattn.attention.wrappers import Grouped
    >>> heads = Dense(np.random.default_rng(0).standard_normal((6, 4, 5)))
    >>> Grouped(heads, (3, 2)).shape  # (G, R, n_q, n_k)
    (3, 2, 4, 5)
    """

    heads: StructuredMatrix
    outer: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.outer, *self.heads.shape[-2:])

    @property
    def like(self) -> Array:
        return self.heads.like

    @property
    def storage(self) -> int:
        return self.heads.storage

    def _matmul(self, x: Array) -> Array:
        return self._group(self.heads._matmul(self._flatten(x)))

    def _rmatmul(self, y: Array) -> Array:
        return self._group(self.heads._rmatmul(self._flatten(y)))

    def to_dense(self) -> Array:
        return self._group(self.heads.to_dense())

    def matmul_flops(self, columns: int) -> int:
        return self.heads.matmul_flops(columns)

    def _flatten(self, x: Array) -> Array:
        xp = array_namespace(x)
        # (G, R) is the axis H split, so that no copy is needed but for broadcast factors
        full = xp.broadcast_to(x, (*self.outer, *x.shape[-2:]))
        return xp.reshape(full, (*self.outer[:-2], self.outer[-2] * self.outer[-1], *x.shape[-2:]))

    def _group(self, y: Array) -> Array:
        return array_namespace(y).reshape(y, (*self.outer, *y.shape[-2:]))
