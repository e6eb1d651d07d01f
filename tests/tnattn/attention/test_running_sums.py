"""Pieces that are added one after the other give what merging gives."""

import numpy as np
import pytest

from tnattn.attention.approximation import Approximation, merge_all
from tnattn.attention.running_sums import RunningSums
from tnattn.structured import Dense

INF = float("inf")


def pieces(shifts):
    rng = np.random.default_rng(0)
    v = rng.standard_normal((2, 1, 3, 4))
    return [Approximation(Dense(rng.random((2, 1, 5, 3))), np.full((2, 1, 5), s), v) for s in shifts]


def added(parts):
    sums = RunningSums((2, 1), 5, 4, like=parts[0].shift)
    for part in parts:
        sums.add(slice(0, 5), part.numerators, part.denominators, part.shift)
    return sums


@pytest.mark.parametrize("shifts", [(0.0, 1.0, -1.0), (700.0, -700.0), (-700.0, 700.0, 0.0), (-INF, 2.0), (2.0, -INF)])
def test_sums_are_those_of_the_merged_pieces(shifts):
    parts = pieces(shifts)
    found, merged = added(parts), merge_all(parts)
    np.testing.assert_allclose(found.numerators, merged.numerators, rtol=1e-13)
    np.testing.assert_allclose(found.denominators, merged.denominators, rtol=1e-13)
    np.testing.assert_array_equal(found.shift, merged.shift)


def test_rows_that_nothing_touches_see_no_key():
    sums, (part,) = RunningSums((2, 1), 8, 4, like=np.zeros(1)), pieces([1.0])
    sums.add(slice(2, 7), part.numerators, part.denominators, part.shift)
    np.testing.assert_array_equal(sums.shift[0, 0] == -INF, [True] * 2 + [False] * 5 + [True])
    assert not sums.numerators[..., :2, :].any()
    np.testing.assert_array_equal(sums.numerators[..., 2:7, :], part.numerators)


@pytest.mark.filterwarnings("ignore:invalid")
@pytest.mark.parametrize("shift", [INF, float("nan")])
def test_a_bad_row_stays_bad(shift):
    sums = added(pieces([1.0, shift, 0.0]))
    assert not np.isfinite(sums.shift).any()


def test_every_ring(xp, assert_close):
    expected, sums = added(pieces([0.0, 2.0])), RunningSums((2, 1), 5, 4, like=xp.asarray([0.0]))
    for part in pieces([0.0, 2.0]):
        sums.add(slice(0, 5), *(xp.asarray(x) for x in (part.numerators, part.denominators, part.shift)))
    assert_close(sums.numerators, xp.asarray(expected.numerators), rtol=20 * xp.eps(), atol=20 * xp.eps())
