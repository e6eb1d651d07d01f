"""P-values and details of the verdicts, word by word."""

import numpy as np
import pytest

from theory.statistics.betting import bennett_lower_p_value, expectation_p_value, support_p_value
from theory.statistics.intervals import clopper_pearson
from theory.statistics.judge import (
    judge_deterministic,
    judge_exact_expectation,
    judge_expectation,
    judge_lower_expectation,
    judge_probability,
)
from theory.statistics.verdict import Verdict

LEVEL = 1e-3


def test_the_largest_violation_is_shown_and_not_the_largest_ratio():
    judged = judge_deterministic([10.0, 3.5, 0.02, 0.0], [9.4, 1.0, 0.001, 0.0], 0.5)
    assert judged.p_value == 0
    assert judged.detail == "2 of 4 instances violate it: left 3.5, right 1, slack 0.5 at (1,)"


@pytest.mark.parametrize(
    ("left", "right", "shown"),
    [
        ([1.0, 3.0, 0.0, 9.0], [4.0, 4.0, 0.0, np.inf], "4 instances; tightest: left 3, right 4, slack 0 at (1,)"),
        ([[1.0], [0.5]], 2.0, "2 instances; tightest: left 1, right 2, slack 0 at (0, 0)"),
        (1.0, 2.0, "1 instances; tightest: left 1, right 2, slack 0"),
        (np.inf, np.inf, "1 instances; tightest: left inf, right inf, slack 0"),
    ],
)
def test_the_tightest_instance_is_shown(left, right, shown):
    judged = judge_deterministic(left, right, 0.0)
    assert (judged.verdict, judged.p_value) == (Verdict.SUPPORTED, 1.0)
    assert judged.detail == f"no violation in {shown}"


@pytest.mark.parametrize("sides", [([], 1.0, 0.0), (np.nan, 1.0, 0.0), (1.0, np.nan, 0.0), (1.0, 1.0, np.nan)])
def test_sides_that_are_empty_or_nan_are_refused(sides):
    with pytest.raises(ValueError, match="empty or NaN"):
        judge_deterministic(*sides)


@pytest.mark.parametrize("one", [0, 1, 2])
def test_one_nan_among_numbers_is_refused(one):
    sides = [[1.0, 1.0] for _ in range(3)]
    sides[one][0] = np.nan
    with pytest.raises(ValueError, match="empty or NaN"):
        judge_deterministic(*sides)


def test_equality_of_both_sides_is_no_violation():
    assert judge_deterministic(2.0, 1.5, 0.5).verdict is Verdict.SUPPORTED


@pytest.mark.parametrize(
    ("judged", "expected"),
    [
        (lambda: judge_expectation([1.0], 0.0, None, 0.0), Verdict.REFUTED),
        (lambda: judge_expectation([0.5], 2.0, 1.0, 0.0), Verdict.SUPPORTED),
        (lambda: judge_lower_expectation([0.5], 1.0, None, 0.0, spread=0.0), Verdict.REFUTED),
        (lambda: judge_lower_expectation([1.0], 0.0, None, 0.0), Verdict.SUPPORTED),
        (lambda: judge_exact_expectation([1.0], 0.0, 0.0), Verdict.REFUTED),
    ],
)
def test_a_p_value_of_zero_is_at_most_a_level_of_zero(judged, expected):
    assert judged().verdict is expected


def test_a_level_of_zero_is_reached_where_an_estimate_underflows():
    """3000 zeros: exp(-3000 (2 log 2 - 1)) is 0."""
    x = np.zeros(3000)
    assert "asymptotically supported" in judge_expectation(x, 1.0, None, 0.0).detail
    assert "unseen" in judge_exact_expectation(x, 1.0, 0.0).detail


def test_the_p_value_of_a_stack_is_the_smallest_times_the_number_of_problems():
    x = np.random.default_rng(40).exponential(size=(20, 3))
    alone = expectation_p_value(x, [0.5, 1.0, 2.0])
    judged = judge_expectation(x, [0.5, 1.0, 2.0], None, 1e-9)
    assert judged.p_value == pytest.approx(min(1.0, 3 * alone.min()), rel=1e-14)
    assert 0 < judged.p_value < 1
    assert judge_expectation(x, 9.0, None, 1e-9).p_value == 1


