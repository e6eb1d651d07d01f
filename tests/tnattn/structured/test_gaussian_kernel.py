"""Entries of the Gaussian kernel, and the stated bound of their errors."""

import numpy as np
import pytest

from tnattn.structured.dense import Dense
from tnattn.structured.gaussian_kernel import GaussianKernel
from tnattn.structured.implicit import EntriesOperator


def points(seed, radius, dtype):
    """Return points near each other, far from the origin: exponents are small differences of large inner products."""
    x = 0.3 * np.random.default_rng(seed).standard_normal((2, 60, 4))
    return (x + radius * np.array([1.0, -1.0, 0.5, 0.25])).astype(dtype)


def kernel(x):
    x = x.astype(np.longdouble)
    return np.exp(-np.sum((x[..., :, None, :] - x[..., None, :, :]) ** 2, axis=-1) / 2)


@pytest.mark.parametrize("dtype, radius", [("float32", 30.0), ("float64", 3e3), ("float64", 1e5)])
def test_the_stated_accuracy_bounds_the_errors(dtype, radius):
    x = points(0, radius, dtype)
    entries = GaussianKernel(x)
    found = entries.columns(np.broadcast_to(np.arange(60), (2, 60)))
    wrong = np.abs(found - kernel(x)).max(axis=(-2, -1))
    assert np.all(wrong <= entries.accuracy())
    assert np.all(wrong >= 1e-3 * entries.accuracy())
    assert np.all(EntriesOperator(entries).entry_accuracy() == entries.accuracy())


def test_stored_entries_have_no_error_beyond_rounding():
    assert Dense(np.eye(3)).entry_accuracy() == 0.0


def test_principal_entries_are_those_of_the_columns(xp, assert_close):
    matrix = EntriesOperator(GaussianKernel(xp.asarray(points(1, 0.0, "float64"))))
    indices = xp.asarray(np.array([[3, 1, 7], [0, 5, 5]]))
    assert_close(matrix.principal(indices), Dense(matrix.rows(indices)).columns(indices), rtol=0, atol=20 * xp.eps())
