"""Units of matrices at their limits: exact powers, what leaves the range, which fields scale."""

import dataclasses
import warnings
from typing import ClassVar

import array_api_compat.numpy
import numpy as np
import pytest
import scipy.sparse

from tnattn.randnla.units import (
    Unit,
    columns_in_units,
    in_units,
    require_resolved_size,
    resolved_square,
    restored,
    unit_of,
)
from tnattn.structured.dense import Dense
from tnattn.structured.host_operator import HostOperator
from tnattn.structured.low_rank import LowRank
from tnattn.structured.sparse import Sparse


@pytest.fixture(autouse=True)
def no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


def square(n=4):
    return np.random.default_rng(0).uniform(1, 2, (n, n))


@pytest.mark.parametrize("power", [-2046, -1500, -1022, -61, -1, 0, 1, 2, 3, 62, 1023, 1500, 2045])
def test_units_are_exact_over_the_whole_range(power):
    """From one end of float64 to the other, where the power itself is no number."""
    start = -1022 if power > 0 else 1022 if power < 0 else 0
    x = np.ldexp(square(), start)
    unit, back = Unit(np.asarray(float(power))), Unit(np.asarray(-float(power)))
    np.testing.assert_array_equal(unit.restored(x, name="x"), np.ldexp(x, power))
    np.testing.assert_array_equal(back.divided(x), np.ldexp(x, power))


@pytest.mark.parametrize(
    "degree, factor", [(1.0, 16.0), (2.0, 256.0), (-1.0, 1 / 16), (0.5, 4.0), (-0.5, 0.25), (0.0, 1)]
)
def test_a_degree_is_a_power_of_the_unit(degree, factor):
    np.testing.assert_array_equal(Unit(np.asarray(4.0)).restored(square(), degree=degree, name="x"), factor * square())


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5)], ids=str)
def test_units_belong_to_the_matrices_of_a_stack(shape):
    exponents = np.arange(6.0).reshape(2, 3)
    x = np.ones(shape)
    expected = np.exp2(exponents).reshape(2, 3, *(1,) * (len(shape) - 2)) * x
    np.testing.assert_array_equal(Unit(exponents).restored(x, name="x"), expected)
    np.testing.assert_array_equal(Unit(-exponents).divided(x), expected)


def test_what_leaves_the_range_is_refused_and_what_was_out_of_it_stays():
    up, down = Unit(np.asarray(1000.0)), Unit(np.asarray(-1000.0))
    for x, unit in ((np.array([1.0, 2.0**24]), up), (np.full(3, 2.0**-100), down), (np.array([0.0, 2.0**-75]), down)):
        with pytest.raises(ValueError, match="the core of the result leaves the range of float64; scale a to entries"):
            unit.restored(x, name="the core")
    for x in (np.array([np.inf, 1.0]), np.array([np.nan, 1.0]), np.zeros(3), np.array([-np.inf, np.inf])):
        np.testing.assert_array_equal(up.restored(x, name="x"), np.ldexp(x, 1000))
    some = down.restored(np.array([2.0**-100, 1.0]), name="x")  # beside numbers that stay, a small one may vanish
    assert some.tolist() == [0.0, 2.0**-1000]
    assert up.divided(np.array([2.0**-100])).tolist() == [0.0]
    with np.errstate(over="ignore"):
        assert down.divided(np.array([2.0**100])).tolist() == [np.inf]


