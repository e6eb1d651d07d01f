"""Powers of two, on every ring and over the whole range of exponents."""

import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.linalg import scaling
from tnattn.linalg.scaling import (
    binary_scale,
    euclidean_norm,
    exponent_of,
    in_square_range,
    power_of_two_below,
    smallest_normal,
    times_power_of_two,
)

both = pytest.mark.parametrize("dtype", ["float32", "float64"])


class _Bfloat16:
    """A dtype that prints as the one of PyTorch."""

    def __str__(self):
        return "torch.bfloat16"


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


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_smallest_normal_number_is_that_of_the_dtype(dtype):
    assert smallest_normal(np.ones(1, dtype)) == np.finfo(dtype).smallest_normal


def test_the_smallest_normal_number_of_bfloat16_is_that_of_float32():
    """It has the exponents of float32, and NumPy knows nothing of it."""
    assert smallest_normal(SimpleNamespace(dtype=_Bfloat16())) == 2.0**-126


def test_positions_are_for_arrays():
    for function in (binary_scale, euclidean_norm):
        with pytest.raises(TypeError, match="positional"):
            function(np.ones((2, 3)), 0)


# --- sums of squares and norms ---


@both
def test_sums_of_squares_are_judged_one_by_one(xp, dtype):
    """The last number that keeps its digits is the smallest normal one over eps; a half of it does not."""
    dtype = dtype if xp.dtype == "float64" else "float32"
    limits = np.finfo(dtype)
    least = float(limits.tiny) / float(limits.eps)
    sums = np.array([least, least / 2, 0.0, 1.0, float(limits.max), np.inf, np.nan], dtype)
    expected = [True, False, False, True, True, False, False]
    assert to_host(in_square_range(xp.asarray(sums))).tolist() == expected


AXES = [(None, ()), (0, (3, 4)), (-1, (2, 3)), ((-2, -1), (2,)), ((0, 2), (3,))]


@both
@pytest.mark.parametrize("axis, shape", AXES, ids=str)
@pytest.mark.parametrize("size", [0.0, 1e-300, 1e-30, 1.0, 1e30, 1e300])
def test_norms_do_not_depend_on_the_scale(xp, dtype, axis, shape, size):
    dtype = dtype if xp.dtype == "float64" else "float32"
    if dtype == "float32" and size not in (0.0, 1.0):
        size = 1e-30 if size < 1 else 1e30
    host = (size * np.random.default_rng(0).standard_normal((2, 3, 4))).astype(dtype)
    x, eps = xp.asarray(host), float(np.finfo(dtype).eps)
    expected = np.sqrt((host.astype(np.longdouble) ** 2).sum(axis=axis)).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, kept = euclidean_norm(x, axis=axis), euclidean_norm(x, axis=axis, keepdims=True)
    assert found.dtype == kept.dtype == x.dtype
    assert tuple(found.shape) == shape
    assert kept.ndim == 3
    np.testing.assert_allclose(to_host(found), expected, rtol=4 * eps)
    assert np.array_equal(to_host(kept).reshape(shape), to_host(found))


@both
def test_a_norm_in_range_beside_those_out_of_it(xp, dtype):
    """All are judged together: one sum that overflows sends the others along."""
    dtype = dtype if xp.dtype == "float64" else "float32"
    limits = np.finfo(dtype)
    host = np.array([[3.0], [4.0]], dtype) * np.array([1.0, float(limits.max) / 8, float(limits.tiny)], dtype)
    found = to_host(euclidean_norm(xp.asarray(host), axis=0))
    np.testing.assert_allclose(found, host[0] / 3 * 5, rtol=4 * limits.eps)
    with np.errstate(over="ignore"):  # the control: the plain sum in the dtype of the data
        plain = np.sqrt((host * host).sum(axis=0))
    assert np.isinf(plain[1])
    assert plain[2] == 0


