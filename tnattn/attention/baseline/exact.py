"""Exact attention as a method: the reference in every table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Rng, array_namespace, device
from tnattn.attention import masks
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost, exact_cost
from tnattn.attention.method import JointMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import Selection


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
        xp = array_namespace(problem.q)
        every = xp.arange(problem.n_k, dtype=xp.int64, device=device(problem.q))
        _ = (
            problem.weights @ problem.values
        )  # one sweep gives products with values and row sums; both are kept with the problem
        shift = problem.weights.log_mass
        return Approximation(
            kernel=problem.weights,
            shift=shift,
            values=problem.values,
            normaliser=xp.ones_like(shift),  # the kernel is normalised: its row sums are one
            expand=Selection(every, problem.n_k, problem.q),
        )

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of 2 H pairs (d + d_v) operations, for the pairs that the mask admits."""
        return exact_cost(problem)
