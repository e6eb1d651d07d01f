"""Theorems about chosen columns, lifted kernels and leverage draws: worked examples, hypotheses."""

import numpy as np
import pytest
from fixtures import rng

from theory.bounds.attention.kernel_cur import (
    LEAST_RIDGE,
    kernel_cur_projection,
    kernel_cur_ridge,
    scaled_kernel,
)
from theory.bounds.attention.leverage_keys import (
    leverage_keys_ratio_mean,
    leverage_keys_ratio_tail,
    leverage_keys_ratio_variance,
    leverage_keys_variance,
    rows_times_mass,
)
from theory.bounds.attention.lifted_nystrom import lifted_nystrom_entries, lifted_nystrom_trace
from theory.bounds.attention.perturbed import random_problem
from theory.comparison.catalogue import bounds_about
from theory.comparison.compare import compare
from theory.statement.bound import HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.attention.low_rank.kernel_cur import KernelCUR
from tnattn.attention.low_rank.lifted_nystrom import LiftedNystrom
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.leverage_key_sampling import LeverageKeySampling


def two_tokens(t):
    x = np.array([[[t], [-t]]])
    return AttentionProblem(x, x, np.ones((1, 2, 1)), scale=1.0)


def test_two_tokens_attain_the_bound_on_a_column_and_a_row():
    """One column c and the row of its pivot: A = [1 a; 1 b] or the like, with error |det A| / G on both sides."""
    problem, method = two_tokens(0.5), KernelCUR(1, ridge=0.0)
    result = method(problem, rng=rng())
    kernel = np.exp(np.array([[0.0, -0.5], [-0.5, 0.0]]))
    pivot = kernel[int(result.kernel.queries[0, 0, 0]), int(result.kernel.keys[0, 0, 0])]
    desired = abs(np.linalg.det(kernel)) / pivot
    np.testing.assert_allclose(kernel_cur_projection(method, problem, result).value, desired)
    np.testing.assert_allclose(scaled_kernel(problem, result), desired)


def test_a_damped_column_of_two_tokens_by_hand():
    """A = [[1, 1/2], [1/2, 1]], a ridge of one half: a fifth of what the column explains is lost."""
    problem, method = two_tokens(np.sqrt(np.log(2) / 2)), KernelCUR(1, ridge=0.5)
    result = method(problem, rng=rng())
    left, moved, lost = 9 / 20, 2 / np.sqrt(5) * 3 / 10, np.sqrt(205) / 50
    np.testing.assert_allclose(
        kernel_cur_ridge(method, problem, result).value, np.sqrt(left + (moved + lost) ** 2), rtol=1e-12
    )
    np.testing.assert_allclose(scaled_kernel(problem, result), (1 + np.sqrt(0.4)) / 2, rtol=1e-12)


def test_equal_tokens_lose_what_the_ridge_damps_and_nothing_else():
    """A = 1 1^T, one column: M = 1 / (1 + t^2), and the bound t^2 / (1 + t^2) ||A|| is the error."""
    problem, method = AttentionProblem(np.ones((1, 4, 2)), np.ones((1, 9, 2)), np.ones((1, 9, 1))), KernelCUR(1)
    result = method(problem, rng=rng())
    damped = 6 * 0.03**2 / (1 + 0.03**2)
    np.testing.assert_allclose(kernel_cur_ridge(method, problem, result).value, damped, rtol=1e-10)
    np.testing.assert_allclose(scaled_kernel(problem, result), damped, rtol=1e-10)


