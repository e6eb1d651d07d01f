"""Verdicts on rates: the t test of a fitted slope, and the verdict on a perfect power law."""

import numpy as np
import pytest
from scipy import stats

from theory.statistics.intervals import rate_slope
from theory.statistics.rates import judge_rate
from theory.statistics.verdict import Verdict

LEVEL = 1e-3
SIZES = np.array([16, 32, 64, 128])


def rate_errors():
    return np.random.default_rng(45).lognormal(sigma=0.2, size=(2, 4)) / SIZES


@pytest.mark.parametrize("rate", [-1.1, -0.9])
def test_the_p_value_of_a_rate_is_that_of_the_t_test_of_its_slope(rate):
    logs, x = np.log(rate_errors()).ravel(), np.tile(np.log(SIZES), 2)
    x = x - x.mean()
    slope = (x @ logs) / (x @ x)
    residual = logs - logs.mean() - slope * x
    spread = np.sqrt(residual @ residual / 6 / (x @ x))
    tail = float(stats.t.sf(abs(slope - rate) / spread, 6))
    assert judge_rate(SIZES, rate_errors(), rate, LEVEL).p_value == pytest.approx(2 * tail)
    expected = tail if slope > rate else 1 - tail
    assert judge_rate(SIZES, rate_errors(), rate, LEVEL, one_sided=True).p_value == pytest.approx(expected)


def test_the_detail_of_a_rate():
    fit = rate_slope(SIZES, rate_errors(), LEVEL)
    detail = f"slope {fit.slope:.4g} in [{fit.lower:.4g}, {fit.upper:.4g}] over 4 sizes, stated -0.5"
    assert judge_rate(SIZES, rate_errors(), -0.5, LEVEL).detail == detail


def test_equal_errors_are_inconsistent_with_every_decay():
    judged = judge_rate(SIZES, np.full((2, 4), 0.3), -0.5, LEVEL)
    assert (judged.verdict, judged.p_value) == (Verdict.INCONSISTENT, pytest.approx(0, abs=1e-9))
    assert judged.detail == "slope 0 in [0, 0] over 4 sizes, stated -0.5"
    assert judge_rate(SIZES, np.full((2, 4), 0.3), 0.0, LEVEL).verdict is Verdict.CONSISTENT


@pytest.mark.parametrize("rate", [0.0, -0.001, -1.0, -8.0])
def test_rounding_of_a_perfect_power_law_is_no_evidence(rate):
    judged = judge_rate(SIZES, SIZES**rate, rate, LEVEL)
    assert judged.verdict is Verdict.CONSISTENT
    assert judged.p_value > 0.1
    assert judge_rate(SIZES, SIZES**rate, rate + 1e-9, LEVEL).verdict is Verdict.INCONSISTENT


@pytest.mark.parametrize("rate", [1e-13, -1e-12, 0.5, 4.0])
def test_equal_errors_are_told_from_a_rate_by_a_thousand_rounding_units(rate):
    t = abs(rate) / (1000 * 2.0**-52 * max(1.0, abs(rate)))
    judged = judge_rate(SIZES, np.full((2, 4), 2.0), rate, LEVEL)
    assert judged.p_value == pytest.approx(2 * float(stats.t.sf(t, 6)), rel=1e-9, abs=0)
