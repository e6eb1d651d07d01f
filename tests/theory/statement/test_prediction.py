"""Predictions: their representation, and another right-hand side."""

from __future__ import annotations

import numpy as np

from theory.statement.prediction import Prediction


def test_a_prediction_states_the_range_of_its_sides_and_its_largest_failure_probability() -> None:
    made = Prediction(np.array([2.0, 0.5, 1.0]), np.array([0.0, 0.25, 0.125]))
    assert repr(made) == "<prediction 0.5 to 2 of shape (3,), failure at most 0.25>"
    assert repr(Prediction(np.zeros((0, 2)), np.zeros(0))) == "<prediction nothing of shape (0, 2), failure at most 0>"


def test_a_scaled_prediction_has_another_right_hand_side_only() -> None:
    made = Prediction(np.ones(2), np.zeros(2), condition=np.ones(2), ceiling=np.ones(2), spread=np.ones(2))
    assert made.scaled(1.0) is made
    scaled = made.scaled(3.0)
    assert scaled.value.tolist() == [3.0, 3.0]
    for name in ("failure", "observed", "condition", "ceiling", "spread", "left_out"):
        assert getattr(scaled, name) is getattr(made, name)


def test_rounding_counts_once_and_predictions_compare_by_identity() -> None:
    made = [Prediction(np.ones(2), np.zeros(2)) for _ in range(2)]
    assert made[0].condition.tolist() == 1.0
    assert made[0] != made[1]
