import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from tnattn.arrays import dtype_name, to_host
from tnattn.decomposition import tensor_units as scaling
from tnattn.decomposition.tensor_units import (
    energy,
    exponents,
    largest_tensor_entries,
    norm,
    restored_tensor,
    scaled,
    unit,
)
from tnattn.linalg.scaling import times_power_of_two


@dataclasses.dataclass(frozen=True, eq=False)
class Inner:
    part: np.ndarray
    other: np.ndarray
    degrees: ClassVar = {"part": 1.0}


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    core: np.ndarray
    factors: tuple
    ratio: np.ndarray
    inner: Inner
    count: int
    degrees: ClassVar = {"core": 1.0, "factors": 1.0, "inner": 1.0}


def found(seed=0, batch=(2,)):
    rng = np.random.default_rng(seed)
    a, b, c, d, e, f, g = (rng.standard_normal((*batch, 2, 3)) for _ in range(7))
    return Found(a, (b, g, c), d, Inner(e, f), 7)


# --- scaling ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [-126, -100, -33, -31, 31, 33, 100, 127])
def test_scaling_is_undone_without_rounding(exponent):
    x = np.random.default_rng(0).uniform(1, 2, (3, 2, 2)).astype(np.float32)
    x = np.ldexp(x, exponent)
    harmless, exponents = scaled(x, order=2)
    np.testing.assert_array_equal(exponents, np.full(3, exponent))
    np.testing.assert_array_equal(times_power_of_two(harmless, exponents, stack=True), x)
    assert np.all((np.abs(harmless).max(axis=(1, 2)) >= 1) & (np.abs(harmless).max(axis=(1, 2)) < 2))


@pytest.mark.parametrize("exponent", [-30, -29, -1, 0, 1, 29, 30])
def test_harmless_tensors_are_left_alone(exponent):
    x = np.ldexp(np.random.default_rng(0).uniform(1, 2, (2, 3, 4)), exponent)
    harmless, exponents = scaled(x, order=3)
    assert harmless is x
    assert exponents.shape == ()
    assert exponents == 0


@pytest.mark.parametrize(
    "x, passes",
    [
        (np.full((2, 2), 2.0**-30), 1),
        (np.array([[2.0**30]]), 1),
        (np.full((2, 2), 2.0**-30 * (1 - 1e-9)), 2),
        (np.full((2, 2), 2.0**29.5), 2),
        (np.array([[1.0, np.nan]]), 2),
    ],
    ids=["least", "largest", "less", "more", "NaN"],
)
def test_harmless_tensors_are_read_once(monkeypatch, x, passes):
    """The sum of squares says it all; only where it is small, large or none the entries are looked at."""
    calls = []
    monkeypatch.setattr(scaling, "check_finite", lambda *arguments: calls.append(arguments))
    scaled(x, order=2)
    assert len(calls) == passes - 1


@pytest.mark.parametrize("dtype, exponent", [(np.float32, -31), (np.float32, 31), (np.float64, -31), (np.float64, 31)])
def test_the_first_exponents_beyond_are_scaled(dtype, exponent):
    harmless, exponents = scaled(np.full((2, 2), 2.0**exponent, dtype), order=2)
    assert exponents == exponent
    np.testing.assert_array_equal(harmless, np.ones((2, 2)))


def test_one_large_entry_among_many_small_ones_is_found():
    x = np.full((64, 64), 2.0**-40)
    x[3, 5] = -(2.0**31)
    harmless, exponent = scaled(x, order=2)
    assert exponent == 31
    assert harmless[3, 5] == -1


def test_only_the_tensors_that_need_it_are_scaled():
    x = np.stack([np.ones((2, 2)), np.full((2, 2), 2.0**-500), np.zeros((2, 2)), -np.full((2, 2), 2.0**500)])
    harmless, exponents = scaled(x, order=2)
    np.testing.assert_array_equal(np.abs(harmless[:, 0, 0]), [1, 1, 0, 1])
    np.testing.assert_array_equal(exponents, [0, -500, 0, 500])
    np.testing.assert_array_equal(times_power_of_two(harmless, exponents, stack=True), x)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [2.0**-200, 1.0, 2.0**200])
def test_what_is_not_finite_is_refused_by_the_name_given(bad, size):
    x = np.full((2, 3), size)
    x[1, 2] = bad
    with pytest.raises(ValueError, match=r"core 4 holds .* index \(1, 2\)"):
        scaled(x, order=2, name="core 4")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tensors_of_subnormal_numbers_are_refused_and_those_of_the_smallest_normal_one_are_not(dtype):
    tiny = np.finfo(dtype).tiny
    with pytest.raises(ValueError, match=f"a tensor has no entry above .* normal number of {np.dtype(dtype).name}"):
        scaled(
            np.stack([np.ones((2, 2), dtype), np.full((2, 2), np.nextafter(tiny, dtype(0)))]), order=2, name="a tensor"
        )
    harmless, exponent = scaled(np.full((2, 2), -tiny), order=2)
    assert exponent == np.log2(tiny)
    np.testing.assert_array_equal(harmless, -np.ones((2, 2)))


@pytest.mark.parametrize("exponent", [-1074, -1022, -3, 0, 5, 1023])
def test_a_unit_brings_the_largest_entry_between_one_and_two(exponent):
    x = np.ldexp(np.array([[[0.25, -1.0], [0.5, 0.0]], [[0, 0], [0, 0]]]), exponent)
    if exponent == -1074:
        x[0, 0, 0] = x[0, 1, 0] = 0
    scaled_x, found = unit(x, order=2)
    np.testing.assert_array_equal(found, [exponent, 0])
    assert largest_tensor_entries(scaled_x, order=2).tolist() == [1, 0]
    np.testing.assert_array_equal(times_power_of_two(scaled_x, found, stack=True), x)


