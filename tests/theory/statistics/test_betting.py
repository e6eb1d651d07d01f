"""The expectation tests keep their level for every distribution, and have power; worked numbers are exact."""

import numpy as np
import pytest

from theory.statistics import betting
from theory.statistics.betting import (
    EProcess,
    bennett_lower_p_value,
    empirical_bernstein_upper,
    expectation_p_value,
    support_p_value,
)

# all have mean exactly 1
MEAN_ONE = {
    "pareto": lambda rng, shape: (rng.pareto(1.5, shape) + 1.0) / 3.0,
    "lognormal": lambda rng, shape: rng.lognormal(-2.0, 2.0, shape),
    "rare": lambda rng, shape: 200.0 * (rng.random(shape) < 1 / 200),
    "uniform": lambda rng, shape: 2.0 * rng.random(shape),
}


def single_stake_wealth(x, bound, stake):
    """Wealth of one stake, straight from the definition."""
    return np.prod(1.0 + stake * (np.asarray(x) / bound - 1.0))


def test_single_stake_reproduces_the_worked_example(monkeypatch):
    """0.75 * 1.25 * 1.5 = 1.40625 with stake 0.5 and X / B = 0.5, 1.5, 2."""
    monkeypatch.setattr(betting, "STAKES", np.array([0.5]))
    process = EProcess(np.array(2.0)).update([1.0, 3.0, 4.0])
    assert np.exp(process.log_wealth) == pytest.approx(1.40625, rel=1e-14)
    assert process.p_value == pytest.approx(1 / 1.40625, rel=1e-14)


def test_wealth_is_the_mean_over_the_stakes():
    x = np.array([0.3, 2.0, 0.9, 4.0])
    expected = np.mean([single_stake_wealth(x, 1.3, s) for s in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)])
    assert np.exp(EProcess(np.array(1.3)).update(x).log_wealth) == pytest.approx(expected, rel=1e-13)


def test_feeding_trials_in_pieces_changes_nothing():
    x = np.random.default_rng(0).exponential(size=(50, 3))
    bound = np.array([0.5, 1.0, 2.0])
    whole = EProcess(bound).update(x)
    pieces = EProcess(bound).update(x[:7]).update(x[7:8]).update(x[8:])
    np.testing.assert_allclose(pieces.log_wealth, whole.log_wealth, rtol=1e-12)
    np.testing.assert_allclose(pieces.p_value, whole.p_value, rtol=1e-12)


def test_p_value_remembers_the_largest_wealth():
    """Optional stopping is allowed in both directions: a later loss does not take evidence back."""
    rich = EProcess(np.array(1.0)).update(np.full(30, 3.0))
    poor = rich.update(np.zeros(200))
    assert poor.log_wealth < rich.log_wealth
    assert poor.p_value == rich.p_value


def test_each_problem_of_a_stack_has_its_own_wealth():
    x = np.random.default_rng(1).exponential(size=(40, 2, 3))
    bound = np.linspace(0.2, 2.0, 6).reshape(2, 3)
    alone = [[expectation_p_value(x[:, i, j], bound[i, j]) for j in range(3)] for i in range(2)]
    np.testing.assert_allclose(expectation_p_value(x, bound), alone, rtol=1e-13)


def test_wealth_that_overflows_a_float_stays_a_logarithm():
    process = EProcess(np.array(1.0)).update(np.full(2000, 10.0))
    assert 700 < process.log_wealth < np.inf
    assert process.p_value < 1e-300


@pytest.mark.parametrize(
    "x, bound, p_value", [([0.0, 0.0], 0.0, 1.0), ([0.0, 1e-300], 0.0, 0.0), ([5.0, np.inf], np.inf, 1.0)]
)
def test_bounds_without_a_scale_are_decided_by_the_event(x, bound, p_value):
    assert expectation_p_value(x, bound) == p_value


@pytest.mark.parametrize("x", [[-1.0, 1.0], [np.nan], []])
def test_samples_that_are_not_errors_are_refused(x):
    with pytest.raises(ValueError, match="x "):
        expectation_p_value(x, 1.0)


def test_a_negative_bound_is_refused():
    with pytest.raises(ValueError, match="non-negative"):
        expectation_p_value([1.0], -1.0)