@pytest.mark.parametrize(
    ("upper", "note"),
    [
        (1.0, "a larger mean is excluded at p = 0"),
        (9.0, "too few trials to exclude a larger mean"),
        (None, "X is unbounded, a rare larger value may be unseen"),
    ],
)
def test_the_detail_of_an_expectation(upper, note):
    judged = judge_expectation([[0.5, 0.25], [1.0, 0.25]], [1.0, 2.0], upper, LEVEL, slack=[0.5, 0.0])
    if upper == 1.0:
        judged = judge_expectation([[0.5, 0.25], [1.0, 0.25]], [1.0, 1.0], upper, LEVEL, slack=[0.5, 0.0])
    assert judged.detail == f"2 trials, mean / bound at most 0.5; {note}"


def test_a_ratio_of_infinite_numbers_and_of_zeros_is_zero():
    detail = judge_expectation([[np.inf, 0.0, 0.25]], [np.inf, 0.0, 1.0], None, LEVEL).detail
    assert detail.startswith("1 trials, mean / bound at most 0.25;")


def test_the_detail_of_a_lower_bound():
    detail = judge_lower_expectation([[0.5, 6.0], [1.0, 6.0]], [1.0, 2.0], None, LEVEL).detail
    assert detail.startswith("2 trials, mean / bound at least 0.75; the sample is smaller, but rare")
    assert detail.endswith("may be unseen; a smaller mean is not excluded")
    detail = judge_lower_expectation([1.0, 1.0], 1.0, None, LEVEL).detail
    assert detail == "2 trials, mean / bound at least 1; a smaller mean is not excluded"
    detail = judge_lower_expectation(np.zeros(3), 0.0, 2.0, LEVEL).detail
    assert detail == "3 trials, mean / bound at least inf; a smaller mean is not excluded"
    detail = judge_lower_expectation([1.0], 0.0, 2.0, LEVEL).detail
    assert detail == "1 trials, mean / bound at least inf; a smaller mean is excluded at p = 0"
    detail = judge_lower_expectation([0.5], 1.0, 2.0, LEVEL).detail
    assert detail == "1 trials, mean / bound at least 0.5; a smaller mean is not excluded"


def test_two_p_values_of_a_lower_bound_count_twice():
    x = np.random.default_rng(41).random((12, 2))
    found = support_p_value(x, 0.8, 1.0), bennett_lower_p_value(x, 0.8, spread=0.5)
    assert judge_lower_expectation(x, 0.8, 1.0, LEVEL).p_value == pytest.approx(min(1.0, 2 * found[0].min()))
    assert judge_lower_expectation(x, 0.8, None, LEVEL, spread=0.5).p_value == pytest.approx(2 * found[1].min())
    both = judge_lower_expectation(x, 0.8, 1.0, LEVEL, spread=0.5).p_value
    assert both == pytest.approx(min(1.0, 2 * 2 * min(f.min() for f in found)))
    assert 0 < both < 1
    assert judge_lower_expectation(x, 0.1, 1.0, LEVEL, spread=0.5).p_value == 1


@pytest.mark.parametrize("failed", [np.array(True), np.zeros(0, dtype=bool), np.zeros((0, 2), dtype=bool), [0, 1]])
def test_failures_without_trials_are_refused(failed):
    with pytest.raises(TypeError, match="pass booleans, trials first"):
        judge_probability(failed, 0.1, LEVEL)


@pytest.mark.parametrize("delta", [-0.1, np.nan, [0.1, -0.1]])
def test_a_failure_probability_is_a_number_from_zero(delta):
    with pytest.raises(ValueError, match="delta is"):
        judge_probability(np.zeros((3, 2), dtype=bool), delta, LEVEL)


def test_a_failure_probability_of_one_says_nothing():
    judged = judge_probability(np.zeros((3, 2), dtype=bool), [1.0, 1.5], LEVEL)
    assert (judged.verdict, judged.p_value) == (Verdict.VACUOUS, None)
    assert judged.detail == "the stated failure probability 1 is >= 1"
    judged = judge_probability(np.zeros((3, 2), dtype=bool), [1.0, 0.5], LEVEL)
    assert judged.verdict is Verdict.NOT_CONTRADICTED


def test_the_problem_with_most_failures_is_shown():
    failed = np.zeros((20, 3), dtype=bool)
    failed[:2, 0] = failed[:5, 1] = True
    lower, upper = clopper_pearson(5, 20, LEVEL)
    shown = f"5 failures in 20 trials, rate in [{float(lower):.3g}, {float(upper):.3g}], claim 0.3"
    assert judge_probability(failed, [0.2, 0.3, 0.4], LEVEL).detail == shown


def test_a_claim_of_zero_needs_infinitely_many_trials():
    detail = judge_probability(np.zeros(5, dtype=bool), 0.0, LEVEL).detail
    assert detail == "no failure in 5 trials; the claim 0 is beyond the resolution (needs inf)"


