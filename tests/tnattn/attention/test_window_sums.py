"""Sums over runs of rows are exact to the rounding of their own terms."""

import math

import numpy as np
import pytest

from tnattn.attention.window_sums import window_sums


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 31, 32])
def test_every_window_is_summed(n):
    x = np.random.default_rng(n).integers(-9, 9, size=(2, n, 3)).astype(float)
    windows = [(a, b) for a in range(n + 1) for b in range(n + 1)]
    first, stop = (np.array(side) for side in zip(*windows, strict=True))
    expected = np.stack([x[:, a:b].sum(axis=1) for a, b in windows], axis=1)
    np.testing.assert_array_equal(window_sums(x, first, stop), expected)


def test_windows_of_their_own_for_every_matrix():
    x = np.arange(12.0).reshape(2, 6, 1)
    found = window_sums(x, np.array([[0, 1], [2, 5]]), np.array([[6, 3], [4, 5]]))
    np.testing.assert_array_equal(found[..., 0], [[15, 3], [8 + 9, 0]])


def test_what_stands_before_a_window_does_not_matter():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 1))
    x[::7] = 1e300
    first = np.array([i for i in range(64) if (i % 7) and (i + 1) % 7])
    found = window_sums(x, first, first + 2)[:, 0]
    expected = [math.fsum(x[i : i + 2, 0]) for i in first if (i + 1) % 7]
    np.testing.assert_allclose(found, expected, rtol=4e-16)


def test_infinity_and_nan_stay_in_their_windows():
    x = np.array([np.inf, 1.0, 2.0, np.nan, 4.0])[:, None]
    found = window_sums(x, np.array([1, 4, 0, 2]), np.array([3, 5, 2, 4]))[:, 0]
    np.testing.assert_array_equal(found, [3, 4, np.inf, np.nan])


def test_single_precision_is_summed_in_double():
    assert window_sums(np.full((4, 1), 2.0**127, "f4"), np.array([0]), np.array([4]))[0, 0] == 2.0**129


def test_every_ring(xp, assert_close):
    x = np.arange(20.0).reshape(10, 2)
    found = window_sums(xp.asarray(x), xp.asarray([0, 3], dtype="int64"), xp.asarray([10, 6], dtype="int64"))
    assert_close(found, xp.asarray([[90.0, 100.0], [24.0, 27.0]]), rtol=0, atol=0)


def test_windows_of_many_matrices_broadcast():
    x = np.arange(24.0).reshape(2, 2, 6, 1)
    found = window_sums(x, np.array([0, 5]), np.array([6, 6]))
    np.testing.assert_array_equal(found[..., 0], np.stack([x[..., 0].sum(-1), x[..., 5, 0]], axis=-1))


def test_an_empty_list_of_windows():
    assert window_sums(np.ones((3, 2)), np.zeros(0, int), np.zeros(0, int)).shape == (0, 2)


def test_windows_of_their_own_in_a_stack_of_stacks():
    x = np.arange(180.0).reshape(2, 3, 6, 5)
    first = np.arange(6).reshape(2, 3, 1)
    found = window_sums(x, first, np.full((2, 3, 1), 6))
    expected = [[x[a, b, first[a, b, 0] :].sum(axis=0) for b in range(3)] for a in range(2)]
    assert found.shape == (2, 3, 1, 5)
    np.testing.assert_array_equal(found[..., 0, :], expected)


@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_windows_from_the_first_row_on_are_running_sums(batch):
    x = np.random.default_rng(0).integers(-9, 9, size=(*batch, 7, 2)).astype(float)
    stop = np.arange(8)
    expected = np.stack([x[..., :b, :].sum(axis=-2) for b in stop], axis=-2)
    np.testing.assert_array_equal(window_sums(x, None, stop), expected)
    np.testing.assert_array_equal(window_sums(x, np.zeros(8, int), stop), expected)


def test_running_sums_of_every_matrix_have_ends_of_their_own():
    x = np.arange(12.0).reshape(2, 6, 1)
    found = window_sums(x, None, np.array([[6, 0], [1, 2]]))
    np.testing.assert_array_equal(found[..., 0], [[15, 0], [6, 13]])


@pytest.mark.parametrize("first", [None, np.array([0])], ids=["running", "doubled"])
def test_sums_are_added_wide_and_returned_in_the_dtype_asked_for(first):
    x = np.concatenate([np.full((1, 1), 2.0**25, "f4"), np.ones((8, 1), "f4"), np.full((1, 1), -(2.0**25), "f4")])
    found = window_sums(x, first, np.array([10]), dtype=np.float32)
    assert found.dtype == np.float32
    assert found.item() == 8  # float32 would lose the ones


@pytest.mark.parametrize("tile", [1, 4, 30, 1 << 18])
def test_matrices_are_summed_in_groups(monkeypatch, tile):
    monkeypatch.setattr("tnattn.attention.window_sums.HOST_TILE", tile)
    x, first, stop = np.arange(60.0).reshape(2, 3, 10, 1), np.array([0, 3]), np.array([10, 6])
    expected = np.stack([x[..., a:b, :].sum(axis=-2) for a, b in zip(first, stop, strict=True)], axis=-2)
    np.testing.assert_array_equal(window_sums(x, first, stop), expected)
    begins = np.stack([x[..., :b, :].sum(axis=-2) for b in stop], axis=-2)
    np.testing.assert_array_equal(window_sums(x, None, stop), begins)  # in blocks of rows, too


def test_running_sums_of_every_ring(xp, assert_close):
    x = np.arange(20.0).reshape(10, 2)
    found = window_sums(xp.asarray(x), None, xp.asarray([10, 3], dtype="int64"))
    assert_close(found, xp.asarray([[90.0, 100.0], [6.0, 9.0]]), rtol=0, atol=0)
