"""Shape, class and memory of arrays, on every ring."""

import numpy as np
import pytest

from tnattn.arrays import broadcast_shape, expanded, owned, plain_array, row_windows, to_host


def test_shapes_broadcast_as_those_of_numpy():
    assert broadcast_shape((3, 1), (4,), ()) == (3, 4)


def test_plain_arrays_are_passed_on_and_others_made_plain():
    x = np.arange(3.0)
    assert plain_array(x, "x") is x
    swapped = plain_array(x.astype(">f8"), "x")
    assert swapped.dtype.isnative
    np.testing.assert_array_equal(swapped, x)


def test_a_mask_is_not_ignored():
    with pytest.raises(TypeError, match=r"q is a masked array.*filled"):
        plain_array(np.ma.masked_array(np.ones(2), [True, False]), "q")


def test_owned_copies_share_nothing(xp):
    x = xp.asarray(np.arange(6.0).reshape(2, 3))
    copy = owned(x.mT if hasattr(x, "mT") else x.T)
    copy[0, 0] = 7.0
    assert tuple(copy.shape) == (3, 2)
    assert float(to_host(x)[0, 0]) == 0.0


def test_expanded_arrays_are_writable(xp):
    x = xp.asarray(np.ones((1, 3)))
    assert expanded(x, (1, 3)) is x
    fresh = expanded(x, (2, 3))
    fresh[0, 0] = 5.0
    np.testing.assert_array_equal(to_host(fresh), [[5.0, 1.0, 1.0], [1.0, 1.0, 1.0]])


@pytest.mark.parametrize("size", [1, 3, 5])
def test_windows_are_runs_of_rows_and_share_their_memory(xp, size):
    host = np.arange(30.0).reshape(2, 5, 3)
    x = xp.asarray(host)
    windows = row_windows(x, size)
    if windows is None:  # the standard has no such views
        assert type(x).__module__ not in ("numpy", "torch")
        return
    assert tuple(windows.shape) == (2, 6 - size, size, 3)
    for start in range(6 - size):
        np.testing.assert_array_equal(to_host(windows[:, start, :, :]), host[:, start : start + size])
    x[0, 0, 0] = 7.0
    assert float(windows[0, 0, 0, 0]) == 7.0
