"""Worked examples of the statements about the values and about positive semidefinite kernels."""

import numpy as np
import pytest

from theory.bounds.attention.lift import Lifted
from theory.bounds.attention.perturbed import PerturbedScores, random_problem, two_keys_out_of_balance
from theory.bounds.certificate.lifted_diagonal import lifted_diagonal, lifted_quadratic_form
from theory.bounds.certificate.mirrored_identity import (
    mirrored_kernel_error,
    mirrored_normalisation_identity,
    value_distances,
)
from theory.bounds.certificate.value_ball import (
    distance_of_rows,
    projected_rows,
    value_ball_envelope,
    value_ball_projection,
)
from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky


def test_opposite_ends_attain_the_envelope():
    """From one value to the opposite one: the diameter, of which the ball knows the half twice."""
    method, problem = value_ball_envelope.extremal(np.random.default_rng(0))
    result = method(problem)
    assert distance_of_rows(problem, result).item() == pytest.approx(2.0)
    assert value_ball_envelope(method, problem, result).value.item() == pytest.approx(2.0, rel=0.03)


def test_outputs_in_the_ball_stay_where_they_are():
    problem, method = random_problem(np.random.default_rng(0)), PerturbedScores(np.zeros((1, 2, 10, 14)))
    result = method(problem)
    np.testing.assert_allclose(
        projected_rows(problem, result), value_ball_projection(method, problem, result).value, atol=1e-14
    )


def test_two_keys_out_of_balance_worked_by_hand():
    """Weights near 1/2 are moved by 10 percent up and down: E is 0.1 on both sides of the mass."""
    method, problem = two_keys_out_of_balance(np.random.default_rng(0))
    result = method(problem)
    p, output = 1 / (1 + np.exp(-np.log(0.9 / 1.1) / 2)), result.output.item()
    assert p == pytest.approx(1 - problem.dense_weights()[0, 0, 1], rel=1e-12)
    change = 0.1 * (p * (1 - output) + (1 - p) * (1 + output))
    assert mirrored_normalisation_identity(method, problem, result).value.item() == pytest.approx(change, rel=1e-9)
    least = p + (0.9 - 0.1) * (1 - p)
    assert mirrored_kernel_error(method, problem, result).value.item() == pytest.approx(change / least, rel=1e-9)


def test_distances_from_an_output():
    problem = random_problem(np.random.default_rng(0))
    found = value_distances(problem, problem.output)
    direct = np.linalg.norm(problem.v[:, None, :, :] - problem.output[:, :, None, :], axis=-1)
    np.testing.assert_allclose(found, direct, rtol=1e-10)


def test_the_quadratic_form_is_below_the_diagonal():
    problem, method = random_problem(np.random.default_rng(0), size=0.5), Lifted(RandomlyPivotedCholesky(rank=20))
    result = method(problem, rng=np.random.default_rng(0))
    diagonal, form = (b(method, problem, result).value for b in (lifted_diagonal, lifted_quadratic_form))
    error = distance_of_rows(problem, result)
    assert np.all(error <= form + 1e-12)
    assert np.all(form <= diagonal * (1 + 1e-6))
    assert np.all(np.isfinite(diagonal))


def test_at_low_rank_nothing_is_certified():
    problem, method = random_problem(np.random.default_rng(0)), Lifted(RandomlyPivotedCholesky(rank=2))
    result = method(problem, rng=np.random.default_rng(0))
    assert np.median(lifted_diagonal(method, problem, result).value) > 10
