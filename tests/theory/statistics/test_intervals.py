"""Counts, equivalence, rates, quantiles and rounding: worked numbers, coverage and negative controls."""

import numpy as np
import pytest
from scipy import stats

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


@pytest.mark.parametrize("delta, trials", [(0.1, 29), (0.05, 59), (0.01, 299), (0.001, 2995)])
def test_trials_without_failure_that_certify_a_probability(delta, trials):
    assert required_trials_for_support(delta, 0.05) == trials
    assert clopper_pearson(0, trials, 0.05)[1] <= delta < clopper_pearson(0, trials - 1, 0.05)[1]


def test_three_failures_in_a_hundred_give_the_worked_limits():
    assert np.allclose(clopper_pearson(3, 100, 0.05), (0.0082258, 0.075711), atol=5e-7, rtol=0)


def test_limits_at_the_ends_are_the_ends():
    lower, upper = clopper_pearson([0, 20], 20, 0.01)
    assert lower[0] == 0.0
    assert upper[1] == 1.0


@pytest.mark.parametrize("rate, trials", [(0.02, 100), (0.3, 50), (0.9, 200)])
def test_each_limit_misses_at_most_at_its_level(rate, trials):
    """Exactly, by summing the binomial weights of all counts that lead to a miss at 5 %."""
    counts = np.arange(trials + 1)
    lower, upper = clopper_pearson(counts, trials, 0.05)
    weights = stats.binom.pmf(counts, trials, rate)
    assert weights[lower > rate].sum() <= 0.05
    assert weights[upper < rate].sum() <= 0.05


@pytest.mark.parametrize("failures", [0, 1, 3, 20])
def test_binomial_p_value_is_the_tail_sum(failures):
    expected = stats.binom.pmf(np.arange(failures, 21), 20, 0.1).sum()
    assert binomial_p_value(failures, 20, 0.1) == pytest.approx(expected, rel=1e-12)


def test_p_value_and_lower_limit_refute_the_same_counts():
    counts = np.arange(101)
    lower, _ = clopper_pearson(counts, 100, 1e-3)
    np.testing.assert_array_equal(binomial_p_value(counts, 100, 0.05) <= 1e-3, lower >= 0.05)


def test_more_failures_than_trials_are_refused():
    with pytest.raises(ValueError, match="failures"):
        clopper_pearson(5, 4, 0.05)


@pytest.mark.parametrize("delta, sufficient", [(0.1, 247), (0.05, 523), (0.01, 2785)])
def test_trials_that_detect_twice_the_rate(delta, sufficient):
    """The published numbers suffice, and ours are at most 2 % smaller; level 1e-3, power 0.9."""
    trials = required_trials_for_refutation(delta, 2 * delta, 1e-3)
    assert 0.98 * sufficient <= trials <= sufficient
    critical = int(stats.binom.isf(1e-3, trials, delta)) + 1
    assert binomial_p_value(critical, trials, delta) <= 1e-3 < binomial_p_value(critical - 1, trials, delta)
    assert stats.binom.sf(critical - 1, trials, 2 * delta) >= 0.9


@pytest.mark.parametrize(
    "cv, excess, trials", [(0.1, 0.1, 20), (0.1, 0.01, 1912), (0.3, 0.05, 689), (1.0, 0.1, 1912), (1.0, 0.5, 77)]
)
def test_trials_that_see_an_excess(cv, excess, trials):
    assert required_trials_for_excess(cv, excess, 1e-3) == trials


def test_simulated_power_of_the_planned_excess_is_the_planned_one():
    """Power 0.9 +- 4 standard errors of 2000 runs."""
    x = np.random.default_rng(0).normal(1.05, 0.3, (689, 2000))
    z = (x.mean(axis=0) - 1.0) / (x.std(axis=0, ddof=1) / np.sqrt(689))
    assert abs(np.mean(z > stats.norm.isf(1e-3)) - 0.9) < 4 * np.sqrt(0.09 / 2000)


def test_trials_that_show_an_identity_within_five_percent():
    assert required_trials_for_equivalence(np.sqrt(0.5), 0.05, 0.05) == 2165


@pytest.mark.parametrize("deviation, published", [(0.0, 0.875), (0.05, 0.0493), (0.08, 0.000667)])
def test_equivalence_is_declared_at_the_published_rates(deviation, published):
    """N = 2000, cv = 0.7071, margin 5 %, level 5 %; within 5 standard errors of 1500 runs (plus those published)."""
    x = np.random.default_rng(1).gamma(2.0, (1 + deviation) / 2, (2000, 1500))
    rate = np.mean(tost(x, 1.0, 0.05, 0.05))
    assert abs(rate - published) <= 5 * np.sqrt(2 * max(published * (1 - published), 1e-3) / 1500)


def test_equivalence_needs_a_margin():
    with pytest.raises(ValueError, match="margin"):
        tost([1.0, 1.1], 1.0, 0.0, 0.05)


def test_z_p_value_is_uniform_for_a_true_mean():
    """Share below 5 % within 5 standard errors of 4000 runs."""
    p = z_p_value(np.random.default_rng(2).normal(3.0, 2.0, (300, 4000)), 3.0)
    assert abs(np.mean(p <= 0.05) - 0.05) < 5 * np.sqrt(0.05 * 0.95 / 4000)


@pytest.mark.parametrize("expected, p_value", [(2.0, 1.0), (2.1, 0.0)])
def test_a_constant_sample_is_decided_by_equality(expected, p_value):
    assert z_p_value([2.0, 2.0, 2.0], expected) == p_value


