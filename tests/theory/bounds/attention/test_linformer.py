from __future__ import annotations

import math

import numpy as np
import pytest

from theory.bounds.attention.linformer import linformer_entry, linformer_projection_mse
from theory.bounds.attention.perturbed import random_problem
from theory.statement.bound import Bound, HypothesisViolated
from tnattn.attention.low_rank.linformer import Linformer
from tnattn.attention.problem import AttentionProblem


def _example() -> AttentionProblem:
    """P = 11^T / 4, V = (1, -1, 1, 1)^T."""
    return AttentionProblem(np.zeros((1, 4, 1)), np.zeros((1, 4, 1)), np.array([1.0, -1.0, 1.0, 1.0])[None, :, None])


def test_the_error_of_the_worked_example_exceeds_the_output() -> None:
    """(1 * 4 + 1) / 4 = 1.25 > ||P V||_F^2 = 1: no relative guarantee."""
    value = linformer_projection_mse(Linformer(4, project_weights=True), _example()).value.item()
    assert value == pytest.approx(1.25, rel=1e-12)
    assert np.sum(_example().output ** 2) == pytest.approx(1.0)


def test_the_entry_bound_worked_by_hand() -> None:
    """||p|| = 1/2 and ||v|| = 2, so that eps is the right-hand side."""
    prediction = linformer_entry.with_parameters(epsilon=0.5)(Linformer(100, project_weights=True), _example())
    np.testing.assert_allclose(prediction.value, 0.5)
    np.testing.assert_allclose(prediction.failure, 4 * math.exp(-50 * (0.5 - math.log(1.5))))


@pytest.mark.parametrize("b", [linformer_projection_mse, linformer_entry], ids=lambda b: b.name)
def test_projected_keys_inside_the_softmax_are_outside_the_hypotheses(b: Bound) -> None:
    with pytest.raises(HypothesisViolated, match="normalised weights are projected"):
        b(Linformer(4), random_problem(np.random.default_rng(0)))


def test_eps_must_be_positive() -> None:
    with pytest.raises(HypothesisViolated, match="eps > 0"):
        linformer_entry.with_parameters(epsilon=0.0)(Linformer(4, project_weights=True), _example())
