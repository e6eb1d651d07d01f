"""Arrays of pieces are brought to common shapes."""

import numpy as np
import pytest

from tnattn.attention.broadcasting import concat_broadcast, copied, entrywise_maximum


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
