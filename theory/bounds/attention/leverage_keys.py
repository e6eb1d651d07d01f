"""Keys drawn by the leverage scores of the key matrix: the exact error of the unbiased estimator."""

from __future__ import annotations

import numpy as np

from theory import errors
from theory.bound import Instance, Source, Values, bound, require
from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import exact_output, exact_weights, head_values, per_head
from theory.bounds.randnla.matrix_product import sampled_variance
from theory.guarantee import ExactExpectation
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.leverage_key_sampling import LeverageKeySampling


def _equal_weights(rng: np.random.Generator) -> Instance:
    problem = AttentionProblem(np.zeros((1, 6, 2)), rng.standard_normal((1, 12, 2)), rng.standard_normal((1, 12, 3)))
    return LeverageKeySampling(200, normalise=False), problem


def _random(rng: np.random.Generator) -> Instance:
    return LeverageKeySampling(200, normalise=False), random_problem(rng, heads=2, groups=2, size=0.7)


@bound(
    method=LeverageKeySampling,
    error=errors.output_frobenius_squared,
    guarantee=ExactExpectation(),
    source=Source("Drineas, Kannan and Mahoney 2006", "Lemma 3, for draws by leverage"),
    extremal=_equal_weights,
    generic=_random,
)
def leverage_keys_variance(method: LeverageKeySampling, problem: AttentionProblem) -> Values:
    """E ||O' - O||_F^2 = (sum_j ||P_:j||^2 ||v_j||^2 / pi_j - ||O||_F^2) / c for c keys drawn from pi."""
    require(not method.normalise, "the exact row sums are used (normalise=False)")
    require(problem.softcap is None, "scores are inner products")
    probability = per_head(problem, method.probabilities(problem.keys), 1)
    product = np.linalg.norm(exact_weights(problem), axis=-2) * np.linalg.norm(head_values(problem), axis=-1)
    return sampled_variance(product, probability, np.sum(exact_output(problem) ** 2, axis=(-2, -1)), method.samples)
