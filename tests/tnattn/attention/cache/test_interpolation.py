"""Nyström interpolation against its formula: weights, sums without weights, repeated evaluation."""

import numpy as np
import pytest

from tnattn.attention.cache import interpolation
from tnattn.attention.cache.interpolation import Interpolation
from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky


def interpolated(points, count, *, spared=None, seed=1):
    method = RandomlyPivotedCholesky(rank=count)
    samples = method.samples(np.random.default_rng(seed), like=points)
    return Interpolation.among(points, method, samples, spared=spared)


def some_points(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_weights_are_those_of_the_formula():
    points = some_points(2, 30, 3)
    found = interpolated(points, 8)
    kernel = np.exp(points @ np.swapaxes(points, -1, -2))
    for part in range(2):
        chosen = kernel[part][found.pivots[part]]
        expected = np.linalg.solve(chosen[:, found.pivots[part]], chosen)
        np.testing.assert_allclose(found.weights()[part], expected, rtol=1e-8, atol=1e-12)


def test_kept_keys_stand_for_themselves():
    found = interpolated(some_points(30, 3), 8)
    np.testing.assert_allclose(found.weights()[:, found.pivots], np.eye(8), atol=1e-10)


def test_a_key_that_occurs_twice_is_kept_once():
    weights = interpolated(np.repeat(some_points(5, 3), 4, axis=0), 8).weights()
    assert (np.abs(weights).sum(axis=-1) > 0).sum() == 5
    np.testing.assert_allclose(weights.sum(axis=0), 1, rtol=1e-10)


@pytest.mark.parametrize("size", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("spared", [None, 3])
def test_sums_are_products_with_the_weights(size, spared):
    points, x = size * some_points(2, 30, 3), some_points(2, 30, 4, seed=2)
    found = interpolated(points, 8, spared=None if spared is None else np.asarray([spared, 0]))
    weights = found.weights()
    np.testing.assert_allclose(found.sums(x), weights @ x, rtol=1e-9, atol=1e-9 * np.abs(weights).max())
    used = np.count_nonzero(np.abs(weights).max(axis=-1), axis=-1)
    assert used.tolist() == [8 - (spared or 0), 8]


def test_squares_that_differ_by_more_than_the_range_take_the_weights():
    """Points far from each other stand for themselves; products before the solve would lose all but the largest."""
    points, x = 40.0 * np.arange(9)[:, None], some_points(9, 2, seed=2)
    found = interpolated(points, 9)
    assert np.ptp(found.halves) > interpolation._SPREAD["float64"]
    np.testing.assert_array_equal(found.sums(x), x[found.pivots])
    assert np.count_nonzero(np.exp(found.halves - found.halves.max())) == 1


def test_every_library_gives_the_sums_of_numpy(xp, assert_close):
    points, x = 0.5 * some_points(2, 30, 3).astype(xp.dtype), some_points(2, 30, 4, seed=2).astype(xp.dtype)
    found = interpolated(xp.asarray(points), 4)
    assert_close(found.sums(xp.asarray(x)), interpolated(points, 4).sums(x), rtol=0, atol=1e5 * xp.eps())
