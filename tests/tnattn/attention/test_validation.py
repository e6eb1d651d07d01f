"""Validation of queries, keys and values: each refusal names the argument and the cure."""

import re

import numpy as np
import pytest

from tnattn.attention.validation import (
    plain_floating,
    require_grouped,
    require_heads,
    require_key_value_shapes,
    require_query_shape,
    require_same_kind,
)

X = np.ones((2, 3, 4))


@pytest.mark.parametrize(
    ("array", "error", "words"),
    [
        ([[1.0]], TypeError, "expected an array"),
        (X.astype(int), TypeError, "k has dtype int64"),
        (X.astype(complex), TypeError, "k has dtype complex128"),
        (X > 0, TypeError, "k has dtype bool"),
        (X.astype(np.longdouble), TypeError, "k has dtype float128|k has dtype longdouble"),
        (np.ma.masked_array(X, X > 1), TypeError, "k is a masked array"),
        (X[0], ValueError, "add a head axis"),
    ],
)
def test_arrays_are_refused_by_name(array, error, words):
    with pytest.raises(error, match=words):
        plain_floating(array, "k")


@pytest.mark.parametrize("dtype", [">f8", "<f8", ">f4", ">f2"])
def test_foreign_byte_order_is_converted(dtype):
    found = plain_floating(X.astype(dtype), "k")
    assert found.dtype.isnative
    assert found.dtype.itemsize == np.dtype(dtype).itemsize
    np.testing.assert_array_equal(found, X)


def test_a_native_array_is_not_copied():
    assert np.shares_memory(plain_floating(X, "k"), X)


@pytest.mark.parametrize(
    ("k", "v", "words"),
    [((2, 3, 4), (2, 4, 4), "agree"), ((2, 0, 4), (2, 0, 4), "empty"), ((2, 3, 4), (2, 3, 0), "empty")],
)
def test_keys_and_values_must_belong_together(k, v, words):
    with pytest.raises(ValueError, match=words):
        require_key_value_shapes(np.ones(k), np.ones(v))


@pytest.mark.parametrize(
    ("q", "k", "words"),
    [
        ((4, 3, 5), (2, 3, 4), "width 5 and keys 4"),
        ((1, 4, 3, 4), (2, 2, 3, 4), "axes before the heads"),
        ((3, 3, 4), (2, 3, 4), "3 query heads cannot be shared among 2"),
        ((3, 3, 4), (0, 3, 4), "among 0 key heads"),
        ((2, 0, 4), (2, 3, 4), "empty"),
    ],
)
def test_queries_must_fit_the_keys(q, k, words):
    with pytest.raises(ValueError, match=words):
        require_query_shape(np.ones(q), np.ones(k))
    require_query_shape(np.ones((0, 4, 3, 4)), np.ones((0, 2, 3, 4)))  # an empty batch is no error


def test_kinds_must_agree():
    with pytest.raises(TypeError, match="q, k and v have dtypes float64, float32, float64; convert them to one"):
        require_same_kind(q=X, k=X.astype("float32"), v=X)


def test_three_axes_suffice():
    assert plain_floating(X, "k").shape == X.shape
    with pytest.raises(ValueError, match=r"k has shape \(3, 4\); expected \(..., heads, tokens, width\)"):
        plain_floating(X[0], "k")


@pytest.mark.parametrize(("k", "v"), [((2, 3, 4), (2, 3, 5)), ((0, 3, 4), (0, 3, 4)), ((0, 2, 3, 4), (0, 2, 3, 1))])
def test_keys_and_values_that_belong_together(k, v):
    require_key_value_shapes(np.ones(k), np.ones(v))


@pytest.mark.parametrize(("k", "v"), [((2, 3, 0), (2, 3, 4)), ((2, 0, 4), (2, 0, 4)), ((2, 3, 4), (2, 3, 0))])
def test_no_axis_of_tokens_or_width_is_empty(k, v):
    with pytest.raises(ValueError, match=r"^k \(.*\), v \(.*\): no axis of tokens or width may be empty"):
        require_key_value_shapes(np.ones(k), np.ones(v))


