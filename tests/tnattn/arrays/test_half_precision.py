"""Half precision: computed in float32 and cast back, on every ring that has it."""

import numpy as np
import pytest

from tnattn.arrays import computed_in_single, dtype_name, is_half, widened
from tnattn.arrays.libraries import array_namespace

halves = pytest.mark.parametrize("xp", ["numpy", "torch", "cupy-standin"], indirect=True)


@halves
def test_half_precision_is_recognised_and_widened(xp):
    half = xp.asarray(np.ones(3), "float16")
    assert is_half(half)
    assert dtype_name(widened(half).dtype) == "float32"
    assert not is_half(widened(half))


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_other_arrays_are_left_as_they_are(xp, dtype):
    x = xp.asarray(np.ones(3), dtype)
    assert not is_half(x)
    assert widened(x) is x


@halves
def test_sums_are_taken_in_single_and_cast_back(xp):
    """In float16 the spacing at 2048 is 2: adding ones one by one would end there."""
    seen = []

    @computed_in_single
    def total(x):
        seen.append(dtype_name(x.dtype))
        return array_namespace(x).sum(x), x.shape[0]

    value, count = total(xp.asarray(np.ones(4096), "float16"))
    assert seen == ["float32"]
    assert (dtype_name(value.dtype), float(value), count) == ("float16", 4096.0, 4096)
