"""Dtypes: kinds, rounding units and accumulators, on every ring."""

import numpy as np
import pytest

from tnattn.arrays import (
    accumulator_dtype,
    dtype_name,
    eps,
    is_floating,
    require_floating,
)


@pytest.mark.parametrize(
    "dtype, expected", [("float32", True), ("int64", False), ("bool", False), ("complex64", False)]
)
def test_floating_means_real_floating(xp, dtype, expected):
    assert is_floating(xp.asarray(np.ones(2), dtype)) is expected


@pytest.mark.parametrize("dtype", ["int64", "bool", "complex64"])
def test_other_kinds_are_refused_by_name(xp, dtype):
    with pytest.raises(TypeError, match=rf"q has dtype {dtype}.*astype"):
        require_floating(xp.asarray(np.ones(2), dtype), "q")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_eps_is_the_spacing_at_one(xp, dtype):
    x = xp.asarray(np.ones(2), dtype)  # float64 becomes float32 where there is none
    assert eps(x) == eps(x.dtype) == np.finfo(dtype_name(x.dtype)).eps
    assert eps(np.dtype(dtype).type) == np.finfo(dtype).eps


def test_eps_of_an_integer_dtype_is_refused():
    with pytest.raises(TypeError, match="int64"):
        eps(np.int64)


def test_accumulators_are_as_wide_as_the_device_allows(xp):
    assert dtype_name(accumulator_dtype(xp.asarray(np.ones(2), "float32"))) == xp.dtype