@pytest.mark.parametrize(
    "power, exponent", [(30, None), (31, None), (32, 32), (33, 32), (-30, None), (-31, -32), (-32, -32), (-33, -34)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_entries_up_to_two_to_the_thirty_are_left_alone(power, exponent, sign):
    x = sign * np.ldexp(np.array([[1.0, 0.5], [0.25, 0.0]]), power)
    unit = unit_of(x)
    assert (unit.exponent if unit else None) == exponent
    scaled, found = in_units(Dense(x))
    if exponent is None:
        assert found is None
        assert scaled.array is x
    else:
        np.testing.assert_array_equal(scaled.array, np.ldexp(x, -exponent))


def test_one_large_matrix_of_a_stack_is_found_whatever_the_others_are():
    stack = np.stack([np.zeros((2, 2)), 1e-9 * np.ones((2, 2)), 1e30 * np.ones((2, 2))])
    assert unit_of(stack).exponent.tolist() == [0.0, 0.0, 98.0]
    assert unit_of(stack[:2]) is None
    assert unit_of(np.zeros((3, 2, 2))) is None


def test_a_matrix_is_judged_by_its_own_entries_and_not_by_their_number_or_by_its_neighbours():
    small = np.ldexp(np.ones((4, 4)), -31)
    assert unit_of(small[None]).exponent.tolist() == [-32.0]
    assert unit_of(np.stack([small, np.ones((4, 4))])).exponent.tolist() == [-32.0, 0.0]
    assert unit_of(np.stack([np.ldexp(small, -9), np.ones((4, 4))])[:, None]).exponent.tolist() == [[-40.0], [0.0]]


@pytest.mark.parametrize("power", [-28, -14, 0, 14, 25])
def test_one_pass_settles_what_is_harmless(monkeypatch, power):
    monkeypatch.setattr(array_api_compat.numpy, "max", None)
    assert unit_of(np.ldexp(np.ones((2, 4, 4)), power)) is None


def test_sparse_matrices_are_copied_and_those_without_entries_have_no_unit():
    a = scipy.sparse.csr_array(np.ldexp(np.array([[0.0, 3.0], [1.0, 0.0]]), 100))
    before = a.toarray()
    scaled, unit = in_units(HostOperator(a))
    assert unit.exponent == 100
    np.testing.assert_array_equal(scaled.to_dense(), [[0.0, 3.0], [1.0, 0.0]])
    np.testing.assert_array_equal(a.toarray(), before)
    for harmless in (scipy.sparse.csr_array((3, 2)), scipy.sparse.csr_array(np.eye(2))):
        operator = HostOperator(harmless)
        assert in_units(operator) == (operator, None)


@pytest.mark.parametrize("powers", [(100, 0), (0, -100), (100, -100), (100, 60), (0, 0)], ids=str)
def test_factors_have_units_of_their_own(powers):
    left, right = (np.ldexp(np.ones(s), p) for s, p in zip(((2, 3, 1), (2, 1, 3)), powers, strict=True))
    given = LowRank(left, right)
    scaled, unit = in_units(given)
    if powers == (0, 0):
        assert scaled is given
        assert unit is None
    else:
        assert unit.exponent.tolist() == [sum(powers)] * 2
        assert all((x == 1).all() for x in scaled.factors())


def test_columns_have_units_of_their_own():
    powers = np.array([[0, 100, -60], [40, 0, -100]])
    x = np.ldexp(np.ones((2, 5, 3)), powers[:, None, :])
    columns, unit = columns_in_units(x)
    assert unit.exponent.tolist() == powers.tolist()
    np.testing.assert_array_equal(columns, np.ones((2, 5, 3)))
    same, none = columns_in_units(columns)
    assert same is columns
    assert none is None


@dataclasses.dataclass(frozen=True, eq=False)
class Train:
    """A result with cores, a square and a field that may be missing."""

    cores: tuple
    energy: np.ndarray
    error: np.ndarray | None
    ratio: np.ndarray
    degrees: ClassVar = {"cores": 1.0, "energy": 2.0, "error": 1.0}


def test_fields_scale_with_their_degrees_and_the_last_core_carries_the_scale():
    one = np.ones((1, 2))
    made = restored(Train((one, 2 * one, 3 * one), one, None, one), Unit(np.asarray(6.0)))
    assert [float(core[0, 0]) for core in made.cores] == [1.0, 2.0, 192.0]
    assert (made.energy == 4096).all()
    assert made.error is None
    assert made.ratio is one
    with pytest.raises(ValueError, match="energy of the result leaves the range"):
        restored(Train((one,), one, one, one), Unit(np.asarray(600.0)))


def test_the_left_factor_carries_the_scale():
    found = restored(LowRank(np.ones((2, 1)), np.ones((1, 2))), Unit(np.asarray(4.0)))
    left, right = found.factors()
    assert (left == 16).all()
    assert (right == 1).all()
    with pytest.raises(ValueError, match="the left factor of the result leaves the range"):
        restored(LowRank(np.full((2, 1), 2.0**1000), np.ones((1, 2))), Unit(np.asarray(40.0)))


def column(x):
    """An implicit matrix of one column."""
    return Sparse(x, np.zeros(x.shape, int), len(x))


@pytest.mark.parametrize("dtype, limit", [("f4", 40), ("f8", 459)])
def test_implicit_matrices_are_judged_by_the_product_of_their_factors(dtype, limit):
    """Half of the range of exponents, but for the digits of a square."""
    one = np.ones((3, 1), dtype)
    for power, kept in ((limit, True), (-limit, True), (limit + 1, False), (-limit - 1, False)):
        factors = [(power, 0), (power // 2, power - power // 2), (0, power)]
        results = [LowRank(np.ldexp(one, left), np.ldexp(one.T, right)) for left, right in factors]
        for result in (*results, Dense(np.ldexp(one @ one.T, power))):
            if kept:
                require_resolved_size(result, column(one))
            else:
                with pytest.raises(ValueError, match=rf"outside 2\^-{limit} ... 2\^{limit}, where squares"):
                    require_resolved_size(result, column(one))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_results_that_are_not_finite_are_refused_and_explicit_matrices_are_not_judged(bad, side):
    factors = [np.ones((2, 3, 1)), np.ones((2, 1, 3))]
    factors[side][1, 0, 0] = bad
    result = LowRank(*factors)
    with pytest.raises(ValueError, match="scale it to a norm of about one"):
        require_resolved_size(result, column(np.ones((3, 1))))
    for explicit in (Dense(np.eye(3)), LowRank(np.eye(3), np.eye(3)), HostOperator(scipy.sparse.csr_array(np.eye(3)))):
        require_resolved_size(result, explicit)
    with pytest.raises(ValueError, match="scale it to a norm of about one"):
        require_resolved_size(Dense(np.full((3, 3), bad)), column(np.ones((3, 1))))


@pytest.mark.parametrize("side", [0, 1])
def test_zero_is_the_answer_for_an_operator_that_gives_zero(side):
    factors = [np.ones((3, 1)), np.ones((1, 3))]
    factors[side] = factors[side] * 0
    require_resolved_size(LowRank(*factors), column(np.zeros((3, 1))))
    for row in range(3):  # one row that is not zero is enough
        with pytest.raises(ValueError, match="outside"):
            require_resolved_size(LowRank(*factors), column(1e-200 * np.eye(3)[:, row : row + 1]))
    wide = Sparse(np.full((3, 1), 1e-200), np.zeros((3, 1), int), 5)
    with pytest.raises(ValueError, match=r"the \(3, 5\) operator has a norm outside"):
        require_resolved_size(LowRank(np.zeros((3, 1)), np.ones((1, 5))), wide)


def test_empty_stacks_and_matrices_have_no_unit():
    for shape in ((0, 2, 3), (0, 3), (3, 0), (2, 0, 3)):
        a = Dense(np.zeros(shape))
        assert in_units(a) == (a, None)
    given = LowRank(np.zeros((0, 3, 1)), np.zeros((0, 1, 3)))
    assert in_units(given) == (given, None)


@pytest.mark.parametrize("kind", [Dense, column])
def test_squares_are_resolved_down_to_the_smallest_normal_number_over_two_roundings(kind):
    one, power = np.ones((1, 1)), (-1022 + 2 * 52) // 2
    assert resolved_square(kind(np.ldexp(one, power))) == 4.0**power
    assert resolved_square(kind(0 * one)) == 0
    with pytest.raises(ValueError, match=r"of the \(1, 1\) stack leaves the range of float64; scale a to entries"):
        resolved_square(kind(np.ldexp(one, power - 1)))
    with pytest.raises(ValueError, match="leaves the range"):
        resolved_square(kind(np.ldexp(one, 600)))


def test_squares_of_a_stack_are_judged_one_by_one():
    stack = np.array([0.0, 1.0, 2.0**-100])[:, None, None] * np.ones((3, 2, 2))
    assert resolved_square(Dense(stack)).tolist() == [0.0, 4.0, 2.0**-198]
    for bad in (1e-200, 1e200, np.nan):
        with pytest.raises(ValueError, match=r"of the \(3, 2, 2\) stack leaves the range"):
            resolved_square(Dense(np.where(stack == 1, bad, stack)))


def test_a_square_of_an_implicit_matrix_that_has_vanished_is_that_of_zero():
    assert resolved_square(column(np.full((3, 1), 1e-200))) == 0
    with pytest.raises(ValueError, match="leaves the range"):
        resolved_square(Dense(np.full((3, 1), 1e-200)))


@pytest.mark.parametrize("result", [np.ones((2, 2)), Dense(np.eye(2))], ids=["array", "matrix"])
def test_results_that_do_not_state_their_degrees_are_refused(result):
    assert restored(result, None) is result
    with pytest.raises(TypeError, match=rf"{type(result).__name__} does not state .* between 2\^-30 and 2\^30"):
        restored(result, Unit(np.asarray(4.0)))
