"""Key sampling by ridge leverage scores, which represents directions that few keys span."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace, each_matrix, require_rng
from tnattn.attention.cost import Cost, columns_cost, exact_cost
from tnattn.attention.method import KeyMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.draws import draw_by_weight, or_one, shares
from tnattn.attention.sampling.value_sampling import SampledKeys
from tnattn.attention.summary import KeySet, Summary
from tnattn.randnla.scores.ridge_leverage import ridge_leverage_scores


@dataclass(frozen=True)
class LeverageKeySampling(KeyMethod):
    """Attention to keys drawn with replacement by the ridge leverage scores of the centred key matrix.

    Key j is drawn with probability ``uniform / n + (1 - uniform) l_j / sum l``. A key that alone spans a direction has
    leverage score one, and attracts the full weight of large queries in that direction.

    Parameters
    ----------
    samples : int
        Number of samples, at least one.
    ridge : float
        Positive, relative to the mean square of the singular values of the centred keys: directions in which keys
        differ less count less.
    uniform : float
        Share of the uniform distribution, in (0, 1]; with 1 the keys have no influence.
    normalise : bool
        Divide by the estimated row sums: the error times the relative row sum has an exact variance, from which bounds
        on the mean and on the tail of the error follow. Otherwise by the exact ones, O(n_q n_k d): the unbiased
        estimator, whose error itself has an exact variance.

    Notes
    -----
    O(n_k d^2) for the scores, O(n_q samples (d + d_v)) for the queries; the state is ``samples`` keys and values.
    Leverage scores pick the keys of large attention scores in LevAttention (Kannan et al. 2024). Deviations: a weighted
    sample in place of the top scores, so that the mass is estimated without bias; keys are centred, as softmax does not
    see their mean.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import LeverageKeySampling
    >>> keys = np.random.default_rng(0).standard_normal((1, 100, 4)) * [1.0, 1.0, 1.0, 0.0]
    >>> keys[0, 0, 3] = 1.0  # one key alone holds the last direction
    >>> probabilities = LeverageKeySampling().probabilities(keys)
    >>> round(float(probabilities[0, 0]), 2), round(float(np.median(probabilities)), 3)
    (0.03, 0.009)
    """

    samples: int = budget(64)
    ridge: float = 0.1
    uniform: float = 0.5
    normalise: bool = True

    guarantee: ClassVar[str] = "in expectation and with probability; exact variance with normalise=False"
    source: ClassVar[str] = "Drineas, Kannan & Mahoney 2006; Kannan et al. 2024 (LevAttention)"

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"samples must be an integer >= 1; got {self.samples!r}")
        if not self.ridge > 0:
            raise ValueError(f"ridge must be a positive number; got {self.ridge!r}")
        if not 0 < self.uniform <= 1:
            raise ValueError(f"uniform must lie in (0, 1]; got {self.uniform!r}")

    def probabilities(self, keys: Array) -> Array:
        """Return the probabilities of the keys, (..., n), of keys (..., n, d)."""
        return each_matrix(lambda part: (self._probabilities(part.of(keys)),), tuple(keys.shape[:-2]), like=keys)[0]

    def _probabilities(self, keys: Array) -> Array:
        xp = array_namespace(keys)
        wide = xp.astype(keys, accumulator_dtype(keys))  # a copy
        if wide.dtype == keys.dtype:  # else squares and sums are within the wider range
            # the scores do not depend on the size of the keys
            wide = wide / or_one(xp.max(xp.abs(wide), axis=(-2, -1), keepdims=True))
        wide -= xp.mean(wide, axis=-2, keepdims=True)
        scores = ridge_leverage_scores(wide, ridge=self.ridge, relative=True)
        even = xp.full_like(scores, 1.0 / scores.shape[-1])
        return xp.astype(self.uniform * even + (1 - self.uniform) * shares(scores), keys.dtype)

    def summarise(self, keys: KeySet, *, probe: Array | None = None, rng: Rng | None = None) -> Summary:
        probabilities = self.probabilities(keys.keys)
        indices = draw_by_weight(require_rng(rng, "LeverageKeySampling"), probabilities, self.samples)
        xp = array_namespace(keys.keys)
        # Horvitz-Thompson weights: sums over the sample are unbiased for sums over all keys
        mass = 1 / (self.samples * xp.take_along_axis(probabilities, indices, axis=-1))
        return SampledKeys(keys, indices, mass, self.normalise)

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of the leverage scores and the samples, and of all scores where row sums are exact."""
        build = 4.0 * problem.groups * problem.n_k * problem.width**2
        if self.normalise:
            return columns_cost(problem, self.samples, build=build)
        scores = 2.0 * problem.heads * problem.n_q * problem.n_k * problem.width
        state = exact_cost(problem).state_per_token
        return columns_cost(problem, self.samples, build=build + scores, state_per_token=state)
