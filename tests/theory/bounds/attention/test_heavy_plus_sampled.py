from __future__ import annotations

import itertools

import numpy as np
import pytest

from theory.bounds.attention.heavy_plus_sampled import (
    estimated_mass,
    heavy_mass_floor,
    heavy_plus_sampled,
    heavy_plus_sampled_best,
)
from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import exact_output, exact_weights, head_values
from theory.bounds.attention.sampling import amm_optimal
from theory.bounds.attention.self_normalised_columns import output_by_mass_squared
from theory.statement import errors
from theory.statement.bound import HypothesisViolated
from tnattn.attention.masks import ExplicitMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.column_sampling import ColumnSampling
from tnattn.attention.sampling.heavy_plus_sampled import OptimalHeavyPlusSampled


def _three_keys() -> AttentionProblem:
    """One query, weights (1/2, 1/4, 1/4), values (0, 1, -1): output 0, contributions (0, 1/4, 1/4)."""
    k = np.log([2.0, 1.0, 1.0])[None, :, None]
    return AttentionProblem(np.ones((1, 1, 1)), k, np.array([0.0, 1.0, -1.0])[None, :, None], scale=1.0)


def test_one_exact_key_and_one_draw_worked_by_hand() -> None:
    """One light key is exact; the other two have contributions 0 and 1/4, so that the draw is certain."""
    problem, method = _three_keys(), OptimalHeavyPlusSampled(2, exact=1)
    assert heavy_plus_sampled(method, problem).value.item() == pytest.approx(0.0, abs=1e-7)
    # without exact keys: two draws of the same two keys, (1/4 + 1/4)^2 / 2
    drawn = OptimalHeavyPlusSampled(2, exact=0)
    assert heavy_plus_sampled(drawn, problem).value.item() == pytest.approx(0.125, rel=1e-6)


def test_the_mean_over_all_draws_is_the_statement() -> None:
    """Two draws from four light keys: the pairs with their probabilities, without a sample."""
    problem = random_problem(np.random.default_rng(0), heads=1, n_q=3, n_k=6)
    method = OptimalHeavyPlusSampled(4, exact=2)
    p, v, o = exact_weights(problem)[0], head_values(problem)[0], exact_output(problem)[0]
    plan = method.plan(problem)
    heavy = np.asarray(plan.order).reshape(6)[:2].tolist()
    probability = np.asarray(plan.probabilities).reshape(6)
    total = 0.0
    for pair in itertools.product([j for j in range(6) if j not in heavy], repeat=2):
        keys = [*heavy, *pair]
        share = p[:, keys] * np.array([1.0, 1.0, *(0.5 / probability[list(pair)])])
        mass = share.sum(axis=-1, keepdims=True)
        total += np.prod(probability[list(pair)]) * np.sum((mass * (share @ v[keys] / mass - o)) ** 2)
    assert heavy_plus_sampled(method, problem).value.item() == pytest.approx(total, rel=1e-10)


@pytest.mark.parametrize("exact", range(7))
def test_no_number_of_exact_keys_beats_the_best_bound(exact: int) -> None:
    """The bound leaves out a square that the mean subtracts; it is the least of the first terms."""
    problem = random_problem(np.random.default_rng(0), heads=4, groups=2, size=1.2)
    best = heavy_plus_sampled_best(OptimalHeavyPlusSampled(8), problem).value
    assert np.all(heavy_plus_sampled(OptimalHeavyPlusSampled(8), problem).value <= best * (1 + 1e-9))
    c = -np.sort(-errors_of_columns(problem), axis=-1)
    assert np.all(best <= c[..., exact:].sum(axis=-1) ** 2 / (8 - exact) * (1 + 1e-12))


def errors_of_columns(problem: AttentionProblem) -> np.ndarray:
    """Return the c_j by differences, (..., H, n_k)."""
    apart = head_values(problem)[..., None, :, :] - exact_output(problem)[..., :, None, :]
    return np.linalg.norm(exact_weights(problem)[..., None] * apart, axis=(-3, -1))


def test_exact_keys_beat_the_optimal_probabilities_alone() -> None:
    problem = random_problem(np.random.default_rng(0), heads=4, groups=2, size=2.0)
    best = heavy_plus_sampled_best(OptimalHeavyPlusSampled(8), problem).value
    assert np.median(amm_optimal(ColumnSampling(8), problem).value / best) > 1.5


def test_all_keys_exact_have_no_error() -> None:
    problem = random_problem(np.random.default_rng(0))
    method = OptimalHeavyPlusSampled(20)
    result = method(problem, rng=np.random.default_rng(0))
    assert np.all(heavy_plus_sampled(method, problem).value == 0)
    assert np.all(heavy_plus_sampled_best(method, problem).value == 0)
    assert np.max(output_by_mass_squared(problem, result)) < 1e-26
    np.testing.assert_allclose(heavy_mass_floor(method, problem).value, 1.0, rtol=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_rows_with_half_of_the_mass_pay_at_most_twice(seed: int) -> None:
    problem = random_problem(np.random.default_rng(0), size=2.0)
    method = OptimalHeavyPlusSampled(6, exact=4)
    result = method(problem, rng=np.random.default_rng(seed))
    mass, least = estimated_mass(problem, result), heavy_mass_floor(method, problem).value
    assert np.all(mass >= least * (1 - 1e-12))
    error = errors.output_rows(problem, result)
    half = least >= 0.5
    assert np.any(half)
    assert np.all(error[half] <= 2 * mass[half] * error[half])


def test_a_given_number_of_exact_keys_is_outside_the_best_bound() -> None:
    with pytest.raises(HypothesisViolated, match="best one"):
        heavy_plus_sampled_best(OptimalHeavyPlusSampled(8, exact=2), random_problem(np.random.default_rng(0)))


def test_contributions_below_the_digits_of_the_method_are_outside_the_best_bound() -> None:
    """Every query takes one key, and the method finds the norms of the others from squares that round to zero."""
    identity = np.eye(6)[None]
    problem = AttentionProblem(40 * identity, identity, np.random.default_rng(0).standard_normal((1, 6, 2)), scale=1.0)
    with pytest.raises(HypothesisViolated, match="resolves every c_j"):
        heavy_plus_sampled_best(OptimalHeavyPlusSampled(3), problem)
    assert heavy_plus_sampled(OptimalHeavyPlusSampled(3), problem).value.item() < 1e-25


def test_rows_without_keys_are_outside_the_hypotheses() -> None:
    allowed = np.ones((10, 14), dtype=bool)
    allowed[3] = False
    problem = random_problem(np.random.default_rng(0), mask=ExplicitMask(allowed))
    with pytest.raises(HypothesisViolated, match="every query sees a key"):
        heavy_plus_sampled(OptimalHeavyPlusSampled(8), problem)
