from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from theory.bounds.attention.output import (
    kernel_normalisation_fro,
    kernel_normalisation_identity,
    kernel_normalisation_row,
    relative_entry_propagation,
)
from theory.bounds.attention.perturbed import (
    PerturbedKernel,
    PerturbedScores,
    one_dimensional_problem,
    random_problem,
    two_keys_out_of_balance,
)
from theory.statement import errors
from theory.statement.bound import Bound, HypothesisViolated
from tnattn.attention.masks import ExplicitMask
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.sampling.value_sampling import ValueSampling

ALL = [kernel_normalisation_identity, kernel_normalisation_row, kernel_normalisation_fro, relative_entry_propagation]


def _example() -> tuple:
    """Kernel (2, 1, 1), approximate kernel (2.2, 0.9, 1), values (1, 0, -1)."""
    problem = one_dimensional_problem(np.log([2.0, 1.0, 1.0]), np.array([1.0, 0.0, -1.0]))
    method = PerturbedKernel(np.array([1.1, 0.9, 1.0]))
    return method, problem, method(problem)


def test_the_true_error_of_the_worked_example() -> None:
    _, problem, result = _example()
    assert errors.output_rows(problem, result).item() == pytest.approx(0.0426829, rel=1e-5)


def test_the_row_bound_of_the_worked_example() -> None:
    assert kernel_normalisation_row(*_example()).value.item() == pytest.approx(0.0914634, rel=1e-6)


def test_the_identity_of_the_worked_example() -> None:
    prediction = kernel_normalisation_identity(*_example())
    assert prediction.value.item() == pytest.approx(0.0426829, rel=1e-5)
    assert prediction.observed is not None
    assert prediction.observed.item() == pytest.approx(prediction.value.item(), rel=1e-12)


def test_the_frobenius_bound_worked_by_hand() -> None:
    """In units of d = 4: |A' - A|_F = sqrt(0.05) / 4, |V| = sqrt(2), d' - d = 0.1 / 4, o = 0.25, min d' = 4.1 / 4."""
    expected = (np.sqrt(0.05) / 4 * np.sqrt(2) + 0.1 / 4 * 0.25) / (4.1 / 4)
    assert kernel_normalisation_fro(*_example()).value.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("eta, mass", [(0.1, 0.05012563), (0.5, 0.2679492)])
def test_relative_errors_move_as_much_mass_as_the_worked_example_says(eta: float, mass: float) -> None:
    method, problem = two_keys_out_of_balance(np.random.default_rng(0), excess=eta)
    result = method(problem)
    assert errors.weights_rows_l1(problem, result).item() / 2 == pytest.approx(mass, rel=1e-6)
    assert relative_entry_propagation(method, problem, result).value.item() == pytest.approx(2 * mass, rel=1e-6)


@pytest.mark.parametrize("b", ALL, ids=lambda b: b.name)
def test_own_denominators_are_outside_the_hypotheses(b: Bound) -> None:
    problem = random_problem(np.random.default_rng(0))
    method = ValueSampling(8, normalise=False)
    with pytest.raises(HypothesisViolated, match="row sum of the approximate kernel"):
        b(method, problem, method(problem, rng=np.random.default_rng(1)))


@pytest.mark.parametrize("b", ALL, ids=lambda b: b.name)
def test_other_values_are_outside_the_hypotheses(b: Bound) -> None:
    problem = random_problem(np.random.default_rng(0))
    method = PerturbedScores(np.zeros(()))
    result = method(problem)
    with pytest.raises(HypothesisViolated, match="the output is the weights times V"):
        b(method, problem, dataclasses.replace(result, values=2 * result.values))


@pytest.mark.parametrize("b", ALL, ids=lambda b: b.name)
def test_rows_without_keys_are_outside_the_hypotheses(b: Bound) -> None:
    allowed = np.ones((10, 14), dtype=bool)
    allowed[3] = False
    problem = random_problem(np.random.default_rng(0), mask=ExplicitMask(allowed))
    method = PerturbedScores(np.zeros(()))
    with pytest.raises(HypothesisViolated, match="every query sees a key"):
        b(method, problem, method(problem))


def test_a_summary_that_forgot_its_keys_is_outside_the_hypotheses() -> None:
    problem = random_problem(np.random.default_rng(0))
    method = Performer(8)
    result = method(problem, rng=np.random.default_rng(1))
    with pytest.raises(HypothesisViolated, match="weights over the keys"):
        kernel_normalisation_row(method, problem, dataclasses.replace(result, expand=None))


def test_an_entry_that_is_wrong_by_its_own_size_is_outside_the_relative_bound() -> None:
    problem = one_dimensional_problem(np.zeros(2), np.array([1.0, -1.0]))
    method = PerturbedKernel(np.array([2.0, 1.0]))
    with pytest.raises(HypothesisViolated, match="eta < 1"):
        relative_entry_propagation(method, problem, method(problem))
