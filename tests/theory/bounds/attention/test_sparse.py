from __future__ import annotations

import math

import numpy as np
import pytest

from theory.bounds.attention.perturbed import one_dimensional_problem, random_problem
from theory.bounds.attention.sparse import (
    dropped_mass,
    topk_error,
    topk_error_furthest,
    topk_identity,
    topk_mass,
    window_alibi_mass,
    window_decay_mass,
)
from theory.statement.bound import HypothesisViolated
from tnattn.attention.masks import BiasMask, CausalMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.attention.sparse.top_k import TopK

EXAMPLE = one_dimensional_problem(np.array([2.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0]))
DELTA = 0.334759


def test_the_dropped_mass_of_the_worked_example() -> None:
    """Scores (2, 1, 0) and one kept key: 1 - e^2 / (e^2 + e + 1)."""
    delta = 1 - math.exp(2) / (math.exp(2) + math.e + 1)
    assert dropped_mass(EXAMPLE, TopK(1)(EXAMPLE)).item() == pytest.approx(delta, rel=1e-12)
    assert delta == pytest.approx(DELTA, abs=1e-6)


def test_the_mass_bound_of_the_worked_example() -> None:
    """2 e^-1 / (1 + 2 e^-1)."""
    assert topk_mass(TopK(1), EXAMPLE).value.item() == pytest.approx(0.423883, abs=1e-6)


def test_the_output_error_of_the_worked_example_is_the_dropped_mass() -> None:
    prediction = topk_identity(TopK(1), EXAMPLE, TopK(1)(EXAMPLE))
    assert prediction.value.item() == pytest.approx(DELTA, abs=1e-6)
    assert prediction.observed is not None
    assert prediction.observed.item() == pytest.approx(DELTA, abs=1e-6)


def test_the_output_bounds_of_the_worked_example_are_attained() -> None:
    assert topk_error(TopK(1), EXAMPLE).value.item() == pytest.approx(DELTA, abs=1e-6)
    assert topk_error_furthest(TopK(1), EXAMPLE, TopK(1)(EXAMPLE)).value.item() == pytest.approx(DELTA, abs=1e-6)


@pytest.mark.parametrize("method", [TopK(14), SlidingWindow(14)], ids=repr)
def test_nothing_is_lost_when_all_keys_are_kept(method: TopK | SlidingWindow) -> None:
    problem = random_problem(np.random.default_rng(0))
    assert np.max(topk_error(method, problem).value) == 0


def test_the_gap_counts_only_keys_that_the_mask_leaves() -> None:
    problem = random_problem(np.random.default_rng(0), mask=CausalMask())
    bound = topk_mass(TopK(6), problem).value
    assert np.all(bound[:, 0] == 0)  # the first query sees five keys
    assert np.all(bound >= dropped_mass(problem, TopK(6)(problem)) - 1e-14)


def _alibi(slope: float, n: int, content: float = 0.0) -> AttentionProblem:
    """One query at the end; content is against a window of 8."""
    k = np.where(np.arange(n) < n - 8, content, -content)
    bias = -slope * np.arange(n)[::-1][None, :]
    return AttentionProblem(
        np.ones((1, 1, 1)), k[None, :, None], np.ones((1, n, 1)), mask=CausalMask() & BiasMask(bias), scale=1.0
    )


def test_the_alibi_mass_of_the_worked_example() -> None:
    """Slope 0.5, content up to 0.5, window 8 of 20: x = e (e^-4 - e^-10) / (1 - e^-4)."""
    problem = _alibi(0.5, 20, content=0.5)
    assert window_alibi_mass(SlidingWindow(8), problem).value.item() == pytest.approx(0.0481541, abs=1e-7)
    assert dropped_mass(problem, SlidingWindow(8)(problem)).item() == pytest.approx(0.0481541, abs=1e-7)


def test_the_decaying_mass_worked_by_hand() -> None:
    """Weights are C e^(-D / 2) with C = (1 - e^-1/2) / (1 - e^-10), so that the bound is e^-4 / (1 - e^-10)."""
    value = window_decay_mass(SlidingWindow(8), _alibi(0.5, 20)).value.item()
    assert value == pytest.approx(math.exp(-4) / (1 - math.exp(-10)), rel=1e-12)


def test_a_bias_that_is_no_line_is_outside_the_hypotheses() -> None:
    bias = -np.random.default_rng(0).uniform(size=(10, 14))
    problem = random_problem(np.random.default_rng(1), mask=CausalMask() & BiasMask(bias))
    with pytest.raises(HypothesisViolated, match="slope"):
        window_alibi_mass(SlidingWindow(4), problem)


def test_a_problem_without_bias_is_outside_the_hypotheses() -> None:
    with pytest.raises(HypothesisViolated, match="causal plus one bias"):
        window_alibi_mass(SlidingWindow(4), random_problem(np.random.default_rng(1), mask=CausalMask()))


def test_a_decay_needs_a_causal_mask() -> None:
    with pytest.raises(HypothesisViolated, match="causal"):
        window_decay_mass(SlidingWindow(4), random_problem(np.random.default_rng(1)))


def test_a_decay_must_be_positive() -> None:
    with pytest.raises(HypothesisViolated, match="decay > 0"):
        window_decay_mass.with_parameters(decay=0.0)(SlidingWindow(8), _alibi(0.5, 20))
