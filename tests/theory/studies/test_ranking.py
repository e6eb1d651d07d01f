"""Rankings on rows made by hand."""

import numpy as np
import pytest

from theory.studies.ranking import LEVELS, TIMED_FROM, interpolated, rank, rankings


def row(method, flops, errors, *, budget=8, trial=0, **kept):
    common = {"status": "done", "kind": "trial", "oracle": False, "control": False, "leaks": False, "state": flops}
    named = {"method": method, "flops": flops, "budget": budget, "trial": trial, "relative_output": errors}
    return common | named | kept


def clock(method, budget, ratio):
    return {"status": "done", "kind": "time", "method": method, "budget": budget, "ratio": ratio}


def test_the_interpolation_is_a_power_law_between_two_budgets():
    costs, errors = np.array([0.1, 0.4]), np.array([[0.1], [0.025]])
    np.testing.assert_allclose(interpolated(costs, errors, 0.2), [0.05], rtol=1e-12)


def test_beyond_the_largest_cost_the_error_is_constant():
    np.testing.assert_array_equal(interpolated(np.array([0.1, 0.2]), np.array([[3.0], [2.0]]), 0.5), [2.0])


def test_a_free_method_keeps_its_error_until_its_next_budget():
    np.testing.assert_array_equal(interpolated(np.array([0.0, 0.4]), np.array([[3.0], [2.0]]), 0.2), [3.0])


def test_a_bad_row_between_two_budgets_is_not_interpolated_away():
    assert interpolated(np.array([0.1, 0.4]), np.array([[np.inf], [0.5]]), 0.2) == np.inf


def test_the_smaller_error_comes_first():
    made = rank([row("worse", 0.1, [0.3, 0.3]), row("better", 0.1, [0.2, 0.2])], "flops", 0.125)
    assert [place.method for place in made.places] == ["better", "worse"]


def test_a_method_that_costs_more_is_named_and_not_ranked():
    made = rank([row("cheap", 0.1, [0.3]), row("dear", 0.2, [0.1])], "flops", 0.125)
    assert [place.method for place in made.places] == ["cheap"]
    assert made.too_dear == ("dear",)


def test_oracles_stand_apart_and_win_no_head():
    made = rank([row("honest", 0.1, [0.3]), row("seer", 0.1, [0.0], oracle=True)], "flops", 0.125)
    assert [(place.method, place.wins) for place in made.places] == [("honest", 1)]
    assert [(place.method, place.wins) for place in made.oracles] == [("seer", 0)]


def test_wins_are_counted_head_by_head():
    made = rank([row("a", 0.1, [0.1, 0.5, 0.5]), row("b", 0.1, [0.2, 0.4, 0.4])], "flops", 0.125)
    assert {place.method: place.wins for place in made.places} == {"a": 1, "b": 2}


def test_a_head_counts_with_the_median_of_its_trials():
    rows = [row("a", 0.1, [error], trial=trial) for trial, error in enumerate([0.1, 0.2, 9.0])]
    assert rank(rows, "flops", 0.125).places[0].error == pytest.approx(0.2)


def test_a_bad_row_is_an_infinite_error():
    assert rank([row("a", 0.1, [float("nan")])], "flops", 0.125).places[0].error == np.inf


def test_failed_rows_are_not_ranked():
    assert rank([row("a", 0.1, [0.1]) | {"status": "failed"}], "flops", 0.125).places == ()


def test_what_is_spent_is_less_than_the_level_where_the_largest_budget_is_cheap():
    assert rank([row("a", 0.1, [0.1])], "flops", 0.5).places[0].spent == pytest.approx(0.1)


def test_times_stand_beside_below_the_size_from_which_they_are_ranked():
    rows = [row("a", 0.1, [0.1]), clock("a", 8, 0.7)]
    assert rank(rows, "flops", 0.125).places[0].time == pytest.approx(0.7)


@pytest.mark.parametrize("tokens, measures", [(TIMED_FROM - 1, 2), (TIMED_FROM, 3)])
def test_times_are_ranked_for_long_sequences_only(tokens, measures):
    made = rankings([row("a", 0.1, [0.1]), clock("a", 8, 0.1)], tokens=tokens)
    assert len(made) == measures * len(LEVELS)


def test_a_level_that_is_no_share_is_refused():
    with pytest.raises(ValueError, match="positive"):
        rank([], "flops", 0.0)
