"""Clipping on every ring."""

import numpy as np
import pytest

from tnattn.arrays import clipped


@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_values_are_brought_into_the_interval(xp, assert_close, dtype):
    x = np.arange(-5, 6)
    if dtype == "float64":
        assert_close(clipped(xp.asarray(x.astype(dtype)), -2.0, 3.0), xp.asarray(np.clip(x, -2, 3) * 1.0), rtol=0)
    else:
        assert_close(clipped(xp.asarray(x), -2, 3), xp.asarray(np.clip(x, -2, 3)), rtol=0)


def test_not_a_number_stays_so(xp):
    found = clipped(xp.asarray(np.array([np.nan, np.inf, -np.inf])), -1.0, 1.0)
    assert [bool(xp.namespace.isnan(x)) for x in found] == [True, False, False]
    assert (float(found[1]), float(found[2])) == (1.0, -1.0)


@pytest.mark.parametrize("xp", ["cupy-standin"], indirect=True)
def test_clipping_waits_for_nothing_where_the_function_of_the_library_does(xp):
    x = xp.asarray(np.arange(5.0))
    before = xp.transfers.snapshot()
    clipped(x, 1.0, 2.0)
    made = xp.transfers - before
    assert (made.waits, made.copies, made.launches) == (0, 0, 2)
    before = xp.transfers.snapshot()
    xp.namespace.clip(x, 1.0, 2.0)  # negative control
    assert (xp.transfers - before).waits > 0
