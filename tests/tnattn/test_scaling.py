"""Powers of two, on every ring and over the whole range of exponents."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.scaling import binary_scale, power_of_two_below, smallest_normal

both = pytest.mark.parametrize("dtype", ["float32", "float64"])


def exponents(dtype):
    limits = np.finfo(dtype)
    return np.arange(limits.minexp - limits.nmant, limits.maxexp)


@both
def test_powers_of_two_are_found_over_the_whole_range(xp, dtype):
    dtype = dtype if xp.dtype == "float64" else "float32"
    limits = np.finfo(dtype)
    powers = np.ldexp(np.ones((), dtype), exponents(dtype))
    np.testing.assert_array_equal(to_host(power_of_two_below(xp.asarray(powers))), powers)
    normal = powers[limits.nmant :]  # denormal ones have no room for further digits
    for factor in (1.5, 2 - 2 * float(limits.eps)):
        found = power_of_two_below(xp.asarray(normal * np.asarray(factor, dtype)))
        np.testing.assert_array_equal(to_host(found), normal)


@both
@pytest.mark.parametrize("axis", [None, 0, -1, (-2, -1)])
def test_scaled_arrays_have_largest_entries_between_one_and_two(xp, dtype, axis):
    host = np.random.default_rng(0).standard_normal((3, 4)).astype(dtype) * np.asarray(1e-30, dtype)
    x = xp.asarray(host)
    largest = np.abs(to_host(x / binary_scale(x, axis=axis))).max(axis=axis)
    assert ((largest >= 1) & (largest < 2)).all()


def test_scales_of_nothing_and_of_what_is_no_number_are_one(xp):
    for host in (np.zeros((2, 3)), np.array([[np.nan, 1.0, 2.0]] * 2), np.array([[np.inf, 1.0, 2.0]] * 2)):
        assert to_host(binary_scale(xp.asarray(host), axis=-1)).tolist() == [[1.0], [1.0]]
    assert to_host(binary_scale(xp.asarray(np.zeros((2, 0, 3))), axis=-2)).tolist() == [[[1.0] * 3]] * 2
    assert tuple(binary_scale(xp.asarray(np.zeros((2, 0, 3))), axis=-2, keepdims=False).shape) == (2, 3)


@both
def test_the_smallest_normal_number_is_that_of_the_dtype(dtype):
    assert smallest_normal(np.ones(1, dtype)) == np.finfo(dtype).tiny
