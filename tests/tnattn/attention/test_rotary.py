"""Rotary encoding: lengths, relative positions, refusals."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.rotary import Rotary


def test_inner_products_depend_on_the_difference_of_positions_only():
    q, k = np.random.default_rng(0).standard_normal((2, 1, 8))
    rotary = Rotary(8, base=50.0)

    def score(i, j):
        return (rotary(q, first=i) @ rotary(k, first=j).T).item()

    np.testing.assert_allclose([score(i + 7, 7) for i in range(9)], [score(i, 0) for i in range(9)], rtol=1e-11)
    np.testing.assert_allclose(score(5, 2), (q @ rotary(k, first=-3).T).item(), rtol=1e-11)
    assert abs(score(3, 0) - score(4, 0)) > 1e-3


def test_positions_are_counted_from_the_first():
    x = np.random.default_rng(0).standard_normal((3, 10, 6))
    np.testing.assert_allclose(Rotary(6)(x)[:, 4:], Rotary(6)(x[:, 4:], first=4), rtol=1e-13)


def test_lengths_stay_and_so_do_coordinates_beyond_the_width():
    x = np.random.default_rng(0).standard_normal((5, 6))
    turned = Rotary(4)(x)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-13)
    np.testing.assert_array_equal(turned[:, 4:], x[:, 4:])
    np.testing.assert_allclose(turned[3, :2], [np.cos(3) * x[3, 0] - np.sin(3) * x[3, 2], turned[3, 1]], rtol=1e-12)


def test_angles_keep_their_digits_in_single_precision():
    x = np.random.default_rng(0).standard_normal((4, 8))
    single = Rotary(8)(x.astype("float32"), first=100_000)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, Rotary(8)(x, first=100_000), atol=2e-6)


def test_it_runs_on_every_ring(xp, assert_close):
    x = np.random.default_rng(0).standard_normal((2, 5, 6))
    assert_close(to_host(Rotary(6)(xp.asarray(x))), Rotary(6)(x), rtol=50 * xp.eps(), atol=50 * xp.eps())


@pytest.mark.parametrize(
    ("arguments", "message"), [({"width": 3}, "even"), ({"width": 0}, "width"), ({"width": 4, "base": 1.0}, "base")]
)
def test_bad_parameters_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Rotary(**arguments)
    with pytest.raises(ValueError, match="rotary width"):
        Rotary(8)(np.ones((2, 6)))


@pytest.mark.parametrize(
    ("x", "first", "words"),
    [
        (np.ones((2, 4), int), 0, "x has dtype int64"),
        (np.ones((2, 4)), 1.5, "first is 1.5; an integer is needed"),
        (np.ones((2, 4)), True, "first is True"),
        (np.ma.masked_array(np.ones((2, 4)), True), 0, "x is a masked array"),
    ],
)
def test_integer_vectors_and_broken_positions_are_refused(x, first, words):
    with pytest.raises(TypeError, match=words):
        Rotary(4)(x, first=first)


def test_the_first_position_may_be_a_scalar_of_numpy():
    x = np.random.default_rng(0).standard_normal((3, 4)).astype("float32")
    found = Rotary(4)(x, first=np.int64(7))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, Rotary(4)(x, first=7))


@pytest.mark.parametrize("xp, name", [("numpy", "float16"), ("torch", "bfloat16")], indirect=["xp"])
def test_half_precision_turns_in_single(xp, name):
    x = np.random.default_rng(0).standard_normal((64, 8)).astype("float32")
    half = xp.asarray(x, "float16") if xp.name == "numpy" else xp.asarray(x).bfloat16()
    turned = Rotary(8)(half, first=5000)
    assert turned.dtype == half.dtype
    expected = Rotary(8)(to_host(half).astype("float32"), first=5000)
    # one rounding of the result, none of the sines and products
    unit = {"float16": 2.0**-11, "bfloat16": 2.0**-8}[name]
    np.testing.assert_allclose(to_host(turned).astype("float32"), expected, rtol=unit * 1.01, atol=1e-6)


def test_foreign_byte_order_is_converted():
    x = np.random.default_rng(0).standard_normal((3, 4))
    np.testing.assert_array_equal(Rotary(4)(x.astype(">f8")), Rotary(4)(x))
