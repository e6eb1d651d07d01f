"""Exact attention as a method: the reference in every table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Rng
from tnattn.attention import masks
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost, exact_cost
from tnattn.attention.method import JointMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.softmax_piece import streamed_piece


@dataclass(frozen=True)
class Exact(JointMethod):
    """Exact softmax attention, streamed.

    Notes
    -----
    O(n_q n_k (d + d_v)) operations, O(n_q) memory. The shift is the logarithm of the row sums, so that the kernel is
    the matrix of weights itself.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Exact
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 2, 5, 4))
    >>> result = Exact()(AttentionProblem(q, k, v))
    >>> result.output.shape, result.bad_rows.tolist()
    ((2, 5, 4), [0, 0])
    >>> round(float(result.weights.to_dense().sum()), 6)  # ten rows that sum to one
    10.0
    """

    masks: ClassVar[tuple[type[masks.Mask], ...]] = (
        masks.FullMask,
        masks.CausalMask,
        masks.SlidingWindowMask,
        masks.PaddingMask,
        masks.ExplicitMask,
        masks.BiasMask,
    )
    guarantee: ClassVar[str] = "exact"
    source: ClassVar[str] = "Vaswani et al. 2017, equation (1)"
    role: ClassVar = "control"

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        return streamed_piece(problem)

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of 2 H pairs (d + d_v) operations, for the pairs that the mask admits."""
        return exact_cost(problem)
