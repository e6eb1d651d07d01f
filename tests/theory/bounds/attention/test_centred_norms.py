from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from theory.bounds.attention.centred_norms import centred_frobenius, centred_mixed_norm, row_l2, shifted_spectral
from theory.bounds.attention.perturbed import (
    PerturbedKernel,
    PerturbedScores,
    one_dimensional_problem,
    random_problem,
    two_keys_out_of_balance,
)
from theory.bounds.attention.rows import exact_output, head_values
from theory.statement.bound import Bound, HypothesisViolated
from tnattn.attention.masks import CausalMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.wrappers.low_rank_weights import LowRankWeights
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD

ALL = [centred_frobenius, centred_mixed_norm, row_l2]


def _example() -> tuple[PerturbedKernel, AttentionProblem]:
    """Weights (1/2, 1/4, 1/4), approximately (1/4, 1/4, 1/2); values (1, 0, -1)."""
    problem = one_dimensional_problem(np.log([2.0, 1.0, 1.0]), np.array([1.0, 0.0, -1.0]))
    return PerturbedKernel(np.array([0.5, 1.0, 2.0])), problem


@pytest.mark.parametrize(
    ("b", "expected"),
    [
        # P' - P = (-1, 0, 1) / 4 and V - 1 c^T = (1, 0, -1)
        (centred_frobenius, 0.5),
        (centred_mixed_norm, 0.5),
        # kernels (1/4, 1/4, 1/2) and (1/2, 1/4, 1/4): g = 5/6, residual (-4, 1, 7) / 24; v - o = (3, -1, -5) / 4
        (row_l2, np.sqrt(66) / 24 * np.sqrt(35) / 4),
    ],
    ids=lambda x: x.name if isinstance(x, Bound) else "",
)
def test_three_keys_worked_by_hand(b: Bound, expected: float) -> None:
    method, problem = _example()
    result = method(problem)
    assert b(method, problem, result).value.item() == pytest.approx(expected, rel=1e-12)
    assert b.error(problem, result).item() == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize("excess", [0.01, 0.9])
@pytest.mark.parametrize("b", ALL, ids=lambda b: b.name)
def test_two_keys_attain_every_bound(b: Bound, excess: float) -> None:
    method, problem = two_keys_out_of_balance(np.random.default_rng(0), excess=excess)
    result = method(problem)
    assert b(method, problem, result).value == pytest.approx(b.error(problem, result), rel=1e-9)


@pytest.mark.parametrize("b", ALL, ids=lambda b: b.name)
@pytest.mark.parametrize("seed", range(3))
def test_random_kernels_obey(b: Bound, seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, mask=CausalMask())
    method = PerturbedKernel(rng.uniform(0.2, 3.0, (1, 2, 10, 14)))
    result = method(problem)
    assert np.all(b.error(problem, result) <= b(method, problem, result).value * (1 + 1e-12))


@pytest.mark.parametrize("b", [centred_frobenius, centred_mixed_norm], ids=lambda b: b.name)
def test_a_shift_of_all_values_changes_nothing(b: Bound) -> None:
    problem = random_problem(np.random.default_rng(0))
    method = LowRankWeights(TruncatedSVD(3))
    shifted = dataclasses.replace(problem, v=problem.v + 100.0)
    before, after = (b(method, p, method(p)).value for p in (problem, shifted))
    np.testing.assert_allclose(before, after, rtol=1e-10)


def test_the_scaled_rows_have_an_upper_bound_on_the_norm_of_the_values() -> None:
    """The norm over all keys comes from a 2 x 2 matrix, the residual is known: their quotient bounds the norm."""
    rng = np.random.default_rng(0)
    problem = random_problem(rng)
    method = PerturbedKernel(rng.uniform(0.5, 2.0, (1, 2, 10, 14)))
    v, o = head_values(problem), exact_output(problem)
    norm = np.linalg.norm(v[..., None, :, :] - o[..., :, None, :], ord=2, axis=(-2, -1))
    found = shifted_spectral(problem)
    assert np.all(norm <= found * (1 + 1e-13))
    assert np.all(found <= 1.2 * norm)
    assert np.all(row_l2(method, problem, method(problem)).value > 0)


@pytest.mark.parametrize("b", ALL, ids=lambda b: b.name)
def test_a_multiple_of_the_kernel_costs_nothing(b: Bound) -> None:
    problem = random_problem(np.random.default_rng(0))
    method = PerturbedKernel(np.full((1, 2, 10, 1), 3.0))
    assert np.max(b(method, problem, method(problem)).value) < 1e-12


@pytest.mark.parametrize("b", ALL, ids=lambda b: b.name)
def test_other_values_are_outside_the_hypotheses(b: Bound) -> None:
    problem = random_problem(np.random.default_rng(0))
    method = PerturbedScores(np.zeros(()))
    result = method(problem)
    with pytest.raises(HypothesisViolated, match="the output is the weights times V"):
        b(method, problem, dataclasses.replace(result, values=2 * result.values))


def test_weights_that_are_not_renormalised_are_outside_the_hypotheses() -> None:
    problem = random_problem(np.random.default_rng(0))
    method = LowRankWeights(TruncatedSVD(3), renormalise=False)
    with pytest.raises(HypothesisViolated, match="row sum of the approximate kernel"):
        centred_mixed_norm(method, problem, method(problem))