@pytest.mark.parametrize("name", MEAN_ONE)
def test_false_refutations_stay_below_the_level(name):
    """4000 runs of 200 trials with E X = B at 1 %: above 40 + 6 * 6.3 = 78 has probability below 1e-7."""
    x = MEAN_ONE[name](np.random.default_rng(2), (200, 4000))
    assert np.sum(expectation_p_value(x, 1.0) <= 0.01) <= 78


def test_a_mean_ten_percent_above_the_bound_is_refuted():
    """Coefficient of variation 0.18, 200 trials, level 1 %: power above 0.999."""
    x = np.random.default_rng(3).gamma(1 / 0.18**2, 1.1 * 0.18**2, (200, 1000))
    assert np.mean(expectation_p_value(x, 1.0) <= 0.01) > 0.999


def test_a_t_bound_supports_an_equality_far_above_its_level_and_the_bets_do_not():
    """Negative control: a value of 200 with probability 1/200, 200 trials, nominal 1 %."""
    x = MEAN_ONE["rare"](np.random.default_rng(4), (200, 4000))
    spread = np.maximum(x.std(axis=0, ddof=1), 1e-12) / np.sqrt(200)
    supported_by_t = (x.mean(axis=0) + 2.35 * spread) < 1.0
    assert np.mean(supported_by_t) > 0.15  # nominal 1 %
    assert np.mean(support_p_value(x, 1.0, 200.0) <= 0.01) <= 0.02


def test_bernstein_bound_of_the_worked_example():
    x = np.array([0.1, 0.2, 0.3, 0.2])
    assert empirical_bernstein_upper(x, 1.0, 0.05) == pytest.approx(3.180017, abs=5e-7)


def test_bernstein_bound_with_a_thousand_trials():
    """Two-point sample with mean 0.2 and unbiased variance 0.01."""
    half = np.sqrt(0.01 * 999 / 1000)
    x = np.concatenate([np.full(500, 0.2 - half), np.full(500, 0.2 + half)])
    assert empirical_bernstein_upper(x, 1.0, 0.05) == pytest.approx(0.217205, abs=5e-7)


@pytest.mark.parametrize("name, top", [("rare", 200.0), ("uniform", 2.0)])
def test_bernstein_bound_misses_the_mean_at_most_at_its_level(name, top):
    """2000 runs at 5 %: above 100 + 5.5 * 9.7 = 153 has probability below 1e-7."""
    x = MEAN_ONE[name](np.random.default_rng(5), (200, 2000))
    assert np.sum(empirical_bernstein_upper(x, top, 0.05) < 1.0) <= 153


@pytest.mark.parametrize("name, top", [("rare", 200.0), ("uniform", 2.0)])
def test_false_support_stays_below_the_level(name, top):
    """E X = B, so support is wrong; 4000 runs at 1 %, at most 78 as above."""
    x = MEAN_ONE[name](np.random.default_rng(6), (200, 4000))
    assert np.sum(support_p_value(x, 1.0, top) <= 0.01) <= 78


def test_support_is_found_where_the_bound_has_room():
    """Uniform on [0, 2] against B = 1.5: 200 trials support it at 1e-3 in at least 99 % of runs."""
    x = MEAN_ONE["uniform"](np.random.default_rng(7), (200, 500))
    assert np.mean(support_p_value(x, 1.5, 2.0) <= 1e-3) > 0.99


def test_a_bound_above_the_almost_sure_maximum_is_supported_without_trials():
    assert support_p_value([0.5], 2.0, 1.0) == 0.0


def test_a_wrong_almost_sure_maximum_is_refused():
    with pytest.raises(ValueError, match="almost sure upper bound"):
        support_p_value([0.5, 1.5], 0.9, 1.0)


@pytest.mark.parametrize("name", ["lognormal", "rare", "uniform"])
def test_bennett_with_the_true_variance_keeps_its_level(name):
    """E X = B, 4000 runs of 100 trials at 1 %, at most 78."""
    variance = {"lognormal": np.expm1(4.0), "rare": 199.0, "uniform": 1 / 3}[name]
    x = MEAN_ONE[name](np.random.default_rng(8), (100, 4000))
    assert np.sum(bennett_lower_p_value(x, 1.0, variance) <= 0.01) <= 78