def test_squares_in_a_wider_dtype_need_no_second_pass(monkeypatch):
    """float64 holds every square of float32, that of zero too."""
    monkeypatch.setattr(scaling, "binary_scale", None)
    largest = float(np.finfo(np.float32).max)
    x = np.array([[0.0, largest / 2, 3e-30], [0.0, 0.0, 4e-30]], np.float32)
    np.testing.assert_allclose(euclidean_norm(x, axis=0), [0.0, largest / 2, 5e-30], rtol=1e-6)


# --- multiplication by powers of two ---


@both
def test_exponents_undo_powers_over_the_whole_range(xp, dtype):
    dtype = dtype if xp.dtype == "float64" else "float32"
    limits = np.finfo(dtype)
    powers = np.arange(limits.minexp, limits.maxexp)
    found = exponent_of(xp.asarray(np.ldexp(np.ones((), dtype), powers)))
    assert to_host(found).dtype == dtype
    np.testing.assert_array_equal(to_host(found), powers)


@both
def test_a_product_with_a_power_of_two_is_exact_over_the_whole_range(xp, dtype):
    """From the smallest number to beyond the largest and back; the factor alone leaves the range on the way."""
    dtype = dtype if xp.dtype == "float64" else "float32"
    limits = np.finfo(dtype)
    span = limits.maxexp - limits.minexp + limits.nmant
    exponents = np.unique(np.concatenate([np.linspace(-span - 9, span + 9, 41).astype(int), [-1, 0, 1]]))
    for start in (limits.minexp - limits.nmant, limits.minexp, 0, limits.maxexp - 1):
        x = np.ldexp(np.ones(exponents.shape, dtype), start)
        with np.errstate(over="ignore", under="ignore"):
            expected = np.ldexp(x, exponents)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = times_power_of_two(xp.asarray(x), xp.asarray(exponents.astype(dtype)))
        np.testing.assert_array_equal(to_host(found), expected)


def test_powers_of_any_size_overflow_and_vanish(xp):
    x, exponent = xp.asarray(np.array([1.0, 1.0, -3.0, 0.0])), xp.asarray(np.array([1e9, -1e9, 1e9, 1e9]))
    assert to_host(times_power_of_two(x, exponent)).tolist() == [np.inf, 0.0, -np.inf, 0.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("share", [-1.0, -0.7, -0.5, -0.1, 0.0, 0.3, 0.5, 0.9, 1.0])
def test_powers_are_exact_over_the_range(dtype, share):
    info = np.finfo(dtype)
    exponent = int(share * (info.maxexp - 2 if share > 0 else -info.minexp))
    x = np.random.default_rng(0).uniform(1, 2, (3, 2)).astype(dtype)
    result = times_power_of_two(x, np.full(3, exponent, dtype), stack=True)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, np.ldexp(x, exponent))


def test_powers_beyond_the_range_of_a_factor_are_those_of_their_product():
    """2^1500 is no number, 2^-1000 2^1500 is."""
    assert times_power_of_two(np.array(2.0**-1000), np.array(1500.0)) == 2.0**500
    assert times_power_of_two(np.array(2.0**1000), np.array(-1500.0)) == 2.0**-500
    assert times_power_of_two(np.array(2.0**-1000), np.array(2000.0)) == 2.0**1000
    assert times_power_of_two(np.array(2.0**1000), np.array(-2000.0)) == 2.0**-1000
    assert times_power_of_two(np.array(1.0), np.array(1e9)) == np.inf
    assert times_power_of_two(np.array(1.0), np.array(-1e9)) == 0


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_three_factors_span_the_range_and_each_is_a_number_with_all_digits(dtype):
    most, info = scaling._MOST[dtype], np.finfo(dtype)
    assert most < min(info.maxexp, -info.minexp) + 1
    assert 3 * most > info.maxexp + info.nmant - info.minexp