@pytest.mark.parametrize("sweeps", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ridge", [LEAST_RIDGE, 0.03, 0.3])
def test_the_bound_on_a_damped_intersection_holds(ridge, dtype, sweeps):
    """Rounding is far below what is left of the kernel, which the verdict thus speaks about."""
    problem = random_problem(rng(), n_q=20, n_k=24)
    problem = AttentionProblem(*(x.astype(dtype) for x in (problem.q, problem.k, problem.v)))
    found = compare(KernelCUR(6, sweeps=sweeps, ridge=ridge), problem, [kernel_cur_ridge], rng=rng(1))[0]
    assert found.verdict in (Verdict.SUPPORTED, Verdict.VACUOUS), found
    assert 1 <= found.slack < 6
    assert found.errors.min() > 0.01


def test_the_method_as_it_is_by_default_has_a_theorem():
    """So does its form without sweeps, whose queries are drawn by leverage like its keys; neither bound is vacuous."""
    problem = random_problem(rng(), n_q=40, n_k=40, size=0.6)
    for method in (KernelCUR(12), KernelCUR(12, sweeps=0)):
        found = {c.bound.name: c for c in compare(method, problem, bounds_about(method), rng=rng(), trials=3)}
        assert found["kernel_cur_ridge"].verdict is Verdict.SUPPORTED
        assert found["kernel_cur_projection"].verdict is Verdict.NOT_APPLICABLE


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


def one_query():
    """Weights (0.4, 0.6) and values (3, 1): output 1.8, distances 1.2 and 0.8."""
    k = np.log([0.4, 0.6])[None, :, None]
    return AttentionProblem(np.ones((1, 1, 1)), k, np.array([3.0, 1.0])[None, :, None], scale=1.0)


def test_a_ratio_of_uniform_draws_by_hand():
    """Variances 2 (0.16 1.44 + 0.36 0.64) / 16 = 0.24^2 and (2 (0.16 + 0.36) - 1) / 16 = 0.05^2."""
    method = LeverageKeySampling(16, uniform=1.0)
    np.testing.assert_allclose(leverage_keys_ratio_variance(method, one_query()).value, 0.24**2)
    tail = leverage_keys_ratio_tail.with_parameters(delta=0.25)(method, one_query())
    np.testing.assert_allclose(tail.value, 0.24 / (0.5 - 0.05))
    np.testing.assert_array_equal(tail.failure, 0.25)
    np.testing.assert_allclose(leverage_keys_ratio_mean(method, one_query()).value, (0.24 + 1.2 * 0.05) ** 2)


def test_the_error_of_a_ratio_is_at_most_the_distance_of_the_furthest_value():
    """The row sum varies too much for a tail bound, and for the mean of one sample: 3 - 1.8 = 1.2."""
    tail = leverage_keys_ratio_tail.with_parameters(delta=1e-3)
    np.testing.assert_allclose(tail(LeverageKeySampling(16, uniform=1.0), one_query()).value, 1.2)
    np.testing.assert_allclose(leverage_keys_ratio_mean(LeverageKeySampling(1, uniform=1.0), one_query()).value, 1.2**2)


def test_the_mean_of_a_ratio_over_both_single_draws_is_the_exact_one():
    """One draw: the output is 3 or 1, the relative row sum 0.8 or 1.2; (0.64 1.44 + 1.44 0.64) / 2."""
    method, seen = LeverageKeySampling(1, uniform=1.0), {}
    for seed in range(20):
        result = method(one_query(), rng=rng(seed))
        seen[float(result.output.item())] = rows_times_mass(one_query(), result).item()
    assert sorted(seen) == [1.0, 3.0]
    np.testing.assert_allclose(np.mean(list(seen.values())), 0.64 * 1.44)
    np.testing.assert_allclose(leverage_keys_ratio_variance(method, one_query()).value.item(), 0.64 * 1.44)


@pytest.mark.parametrize(
    "theorem, method, words",
    [
        (kernel_cur_projection, KernelCUR(3), "no ridge"),
        (kernel_cur_ridge, KernelCUR(3, ridge=0.0), "a ridge of at least"),
        (lifted_nystrom_trace, LiftedNystrom(3, centre=False), "centred"),
        (leverage_keys_variance, LeverageKeySampling(3), "row sums"),
        (leverage_keys_ratio_variance, LeverageKeySampling(3, normalise=False), "row sums are estimated"),
        (leverage_keys_ratio_mean, LeverageKeySampling(3, normalise=False), "row sums are estimated"),
        (leverage_keys_ratio_tail, LeverageKeySampling(3, normalise=False), "row sums are estimated"),
    ],
)
def test_a_violated_hypothesis_is_named(theorem, method, words):
    problem = random_problem(rng())
    with pytest.raises(HypothesisViolated, match=words):
        theorem(method, problem, method(problem, rng=rng()))
