"""Column sampling with the optimal probabilities, from exact weights and values: an oracle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace, device, require_rng
from tnattn.attention import masks
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost, columns_cost, exact_cost
from tnattn.attention.method import JointMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.draws import draw_by_weight, relative_norms, sampled_columns, shares
from tnattn.structured import Product

_BLOCK = 1 << 22  # weights held at a time: 16 MB of float32


@dataclass(frozen=True)
class ColumnSampling(JointMethod):
    """P S^T S V with keys drawn in proportion to ``||P_:j|| ||v_j||``, the optimal probabilities for a common draw.

    Parameters
    ----------
    samples : int
        Number of samples with replacement, at least one.
    normalise : bool
        Divide by the estimated row sums instead of the exact ones: weights then sum to one, but are biased.

    Notes
    -----
    An oracle: the probabilities need all weights once, O(n_q n_k d), streamed. Unbiased as it stands, with mean squared
    error ((sum_j ||P_:j|| ||v_j||)^2 - ||P V||_F^2) / samples. Every head has its own draw.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, ColumnSampling
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 4, 64, 8)))
    >>> outputs = [ColumnSampling(samples=c)(problem, rng=np.random.default_rng(0)).output for c in (64, 4096)]
    >>> errors = [float(np.linalg.norm(x - problem.output) / np.linalg.norm(problem.output)) for x in outputs]
    >>> [round(error, 1) for error in errors]  # 64 times the samples, an eighth of the error
    [1.0, 0.1]
    """

    samples: int = budget(64)
    normalise: bool = False

    masks: ClassVar[tuple[type[masks.Mask], ...]] = (
        masks.FullMask,
        masks.CausalMask,
        masks.SlidingWindowMask,
        masks.PaddingMask,
        masks.ExplicitMask,
        masks.BiasMask,
    )
    reads_weights: ClassVar[bool] = True
    waives: ClassVar[dict[str, str]] = {
        "P1": "the sampled weights of a row sum to one on average only; see normalise",
        "P2": "column norms run over later queries too",
        "P5": "column norms run over padded queries too",
    }
    guarantee: ClassVar[str] = "exact mean squared error"
    source: ClassVar[str] = "Drineas, Kannan & Mahoney 2006, Lemma 4"

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"samples must be an integer >= 1; got {self.samples!r}")

    def probabilities(self, problem: AttentionProblem) -> Array:
        """Return the probabilities of the keys, (..., G, R, n_k)."""
        xp = array_namespace(problem.q)
        wide = accumulator_dtype(problem.q)  # squares of single-precision weights would vanish below 1e-19
        norms = xp.zeros((*problem.batch, problem.n_k), dtype=wide, device=device(problem.q))
        step = max(1, _BLOCK // (problem.n_k * problem.heads))
        for start in range(0, problem.n_q, step):
            rows = xp.arange(start, min(start + step, problem.n_q), device=device(problem.q))
            weights = xp.astype(problem.weights.rows(rows), wide)
            # column norms of the blocks add in squares, without forming them
            norms = xp.hypot(norms, xp.linalg.vector_norm(weights, axis=-2))
        return xp.astype(shares(norms * relative_norms(problem.values)), problem.q.dtype)

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        xp = array_namespace(problem.q)
        probabilities = self.probabilities(problem)
        indices = draw_by_weight(require_rng(rng, "ColumnSampling"), probabilities, self.samples)
        mass = 1 / (self.samples * xp.take_along_axis(probabilities, indices, axis=-1))
        picked = sampled_columns(indices, mass, problem.n_k)  # (..., G, R, m, n_k)
        choose = sampled_columns(indices, xp.ones_like(mass), problem.n_k)
        log_mass = problem.weights.log_mass
        return Approximation(
            kernel=Product(problem.weights, choose.mT),
            shift=log_mass,
            values=picked @ problem.values,
            mass=mass,
            normaliser=None if self.normalise else xp.ones_like(log_mass),
            expand=picked,
        )

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of all scores once, and of the sampled columns."""
        return columns_cost(problem, self.samples, build=exact_cost(problem).flops)