def test_a_unit_of_what_has_one_is_the_array_itself():
    x = np.array([1.5, -1.0])
    assert unit(x, order=1)[0] is x


@pytest.mark.parametrize(
    "values, expected", [([3.0, -4.0], 2), ([-3.0, 1.0], 1), ([0.0, 0.0], 0), ([0.5], -1), ([0.75, 0.1], -1)], ids=str
)
def test_exponents_are_those_of_the_largest_magnitudes(values, expected):
    assert exponents(np.array(values), order=1) == expected
    assert largest_tensor_entries(np.array(values), order=1) == max(abs(v) for v in values)


# --- restoring ----------------------------------------------------------------------------------------------------


def test_fields_with_a_degree_are_multiplied_and_the_others_copied():
    before = found()
    after = restored_tensor(before, np.array([40.0, -40.0]))
    factor = np.array([2.0**40, 2.0**-40]).reshape(2, 1, 1)
    np.testing.assert_array_equal(after.core, before.core * factor)
    np.testing.assert_array_equal(after.factors[0], before.factors[0])
    np.testing.assert_array_equal(after.factors[1], before.factors[1])
    np.testing.assert_array_equal(after.factors[2], before.factors[2] * factor)
    assert len(after.factors) == 3
    np.testing.assert_array_equal(after.ratio, before.ratio)
    np.testing.assert_array_equal(after.inner.part, before.inner.part * factor)
    np.testing.assert_array_equal(after.inner.other, before.inner.other)
    assert after.count == 7


def test_a_field_of_degree_two_scales_with_the_square():
    @dataclasses.dataclass(frozen=True, eq=False)
    class Energy:
        square: np.ndarray
        degrees: ClassVar = {"square": 2.0}

    after = restored_tensor(Energy(np.ones(2)), np.array([3.0, -1.0]))
    assert after.square.tolist() == [64.0, 0.25]


@pytest.mark.parametrize("exponent", [None, np.zeros(2)])
def test_results_own_their_arrays(exponent):
    before = found()
    shared = dataclasses.replace(
        before, ratio=np.broadcast_to(np.eye(2), (2, 2, 2)), factors=(before.core, before.core)
    )
    after = restored_tensor(shared, exponent)
    parts = [after.core, *after.factors, after.ratio, after.inner.part, after.inner.other]
    for part, original in zip(
        parts, [shared.core, *shared.factors, shared.ratio, shared.inner.part, shared.inner.other], strict=True
    ):
        np.testing.assert_array_equal(part, original)
        assert part.flags.writeable
        assert part.flags.c_contiguous
        assert not np.shares_memory(part, original)
    assert not any(np.shares_memory(a, b) for i, a in enumerate(parts) for b in parts[:i])


def test_the_only_array_of_a_tuple_is_its_last():
    before = dataclasses.replace(found(), factors=(np.ones((2, 3)),))
    np.testing.assert_array_equal(restored_tensor(before, np.array([1.0, 2.0])).factors[0], [[2] * 3, [4] * 3])
    assert len(restored_tensor(before, None).factors) == 1


def test_numbers_of_no_axes_can_be_written_to():
    before = Inner(np.array(3.0), np.array(4.0))
    after = restored_tensor(before, np.array(2.0))
    assert type(after.part) is type(after.other) is np.ndarray
    after.part[...] = after.other[...] = 0
    assert (before.part, before.other) == (3, 4)


def test_a_number_that_leaves_the_range_is_named():
    with pytest.raises(ValueError, match=r"core of the result overflows float64: .* 2\^1030"):
        restored_tensor(found(), np.array([1030.0, 0.0]))


def test_numbers_that_were_not_finite_before_are_no_overflow():
    unknown = dataclasses.replace(found(), core=np.full((2, 2, 3), np.nan))
    assert np.isnan(restored_tensor(unknown, np.array([5.0, 0.0])).core).all()


def test_every_library_scales_alike(xp, assert_close):
    host = np.ldexp(np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32), [[[100]], [[-90]]])
    harmless, exponents = scaled(xp.asarray(host, dtype="float32"), order=2)
    np.testing.assert_array_equal(to_host(exponents), scaled(host, order=2)[1])
    back = times_power_of_two(harmless, exponents, stack=True)
    assert dtype_name(back.dtype) == "float32"
    np.testing.assert_array_equal(to_host(back), host)


# --- norms --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_norms_neither_overflow_nor_vanish(size):
    x = np.full((2, 3, 4), size, dtype=np.float32)
    np.testing.assert_allclose(norm(x, order=2), size * 12**0.5, rtol=1e-6)


def test_norms_are_those_of_the_trailing_axes():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)) * 10.0 ** np.arange(3)[:, None, None]
    x[0, 1, 2, 3] = 0
    np.testing.assert_allclose(norm(x, order=2), np.linalg.norm(x, axis=(2, 3)), rtol=1e-14)
    np.testing.assert_allclose(norm(1e200 * x, order=2), 1e200 * np.linalg.norm(x, axis=(2, 3)), rtol=1e-14)


def test_norms_of_zeros_are_zero():
    np.testing.assert_array_equal(norm(np.stack([np.zeros(3), np.array([0.0, -2.0, 0.0])]), order=1), [0, 2])


def test_energies_are_sums_of_squares():
    np.testing.assert_array_equal(energy(np.arange(12.0).reshape(2, 2, 3), order=2), [55, 451])


def test_a_plain_sum_of_squares_would_overflow():
    """Negative control for the test of the norms."""
    with np.errstate(over="ignore"):
        assert not np.isfinite(energy(np.full((3, 4), 1e30, dtype=np.float32), order=2))
