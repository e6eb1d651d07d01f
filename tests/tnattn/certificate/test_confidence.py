"""Confidence bounds: coverage on hard populations, floors, exact ends, and normal theory as a negative control."""

import math

import numpy as np
import pytest
import scipy.stats

from tnattn.certificate.confidence import (
    below_relative,
    exceeding_rows,
    mean_floor,
    mean_upper,
    winsorised_mean_upper,
)

N = 1000
LEVEL = 1e-6  # of every test of coverage below: its probability to fail although the bound is right


def needles(share):
    x = np.full(N, 1e-4)
    x[: max(1, round(share * N))] = 1.0
    return x


def populations():
    rng = np.random.default_rng(0)
    lognormal = np.exp(2 * rng.standard_normal(N))
    return {
        "flat": np.full(N, 0.1),
        "exponential": np.minimum(rng.exponential(0.03, N), 1),
        "lognormal": lognormal / lognormal.max(),
        "needles in 0.4 %": needles(0.004),
        "needles in 0.2 %": needles(0.002),
        "one needle": needles(0),
    }


def draws(x, m, times, seed=1):
    rng = np.random.default_rng(seed)
    return np.stack([x[rng.permutation(N)[:m]] for _ in range(times)])


def too_many(misses, times, failure):
    """Whether so many misses have a probability below the level if each has the stated one."""
    return scipy.stats.binom.sf(misses - 1, times, failure) < LEVEL