@pytest.mark.parametrize("draw", ["chisquare", "exponential", "uniform"])
def test_bennett_with_an_estimated_variance_keeps_its_level_for_light_tails(draw):
    """Squared Gaussian errors, exponential and uniform: 4000 runs of 100 trials at 1 %, at most 78."""
    rng = np.random.default_rng(9)
    x = {"chisquare": lambda s: rng.chisquare(1, s), "exponential": lambda s: rng.exponential(1, s)}.get(
        draw, lambda s: 2 * rng.random(s)
    )((100, 4000))
    assert np.sum(bennett_lower_p_value(x, 1.0) <= 0.01) <= 78


def test_the_allowance_for_an_unseen_value_protects_moderately_heavy_tails():
    """Fourth powers of Gaussians: 4000 runs of 100 trials at 1 %, at most 78; without the allowance about 200."""
    x = np.random.default_rng(13).chisquare(1, (100, 4000)) ** 2 / 3.0
    assert np.sum(bennett_lower_p_value(x, 1.0) <= 0.01) <= 78
    unprotected = bennett_lower_p_value(x, 1.0, np.mean((x - 1.0) ** 2, axis=0))
    assert np.sum(unprotected <= 0.01) > 150


def test_bennett_with_an_estimated_variance_is_dishonest_for_rare_values():
    """Negative control, and the reason why such a verdict is labelled asymptotic: 61 % at nominal 1 %."""
    x = MEAN_ONE["rare"](np.random.default_rng(10), (100, 2000))
    assert np.mean(bennett_lower_p_value(x, 1.0) <= 0.01) > 0.5


def test_bennett_matches_its_formula():
    """N = 10, B = 1, mean 0.5, v = 0.25: u = 2, h = 3 log 3 - 2, exponent 10 * 0.25 * h."""
    expected = np.exp(-2.5 * (3 * np.log(3) - 2))
    assert bennett_lower_p_value(np.full(10, 0.5), 1.0, 0.25) == pytest.approx(expected, rel=1e-13)


# powers of two times the data


SCALES = [2.0**k for k in (-1000, -700, -530, -300, -1, 0, 1, 300, 500, 700, 1000)]


def _p_values(x, bound, scale):
    """All p-values that the verdicts are made of, of one sample in other units."""
    return [
        expectation_p_value(x * scale, bound * scale),
        support_p_value(x * scale, bound * scale, 4.0 * scale),
        bennett_lower_p_value(x * scale, bound * scale),
        bennett_lower_p_value(x * scale, bound * scale, spread=0.5),
    ]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("bound", [0.5, 1.0, 2.0])
def test_p_values_do_not_depend_on_the_unit(scale, bound):
    x = np.minimum(np.random.default_rng(20).exponential(size=(50, 3)), 4.0)
    np.testing.assert_array_equal(_p_values(x, bound, scale), _p_values(x, bound, 1.0))


@pytest.mark.parametrize("scale", SCALES)
def test_the_upper_bound_of_bernstein_scales_with_the_unit(scale):
    x = np.random.default_rng(21).random((50, 2))
    expected = empirical_bernstein_upper(x, 1.0, 0.01) * scale
    np.testing.assert_allclose(empirical_bernstein_upper(x * scale, scale, 0.01), expected, rtol=1e-14)


def test_squares_of_the_data_would_depend_on_the_unit():
    """Negative control: the variance of data of 2^-700 is zero, which admits no shortfall at all."""
    x = np.random.default_rng(22).exponential(size=(50, 1)) * 2.0**-700
    assert np.all(np.mean((x - 2.0**-700) ** 2, axis=0) == 0)


def test_an_unknown_relative_variance_refutes_nothing():
    assert bennett_lower_p_value(np.zeros((50, 1)), 1.0, spread=np.inf) == 1.0


def test_a_mean_above_the_bound_with_a_known_relative_variance_keeps_the_level():
    """E X = 2 B: the relative variance is that of X, not of B; 4000 runs at 1 %, at most 78."""
    x = 2 * np.random.default_rng(23).exponential(size=(100, 4000))
    assert np.sum(bennett_lower_p_value(x, 1.0, spread=1.0) <= 0.01) <= 78
