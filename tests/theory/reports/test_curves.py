"""From rows to curves: quantiles that keep infinities, the frontier, medians per head."""

import numpy as np
import pytest

from theory.reports.curves import best_rank, curves, frontier, head_errors, quantiles


def trial(budget, errors, number=0, **more):
    names = {"kind": "trial", "status": "done", "method": "M", "family": "f", "control": False, "oracle": False}
    return {**names, "budget": budget, "relative_output": errors, "flops": budget / 100, "trial": number, **more}


def test_quantiles_pool_heads_and_trials():
    (curve,) = curves([trial(8, [1.0, 2.0]), trial(8, [3.0, 4.0, 5.0][:2], 1), trial(4, [9.0, 9.0])])
    assert curve.budgets.tolist() == [4, 8]
    assert curve.median.tolist() == [9.0, 2.0]
    assert (curve.low[1], curve.high[1]) == (1.0, 4.0)


def test_a_bad_row_counts_as_infinite_and_spreads_no_nan():
    values = quantiles([float("nan"), 1.0, 2.0], (0.1, 0.5, 0.9))
    assert values.tolist() == [1.0, 2.0, np.inf]


def test_predictions_and_times_stand_at_their_budget():
    prediction = {
        "kind": "prediction",
        "status": "done",
        "method": "M",
        "budget": 8,
        "predicted_relative": [2.0, 4.0, 3.0],
    }
    time = {"kind": "time", "status": "done", "method": "M", "budget": 4, "ratio": 0.25}
    (curve,) = curves([trial(4, [1.0]), trial(8, [0.5]), prediction, time])
    np.testing.assert_array_equal(curve.predicted, [np.nan, 3.0])
    np.testing.assert_array_equal(curve.time, [0.25, np.nan])
    assert curve.vacuous.tolist() == [False, True]


def test_failed_rows_are_left_out():
    assert curves([{**trial(4, [1.0]), "status": "failed"}]) == []


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_the_frontier_is_what_no_point_beats_in_both(shift):
    generator = np.random.default_rng(0)
    cost, error = generator.random((2, 40)) + shift
    kept = frontier(cost, error)
    beaten = [any((cost[j] <= cost[i]) & (error[j] < error[i]) for j in range(40)) for i in range(40)]
    assert sorted(kept) == [i for i in range(40) if not beaten[i]]
    assert np.all(np.diff(error[kept]) < 0)


def test_points_without_cost_are_not_on_the_frontier():
    assert frontier(np.asarray([np.nan, 1.0]), np.asarray([0.0, 0.5])).tolist() == [1]


def test_head_errors_are_medians_over_trials_with_methods_without_budget():
    rows = [trial(8, [1.0, 5.0], i) for i in range(3)] + [trial(4, [9.0, 9.0]), trial(0, [0.7, 0.8], method="Free")]
    found = head_errors(rows, 8)
    assert {name: values.tolist() for name, values in found.items()} == {"M": [1.0, 5.0], "Free": [0.7, 0.8]}


def test_floors_are_sorted_by_budget():
    rows = [{"kind": "floor", "status": "done", "budget": m, "best_rank_relative": [1 / m]} for m in (16, 4)]
    budgets, values = best_rank(rows)
    assert budgets.tolist() == [4, 16]
    assert values[:, 0].tolist() == [0.25, 0.0625]
