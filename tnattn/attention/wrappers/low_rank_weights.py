"""Matrix methods applied to the exact weights: the low-rank oracle, to which theorems on matrices apply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from tnattn.arrays import Rng, array_namespace, device
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost, admissible_pairs
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, Mask, PaddingMask, SlidingWindowMask
from tnattn.attention.method import JointMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.randnla.base import MatrixMethod
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
from tnattn.structured import Selection


def _with_power_iteration() -> MatrixMethod:
    # flat spectra spoil row sums: of the 6144 rows of a real layer, rank 16 lost 132 without it and 7 with it
    return RandomizedSVD(power_iterations=1)


@dataclass(frozen=True)
class LowRankWeights(JointMethod):
    """Approximate the exact weights of every head by a matrix method.

    An oracle: it reads all weights, in blocks, through products with the implicit operator.

    Parameters
    ----------
    method : MatrixMethod
    renormalise : bool
        Divide by the row sums of the approximate weights. Without it the output is the approximate weights times the
        values, to which bounds on the matrix apply directly: |O' - O| <= |A' - A| |V|.

    Notes
    -----
    The row shift is the exact logarithm of the row sums of exp(scores), so that pieces merge with their true mass. All
    masks are honoured, since the weights are exact; low rank fits masked weights badly.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, LowRankWeights, TruncatedSVD
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 1, 64, 4)))
    >>> outputs = [LowRankWeights(TruncatedSVD(rank=r))(problem).output for r in (2, 8, 32)]
    >>> [round(float(np.linalg.norm(x - problem.output) / np.linalg.norm(problem.output)), 2) for x in outputs]
    [0.68, 0.28, 0.01]
    """

    method: MatrixMethod = field(default_factory=_with_power_iteration)
    renormalise: bool = True

    masks: ClassVar[tuple[type[Mask], ...]] = (CausalMask, SlidingWindowMask, PaddingMask, ExplicitMask, BiasMask)
    reads_weights: ClassVar[bool] = True
    guarantee: ClassVar[str] = "that of the matrix method, on the exact weights"
    source: ClassVar[str] = "Eckart & Young 1936"
    role: ClassVar = "control"
    # not renormalised: row sums of a truncation are signed and may vanish, and then no error is the best one
    as_control: ClassVar[Mapping[str, Any]] = {"method": TruncatedSVD(), "renormalise": False}
    waives: ClassVar[Mapping[str, str]] = {
        "P2": "the factors of the weights mix all rows, also those of later queries",
        "P5": "the rows of padded queries are factored with the others, and cost a share of the rank",
    }

    def fitted(self, problem: AttentionProblem) -> MatrixMethod:
        """Return the matrix method with its rank lowered to what the weights of a problem have."""
        most = min(problem.n_q, problem.n_k)
        return self.method if self.budget <= most else self.method.with_rank(most)

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        xp = array_namespace(problem.q)
        weights = self.fitted(problem)(problem.weights, rng=rng)
        shift = problem.weights.log_mass  # units in which the kernel is the matrix of weights, with the true mass
        return Approximation(
            kernel=weights,
            shift=shift,
            values=problem.values,
            normaliser=None if self.renormalise else xp.ones_like(shift),
            expand=Selection(xp.arange(problem.n_k, device=device(problem.q)), problem.n_k, problem.q),
        )

    def stages(self, problem: AttentionProblem) -> list[tuple[Any, Any]]:
        return [(self.fitted(problem), problem.weights)]

    @property
    def budget_field(self) -> str:
        return "method.rank"

    @property
    def budget(self) -> int:
        return self.method.budget

    def with_budget(self, columns: int) -> Self:
        return replace(self, method=self.method.with_rank(columns))

    def cost(self, problem: AttentionProblem) -> Cost:
        """Count two products with the weights, two more per power iteration: a lower bound for other methods."""
        h, n_q, n_k, d, e = problem.heads, problem.n_q, problem.n_k, problem.width, problem.value_width
        # methods without a range finder are counted as two passes with as many columns as their budget
        finder = getattr(self.method, "range_finder", None)
        passes = 2 + 2 * getattr(finder, "power_iterations", 0)
        columns = getattr(finder, "size", self.budget)
        build = 2.0 * passes * h * admissible_pairs(problem) * (d + columns)
        apply = 2.0 * h * self.budget * (n_q + n_k) * (e + 1)
        return Cost(
            flops=build + apply,
            scalars_moved=float(passes * (h * n_q + problem.groups * n_k) * d + 2 * h * (n_q + n_k) * columns),
            peak_scalars=float(h * (n_q + n_k) * columns),
            state_per_token=float(h * self.budget),
        )
