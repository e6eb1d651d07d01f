"""Theorems about chosen columns, lifted kernels and leverage draws: worked examples, hypotheses."""

import numpy as np
import pytest

from theory.bound import HypothesisViolated
from theory.bounds.attention.kernel_cur import kernel_cur_projection
from theory.bounds.attention.leverage_keys import leverage_keys_variance
from theory.bounds.attention.lifted_nystrom import lifted_nystrom_entries, lifted_nystrom_trace
from theory.bounds.attention.perturbed import random_problem
from tnattn.attention.low_rank.kernel_cur import KernelCUR
from tnattn.attention.low_rank.lifted_nystrom import LiftedNystrom
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.leverage_key_sampling import LeverageKeySampling


def rng(seed=0):
    return np.random.default_rng(seed)


def two_tokens(t):
    x = np.array([[[t], [-t]]])
    return AttentionProblem(x, x, np.ones((1, 2, 1)), scale=1.0)


def test_two_tokens_attain_the_bound_on_a_column_and_a_row():
    """One column c and the row of its pivot: A = [1 a; 1 b] or the like, with error |det A| / G on both sides."""
    problem, method = two_tokens(0.5), KernelCUR(1, ridge=0.0)
    result = method(problem, rng=rng())
    kernel = np.exp(np.array([[0.25, -0.25], [-0.25, 0.25]]) - result.shift[0, 0][:, None])
    pivot = kernel[int(result.kernel.queries[0, 0, 0]), int(result.kernel.keys[0, 0, 0])]
    np.testing.assert_allclose(kernel_cur_projection(method, problem, result).value, abs(np.linalg.det(kernel)) / pivot)


def test_one_landmark_of_two_tokens_by_hand():
    """Queries equal keys, +-t: the Gaussian kernel has entries 1 and g = e^(-2 t^2), one pivot leaves 1 - g^2 once."""
    problem, method = two_tokens(0.5), LiftedNystrom(2)
    result = method(problem, rng=rng())
    bound = lifted_nystrom_entries(method, problem, result).value[0]
    np.testing.assert_allclose(bound, 0.0, atol=1e-7)  # two pivots, one of each sign, interpolate all four tokens
    single = lifted_nystrom_trace(LiftedNystrom(1), problem).value
    g = np.exp(-0.5)
    values = np.array([2 * (1 + g), 2 * (1 - g)])
    np.testing.assert_allclose(single, (4 - np.sum(values**2) / 4) / 2, atol=1e-12)


def test_equal_weights_and_uniform_draws_by_hand():
    """n = 4 equal weights, values +-1, uniform draws: (4 * (4 * 1/16) - 0) / c per query."""
    v = np.array([[[1.0], [-1.0], [1.0], [-1.0]]])
    problem = AttentionProblem(np.zeros((1, 3, 2)), np.ones((1, 4, 2)), v)
    method = LeverageKeySampling(5, normalise=False)
    # column norms squared 3/16, probabilities 1/4: 4 * (3/16) * 4 / 5
    np.testing.assert_allclose(leverage_keys_variance(method, problem).value, 3.0 / 5)


@pytest.mark.parametrize(
    "theorem, method, words",
    [
        (kernel_cur_projection, KernelCUR(3), "no ridge"),
        (lifted_nystrom_trace, LiftedNystrom(3, centre=False), "centred"),
        (leverage_keys_variance, LeverageKeySampling(3), "row sums"),
    ],
)
def test_a_violated_hypothesis_is_named(theorem, method, words):
    problem = random_problem(rng())
    with pytest.raises(HypothesisViolated, match=words):
        theorem(method, problem, method(problem, rng=rng()))
