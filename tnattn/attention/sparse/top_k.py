"""Exact top-k keys of every query: the oracle among sparse methods."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, parallel_map
from tnattn.attention import masks
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost, admissible_pairs, exact_cost
from tnattn.attention.largest_entries import marked_indices, marked_largest
from tnattn.attention.method import JointMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.support import kept_keys

_BLOCK = 1 << 18  # scores held at a time: 1 MB of float32, sorted in cache


@dataclass(frozen=True)
class TopK(JointMethod):
    """Softmax over the ``keys`` largest scores of every query: no other choice of as many keys drops less mass.

    Parameters
    ----------
    keys : int
        Kept keys per query, at least one; more than there are means all.

    Notes
    -----
    An oracle: it evaluates all scores, O(n_q n_k (d + log n_k)), streamed over blocks of queries; memory O(n_q keys).
    Among equal scores the first key wins. A query with fewer admissible keys than ``keys`` keeps those it has.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, TopK
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 1, 128, 8)), scale=2.0)
    >>> outputs = [TopK(keys=k)(problem).output for k in (8, 32, 128)]
    >>> [round(float(np.linalg.norm(x - problem.output) / np.linalg.norm(problem.output)), 2) for x in outputs]
    [0.07, 0.01, 0.0]
    """

    keys: int = budget(64)

    masks: ClassVar[tuple[type[masks.Mask], ...]] = (
        masks.FullMask,
        masks.CausalMask,
        masks.SlidingWindowMask,
        masks.PaddingMask,
        masks.ExplicitMask,
        masks.BiasMask,
    )
    reads_weights: ClassVar[bool] = True
    guarantee: ClassVar[str] = "error = dropped mass times distance of the conditional means"
    source: ClassVar[str] = "Gupta et al. 2021 (memory-efficient transformers via top-k attention)"
    role: ClassVar = "control"
    caption: ClassVar[str] = "exact top keys (oracle)"

    def __post_init__(self) -> None:
        if self.keys < 1:
            raise ValueError(f"keys must be an integer >= 1; got {self.keys!r}")

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        xp = array_namespace(problem.q)
        kept = min(self.keys, problem.n_k)
        step = max(1, _BLOCK // (problem.n_k * math.prod(problem.batch)))
        blocks = [slice(start, min(start + step, problem.n_q)) for start in range(0, problem.n_q, step)]

        def work(rows: slice) -> tuple[Array, Array]:
            scores = problem.block_scores(rows, slice(0, problem.n_k))
            indices = marked_indices(marked_largest(scores, (kept,))[0], kept)
            return indices, xp.take_along_axis(scores, indices, axis=-1)

        parts = parallel_map(work, blocks, like=problem.q)
        indices, scores = (xp.concat([part[side] for part in parts], axis=-2) for side in (0, 1))
        return kept_keys(problem, indices, scores, complete=True)

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of all admissible scores and the kept products: 2 H (pairs d + kept (d_v + 1)) operations."""
        h = problem.heads
        pairs, kept = admissible_pairs(problem), admissible_pairs(problem, most=self.keys)
        exact = exact_cost(problem)
        return Cost(
            flops=2.0 * h * (pairs * problem.width + kept * (problem.value_width + 1)),
            scalars_moved=exact.scalars_moved + 4.0 * h * kept,
            peak_scalars=float(2 * h * problem.n_q * min(self.keys, problem.n_k)),
            state_per_token=exact.state_per_token,
        )
