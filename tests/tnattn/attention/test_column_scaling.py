"""Scaling of columns by powers of two: exact, reversible, and only where it is needed."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.column_scaling import ColumnScaling, column_scaling
from tnattn.display import Displayed

RNG = np.random.default_rng(0)
X = RNG.uniform(0.5, 1, (2, 9, 3)) * RNG.choice([-1, 1], (2, 9, 3))


@pytest.mark.parametrize("size", [1e-5, 1.0, 1e5])
def test_ordinary_numbers_need_no_scaling(xp, size):
    assert column_scaling(xp.asarray(size * X), growth=1e6) is None


@pytest.mark.parametrize(
    ("size", "target"),
    [
        (np.ldexp(2 - 2.0**-52, 521), None),
        (np.ldexp(1.0, 522), 521),
        (np.ldexp(1.0, -470), None),
        (np.ldexp(2 - 2.0**-52, -471), 521),
    ],
)
def test_the_ends_of_the_range_that_needs_no_scaling(size, target):
    """Growth 2^500: up to max / 2^501, and down to 2^(-1022 + 52 + 500), one rounding unit of which is normal."""
    scaling = column_scaling(np.array([[size]]), growth=2.0**500)
    if target is None:
        assert scaling is None
    else:
        assert 2.0**target <= scaling.scaled < 2.0 ** (target + 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("end", ["denormal", "small", "large"])
def test_scaled_columns_have_room_for_growth_and_come_back(dtype, end):
    limits, growth = np.finfo(dtype), 1e6
    exponent = {"denormal": limits.minexp - 12, "small": limits.minexp, "large": limits.maxexp}[end]
    x = np.ldexp(X.astype(dtype), exponent)
    scaling = column_scaling(x, growth=growth)
    largest = np.abs(scaling.scaled).max(axis=-2)
    assert (largest * growth < limits.max).all()
    assert (largest * growth > limits.max / 8).all()
    np.testing.assert_array_equal(scaling.undo(scaling.scaled), x)


def test_columns_are_scaled_one_by_one():
    x = np.ldexp(X.astype("float32"), [127, 0, -100])
    scaling = column_scaling(x, growth=2.0)
    assert np.ptp(np.abs(scaling.scaled).max(axis=-2)) < np.abs(scaling.scaled).max()
    np.testing.assert_array_equal(scaling.undo(scaling.scaled), x)


def test_rounding_beyond_the_largest_entry_is_set_back(xp):
    most = float(np.finfo(xp.dtype).max)
    scaling = column_scaling(xp.asarray(np.full((4, 1), most)), growth=4.0)
    above = scaling.scaled * (1 + 4 * xp.eps())
    np.testing.assert_array_equal(to_host(scaling.undo(above)), most)
    np.testing.assert_array_equal(to_host(scaling.undo(-above)), -most)


def test_zero_and_infinite_columns_stay(xp):
    x = np.stack([np.zeros(4), np.full(4, np.inf), np.full(4, float(np.finfo(xp.dtype).max))], axis=-1)
    scaling = column_scaling(xp.asarray(x), growth=4.0)
    np.testing.assert_array_equal(to_host(scaling.scaled)[:, :2], x[:, :2])
    assert column_scaling(xp.asarray(np.zeros((4, 2))), growth=4.0) is None
    assert column_scaling(xp.asarray(np.zeros((0, 4, 2))), growth=4.0) is None


@pytest.mark.parametrize("size", [6e4, 6e-8])
def test_float16_is_widened_and_needs_none(size):
    assert column_scaling(np.full((4, 2), size, "float16"), growth=1e20) is None


def test_undo_keeps_nan():
    scaling = column_scaling(np.full((4, 1), 1e300), growth=1e20)
    assert np.isnan(scaling.undo(np.full((2, 1), np.nan))).all()


def test_scalings_are_displayed_without_their_entries():
    assert ColumnScaling.__repr__ is Displayed.__repr__
