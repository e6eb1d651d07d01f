"""The upper median against a sort, on every ring; the argument stays as it is."""

import numpy as np
import pytest

from tnattn.arrays import upper_median


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_it_is_the_middle_of_the_sorted_entries(xp, assert_close, axis, n):
    host = np.random.default_rng(0).standard_normal((3, n, n)).round(1)  # with ties
    given = xp.asarray(host)
    expected = np.take(np.sort(host, axis=axis), [n // 2], axis=axis)
    assert_close(upper_median(given, axis=axis), expected, rtol=0, atol=xp.eps())
    assert_close(given, host, rtol=0, atol=xp.eps())