@pytest.mark.parametrize("m", [32, 256])
@pytest.mark.parametrize("name", populations())
def test_the_mean_is_below_its_bound(name, m):
    x = populations()[name]
    bound = mean_upper(draws(x, m, 100), population=N, failure=0.05)
    assert not too_many(np.count_nonzero(bound < x.mean()), 100, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("m", [64, 256])
@pytest.mark.parametrize("name", populations())
def test_coverage_of_every_bound(name, m):
    x, failure, times = populations()[name], 0.05, 300
    sample = draws(x, m, times)
    cap = float(np.median(x)) * 2
    exceeding = np.count_nonzero(sample > cap, axis=-1)
    missed = {
        "mean": mean_upper(sample, population=N, failure=failure) < x.mean(),
        "winsorised": winsorised_mean_upper(sample, cap=cap, largest=1.0, population=N, failure=failure) < x.mean(),
        "rows": [np.sum(x > cap) > exceeding_rows(N, m, failure, exceeding=int(e)) for e in exceeding],
        "relative": below_relative(
            sample, np.ones_like(sample), level=float(x.mean()) * (1 - 1e-9), largest=1.0, population=N, failure=failure
        ),
    }
    assert {key: int(np.sum(found)) for key, found in missed.items() if too_many(np.sum(found), times, failure)} == {}


@pytest.mark.parametrize("name", ["lognormal", "needles in 0.2 %", "one needle"])
def test_normal_theory_misses(name):
    """The control: mean plus 1.64 standard errors, nominal failure 5 %."""
    x = populations()[name]
    sample = draws(x, 64, 500)
    bound = sample.mean(axis=-1) + 1.645 * sample.std(axis=-1, ddof=1) / 8
    assert too_many(np.count_nonzero(bound < x.mean()), 500, 0.05)


def test_stopping_at_the_first_success_keeps_the_level():
    x = needles(0.01)
    found = 0
    for sample in draws(x, 100, 40):
        bounds = [float(mean_upper(sample[:t], population=N, failure=0.05)) for t in range(10, 101, 10)]
        found += min(bounds) < x.mean()
    assert not too_many(found, 40, 0.05)


def test_a_threshold_chosen_after_the_draw_misses():
    """The control: the number of spared rows is chosen so that the bound is smallest."""
    rng, x = np.random.default_rng(3), np.arange(N) / N
    missed = 0
    few_of = [exceeding_rows(N, 64, 0.05, exceeding=r) for r in range(20)]
    for _ in range(300):
        sample = np.sort(x[rng.permutation(N)[:64]])
        thresholds = [(sample[63 - r], few_of[r]) for r in range(20)]
        missed += any(np.sum(x > t) > few for t, few in thresholds)
    assert too_many(missed, 300, 0.05)


@pytest.mark.parametrize(("n", "m"), [(512, 256), (4096, 256), (4096, 1024)])
def test_zeros_give_little_more_than_the_floor(n, m):
    bound = float(mean_upper(np.zeros(m), population=n, failure=1e-3))
    assert mean_floor(n, m, 1e-3) <= bound <= (exceeding_rows(n, m, 5e-4) + 1) / n
    if (n, m) == (4096, 256):
        assert bound == pytest.approx(0.0276, abs=1e-4)


def test_all_rows_give_the_mean_itself():
    x = np.random.default_rng(0).random((3, 50))
    np.testing.assert_allclose(mean_upper(x, population=50, failure=1e-3), x.mean(axis=-1), rtol=1e-12)


@pytest.mark.parametrize("x", [np.ones(5), np.zeros(5), np.asarray([1.0]), np.asarray([0.0])])
def test_extremes(x):
    bound = float(mean_upper(x, population=7, failure=0.5))
    assert x.sum() / 7 <= bound <= (x.sum() + 7 - len(x)) / 7


@pytest.mark.parametrize(("n", "m", "exceeding"), [(50, 20, 0), (50, 20, 3), (1000, 51, 50), (10, 10, 4), (7, 3, 3)])
def test_the_hypergeometric_law_is_inverted(n, m, exceeding):
    found = exceeding_rows(n, m, 0.05, exceeding=exceeding)
    if exceeding == m:
        assert found == n
        return
    probability = scipy.stats.hypergeom.cdf(exceeding, n, np.arange(n + 1), m)
    assert found == max(k for k in range(n + 1) if probability[k] > 0.05)


def test_the_binomial_law_is_not_on_the_safe_side():
    """The control: with 51 of 1000 rows and all but one above the threshold, Clopper and Pearson count too few."""
    binomial = scipy.stats.beta.ppf(0.95, 51, 1) * N
    assert binomial < exceeding_rows(N, 51, 0.05, exceeding=50)


def test_a_cap_pays_where_few_rows_are_bad():
    x = np.full(256, 0.01)
    plain = float(mean_upper(x, population=4096, failure=1e-3))
    assert float(winsorised_mean_upper(x, cap=0.02, largest=1.0, population=4096, failure=1e-3)) < 1.2 * plain
    x[:3] = 1.0
    capped = float(winsorised_mean_upper(x, cap=0.02, largest=1.0, population=4096, failure=1e-3))
    assert x.mean() < capped < 1


def test_relative_errors_need_no_estimate_of_the_size():
    ones = np.ones(256)
    options = {"largest": 0.1, "population": 4096, "failure": 1e-3}
    assert below_relative(0.001 * ones, ones, level=0.01, **options)
    assert not below_relative(0.02 * ones, ones, level=0.01, **options)
    assert not below_relative(0.0 * ones, 0.0 * ones, level=0.01, **options)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: mean_upper([1.2], population=5, failure=0.1), r"\[0, 1\]; got values"),
        (lambda: mean_upper([np.nan], population=5, failure=0.1), r"\[0, 1\]"),
        (lambda: mean_upper([], population=5, failure=0.1), "at least one"),
        (lambda: mean_upper([0.1, 0.2], population=1, failure=0.1), "population"),
        (lambda: mean_upper([0.1], population=5, failure=0.0), "failure is 0"),
        (lambda: exceeding_rows(5, 6, 0.1), "rows"),
        (lambda: winsorised_mean_upper([0.1], cap=2.0, largest=1.0, population=5, failure=0.1), "cap is 2"),
        (lambda: below_relative([2.0], [1.0], level=0.1, largest=1.0, population=5, failure=0.1), "errors must lie"),
    ],
)
def test_what_has_no_meaning_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_floors_follow_the_logarithm():
    assert mean_floor(10**6, 256, 1e-3) == pytest.approx(math.log(1e3) / 256, rel=0.02)
