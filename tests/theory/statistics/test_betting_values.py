"""Values of the tests by betting at the ends of their domains, and what they refuse."""

import numpy as np
import pytest

from theory.statistics.betting import EProcess, bennett_lower_p_value, empirical_bernstein_upper, expectation_p_value
from theory.statistics.betting import support_p_value as support


@pytest.mark.parametrize("x", [1.0, [], np.zeros((0, 2)), [1.0, -1e-300], [1.0, np.nan]])
@pytest.mark.parametrize(
    "test",
    [
        lambda x: expectation_p_value(x, 1.0),
        lambda x: support(x, 1.0, 2.0),
        lambda x: empirical_bernstein_upper(x, 2.0, 0.1),
        lambda x: bennett_lower_p_value(x, 1.0),
    ],
)
def test_samples_hold_trials_and_no_negative_number(test, x):
    with pytest.raises(ValueError, match=r"x (has shape .* at least one trial|contains negative or NaN)"):
        test(x)


@pytest.mark.parametrize("bound", [-1e-300, np.nan, [1.0, np.nan], [1.0, -1.0]])
def test_bounds_are_numbers_from_zero(bound):
    with pytest.raises(ValueError, match="bound is"):
        expectation_p_value(np.ones((2, 2)), bound)
    with pytest.raises(ValueError, match="bound is"):
        bennett_lower_p_value(np.ones((2, 2)), bound)


@pytest.mark.parametrize("upper", [np.nan, 0.99, [2.0, np.nan], [2.0, 0.99]])
def test_an_almost_sure_maximum_is_a_number_that_no_trial_exceeds(upper):
    with pytest.raises(ValueError, match="almost sure upper bound"):
        support(np.ones((2, 2)), 0.5, upper)
    with pytest.raises(ValueError, match="almost sure upper bound"):
        empirical_bernstein_upper(np.ones((2, 2)), upper, 0.1)


def test_a_trial_may_reach_the_almost_sure_maximum():
    assert 0 < support([1.0, 0.5], 0.75, 1.0) <= 1
    assert empirical_bernstein_upper([1.0, 1.0], 1.0, 0.1) >= 1


def test_a_process_takes_trials_of_the_shape_of_its_bound():
    process = EProcess(np.ones(3))
    for x in (np.ones(2), np.ones((2, 1)), np.ones((2, 3, 1))):
        with pytest.raises(ValueError, match=r"expected \(trials, \*\(3,\)\), the shape of the bound"):
            process.update(x)


def test_a_process_starts_with_a_wealth_of_one():
    process = EProcess(np.ones((2, 3)))
    np.testing.assert_allclose(process.log_wealth, np.zeros((2, 3)), atol=1e-15)
    np.testing.assert_array_equal(process.p_value, np.ones((2, 3)))
    assert process.log_capital.shape == (6, 2, 3)


@pytest.mark.parametrize(("x", "bound"), [(0.0, 0.0), (3.0, np.inf), (0.0, np.inf), (np.inf, np.inf), (2.0, 2.0)])
def test_wealth_stays_where_nothing_is_learnt(x, bound):
    assert EProcess(np.asarray(bound)).update([x, x]).log_wealth == pytest.approx(0, abs=1e-15)


def test_the_state_may_be_given():
    given = EProcess(np.asarray(1.0), np.full(6, 2.0), np.asarray(3.0))
    assert given.log_wealth == pytest.approx(2.0)
    assert given.p_value == pytest.approx(np.exp(-3.0))
    assert given.update([1.0]).p_value == given.p_value


def test_the_p_value_is_that_of_the_largest_wealth_on_the_way():
    x = [3.0, 0.0, 0.0]
    assert expectation_p_value(x, 1.0) == pytest.approx(1 / np.mean(1 + np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.8]) * 2))


def test_support_is_the_process_of_the_mirror_image():
    x = np.array([[0.5, 0.1], [0.25, 0.2]])
    np.testing.assert_allclose(support(x, 1.0, [2.0, 3.0]), expectation_p_value([2, 3] - x, [1.0, 2.0]), rtol=1e-15)


@pytest.mark.parametrize("upper", [1.0, 0.5])
def test_support_needs_no_trials_from_the_maximum_on(upper):
    assert support([0.5], 1.0, upper) == 0


def test_support_needs_trials_below_the_maximum():
    assert 0 < support([0.5], 1.0, 1.0 + 1e-9) < 1e-6


def test_the_bound_of_bernstein_is_its_formula():
    x, level = np.array([[0.5, 2.0], [1.0, 1.0], [0.25, 0.0]]), 0.1
    weight, tops = np.log(2 / level), np.array([1.0, 4.0])
    expected = x.mean(0) + np.sqrt(2 * x.var(0, ddof=1) * weight / 3) + 7 * tops * weight / (3 * 2)
    np.testing.assert_allclose(empirical_bernstein_upper(x, tops, level), expected, rtol=1e-14)
    pair = np.mean(x[:2], 0) + np.sqrt(2 * x[:2].var(0, ddof=1) * weight / 2) + 7 * tops * weight / 3
    np.testing.assert_allclose(empirical_bernstein_upper(x[:2], tops, level), pair, rtol=1e-14)


