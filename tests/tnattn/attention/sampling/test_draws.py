"""Draws follow their weights, row by row."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.sampling.draws import draw_by_weight, relative_norms, sampled_columns, shares


def test_frequencies_follow_the_weights():
    weights = np.random.default_rng(0).random((3, 2, 5))
    drawn = draw_by_weight(np.random.default_rng(1), weights, 40_000)
    counts = np.stack([(drawn == j).mean(-1) for j in range(5)], axis=-1)
    # six standard deviations of a binomial frequency
    np.testing.assert_allclose(counts, weights / weights.sum(-1, keepdims=True), atol=6 * 0.5 / 200)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weight_zero_is_never_drawn(dtype):
    weights = np.zeros((50, 8), dtype=dtype)
    weights[:, 3] = 1e-6
    weights[::2, 5] = 1.0
    drawn = draw_by_weight(np.random.default_rng(0), weights, 1000)
    assert set(np.unique(drawn)) <= {3, 5}
    assert (drawn[1::2] == 3).all()


def test_draws_are_the_same_on_every_ring(xp):
    weights = np.random.default_rng(0).random((4, 9)).astype("float32")
    expected = draw_by_weight(np.random.default_rng(1), weights, 20)
    found = to_host(draw_by_weight(np.random.default_rng(1), xp.asarray(weights), 20))
    assert found.shape == expected.shape
    if xp.dtype == "float64":
        np.testing.assert_array_equal(found, expected)
    assert found.min() >= 0
    assert found.max() < 9


def test_sampled_columns_hold_the_weights_at_the_draws():
    picked = sampled_columns(np.array([2, 0, 2]), np.array([1.0, 3.0, 5.0]), 4)
    np.testing.assert_array_equal(picked.to_dense(), [[0, 0, 1, 0], [3, 0, 0, 0], [0, 0, 5, 0]])


@pytest.mark.parametrize("exponent", [-1022, -600, 0, 600, 1020])
def test_relative_norms_do_not_depend_on_the_size(exponent):
    x = np.array([[3.0, -4.0], [0.0, 0.0], [2.0, 2.0]])
    found = relative_norms(np.ldexp(x, exponent))
    np.testing.assert_allclose(found, [1.25, 0, 8**0.5 / 4], rtol=1e-15)
    np.testing.assert_array_equal(relative_norms(np.zeros((2, 3))), 0)


def test_norms_far_below_the_largest_keep_their_digits():
    np.testing.assert_allclose(relative_norms(np.array([[1e200, 0.0], [3e-100, 4e-100]])), [1, 5e-300], rtol=1e-15)


def test_halves_are_squared_in_double():
    found = relative_norms(np.array([[256.0, 256.0], [0.5, 0.0]], "f2"))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [2**0.5, 0.5 / 256], rtol=1e-15)


def test_shares_add_up_to_one():
    np.testing.assert_allclose(
        shares(np.array([[1.0, 3.0], [1e308, 1e308], [5e-324, 0.0]])), [[0.25, 0.75], [0.5, 0.5], [1, 0]]
    )
    np.testing.assert_array_equal(shares(np.zeros((2, 4))), 0.25)


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (True, TypeError), (1.0, TypeError)])
def test_impossible_numbers_of_draws_are_refused(size, error):
    with pytest.raises(error, match="size is"):
        draw_by_weight(np.random.default_rng(0), np.ones((1, 3)), size)
