"""The check that entries are finite, on every ring."""

import numpy as np
import pytest

from tnattn.arrays import check_finite


def test_finite_arrays_pass_with_one_synchronisation(xp):
    x = xp.asarray(np.ones((3, 4)))
    if xp.transfers is None:
        check_finite(x, "x")
        return
    xp.transfers.reset()
    check_finite(x, "x")
    assert (xp.transfers.synchronisations, xp.transfers.to_host) == (1, 0)


def test_not_finite_entries_are_counted_and_located(xp):
    x = np.ones((3, 4))
    x[1, 2], x[2, 0], x[2, 1] = np.inf, np.nan, np.nan
    with pytest.raises(ValueError, match=r"k holds 2 NaN and 1 infinite entries, the first at index \(1, 2\)"):
        check_finite(xp.asarray(x), "k")