def test_one_problem_with_too_few_trials_keeps_a_probability_from_support():
    failed = np.zeros((100, 2), dtype=bool)
    assert judge_probability(failed, 0.2, LEVEL).verdict is Verdict.SUPPORTED
    assert judge_probability(failed, [0.2, 0.01], LEVEL).verdict is Verdict.NOT_CONTRADICTED


def test_the_p_value_of_an_identity_counts_both_sides():
    x = np.random.default_rng(42).exponential(size=(12, 2)) + 0.1
    above = min(1.0, 2 * expectation_p_value(x, 0.6).min())
    assert judge_exact_expectation(x, 0.6, 1e-9).p_value == pytest.approx(above)
    assert judge_exact_expectation(x, 0.6, 1e-9, spread=1.0).p_value == pytest.approx(2 * above)
    below = min(1.0, 2 * bennett_lower_p_value(x, 4.0, 2.0).min())
    assert judge_exact_expectation(x, 4.0, 1e-9, variance=2.0).p_value == pytest.approx(2 * below)
    mirrored = min(1.0, 2 * support_p_value(x, 4.0, 9.0).min())
    assert judge_exact_expectation(x, 4.0, 1e-12, upper=9.0).p_value == pytest.approx(2 * mirrored)
    assert judge_exact_expectation(x, x.mean(axis=0), 1e-9, spread=1.0).p_value == 1


def test_the_slack_of_an_identity_is_allowed_on_both_sides():
    x = np.random.default_rng(43).exponential(size=12) + 0.1
    above = expectation_p_value(x, 0.3 + 0.2)
    assert judge_exact_expectation(x, 0.3, 1e-9, slack=0.2).p_value == pytest.approx(above)
    below = bennett_lower_p_value(x, 4.0 - 1.0, spread=0.5 * (4.0 / 3.0) ** 2)
    judged = judge_exact_expectation(x, 4.0, 1e-9, spread=0.5, slack=1.0)
    assert judged.p_value == pytest.approx(2 * float(below))
    below = bennett_lower_p_value(x, 4.0 - 1.0, 2.0)
    assert judge_exact_expectation(x, 4.0, 1e-9, variance=2.0, slack=1.0).p_value == pytest.approx(2 * float(below))


def test_a_slack_of_the_size_of_the_mean_admits_every_smaller_mean():
    judged = judge_exact_expectation(np.zeros(50), 1.0, LEVEL, spread=0.1, slack=1.0)
    assert (judged.verdict, judged.p_value) == (Verdict.NOT_CONTRADICTED, 1.0)


def test_the_detail_of_an_identity():
    detail = judge_exact_expectation([[0.5, 3.0], [1.0, 3.0]], [1.0, 2.0], LEVEL).detail
    assert detail == "2 trials, mean / expected in [0.75, 1.5]; not yet equal within 5%"
    assert judge_exact_expectation([1.0], 1.0, LEVEL).detail.endswith("not yet equal within 5%")
    x = np.random.default_rng(44).gamma(100.0, 0.01, (500, 2))
    assert judge_exact_expectation(x, 1.0, LEVEL, margin=0.06).detail.endswith("asymptotically equal within 6%")
    assert judge_exact_expectation(x, [1.0, 1.2], LEVEL, spread=9.0).detail.endswith("not yet equal within 5%")


def test_one_undecided_problem_keeps_a_lower_bound_from_support():
    x = np.random.default_rng(46).uniform(0.5, 1.5, (300, 2))
    assert judge_lower_expectation(x, [0.3, 0.3], None, LEVEL).verdict is Verdict.SUPPORTED
    assert judge_lower_expectation(x, [0.3, 1.0], None, LEVEL).verdict is Verdict.NOT_CONTRADICTED


def test_a_p_value_at_the_level_refutes():
    """One failure in one trial has probability 1/2 if the claim of 1/2 is true."""
    judged = judge_probability(np.array([True]), 0.5, 0.5)
    assert (judged.verdict, judged.p_value) == (Verdict.REFUTED, 0.5)


# --- boundaries ----------------------------------------------------------------------------------------------------


def test_the_largest_violation_is_the_one_that_exceeds_its_own_slack_most():
    """Beyond the slacks of 1.5 and 0.1 the sides differ by 0.5 and by 0.9."""
    judged = judge_deterministic([3.0, 2.0], 1.0, [1.5, 0.1])
    assert judged.detail == "2 of 2 instances violate it: left 2, right 1, slack 0.1 at (1,)"


