"""Values of counts, intervals and planned numbers at the ends of their domains, and what they refuse."""

import numpy as np
import pytest
from scipy import stats

from theory.statistics import intervals as module
from theory.statistics.intervals import (
    binomial_p_value,
    clopper_pearson,
    deterministic_slack,
    geometric_mean,
    holm,
    median_interval,
    quantile_interval,
    rate_slope,
    tost,
    z_p_value,
)
from theory.statistics.required_trials import (
    required_trials_for_equivalence,
    required_trials_for_excess,
    required_trials_for_refutation,
    required_trials_for_support,
)


def test_all_public_names_exist():
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 1.1, np.nan])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("level", lambda p: clopper_pearson(1, 4, p)),
        ("level", lambda p: required_trials_for_support(0.1, p)),
        ("delta", lambda p: required_trials_for_support(p, 0.1)),
        ("level", lambda p: required_trials_for_refutation(0.1, 0.2, p)),
        ("power", lambda p: required_trials_for_refutation(0.1, 0.2, 0.1, p)),
        ("delta", lambda p: required_trials_for_refutation(p, 0.5, 0.1)),
        ("rate", lambda p: required_trials_for_refutation(0.1, p, 0.1)),
        ("level", lambda p: required_trials_for_excess(1.0, 0.1, p)),
        ("level", lambda p: required_trials_for_equivalence(1.0, 0.1, p)),
        ("level", lambda p: tost([1.0, 1.1], 1.0, 0.1, p)),
        ("level", lambda p: rate_slope([1, 2, 3, 4], [4, 3, 2, 1], p)),
        ("confidence", lambda p: quantile_interval([1.0], 0.5, p)),
        ("probability", lambda p: quantile_interval([1.0], p)),
    ],
)
def test_probabilities_lie_strictly_between_zero_and_one(name, call, value):
    with pytest.raises(ValueError, match=f"{name} is .*strictly between 0 and 1"):
        call(value)


@pytest.mark.parametrize(("failures", "trials"), [(0, 0), (-1, 4), (5, 4), ([0, 5], 4), ([-1, 0], 4)])
def test_counts_lie_between_zero_and_the_trials(failures, trials):
    with pytest.raises(ValueError, match="need trials >= 1 and 0 <= failures <= trials"):
        clopper_pearson(failures, trials, 0.1)
    with pytest.raises(ValueError, match="need trials >= 1 and 0 <= failures <= trials"):
        binomial_p_value(failures, trials, 0.1)


@pytest.mark.parametrize(("failures", "trials"), [(0, 1), (1, 1), (1, 2), (2, 3)])
def test_limits_invert_the_binomial_tails(failures, trials):
    lower, upper = (float(x) for x in clopper_pearson(failures, trials, 0.1))
    if failures:
        assert stats.binom.sf(failures - 1, trials, lower) == pytest.approx(0.1)
    else:
        assert lower == 0
    if failures < trials:
        assert stats.binom.cdf(failures, trials, upper) == pytest.approx(0.1)
    else:
        assert upper == 1


@pytest.mark.parametrize(("delta", "expected"), [(-0.5, 0.0), (0.0, 0.0), (0.5, 0.75), (1.0, 1.0), (2.0, 1.0)])
def test_a_tail_probability_for_every_claim(delta, expected):
    assert binomial_p_value(1, 2, delta) == pytest.approx(expected)
    assert binomial_p_value(0, 2, delta) == 1


def weak_from(delta, rate, level, power, last):
    """The largest number of trials up to ``last`` with too little power, by trying all of them."""
    found = 0
    for n in range(1, last):
        critical = next(c for c in range(n + 2) if stats.binom.sf(c - 1, n, delta) <= level)
        if stats.binom.sf(critical - 1, n, rate) < power:
            found = n
    return found


@pytest.mark.parametrize(
    ("delta", "rate", "level", "power"),
    [(0.1, 0.5, 0.05, 0.9), (0.2, 0.9, 0.01, 0.8), (0.5, 0.99, 0.4, 0.3), (0.1, 0.9, 0.2, 0.95)],
)
def test_refutation_is_planned_as_trying_every_number_does(delta, rate, level, power):
    expected = weak_from(delta, rate, level, power, 120) + 1
    assert required_trials_for_refutation(delta, rate, level, power) == expected


def test_only_a_larger_rate_can_be_refuted():
    for rate in (0.2, 0.1):
        with pytest.raises(ValueError, match=f"rate = {rate} does not exceed delta = 0.2"):
            required_trials_for_refutation(0.2, rate, 0.1)


def test_planned_numbers_follow_the_normal_approximation():
    z = stats.norm.isf
    assert required_trials_for_excess(0.7, 0.03, 0.02, 0.8) == int(np.ceil(((z(0.02) + z(0.2)) * 0.7 / 0.03) ** 2))
    expected = int(np.ceil(((z(0.02) + z(0.1)) * 0.7 / 0.03) ** 2))
    assert required_trials_for_equivalence(0.7, 0.03, 0.02, 0.8) == expected


