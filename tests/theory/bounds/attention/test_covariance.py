from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from theory.bounds.attention.covariance import chi_square_output, largest_variance
from theory.bounds.attention.perturbed import (
    PerturbedKernel,
    PerturbedScores,
    one_dimensional_problem,
    random_problem,
    two_keys_out_of_balance,
)
from theory.bounds.attention.rows import exact_output, exact_weights, head_values
from theory.bounds.attention.softmax import attention_row_from_logits
from theory.statement import errors
from theory.statement.bound import HypothesisViolated
from tnattn.attention.masks import CausalMask
from tnattn.attention.problem import AttentionProblem


def test_three_keys_worked_by_hand() -> None:
    """Weights (1/2, 1/4, 1/4), approximately (1/4, 1/4, 1/2); values (1, 0, -1)."""
    problem = one_dimensional_problem(np.log([2.0, 1.0, 1.0]), np.array([1.0, 0.0, -1.0]))
    method = PerturbedKernel(np.array([0.5, 1.0, 2.0]))
    result = method(problem)
    # chi^2 = (1/16) (2 + 4) = 3/8, variance 1/2 + 1/4 - 1/16 = 11/16
    assert chi_square_output(method, problem, result).value.item() == pytest.approx(np.sqrt(33 / 128), rel=1e-12)
    assert errors.output_rows(problem, result).item() == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize("excess", [0.01, 0.3, 0.9])
def test_two_keys_attain_it(excess: float) -> None:
    method, problem = two_keys_out_of_balance(np.random.default_rng(0), excess=excess)
    result = method(problem)
    assert chi_square_output(method, problem, result).value == pytest.approx(
        errors.output_rows(problem, result), rel=1e-9
    )


@pytest.mark.parametrize("seed", range(5))
def test_random_kernels_obey_within_a_factor_of_their_directions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, mask=CausalMask())
    method = PerturbedKernel(rng.uniform(0.2, 3.0, (1, 2, 10, 14)))
    result = method(problem)
    assert np.all(errors.output_rows(problem, result) <= chi_square_output(method, problem, result).value * (1 + 1e-12))


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_the_largest_variance_is_that_of_the_weighted_values(shift: float) -> None:
    problem = random_problem(np.random.default_rng(0))
    shifted = dataclasses.replace(problem, v=problem.v + shift)
    p, o, v = exact_weights(shifted), exact_output(shifted), head_values(shifted)
    apart = v[..., None, :, :] - o[..., :, None, :]
    expected = np.linalg.norm(np.sqrt(p)[..., None] * apart, ord=2, axis=(-2, -1)) ** 2
    # an output near the shift s has rounding eps s
    np.testing.assert_allclose(largest_variance(shifted), expected, rtol=1e-12, atol=1e-15 * max(1.0, shift))


def test_the_covariance_is_sharper_than_the_diameter() -> None:
    """The published form has the largest distance of two values, whatever their weights."""
    rng = np.random.default_rng(0)
    problem = random_problem(rng, n_k=200)
    method = PerturbedScores(0.3 * rng.standard_normal((1, 2, 10, 200)))
    result = method(problem)
    sharp, published = (b(method, problem, result).value for b in (chi_square_output, attention_row_from_logits))
    assert np.median(published / sharp) > 4


def test_equal_values_have_no_error() -> None:
    problem = dataclasses.replace(random_problem(np.random.default_rng(0)), v=np.ones((1, 14, 3)))
    method = PerturbedKernel(np.full((1, 2, 10, 14), 1.5))
    assert np.max(chi_square_output(method, problem, method(problem)).value) < 1e-25


def test_a_multiple_of_the_kernel_costs_nothing() -> None:
    problem = random_problem(np.random.default_rng(0))
    method = PerturbedKernel(np.full((1, 2, 10, 1), 3.0))
    assert np.max(chi_square_output(method, problem, method(problem)).value) < 1e-12


def test_a_new_key_is_outside_the_hypotheses() -> None:
    problem = random_problem(np.random.default_rng(0), mask=CausalMask())
    unmasked = AttentionProblem(problem.q, problem.k, problem.v)
    method = PerturbedScores(np.zeros(()))
    result = dataclasses.replace(method(unmasked), values=problem.values)
    with pytest.raises(HypothesisViolated, match="vanishes where the exact one does"):
        chi_square_output(method, problem, result)