def test_the_bound_of_bernstein_needs_two_trials_and_no_positive_maximum():
    with pytest.raises(ValueError, match="x has 1 trial; the sample variance needs at least 2"):
        empirical_bernstein_upper([0.5], 1.0, 0.1)
    assert empirical_bernstein_upper([0.0, 0.0], 0.0, 0.1) == 0


def exponent(shortfall, share):
    u = shortfall / share
    return share * ((1 + u) * np.log1p(u) - u)


def test_bennett_takes_a_variance_in_units_of_the_bound():
    x = np.array([[0.5, 1.0], [1.0, 2.0], [0.0, 0.0]])
    expected = [np.exp(-3 * exponent(0.5, 0.75)), np.exp(-3 * exponent(0.75, 5 / 16))]
    np.testing.assert_allclose(bennett_lower_p_value(x, [1.0, 4.0], [0.75, 5.0]), expected, rtol=1e-13)
    np.testing.assert_allclose(bennett_lower_p_value(x, [1.0, 4.0], spread=[0.75, 5 / 16]), expected, rtol=1e-13)
    np.testing.assert_allclose(bennett_lower_p_value(x, [1.0, 4.0], 9.0, spread=[0.75, 5 / 16]), expected, rtol=1e-13)


def test_bennett_estimates_a_variance_about_the_bound_with_an_unseen_trial():
    x = np.array([[1.0, 0.25], [0.5, 0.125]])
    shares = [np.mean(np.square([1.0 - 1, 0.5 - 1, 2.0 - 1])), np.mean(np.square([0.5 - 1, 0.25 - 1, 1.0 - 1]))]
    expected = [np.exp(-2 * exponent(0.25, shares[0])), np.exp(-2 * exponent(0.625, shares[1]))]
    np.testing.assert_allclose(bennett_lower_p_value(x, [1.0, 0.5]), expected, rtol=1e-13)


@pytest.mark.parametrize("known", [{}, {"variance": 0.0}, {"spread": 0.0}, {"variance": 2.0}, {"spread": np.inf}])
@pytest.mark.parametrize(("x", "bound"), [([1.0, 1.0], 1.0), ([3.0, 1.0], 1.0), ([0.0, 1.0], 0.0), ([5.0], np.inf)])
def test_bennett_says_nothing_of_a_mean_that_is_not_below_the_bound(known, x, bound):
    assert bennett_lower_p_value(x, bound, **known) == 1


@pytest.mark.parametrize("known", [{"variance": 0.0}, {"spread": 0.0}])
def test_a_variance_of_zero_admits_no_shortfall(known):
    assert bennett_lower_p_value([1.0, 1.0 - 1e-9], 1.0, **known) == 0


def test_each_problem_of_a_stack_may_know_its_spread():
    found = bennett_lower_p_value(np.full((4, 3), 0.5), 1.0, spread=[np.inf, 0.0, 0.5])
    np.testing.assert_allclose(found, [1.0, 0.0, np.exp(-4 * exponent(0.5, 0.5))], rtol=1e-13)


# --- boundaries ----------------------------------------------------------------------------------------------------


def test_a_process_holds_its_bound_as_numbers_in_double_precision():
    process = EProcess([1, 2])
    assert isinstance(process.bound, np.ndarray)
    assert process.bound.dtype == np.float64
    assert process.update([[1, 2]]).bound.shape == (2,)


@pytest.mark.parametrize("known", [{}, {"variance": 0.5}, {"spread": 0.5}])
def test_bounds_without_a_scale_divide_by_no_zero(known):
    x, bounds = np.array([[0.0, 1.0, 0.5, 0.0], [0.0, 2.0, 0.5, 3.0]]), np.array([0.0, 0.0, 1.0, np.inf])
    with np.errstate(divide="raise", invalid="raise"):
        found = bennett_lower_p_value(x, bounds, **known)
        np.testing.assert_array_equal(expectation_p_value(x, bounds), [1, 0, 1, 1])
        assert empirical_bernstein_upper(np.zeros((2, 2)), [0.0, 1.0], 0.1)[0] == 0
        assert support(np.zeros((2, 2)), [0.0, 0.5], [0.0, 1.0])[0] == 0
    np.testing.assert_array_equal(found[[0, 1, 3]], 1)
    assert found[2] == bennett_lower_p_value(x[:, 2], 1.0, **known) < 1


def test_an_exceeded_maximum_is_shown_beside_the_largest_trial():
    for test in (lambda x, m: support(x, 0.5, m), lambda x, m: empirical_bernstein_upper(x, m, 0.1)):
        with pytest.raises(ValueError, match="x reaches 3 but its almost sure upper bound is stated as 2;"):
            test([[0.5, 1.0], [1.0, 3.0]], [1.5, 2.0])


def test_processes_are_compared_by_identity():
    assert EProcess(np.ones(2)) != EProcess(np.ones(2))


def test_a_process_states_its_smallest_p_value() -> None:
    process = EProcess(np.ones(2)).update(np.full((50, 2), [1.0, 3.0]))
    smallest = float(np.min(process.p_value))
    assert smallest < 1e-3
    assert repr(process) == f"<e-process against means of at most (2,), p-value {smallest:.3g}>"
    assert repr(EProcess(np.zeros(0))) == "<e-process against means of at most (0,), p-value 1>"
