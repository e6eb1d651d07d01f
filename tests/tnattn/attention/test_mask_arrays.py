"""Arrays of masks: kinds, places, and entries."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.mask_arrays import (
    as_mask_array,
    barrier,
    pick,
    require_broadcastable,
    require_same_place,
    split_heads,
)
from tnattn.attention.masks import BiasMask, ExplicitMask, PaddingMask
from tnattn.attention.problem import AttentionProblem


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: PaddingMask([3, 4]),
            r"lengths is \[3, 4\]; an integer is needed; give one number of keys, or an array",
        ),
        (lambda: PaddingMask(True), "lengths is True"),
        (lambda: PaddingMask(2.0), "lengths is 2.0"),
        (lambda: PaddingMask(np.asarray([True])), "lengths must be integers; got bool"),
        (lambda: PaddingMask(np.asarray([1.5])), "lengths must be integers; got float64"),
        (lambda: ExplicitMask([[True]]), "allowed is a list"),
        (
            lambda: ExplicitMask(np.ones((2, 2), int)),
            "allowed must be boolean; got int64; for additive scores use BiasMask",
        ),
        (lambda: BiasMask([[0.0]]), "bias is a list"),
        (lambda: BiasMask(np.ones((2, 2), int)), "bias must be floating; got int64"),
        (lambda: BiasMask(np.ones((2, 2), complex)), "bias must be floating; got complex128"),
        (lambda: BiasMask(np.ma.masked_array([[1.0]], [[True]])), "bias is a masked array"),
        (lambda: ExplicitMask(np.ma.masked_array([[True]], [[True]])), "allowed is a masked array"),
    ],
)
def test_arrays_of_another_kind_are_refused_by_name(make, words):
    with pytest.raises(TypeError, match=words):
        make()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint64", ">i4"])
def test_lengths_may_have_any_integer_dtype(dtype):
    q, k, v = np.random.default_rng(0).standard_normal((3, 2, 1, 5, 3))
    expected = AttentionProblem(q, k, v, mask=PaddingMask(np.asarray([2, 5]))).output
    found = AttentionProblem(q, k, v, mask=PaddingMask(np.asarray([2, 5], dtype=dtype))).output
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("length", [np.int32(3), np.uint8(3), np.asarray(3)])
def test_one_length_may_be_a_scalar_of_numpy(length):
    assert PaddingMask(length).lengths == 3
    assert type(PaddingMask(length).lengths) is int


@pytest.mark.parametrize("xp", ["strict", "torch", "cupy-standin"], indirect=True)
@pytest.mark.parametrize(
    ("name", "mask"),
    [
        ("lengths", PaddingMask(np.asarray([2]))),
        ("allowed", ExplicitMask(np.ones((4, 4), dtype=bool))),
        ("bias", BiasMask(np.zeros((4, 4)))),
    ],
)
def test_a_mask_of_another_library_is_refused_by_name(xp, name, mask):
    x = xp.asarray(np.ones((1, 1, 4, 2)))
    with pytest.raises(TypeError, match=f"{name} of the mask and q belong to different libraries"):
        AttentionProblem(x, x, x, mask=mask)


def test_a_mask_on_another_device_is_refused():
    strict = pytest.importorskip("array_api_strict")
    here, there = (strict.ones((2, 2), device=strict.Device(name)) for name in ("CPU_DEVICE", "device1"))
    with pytest.raises(TypeError, match="bias of the mask is on .* and q on"):
        require_same_place("bias", there, here)


def test_foreign_byte_order_is_converted():
    array = as_mask_array(np.asarray([[1.0, -np.inf]], dtype=">f4"), "bias", "real floating")
    assert array.dtype == np.dtype("float32")
    assert array.dtype.isnative
    np.testing.assert_array_equal(array, [[1.0, -np.inf]])


def test_a_barrier_is_zero_or_minus_infinity(xp):
    found = barrier(xp.asarray(np.asarray([True, False])), xp.asarray(np.ones(1, "float32")))
    assert "float32" in str(found.dtype)
    np.testing.assert_array_equal(to_host(found), [0, -np.inf])


@pytest.mark.parametrize("heads", [1, 6])
def test_heads_split_into_groups(xp, heads):
    array = np.arange(heads * 8.0).reshape(heads, 2, 4)
    found = to_host(split_heads(xp.asarray(array), 3))
    assert found.shape == ((1, 1, 2, 4) if heads == 1 else (3, 2, 2, 4))
    np.testing.assert_array_equal(found.reshape(array.shape), array)
    np.testing.assert_array_equal(to_host(split_heads(xp.asarray(array[0]), 3)), array[0])


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 3, 1, 7), (2, 1, 5, 1), (5, 7), (1, 1), (0, 3, 5, 7)])
@pytest.mark.parametrize("listed", [False, True])
def test_entries_are_picked_with_broadcasting(xp, shape, listed):
    rng = np.random.default_rng(0)
    array = rng.standard_normal(shape)
    batch = (0, 3) if 0 in shape else (2, 3)
    full = np.broadcast_to(array, (*batch, 5, 7))
    i, j = np.asarray([[1], [4]]), np.asarray([[6, 0, 2]])
    if listed:  # every query with its own keys
        j = rng.integers(0, 7, (*batch, 2, 3))
        expected = np.take_along_axis(full[..., [1, 4], :], j, axis=-1)
    else:
        expected = full[..., [1, 4], :][..., [6, 0, 2]]
    found = to_host(pick(xp.asarray(array), xp.asarray(i), xp.asarray(j)))
    np.testing.assert_array_equal(np.broadcast_to(found, expected.shape), expected.astype(found.dtype))


FULL = (2, 3, 6, 5, 7)


@pytest.mark.parametrize(
    "shape", [FULL, FULL[1:], FULL[2:], (5, 7), (1, 7), (5, 1), (1, 1), (1, 1, 1, 1, 1), (3, 1, 5, 7)]
)
def test_arrays_that_broadcast_fit(shape):
    require_broadcastable("bias", np.zeros(shape), (2, 3), 6, 5, 7)


@pytest.mark.parametrize(
    "shape", [(), (7,), (1,), (7, 5), (2, 7), (6, 7), (5, 6), (2, 5, 7), (2, 1, 5, 7), (1, *FULL), (2, 2, *FULL)]
)
def test_arrays_that_do_not_broadcast_are_refused(shape):
    with pytest.raises(ValueError, match=r"bias has shape \(.*\), which does not broadcast to .* = \(2, 3, 6, 5, 7\)"):
        require_broadcastable("bias", np.zeros(shape), (2, 3), 6, 5, 7)


def test_words_of_the_kinds():
    for kind, words in (("bool", "boolean"), ("integral", "integers"), ("real floating", "floating")):
        given = np.zeros(2, complex)
        with pytest.raises(TypeError, match=rf"^x must be {words}; got complex128") as refused:
            as_mask_array(given, "x", kind)
        assert str(refused.value).endswith("BiasMask") is (kind == "bool")


def test_batched_heads_split_into_groups():
    array = np.arange(2.0 * 6 * 5).reshape(2, 6, 1, 5)
    np.testing.assert_array_equal(split_heads(array, 2), array.reshape(2, 2, 3, 1, 5))
    assert split_heads(array[:, :1], 2).shape == (2, 1, 1, 1, 5)


def test_places_agree_on_the_host():
    require_same_place("bias", np.zeros(1), np.zeros(1))


def test_two_queries_pick_entries_of_their_own():
    array = np.arange(14.0).reshape(2, 7)
    i, j = np.array([[0], [1]]), np.array([[6, 0, 2], [1, 5, 3]])
    np.testing.assert_array_equal(pick(array, i, j), [[6, 0, 2], [8, 12, 10]])
    np.testing.assert_array_equal(pick(array, i, j[:1]), [[6, 0, 2], [13, 7, 9]])
    np.testing.assert_array_equal(pick(array[:, :2], i, np.array([[1, 0]])), [[1, 0], [8, 7]])


def test_entries_of_a_list_of_pairs():
    array = np.arange(14.0).reshape(2, 7)
    np.testing.assert_array_equal(pick(array, np.array([[0, 1, 1]]), np.array([[6, 0, 2]])), [[6, 7, 9]])
    np.testing.assert_array_equal(pick(array, np.array([[1, 0], [0, 1]]), np.array([[3, 4]])), [[10, 4], [3, 11]])


def test_arrays_of_two_libraries_have_no_place_in_common():
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(TypeError, match="bias of the mask and q belong to different libraries"):
        require_same_place("bias", np.zeros(1), strict.zeros(1))


def test_a_block_is_taken_along_one_axis_after_the_other(monkeypatch):
    def refuse(*shapes):
        raise AssertionError("every entry of the block got an index of its own")

    monkeypatch.setattr("tnattn.attention.mask_arrays.broadcast_shape", refuse)
    array = np.arange(30.0).reshape(5, 6)
    i, j = np.array([4, 0, 2]), np.array([5, 1])
    np.testing.assert_array_equal(pick(array, i[:, None], j[None, :]), array[np.ix_(i, j)])
    with pytest.raises(AssertionError, match="index of its own"):
        pick(array, i[:2, None], np.array([[0, 1], [2, 3]]))
