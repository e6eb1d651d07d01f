"""Sums outside a band, in which no row of the band takes part."""

import numpy as np
import pytest

from tnattn.structured.band import Band
from tnattn.structured.outside_sums import before_and_after, outside_band, outside_band_flops, pairs

RNG = np.random.default_rng(6)


def band(xp=np, *, rows=60, columns=60, width=9, size=4, fixed=0):
    first = np.clip(np.arange(rows) - width // 2, fixed, columns - width)
    return Band(xp.asarray(first), xp.asarray(first + width), size, width, columns, fixed)


def outside(made, columns):
    first, j = np.asarray(made.first)[:, None], np.arange(columns)
    return ~(((j >= first) & (j < np.asarray(made.stop)[:, None])) | (j < made.fixed))


@pytest.mark.parametrize("fixed", [0, 3])
@pytest.mark.parametrize("columns", [60, 61, 77, 128])
@pytest.mark.parametrize("size", [1, 4, 16, 60])
def test_sums_leave_out_the_band(size, columns, fixed):
    made = band(columns=columns, size=size, fixed=fixed)
    x = RNG.integers(1, 9, size=(2, 3, columns, 2)).astype(float)  # sums are exact
    np.testing.assert_array_equal(outside_band(made, x), outside(made, columns) @ x)


def test_every_ring_gives_the_same(xp, assert_close):
    x, left = RNG.standard_normal((2, 60, 3)), RNG.standard_normal((2, 60, 3))
    expected = outside(band(), 60) @ x
    made = band(xp)
    assert_close(outside_band(made, xp.asarray(x)), xp.asarray(expected), rtol=0, atol=100 * xp.eps())
    found = outside_band(made, xp.asarray(x), against=xp.asarray(left))
    assert_close(found, xp.asarray(np.vecdot(left, expected)[..., None]), rtol=0, atol=300 * xp.eps())


@pytest.mark.parametrize("size", [1e17, 1e300])
def test_rows_of_the_band_leave_no_trace(size):
    made, x = band(), RNG.integers(1, 9, size=(60, 2)).astype(float)
    places = outside(made, 60)
    expected = places @ x
    for row in (0, 29, 59):
        loud = x.copy()
        loud[~places[row]] = size
        np.testing.assert_array_equal(outside_band(made, loud)[row], expected[row])
        assert not np.allclose(loud.sum(0) - loud[~places[row]].sum(0), expected[row])  # a difference loses them


def test_sums_that_overflow_only_together_with_the_band_are_finite():
    top = np.finfo("float32").max
    x = np.full((60, 1), top / 64, dtype="float32")
    x[20:24] = top
    found = outside_band(band(), x)[22]  # keeps rows 18 to 26
    np.testing.assert_allclose(found, 51 * (top / 64), rtol=1e-6)


def test_windows_are_left_out_whole():
    made, x = band(), np.arange(60.0)[:, None]
    begin = made.begin[:, None]
    expected = [x[:b].sum() + x[b + made.span :].sum() for b in begin[:, 0]]
    np.testing.assert_array_equal(before_and_after(made, x)[:, 0], expected)


def test_an_odd_row_stays_alone():
    np.testing.assert_array_equal(pairs(np.asarray([[1.0], [2.0], [4.0]])), [[3.0], [4.0]])


def test_operations_are_counted():
    # 60 additions of columns; rows of a block drop up to 3 slots at either end
    assert outside_band_flops(band()) == 60 + 60 * (2 * 6 + 2)