@pytest.mark.parametrize(("k", "v"), [((2, 3, 4), (1, 3, 4)), ((5, 2, 3, 4), (2, 3, 4)), ((2, 2, 4), (2, 3, 4))])
def test_keys_and_values_agree_in_every_axis_but_the_last(k, v):
    with pytest.raises(ValueError, match=r"^k \(.*\) and v \(.*\) must agree in every axis but the last"):
        require_key_value_shapes(np.ones(k), np.ones(v))


@pytest.mark.parametrize(
    ("q", "k"),
    [
        ((4, 5, 4), (2, 3, 4)),
        ((2, 5, 4), (2, 3, 4)),
        ((6, 1, 1), (1, 2, 1)),
        ((0, 5, 4), (2, 3, 4)),
        ((7, 4, 5, 4), (7, 2, 3, 4)),
    ],
)
def test_queries_that_fit(q, k):
    require_query_shape(np.ones(q), np.ones(k))


@pytest.mark.parametrize(
    ("q", "k", "words"),
    [
        ((4, 3, 5), (2, 3, 4), "queries have width 5 and keys 4; they must agree"),
        ((3, 5, 4), (2, 3, 4), "3 query heads cannot be shared among 2 key heads; the first must be a multiple"),
        ((1, 5, 4), (2, 3, 4), "1 query heads cannot be shared among 2 key heads; the first must be a multiple"),
        ((0, 5, 4), (0, 3, 4), "0 query heads cannot be shared among 0 key heads; the first must be a multiple"),
        ((7, 2, 5, 4), (6, 2, 3, 4), "q (7, 2, 5, 4) and k (6, 2, 3, 4) must agree in the axes before the heads"),
        ((2, 5, 4), (6, 2, 3, 4), "q (2, 5, 4) and k (6, 2, 3, 4) must agree in the axes before the heads"),
        ((2, 0, 4), (2, 3, 4), "q (2, 0, 4): no axis of tokens or width may be empty"),
        ((2, 5, 0), (2, 3, 0), "q (2, 5, 0): no axis of tokens or width may be empty"),
    ],
)
def test_queries_that_do_not_fit(q, k, words):
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        require_query_shape(np.ones(q), np.ones(k))


@pytest.mark.parametrize("other", ["q", "k", "v"])
def test_one_other_dtype_is_refused(other):
    arrays = dict.fromkeys("qkv", X) | {other: X.astype("float32")}
    with pytest.raises(TypeError, match="^q, k and v have dtypes"):
        require_same_kind(**arrays)
    require_same_kind(**dict.fromkeys("qkv", X))


def test_a_head_axis_is_needed():
    require_heads(X, "k")
    with pytest.raises(ValueError, match=r"k has shape \(3, 4\); expected .*: add a head axis"):
        require_heads(X[0], "k")


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 2, 3, 4)])
def test_the_grouped_layout_has_one_row_of_keys_for_each_group(shape):
    require_grouped(X[:, None], "keys")
    with pytest.raises(ValueError, match=r"keys has shape .*; the grouped layout .* is needed"):
        require_grouped(np.ones(shape), "keys")


def test_three_axes_are_no_grouped_layout_whatever_their_lengths():
    with pytest.raises(ValueError, match=r"keys has shape \(1, 3, 4\); the grouped layout"):
        require_grouped(np.ones((1, 3, 4)), "keys")


@pytest.mark.parametrize("axis", range(4))
def test_no_axis_of_grouped_keys_is_empty(axis):
    shape = [2, 1, 3, 4]
    shape[axis] = 0
    with pytest.raises(ValueError, match="no axis may be empty" if axis != 1 else "grouped layout"):
        require_grouped(np.ones(shape), "keys")


def test_keys_and_values_are_named_as_the_caller_does():
    with pytest.raises(ValueError, match=r"keys \(2, 3, 4\) and values \(2, 2, 4\) must agree"):
        require_key_value_shapes(X, X[:, :2], ("keys", "values"))


def test_another_library_is_refused_before_its_dtype():
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(TypeError, match="(?i)namespace|librar"):
        require_same_kind(q=X, k=strict.ones(3), v=X)