def test_powers_belong_to_the_arrays_of_a_stack():
    x = np.ones((2, 3, 2, 2))
    result = times_power_of_two(x, np.arange(6.0).reshape(2, 3), stack=True)
    np.testing.assert_array_equal(result[1, 2], np.full((2, 2), 32))
    with pytest.raises(ValueError, match="lacks the batch axes"):
        times_power_of_two(np.ones((3, 2)), np.zeros((2, 3)), stack=True)


@pytest.mark.parametrize("kind", ["host", "library"])
def test_a_product_below_the_normal_numbers_is_rounded_once(xp, kind):
    """Rounded to few digits and then to fewer, half of the numbers would be off by one unit."""
    x = np.random.default_rng(0).uniform(1, 2, 400).astype(np.float32)
    exponents = np.arange(400) % 26 - 148
    expected = np.ldexp(x.astype(np.float64), exponents).astype(np.float32)
    x = np.ldexp(x, -20)  # the product begins where a first full step would round already
    where = exponents + 20 if kind == "host" else xp.asarray((exponents + 20).astype(np.float32), dtype="float32")
    found = times_power_of_two(xp.asarray(x, dtype="float32"), where)
    np.testing.assert_array_equal(to_host(found), expected)


@pytest.mark.parametrize("exponent", [0, 3, -3])
def test_a_product_is_an_array_of_its_own(exponent):
    x = np.ones(3)
    assert not np.shares_memory(times_power_of_two(x, np.array(exponent)), x)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_powers_of_a_device_are_exact(dtype):
    """Its branch on arrays of the host, which have library functions for it."""
    most = scaling._MOST[dtype]
    exponents = np.arange(-most, most + 1, dtype=dtype)
    found = scaling._device_power(exponents, most, like=np.ones(1, dtype))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.ldexp(np.ones((), dtype), exponents.astype(int)))


def test_exponents_broadcast_unless_they_belong_to_a_stack():
    x = np.ones((2, 3))
    np.testing.assert_array_equal(times_power_of_two(x, np.arange(3.0)), [[1.0, 2.0, 4.0]] * 2)
    np.testing.assert_array_equal(times_power_of_two(x, np.arange(2.0), stack=True), [[1.0] * 3, [2.0] * 3])


@pytest.mark.parametrize("exponent, factors", [(0, 1), (900, 1), (1500, 2), (-2000, 2), (2500, 3), (9000, 3)])
def test_passes_that_change_nothing_are_spared_on_the_host(monkeypatch, exponent, factors):
    passes, plain = [], scaling._host_power
    monkeypatch.setattr(scaling, "_host_power", lambda e, *, like: passes.append(e) or plain(e, like=like))
    times_power_of_two(np.zeros(3), np.array([0.0, exponent, 0.0]))
    assert len(passes) == factors


def test_the_unit_of_a_matrix_is_its_largest_entry_or_one(xp):
    stack = np.array([[[0.25, -3.0]], [[0.0, 0.0]], [[-0.5, 0.25]]])
    assert to_host(scaling.largest_entry(xp.asarray(stack))).tolist() == [[[3.0]], [[1.0]], [[0.5]]]
    assert to_host(scaling.largest_magnitude(xp.asarray(stack), axis=-1)).tolist() == [[3.0], [0.0], [0.5]]


def test_mantissas_of_other_libraries_are_found_by_their_own_functions_or_on_the_host(monkeypatch):
    strict = pytest.importorskip("array_api_strict")
    x = np.array([6.0, 0.25])
    np.testing.assert_array_equal(to_host(scaling._mantissa(strict, strict.asarray(x))), [0.75, 0.5])
    called = []
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(frexp=lambda x: called.append(x) or np.frexp(x)))
    monkeypatch.setattr(scaling.array_api_compat, "is_numpy_array", lambda x: False)
    monkeypatch.setattr(scaling.array_api_compat, "is_cupy_array", lambda x: True)
    np.testing.assert_array_equal(scaling._mantissa(np, x), [0.75, 0.5])
    assert len(called) == 1
