"""Features are factors times exponentials in a unit."""

import numpy as np

from tnattn.attention.kernel_features import feature_entries


def test_entries_are_factors_times_exponentials_in_the_unit():
    exponents = np.array([[0.0, 1.0], [2.0, -1.0]])
    factors = np.array([[1.0, -2.0], [3.0, 4.0]])
    unit = np.array([[1.0], [2.0]])
    expected = factors * np.exp(exponents - unit)
    np.testing.assert_allclose(feature_entries(exponents.copy(), factors, unit), expected, rtol=1e-15)
    np.testing.assert_allclose(feature_entries(exponents.copy(), None, unit), np.exp(exponents - unit), rtol=1e-15)


def test_without_exponents_they_are_the_factors():
    factors = np.array([[1.0, -2.0]])
    assert feature_entries(None, factors, None) is factors


def test_every_ring(xp, assert_close):
    found = feature_entries(xp.asarray([[0.0, 3.0]]), None, xp.asarray([[3.0]]))
    assert_close(found, xp.asarray([[np.exp(-3.0), 1.0]]), rtol=4 * xp.eps())
