from __future__ import annotations

import numpy as np
import pytest

from theory.bounds.attention import covariance
from theory.bounds.attention.perturbed import (
    PerturbedKernel,
    PerturbedScores,
    one_dimensional_problem,
    random_problem,
    two_keys_out_of_balance,
)
from theory.bounds.attention.softmax import attention_row_from_logits
from theory.statement import errors
from theory.statement.bound import Bound, HypothesisViolated
from tnattn.attention.masks import CausalMask

ALL = [covariance.chi_square_output, covariance.centred_mixed_norm, covariance.row_l2]


def _example() -> tuple:
    """Weights (1/2, 1/4, 1/4), approximately (1/4, 1/4, 1/2); values (1, 0, -1)."""
    problem = one_dimensional_problem(np.log([2.0, 1.0, 1.0]), np.array([1.0, 0.0, -1.0]))
    method = PerturbedKernel(np.array([0.5, 1.0, 2.0]))
    return method, problem, method(problem)


@pytest.mark.parametrize(
    ("b", "expected"),
    [
        # chi^2 = (1/16) (2 + 4) = 3/8, variance 1/2 + 1/4 - 1/16 = 11/16
        (covariance.chi_square_output, np.sqrt(3 / 8 * 11 / 16)),
        # change of the weights (-1/4, 0, 1/4), values with mean zero
        (covariance.centred_mixed_norm, np.sqrt(1 / 8) * np.sqrt(2)),
        # kernels (1/4, 1/4, 1/2) and (1/2, 1/4, 1/4): g = 5/6, residual (-1/6, 1/24, 7/24); v - o = (3, -1, -5) / 4
        (covariance.row_l2, np.sqrt(16 + 1 + 49) / 24 * np.sqrt(35) / 4),
    ],
    ids=lambda x: x.name if isinstance(x, Bound) else "",
)
def test_three_keys_worked_by_hand(b: Bound, expected: float) -> None:
    method, problem, result = _example()
    assert b(method, problem, result).value.item() == pytest.approx(expected, rel=1e-12)
    assert errors.output_rows(problem, result).item() == pytest.approx(0.5, rel=1e-12)
    assert expected >= 0.5 - 1e-12


@pytest.mark.parametrize("excess", [0.01, 0.3, 0.9])
@pytest.mark.parametrize("b", ALL, ids=lambda b: b.name)
def test_two_keys_attain_every_bound(b: Bound, excess: float) -> None:
    method, problem = two_keys_out_of_balance(np.random.default_rng(0), excess=excess)
    result = method(problem)
    assert b(method, problem, result).value == pytest.approx(b.error(problem, result), rel=1e-9)


@pytest.mark.parametrize("b", ALL, ids=lambda b: b.name)
@pytest.mark.parametrize("seed", range(5))
def test_random_kernels_obey(b: Bound, seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, mask=CausalMask())
    method = PerturbedKernel(rng.uniform(0.2, 3.0, (1, 2, 10, 14)))
    result = method(problem)
    assert np.all(b.error(problem, result) <= b(method, problem, result).value * (1 + 1e-12))


def test_the_covariance_is_sharper_than_the_diameter() -> None:
    """The published form has the largest distance of two values, whatever their weights."""
    rng = np.random.default_rng(0)
    problem = random_problem(rng, n_k=200)
    method = PerturbedScores(0.3 * rng.standard_normal((1, 2, 10, 200)))
    result = method(problem)
    sharp, published = (
        b(method, problem, result).value for b in (covariance.chi_square_output, attention_row_from_logits)
    )
    assert np.median(published / sharp) > 4


def test_a_new_key_is_outside_the_hypotheses() -> None:
    problem = random_problem(np.random.default_rng(0), mask=CausalMask())
    unmasked = random_problem(np.random.default_rng(0))
    result = PerturbedScores(np.zeros(()))(unmasked)
    with pytest.raises(HypothesisViolated, match="vanishes where the exact one does"):
        covariance.chi_square_output(PerturbedScores(np.zeros(())), problem, _with_values_of(result, problem))


def _with_values_of(result, problem):
    import dataclasses

    return dataclasses.replace(result, values=problem.values)


@pytest.mark.parametrize("b", ALL, ids=lambda b: b.name)
def test_a_multiple_of_the_kernel_costs_nothing(b: Bound) -> None:
    problem = random_problem(np.random.default_rng(0))
    method = PerturbedKernel(np.full((1, 2, 10, 1), 3.0))
    assert np.max(b(method, problem, method(problem)).value) < 1e-13