@pytest.mark.parametrize("test", [lambda x: z_p_value(x, 1.0), lambda x: tost(x, 1.0, 0.1, 0.1)])
@pytest.mark.parametrize("x", [1.0, [1.0], np.ones((1, 3))])
def test_a_standard_error_needs_two_trials(test, x):
    with pytest.raises(ValueError, match="at least 2 trials on the first axis"):
        test(x)


def test_the_normal_p_value_is_that_of_the_z_score():
    x = np.array([[1.0, 3.0], [2.0, 7.0], [4.0, 5.0]])
    z = (x.mean(0) - [2.0, 9.0]) / (x.std(0, ddof=1) / np.sqrt(3))
    np.testing.assert_allclose(z_p_value(x, [2.0, 9.0]), 2 * stats.norm.sf(np.abs(z)), rtol=1e-12)
    np.testing.assert_allclose(z_p_value(x[:2], [2.0, 9.0])[0], 2 * stats.norm.sf(1.0), rtol=1e-12)
    np.testing.assert_allclose(z_p_value(-x, [-2.0, -9.0]), z_p_value(x, [2.0, 9.0]), rtol=1e-15)


@pytest.mark.parametrize(("x", "expected", "p_value"), [(0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)])
def test_constant_samples_of_zeros(x, expected, p_value):
    assert z_p_value([x, x], expected) == p_value


def test_equivalence_is_two_one_sided_tests():
    x = np.array([0.9, 1.1, 1.0, 1.2])
    room = abs(x.mean() + 1e-12 - 1) + stats.norm.isf(0.1) * x.std(ddof=1) / 2
    for sign in (1, -1):
        assert tost(sign * x, sign * 1.0, room + 1e-9, 0.1)
        assert not tost(sign * x, sign * 1.0, room - 1e-9, 0.1)
    assert tost(2 * x, 2.0, room + 1e-9, 0.1)
    assert not tost(2 * x, 2.0, room - 1e-9, 0.1)


def test_equality_on_the_edge_is_not_within():
    assert not tost([1.5, 1.5], 1.0, 0.5, 0.1)


@pytest.mark.parametrize("margin", [0.0, -0.1, np.nan])
def test_a_margin_is_positive(margin):
    with pytest.raises(ValueError, match="margin is"):
        tost([1.0, 1.1], 1.0, margin, 0.1)


SIZES, ERRORS = [1.0, 2.0, 4.0, 8.0], [1.0, 0.6, 0.2, 0.1]


def test_the_slope_interval_is_that_of_least_squares():
    x, y = np.log(SIZES), np.log(ERRORS)
    x = x - x.mean()
    slope = x @ y / (x @ x)
    residual = y - y.mean() - slope * x
    reach = stats.t.isf(0.05, 2) * np.sqrt(residual @ residual / 2 / (x @ x))
    np.testing.assert_allclose(rate_slope(SIZES, ERRORS, 0.1), (slope, slope - reach, slope + reach), rtol=1e-12)


@pytest.mark.parametrize(
    ("sizes", "errors", "words"),
    [
        ([SIZES], [ERRORS], "fewer than four"),
        (SIZES, ERRORS[:3], "errors has shape"),
        (SIZES, [[ERRORS]], "errors has shape"),
        ([0.0, *SIZES[1:]], ERRORS, "must be positive"),
        ([-1.0, *SIZES[1:]], ERRORS, "must be positive"),
        (SIZES, [0.0, *ERRORS[1:]], "must be positive"),
        (SIZES, [np.inf, *ERRORS[1:]], "must be positive"),
        (SIZES, [np.nan, *ERRORS[1:]], "must be positive"),
        (SIZES, [-1.0, *ERRORS[1:]], "must be positive"),
    ],
)
def test_slopes_are_of_positive_numbers(sizes, errors, words):
    with pytest.raises(ValueError, match=words):
        rate_slope(sizes, errors, 0.1)


def test_equal_errors_have_slope_zero_without_doubt():
    assert rate_slope(SIZES, np.full((3, 4), 0.3), 0.1) == (0, 0, 0)