@pytest.mark.parametrize(("x", "bound"), [(3.0, np.inf), (np.inf, np.inf), (0.0, 0.0)])
def test_a_ratio_to_infinity_and_of_zeros_is_zero_alone(x, bound):
    assert judge_expectation([x], bound, None, LEVEL).detail.startswith("1 trials, mean / bound at most 0;")


def test_one_undecided_problem_keeps_an_unbounded_expectation_from_asymptotic_support():
    x = np.random.default_rng(47).uniform(0.5, 1.5, (300, 2))
    assert "asymptotically supported" in judge_expectation(x, [3.0, 3.0], None, LEVEL).detail
    assert "may be unseen" in judge_expectation(x, [3.0, 1.0], None, LEVEL).detail


@pytest.mark.parametrize(
    "judged",
    [
        lambda x: judge_expectation(x, 1.0, None, LEVEL),
        lambda x: judge_lower_expectation(x, 1.0, None, LEVEL),
        lambda x: judge_exact_expectation(x, 1.0, LEVEL),
    ],
)
def test_trials_are_counted_along_the_first_axis(judged):
    assert judged(np.ones((3, 2))).detail.startswith("3 trials, mean / ")


def test_the_ratio_of_a_lower_bound_is_that_of_the_positive_bounds():
    """Means 3 and 5 against 2 and 0: a bound of zero has no ratio."""
    detail = judge_lower_expectation([[2.0, 5.0], [4.0, 5.0]], [2.0, 0.0], None, LEVEL).detail
    assert detail.startswith("2 trials, mean / bound at least 1.5;")


def test_the_smallest_claim_decides_how_many_trials_are_needed():
    """log 1e-3 / log 0.99 = 687.3, log 1e-3 / log 0.9 = 65.6."""
    detail = judge_probability(np.zeros((50, 2), dtype=bool), [0.1, 0.01], LEVEL).detail
    assert detail == "no failure in 50 trials; the claim 0.01 is beyond the resolution (needs 688)"
    judged = judge_probability(np.zeros((66, 2), dtype=bool), [0.1, 1.0], LEVEL)
    assert judged.verdict is Verdict.SUPPORTED
    detail = judge_probability(np.zeros((65, 2), dtype=bool), [0.1, 1.0], LEVEL).detail
    assert detail == "no failure in 65 trials; the claim 0.1 is beyond the resolution (needs 66)"


def test_a_failure_in_one_problem_is_shown_in_place_of_the_resolution():
    failed = np.zeros((50, 2), dtype=bool)
    failed[0, 1] = True
    assert judge_probability(failed, [0.01, 0.2], LEVEL).detail.startswith("1 failures in 50 trials, rate in [")


def test_a_claim_at_the_upper_limit_is_supported():
    claim = float(clopper_pearson(2, 50, LEVEL)[1])
    assert judge_probability(np.arange(50) < 2, claim, LEVEL).verdict is Verdict.SUPPORTED
    assert judge_probability(np.arange(50) < 2, np.nextafter(claim, 0), LEVEL).verdict is Verdict.NOT_CONTRADICTED


@pytest.mark.parametrize("unit", [2.0**-40, 1.0, 2.0**40])
def test_a_relative_variance_is_that_about_the_mean_without_its_slack(unit):
    """Of a mean of 4 with a slack of 1: the variance in units of 3 is (4 / 3)^2 times that in units of 4."""
    x = (np.random.default_rng(43).exponential(size=12) + 0.1) * unit
    below = bennett_lower_p_value(x, 3.0 * unit, spread=0.5 * (4.0 / 3.0) ** 2)
    judged = judge_exact_expectation(x, 4.0 * unit, 1e-9, spread=0.5, slack=unit)
    assert judged.p_value == pytest.approx(2 * float(below))


@pytest.mark.parametrize("spread", [0.0, 0.1, np.inf])
def test_a_slack_of_the_size_of_one_mean_divides_by_no_zero(spread):
    """The second mean admits nothing smaller than zero; the first one decides alone."""
    x = np.full((20, 2), 0.75)
    with np.errstate(divide="raise", invalid="raise"):
        judged = judge_exact_expectation(x, 1.0, 1e-12, spread=spread, slack=[0.0, 1.0])
    alone = bennett_lower_p_value(x[:, 0], 1.0, spread=spread)
    assert judged.p_value == pytest.approx(min(1.0, 2 * 2 * float(alone)))


@pytest.mark.parametrize("x", [[1.0, 1.0], np.ones((2, 1)), np.ones((2, 3))])
def test_two_trials_are_enough_for_an_asymptotic_equality(x):
    assert judge_exact_expectation(x, 1.0, LEVEL).detail.endswith("asymptotically equal within 5%")
