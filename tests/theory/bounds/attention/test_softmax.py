from __future__ import annotations

import math

import numpy as np
import pytest

from theory.bounds.attention import softmax
from theory.bounds.attention.perturbed import PerturbedScores, random_problem, two_groups_of_scores
from theory.bounds.attention.rows import score_errors
from theory.statement import errors
from theory.statement.bound import Bound, HypothesisViolated
from tnattn.attention.masks import CausalMask
from tnattn.attention.sparse.top_k import TopK

ALL = [
    softmax.softmax_l1_lipschitz,
    softmax.softmax_linf_lipschitz,
    softmax.softmax_l2_lipschitz,
    softmax.softmax_relative,
    softmax.attention_row_from_logits,
    softmax.attention_fro_from_logits,
]


def _two_keys(distance: float) -> tuple:
    """Scores (-distance / 4, distance / 4) exchange places; values (1, -1)."""
    method, problem = two_groups_of_scores(np.random.default_rng(0), distance=distance)
    return method, problem, method(problem)


@pytest.mark.parametrize(
    "b, expected",
    [
        (softmax.softmax_l1_lipschitz, 2 * math.tanh(0.25)),
        (softmax.softmax_linf_lipschitz, math.tanh(0.25)),
        (softmax.softmax_l2_lipschitz, math.sqrt(0.5) / 2),
        (softmax.softmax_relative, 1.0),
        (softmax.attention_row_from_logits, 2 * math.tanh(0.25)),
        (softmax.attention_fro_from_logits, math.sqrt(0.5) * math.sqrt(2) / 2),
    ],
    ids=lambda x: x.name if isinstance(x, Bound) else "",
)
def test_two_keys_worked_by_hand(b: Bound, expected: float) -> None:
    """Errors of the scores are (0.5, -0.5): range 1, norm sqrt(0.5)."""
    assert b(*_two_keys(1.0)).value.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("distance", [0.1, 1.0, 5.0])
def test_two_groups_attain_the_tanh_bounds(distance: float) -> None:
    method, problem, result = _two_keys(distance)
    for b in (softmax.softmax_l1_lipschitz, softmax.softmax_linf_lipschitz, softmax.attention_row_from_logits):
        assert b(method, problem, result).value == pytest.approx(b.error(problem, result), rel=1e-10)


@pytest.mark.parametrize("b", ALL, ids=lambda b: b.name)
def test_a_shift_of_all_scores_of_a_row_costs_nothing(b: Bound) -> None:
    problem = random_problem(np.random.default_rng(0))
    method = PerturbedScores(np.full((1, 2, 10, 1), 7.0))
    assert np.max(b(method, problem, method(problem)).value) < 1e-13


@pytest.mark.parametrize("b", ALL, ids=lambda b: b.name)
def test_a_kernel_that_vanishes_somewhere_is_outside_the_hypotheses(b: Bound) -> None:
    problem = random_problem(np.random.default_rng(0))
    with pytest.raises(HypothesisViolated, match="positive where the exact one is"):
        b(TopK(3), problem, TopK(3)(problem))


def test_the_errors_of_scores_are_recovered_under_a_mask() -> None:
    rng = np.random.default_rng(2)
    perturbation = rng.standard_normal((1, 2, 10, 14))
    problem = random_problem(rng, mask=CausalMask())
    found = score_errors(problem, PerturbedScores(perturbation)(problem))
    seen = np.arange(14) <= np.arange(10)[:, None] + 4
    difference = np.where(seen, found - perturbation[0], np.nan)
    spread = np.nanmax(difference, axis=-1) - np.nanmin(difference, axis=-1)
    assert np.max(spread) < 1e-12
    assert not np.any(found[:, ~seen])


def test_the_range_of_errors_is_symmetric() -> None:
    problem = random_problem(np.random.default_rng(3))
    found = score_errors(problem, PerturbedScores(np.random.default_rng(4).uniform(size=(10, 14)))(problem))
    np.testing.assert_allclose(found.max(axis=-1), -found.min(axis=-1), rtol=1e-9)


def test_the_chain_is_a_chain() -> None:
    """Row bound <= half the range times the diameter <= largest error of a score times the diameter."""
    rng = np.random.default_rng(5)
    perturbation = rng.uniform(-1, 1, size=(1, 2, 10, 14))
    problem = random_problem(rng)
    method = PerturbedScores(perturbation)
    bound = softmax.attention_row_from_logits(method, problem, method(problem)).value
    largest = np.abs(perturbation[0]).max(axis=-1) * errors.value_diameter(problem)[:, None]
    assert np.all(bound <= largest / 2 * (1 + 1e-12))