@pytest.mark.parametrize("n", [1, 2, 6, 7, 20])
@pytest.mark.parametrize("probability", [0.05, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("confidence", [0.5, 0.75, 0.95])
def test_quantiles_lie_between_the_order_statistics_of_their_definition(n, probability, confidence):
    miss = (1 - confidence) / 2 * (1 + 1e-12)
    below = [i for i in range(1, n + 1) if stats.binom.cdf(i - 1, n, probability) <= miss]
    above = [i for i in range(1, n + 1) if stats.binom.sf(i - 1, n, probability) <= miss]
    expected = (max(below, default=-np.inf), min(above, default=np.inf))
    assert quantile_interval(np.arange(n, 0, -1.0), probability, confidence) == expected


def test_the_default_confidence_is_95_percent():
    x = np.arange(40.0)
    assert quantile_interval(x, 0.5) == quantile_interval(x, 0.5, 0.95) == median_interval(x) != (0, 39)
    assert median_interval(x, 0.5) == quantile_interval(x, 0.5, 0.5)


@pytest.mark.parametrize("x", [[], [np.nan], [1.0, np.nan]])
def test_quantiles_are_of_numbers(x):
    with pytest.raises(ValueError, match="pass at least one number and no NaN"):
        quantile_interval(x, 0.5)


@pytest.mark.parametrize("p", [[np.nan, 0.5], [-0.1, 0.5], [1.1, 0.5]])
def test_holm_takes_probabilities(p):
    with pytest.raises(ValueError, match="p_values must lie in"):
        holm(p)


def test_holm_keeps_the_shape_and_stays_below_one():
    np.testing.assert_array_equal(holm([[0.0, 1.0], [0.75, 0.5]]), [[0, 1], [1, 1]])
    np.testing.assert_array_equal(holm([1.0]), [1])


@pytest.mark.parametrize("x", [[], [-1.0, 2.0], [np.nan, 2.0]])
def test_geometric_means_are_of_non_negative_numbers(x):
    with pytest.raises(ValueError, match="pass at least one, all non-negative, none NaN"):
        geometric_mean(x)


def test_geometric_means():
    assert geometric_mean([5.0]) == pytest.approx(5)
    assert geometric_mean([0.0, np.inf]) == 0


def test_slack_is_its_formula():
    assert deterministic_slack((7, 3, 5), 2.0**-10, 2.0, condition=3.0) == 8 * 5 * 2.0**-10 * 6
    assert deterministic_slack((7, 5, 3), 2.0**-10, 2.0) == 8 * 5 * 2.0**-10 * 2
    assert deterministic_slack((2, 2), 2.0**-10, 2.0, condition=3.0, subtraction=True) == (16 * 2.0**-10) ** 0.5 * 6
    for shape in ((), (3,)):
        with pytest.raises(ValueError, match="pass the shape of a matrix"):
            deterministic_slack(shape, 1e-16, 1.0)


# --- boundaries ----------------------------------------------------------------------------------------------------


def test_one_trial_too_few_is_found():
    """Level 0.2 at delta = 0.1: one failure of one or two refutes, with power 0.9 and 0.99 at the rate 0.9."""
    assert required_trials_for_refutation(0.1, 0.9, 0.2, 0.95) == 2


def test_a_power_that_is_just_reached_suffices():
    """At delta = 0.1 one failure in one trial has chance 0.1, two in three 0.028: refuted at 0.2, each with power 1/2.

    Every other number of trials has a larger power at the rate 1/2.
    """
    assert required_trials_for_refutation(0.1, 0.5, 0.2, 0.5) == 1


@pytest.mark.parametrize("unit", [2.0**-1074, 2.0**-1022, 1.0, 2.0**1021])
def test_scores_reach_from_the_smallest_to_the_largest_number(unit):
    """Of 1, 3 and 1, 3 against 1: mean 2, standard error 1 / sqrt(3)."""
    x = np.array([1.0, 3.0, 1.0, 3.0]) * unit
    assert z_p_value(x, unit) == pytest.approx(2 * stats.norm.sf(np.sqrt(3)), rel=1e-12)
    assert tost(x, 2 * unit, 0.5, 0.1) == (stats.norm.isf(0.1) / np.sqrt(3) < 1)
    assert not tost(x, 2 * unit, 0.2, 0.1)


def test_scores_of_the_largest_number_do_not_overflow():
    largest = np.finfo(np.float64).max
    with np.errstate(all="raise", under="ignore"):
        assert z_p_value([largest, largest], largest) == 1
        assert z_p_value([largest, -largest], 0.0) == 1
        assert tost([largest, largest], largest, 0.1, 0.1)


def test_constant_samples_divide_by_no_zero_aloud():
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(z_p_value([[2.0, 0.0, 2.0]] * 2, [2.0, 0.0, 1.0]), [1, 1, 0])


def test_constant_samples_of_the_smallest_number_are_told_apart():
    smallest = 2.0**-1074
    assert z_p_value([smallest, smallest], smallest) == 1
    assert z_p_value([smallest, smallest], 0.0) == 0
    assert tost([smallest, smallest], smallest, 0.1, 0.1)


@pytest.mark.parametrize("unit", [2.0**-1000, 1.0, 2.0**1000])
def test_the_largest_trial_is_the_scale_and_not_the_smallest(unit):
    """Of 0 and u against 0: mean u / 2, standard error u / 2."""
    assert z_p_value([0.0, unit], 0.0) == pytest.approx(2 * stats.norm.sf(1.0), rel=1e-12)
