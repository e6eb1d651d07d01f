"""Places of the largest entries, whose ties go to the first."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.largest_entries import marked_indices, marked_largest


@pytest.mark.parametrize("count", [0, 1, 5, 11, 12])
def test_the_largest_entries_are_marked(xp, count):
    x = np.random.default_rng(0).standard_normal((3, 4, 12)).astype(np.float32)
    (found,) = marked_largest(xp.asarray(x), (count,))
    expected = np.zeros(x.shape, bool)
    np.put_along_axis(expected, np.argsort(-x, axis=-1)[..., :count], True, axis=-1)
    np.testing.assert_array_equal(to_host(found), expected)


def test_among_equal_entries_the_first_are_marked():
    x = np.asarray([[1.0, 3.0, 1.0, 1.0, 0.0], [-np.inf] * 5, [2.0, 2.0, 2.0, 2.0, 9.0]])
    small, large = marked_largest(x, (2, 3))
    np.testing.assert_array_equal(small, [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 0, 0, 0, 1]])
    np.testing.assert_array_equal(large, [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 0, 0, 1]])


def test_indices_of_marked_entries_ascend(xp):
    marked = xp.asarray(np.asarray([[[0, 1, 1], [1, 0, 1]]], bool))
    np.testing.assert_array_equal(to_host(marked_indices(marked, 2)), [[[1, 2], [0, 2]]])


def test_a_tie_at_the_threshold_fills_up_what_is_vacant():
    scores = np.array([[1.0, 3.0, 1.0, 2.0, 1.0], [5.0, 5.0, 5.0, 5.0, 5.0]])
    assert marked_indices(*marked_largest(scores, (3,)), 3).tolist() == [[0, 1, 3], [0, 1, 2]]
