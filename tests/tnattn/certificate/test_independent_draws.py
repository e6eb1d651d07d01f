"""Bounds from draws by importance and from strata: floors, exact ends, coverage, and controls that miss."""

import numpy as np
import pytest
import scipy.stats

from tnattn.certificate.independent_draws import (
    importance_mean_upper,
    importance_rows,
    independent_mean_upper,
    stratified_mean_upper,
    stratified_rows,
)

N = 512
LEVEL = 1e-6


def too_many(missed, failure=0.05):
    return scipy.stats.binom.sf(np.count_nonzero(missed) - 1, np.size(missed), failure) < LEVEL


@pytest.mark.parametrize("m", [16, 256])
def test_zeros_give_little_more_than_the_floor(m):
    """No bound is below 1 - failure^(1/m); half of the failure is bet on it."""
    bound = float(independent_mean_upper(np.zeros(m), failure=0.01))
    assert 1 - 0.01 ** (1 / m) <= bound <= 1 - 0.005 ** (1 / m) + 1e-7


@pytest.mark.parametrize("bound", [independent_mean_upper, stratified_mean_upper])
def test_extremes(bound):
    assert float(bound(np.ones(5), failure=0.1)) == 1
    x = np.random.default_rng(0).random((3, 200))
    found = bound(x, failure=0.01)
    assert found.shape == (3,)
    assert np.all((found > x.mean(axis=-1)) & (found < x.mean(axis=-1) + 0.2))


def test_known_bounds_lower_the_floor():
    """A quarter of the rows have the bound one, the others a hundredth: the floor falls by about four."""
    bounds = np.where(np.arange(N) % 4, 0.01, 1.0)
    drawn = importance_rows(bounds, 64, rng=np.random.default_rng(0))
    found = importance_mean_upper(0 * bounds[drawn], bounds[drawn], mean_bound=float(bounds.mean()), failure=0.01)
    uniform = independent_mean_upper(np.zeros(64), failure=0.01)
    assert float(found) == pytest.approx(float(bounds.mean() * uniform), rel=1e-6)


def test_rows_are_drawn_by_their_bounds():
    drawn = importance_rows([1.0, 0.0, 3.0], 4000, rng=np.random.default_rng(0))
    counts = np.bincount(drawn, minlength=3)
    assert counts[1] == 0
    assert 1e-6 < scipy.stats.binom.cdf(counts[2], 4000, 0.75) < 1 - 1e-6


def test_one_row_of_every_stratum_is_drawn():
    drawn = np.stack([stratified_rows(12, 4, rng=np.random.default_rng(s)) for s in range(40)])
    assert np.all(drawn // 3 == np.arange(4))
    assert np.all([len(set(column)) == 3 for column in drawn.T % 3])


def populations():
    """Errors of two laws beside bounds of their own, and errors that grow with the position."""
    rng = np.random.default_rng(0)
    bounds = rng.uniform(0.1, 1.0, N)
    return {
        "needles": (np.where(np.arange(N) % 64 == 5, bounds, 0.0), bounds),
        "uniform": (bounds * rng.random(N), bounds),
        "smooth": (np.linspace(0, 1, N) ** 4, np.ones(N)),
    }


@pytest.mark.parametrize("name", populations())
def test_the_mean_is_below_its_bounds(name):
    errors, bounds = populations()[name]
    rng = np.random.default_rng(1)
    drawn = np.stack([importance_rows(bounds, 32, rng=rng) for _ in range(150)])
    by_importance = importance_mean_upper(errors[drawn], bounds[drawn], mean_bound=float(bounds.mean()), failure=0.05)
    strata = np.stack([stratified_rows(N, 32, rng=rng) for _ in range(150)])
    assert not too_many(by_importance < errors.mean())
    assert not too_many(stratified_mean_upper(errors[strata], failure=0.05) < errors.mean())


def test_importance_that_is_forgotten_misses():
    """The control: rows drawn by their bounds, of which only small bounds are attained, taken as uniform draws."""
    rng = np.random.default_rng(1)
    bounds = np.where(np.arange(N) % 2, 0.05, 1.0)
    errors = np.where(np.arange(N) % 2, 0.05, 0.0)
    drawn = np.stack([importance_rows(bounds, 256, rng=rng) for _ in range(100)])
    wrong = 0.05 * independent_mean_upper(errors[drawn] / 0.05, failure=0.05)
    assert too_many(wrong < errors.mean())


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: importance_rows([0.0, 0.0], 3, rng=np.random.default_rng(0)), "not all zero"),
        (lambda: importance_rows([-1.0, 2.0], 3, rng=np.random.default_rng(0)), "non-negative"),
        (lambda: importance_rows([1.0], 0, rng=np.random.default_rng(0)), "rows"),
        (lambda: stratified_rows(10, 3, rng=np.random.default_rng(0)), "10 rows are no 3 equal strata"),
        (lambda: independent_mean_upper([1.5], failure=0.1), r"\[0, 1\]"),
        (lambda: stratified_mean_upper([0.5], failure=1.0), "failure is 1"),
        (lambda: importance_mean_upper([2.0], [1.0], mean_bound=1.0, failure=0.1), r"\[0, 1\]"),
    ],
)
def test_what_has_no_meaning_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
