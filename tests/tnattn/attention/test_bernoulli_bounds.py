"""The relative entropy of two coins, inverted: ends, law of the tail, and rounding on the safe side."""

import numpy as np
import pytest
import scipy.stats

from tnattn.arrays import to_host
from tnattn.attention.bernoulli_bounds import bernoulli_upper


def divergence(x, mu):
    return scipy.special.rel_entr(x, mu) + scipy.special.rel_entr(1 - x, 1 - mu)


@pytest.mark.parametrize("draws", [8, 1000])
def test_the_divergence_at_the_bound_is_the_level(xp, draws):
    x = np.asarray([0.0, 1e-6, 0.01, 0.3, 0.9, 1.0])
    found = to_host(bernoulli_upper(xp.asarray(x), draws=draws, level=5.0)).astype(np.float64)
    assert np.all(found >= x)
    assert found[-1] == 1
    assert np.all(divergence(x[:-1], found[:-1]) * draws >= 5.0 * (1 - 1e-4))
    assert np.all(divergence(x[:-1], found[:-1]) * draws <= 5.0 * (1 + 1e-2))
    np.testing.assert_allclose(found[0], 1 - np.exp(-5.0 / draws), rtol=1e-4)


@pytest.mark.parametrize("mean", [0.02, 0.5])
def test_sums_of_coins_exceed_it_as_seldom_as_stated(mean):
    """Exact binomial probabilities; half of the deviation is exceeded too often."""
    m, level = 200, 3.0
    sums = np.arange(m + 1)
    upper = bernoulli_upper(sums / m, draws=m, level=level)
    probability = scipy.stats.binom.pmf(sums, m, mean)
    assert probability[upper < mean].sum() <= np.exp(-level)
    halved = (upper + sums / m) / 2
    assert probability[halved < mean].sum() > np.exp(-level)


def test_it_is_below_the_root_form():
    x, m, level = np.linspace(0, 0.9, 10), 50, 4.0
    root = x + level / m + np.sqrt(2 * level / m * x + (level / m) ** 2)
    assert np.all(bernoulli_upper(x, draws=m, level=level) <= np.minimum(root, 1.0) + 1e-8)


@pytest.mark.parametrize("x", [-0.1, 1.1, np.nan])
def test_what_is_no_mean_has_no_bound(x):
    assert bernoulli_upper(np.asarray([x]), draws=5, level=1.0).tolist() == [np.inf]
