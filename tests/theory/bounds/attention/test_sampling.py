from __future__ import annotations

import numpy as np
import pytest

from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.sampling import (
    amm_optimal,
    amm_variance,
    attention_amm_spectral,
    value_sampling_mse,
)
from theory.statement.bound import Bound, HypothesisViolated
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.column_sampling import ColumnSampling
from tnattn.attention.sampling.value_sampling import ValueSampling

ALL = [value_sampling_mse, amm_variance, amm_optimal, attention_amm_spectral]


def _example() -> AttentionProblem:
    """P = (0.4, 0.6) and V = (3, 1): contributions (1.2, 0.6), output 1.8."""
    k = np.log([0.4, 0.6])[None, :, None]
    return AttentionProblem(np.ones((1, 1, 1)), k, np.array([3.0, 1.0])[None, :, None], scale=1.0)


def test_uniform_draws_worked_by_hand() -> None:
    """One draw from (1/2, 1/2): 2 (1.44 + 0.36) - 3.24 = 0.36."""
    method = ValueSampling(1, uniform=1.0, normalise=False)
    assert amm_variance(method, _example()).value.item() == pytest.approx(0.36, rel=1e-12)


def test_draws_by_the_norms_of_the_values_worked_by_hand() -> None:
    """One draw from (3/4, 1/4): 1.44 / 0.75 + 0.36 / 0.25 - 3.24 = 0.12."""
    method = ValueSampling(1, uniform=0.0, normalise=False)
    assert value_sampling_mse(method, _example()).value.item() == pytest.approx(0.12, rel=1e-12)


def test_optimal_draws_have_no_error_for_values_of_one_sign() -> None:
    assert amm_optimal(ColumnSampling(1), _example()).value.item() == pytest.approx(0.0, abs=1e-14)
    assert amm_variance(ColumnSampling(1), _example()).value.item() == pytest.approx(0.0, abs=1e-14)


def test_draws_divide_the_error() -> None:
    problem = random_problem(np.random.default_rng(0))
    one, ten = (amm_variance(ValueSampling(m, normalise=False), problem).value for m in (1, 10))
    np.testing.assert_allclose(one, 10 * ten, rtol=1e-12)


def test_rows_add_up_to_the_matrix() -> None:
    problem = random_problem(np.random.default_rng(0), heads=4, groups=2)
    method = ValueSampling(7, normalise=False)
    rows = value_sampling_mse(method, problem).value.sum(axis=-1)
    np.testing.assert_allclose(rows, amm_variance(method, problem).value, rtol=1e-10)


def test_no_probabilities_beat_the_optimal_ones() -> None:
    problem = random_problem(np.random.default_rng(0), heads=4, groups=2)
    method = ValueSampling(7, normalise=False)
    assert np.all(amm_variance(method, problem).value >= amm_optimal(method, problem).value)
    optimal = ColumnSampling(7)
    np.testing.assert_allclose(amm_variance(optimal, problem).value, amm_optimal(optimal, problem).value, rtol=1e-9)


def test_the_spectral_bound_solves_its_own_inequality() -> None:
    """At the returned eps the stated failure probability is delta: asr = 1 and b = 1 for equal weights and values."""
    problem = AttentionProblem(np.zeros((1, 3, 1)), np.zeros((1, 8, 1)), np.ones((1, 8, 1)))
    method = ValueSampling(400, uniform=0.0, normalise=False)
    prediction = attention_amm_spectral.with_parameters(delta=0.05)(method, problem)
    epsilon = prediction.value / (np.sqrt(3 / 8) * np.sqrt(8))
    failure = (3 + 1) * np.exp(-400 * epsilon**2 / (4 * (1 + epsilon / 3)))
    assert failure.item() == pytest.approx(0.05, rel=1e-9)
    assert prediction.failure.item() == 0.05


@pytest.mark.parametrize("b", ALL, ids=lambda b: b.name)
def test_estimated_row_sums_are_outside_the_hypotheses(b: Bound) -> None:
    with pytest.raises(HypothesisViolated, match="exact row sums"):
        b(ValueSampling(4), random_problem(np.random.default_rng(0)))


def test_a_failure_probability_of_one_is_outside_the_hypotheses() -> None:
    with pytest.raises(HypothesisViolated, match="delta < 1"):
        attention_amm_spectral.with_parameters(delta=1.0)(ColumnSampling(4), _example())