def test_slope_of_a_pure_power_law_is_its_exponent():
    sizes = np.array([16, 32, 64, 128, 256])
    fit = rate_slope(sizes, 3.0 * sizes**-0.5, 1e-3)
    assert fit.slope == pytest.approx(-0.5, abs=1e-12)


def test_slope_interval_covers_at_its_level():
    """Lognormal noise: misses at 5 % in 500 fits, at most 25 + 5.5 * 4.9 = 52."""
    rng = np.random.default_rng(3)
    sizes = np.array([10.0, 20.0, 40.0, 80.0])
    fits = [rate_slope(sizes, rng.lognormal(sigma=0.3, size=(5, 4)) / sizes, 0.05) for _ in range(500)]
    assert sum(not fit.lower <= -1.0 <= fit.upper for fit in fits) <= 52


def test_repeated_trials_narrow_the_slope_interval():
    rng = np.random.default_rng(4)
    sizes = np.array([10.0, 20.0, 40.0, 80.0])
    errors = rng.lognormal(sigma=0.3, size=(30, 4)) / sizes
    one, many = rate_slope(sizes, errors[0], 0.05), rate_slope(sizes, errors, 0.05)
    assert many.upper - many.lower < 0.5 * (one.upper - one.lower)


@pytest.mark.parametrize("sizes", [[1, 2, 3], [1, 2, 3, 3]])
def test_fewer_than_four_sizes_give_no_rate(sizes):
    with pytest.raises(ValueError, match="four different"):
        rate_slope(sizes, np.ones(len(sizes)), 0.05)


def test_holm_on_an_example_worked_by_hand():
    """Sorted 0.01, 0.02, 0.03, 0.5 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.5."""
    np.testing.assert_allclose(holm([0.03, 0.01, 0.5, 0.02]), [0.06, 0.04, 0.5, 0.06])


def test_holm_errs_at_most_at_its_level_and_unadjusted_does_not():
    """1000 families of 20 true hypotheses at 5 %: at most 50 + 5.5 * 6.9 = 88; unadjusted about 640."""
    p = np.random.default_rng(5).random((1000, 20))
    assert sum((holm(row) <= 0.05).any() for row in p) <= 88
    assert np.sum((p <= 0.05).any(axis=1)) > 500


@pytest.mark.parametrize("n, interval", [(5, (-np.inf, np.inf)), (6, (1, 6)), (10, (2, 9)), (20, (6, 15))])
def test_median_interval_uses_the_tabulated_ranks(n, interval):
    assert median_interval(np.random.default_rng(6).permutation(n) + 1.0) == interval


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.95])
def test_quantile_interval_covers_at_its_confidence(probability):
    """2000 exponential samples of 60: misses at 5 %, at most 100 + 5.5 * 9.7 = 153."""
    x = np.random.default_rng(7).exponential(size=(2000, 60))
    truth = -np.log1p(-probability)
    limits = np.array([quantile_interval(row, probability) for row in x])
    assert np.sum((limits[:, 0] > truth) | (limits[:, 1] < truth)) <= 153


def test_quantile_interval_has_a_finite_width_where_the_sample_allows():
    low, high = quantile_interval(np.arange(1000.0), 0.9)
    assert 870 < low < 900 < high < 930


@pytest.mark.parametrize("x, mean", [([1.0, 4.0], 2.0), ([3.0, 0.0], 0.0), ([1e200, 1e200], 1e200)])
def test_geometric_mean_of_ratios(x, mean):
    assert geometric_mean(x) == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize("eps, slack", [(2.0**-52, 2.72848e-12), (2.0**-23, 0.00146484)])
def test_slack_of_the_worked_example(eps, slack):
    assert deterministic_slack((512, 256), eps, 3.0) == pytest.approx(slack, rel=5e-6)


def test_slack_grows_with_the_condition_number():
    assert deterministic_slack((4, 3), 1e-16, 1.0, condition=10.0) == 10 * deterministic_slack((4, 3), 1e-16, 1.0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_slack_absorbs_the_rounding_of_exactly_deficient_matrices(dtype):
    """100 matrices of rank 5 in both forms; without slack nearly all of them would be false violations."""
    rng = np.random.default_rng(8)
    left, right = rng.standard_normal((100, 40, 5)), rng.standard_normal((100, 5, 30))
    a = (left @ right).astype(dtype)
    q = np.linalg.qr(a @ rng.standard_normal((30, 9)).astype(dtype))[0]
    residual = np.linalg.norm((a - q @ (q.mT @ a)).astype(np.float64), 2, axis=(-2, -1))
    spectral, frobenius = np.linalg.norm(a, 2, axis=(-2, -1)), np.linalg.norm(a, axis=(-2, -1))
    eps = float(np.finfo(dtype).eps)
    tail = np.linalg.svd(a.astype(np.float64), compute_uv=False)[:, 9]
    assert np.mean(residual > tail) > 0.5
    assert (residual <= tail + deterministic_slack(a.shape, eps, spectral)).all()
    difference = np.sqrt(np.abs(frobenius**2 - np.linalg.norm(q.mT @ a, axis=(-2, -1)) ** 2))
    assert (difference <= deterministic_slack(a.shape, eps, frobenius, subtraction=True)).all()


@pytest.mark.parametrize("scale", [2.0**k for k in (-1000, -600, 0, 600, 1000)])
def test_equivalence_and_normal_p_values_do_not_depend_on_the_unit(scale):
    x = np.random.default_rng(30).gamma(100.0, 0.01, 500)
    assert tost(x * scale, scale, 0.05, 0.01) == tost(x, 1.0, 0.05, 0.01)
    assert not tost(x * scale, 1.2 * scale, 0.05, 0.01)
    assert z_p_value(x * scale, 1.01 * scale) == z_p_value(x, 1.01)
