"""Arrays of pieces are brought to common shapes."""

import numpy as np
import pytest

from tnattn.attention import broadcasting
from tnattn.attention.broadcasting import add_scaled, concat_broadcast, copied, entrywise_maximum


def test_all_axes_but_one_broadcast():
    a, b = np.ones((2, 1, 3, 4)), np.zeros((5, 1, 4))
    found = concat_broadcast([a, b], axis=-2)
    assert found.shape == (2, 5, 4, 4)
    assert found[..., :3, :].min() == 1
    assert found[..., 3, :].max() == 0


def test_ranks_may_differ_along_the_last_axis():
    assert concat_broadcast([np.ones((3, 2)), np.ones(4)], axis=-1).shape == (3, 6)


def test_the_largest_entries_of_arrays_that_broadcast():
    found = entrywise_maximum([np.array([[1.0], [5.0]]), np.array([2.0, 3.0]), np.array([-np.inf])])
    np.testing.assert_array_equal(found, [[2, 3], [5, 5]])


def test_nan_is_the_largest():
    assert np.isnan(entrywise_maximum([np.array([1.0]), np.array([np.nan])])[0])


@pytest.mark.parametrize("array", [np.arange(3.0), np.broadcast_to(np.ones(1), (3,))])
def test_a_copy_is_writable_and_its_own(array):
    copy = copied(array)
    copy[...] = 9
    assert array.max() < 9


@pytest.mark.parametrize("part", [1, 7, 1 << 18])
@pytest.mark.parametrize("shape", [(9,), (2, 3, 4, 5), (2, 1, 1, 5)])
def test_a_scaled_sum_is_written_over_the_total(xp, assert_close, monkeypatch, part, shape):
    monkeypatch.setattr(broadcasting, "_PART", part)
    rng = np.random.default_rng(0)
    full = (*(2, 3, 4)[4 - len(shape) :], shape[-1])
    total, x = rng.standard_normal(full), rng.standard_normal(shape)
    factor = rng.standard_normal((*shape[:-1], 1))
    expected, given = total + factor * x, xp.asarray(total)
    found = add_scaled(given, xp.asarray(factor), xp.asarray(x))
    assert found is given
    assert_close(found, xp.asarray(expected), rtol=0, atol=8 * xp.eps())


def test_a_total_that_is_too_small_is_left_alone():
    total = np.ones((1, 3))
    np.testing.assert_array_equal(add_scaled(total, np.full((2, 1), 2.0), np.ones(3)), np.full((2, 3), 3.0))
    np.testing.assert_array_equal(total, 1)
    np.testing.assert_array_equal(add_scaled(None, np.asarray(2.0), np.ones(3)), 2)
