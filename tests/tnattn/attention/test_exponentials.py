"""Exponentials in tiles are those of the whole."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention import exponentials as module
from tnattn.attention.exponentials import exponentials

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("tile", [1, 40, 10_000])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("softcap", [None, 1.5])
def test_tiles_join_to_the_whole(xp, assert_close, monkeypatch, tile, shared, softcap):
    monkeypatch.setattr(module, "_TILE", tile)
    q, k = RNG.standard_normal((2, 2, 3, 9, 4)), RNG.standard_normal((2, 2, 1 if shared else 3, 5, 4))
    bias = np.arange(5.0)
    kernel, shift = exponentials(*(xp.asarray(x) for x in (q, k)), bias=xp.asarray(bias), softcap=softcap)
    scores = q @ k.mT
    scores = bias + (scores if softcap is None else softcap * np.tanh(scores / softcap))
    assert_close(shift, scores.max(-1), rtol=0, atol=100 * xp.eps())
    assert_close(kernel, np.exp(scores - scores.max(-1, keepdims=True)), rtol=0, atol=100 * xp.eps())


@pytest.mark.parametrize(("tile", "expected"), [(1, 6 * 9), (10, 6 * 5), (45, 6), (90, 3), (10**6, 1)])
def test_tiles_are_as_large_as_they_may_be(monkeypatch, tile, expected):
    """Six heads of 9 queries and 5 keys: single rows, pairs of rows, one head, two heads, all at once."""
    tiles = []
    monkeypatch.setattr(module, "_TILE", tile)
    monkeypatch.setattr(
        module, "parallel_map", lambda work, places, like: tiles.extend(places) or list(map(work, places))
    )
    q, k = RNG.standard_normal((2, 3, 9, 4)), RNG.standard_normal((2, 3, 5, 4))
    kernel, _ = exponentials(q, k)
    assert len(tiles) == expected
    assert all(heads.stop <= 6 and rows.stop <= 9 for heads, rows in tiles)
    np.testing.assert_allclose(kernel, np.exp(q @ k.mT - (q @ k.mT).max(-1, keepdims=True)), atol=1e-14)


def test_huge_scores_do_not_overflow():
    q = np.full((1, 3, 2), 1e18, dtype=np.float32)
    kernel, _ = exponentials(q, np.asarray([[[1.0, 0], [0, -1.0]]], dtype=np.float32))
    assert np.isfinite(kernel).all()
    np.testing.assert_array_equal(kernel.max(-1), 1)


def test_the_arguments_are_left_alone():
    q, k = RNG.standard_normal((2, 1, 6, 3))
    before = q.copy(), k.copy()
    exponentials(q, k)
    np.testing.assert_array_equal(q, before[0])
    np.testing.assert_array_equal(k, before[1])


def test_half_precision_is_computed_in_single():
    q, k = RNG.standard_normal((2, 1, 6, 3)).astype("float16") * np.float16(100)
    kernel, shift = exponentials(q, k)
    expected = exponentials(q.astype("float32"), k.astype("float32"))
    assert kernel.dtype == shift.dtype == np.float32
    np.testing.assert_array_equal(kernel, expected[0])
    np.testing.assert_array_equal(shift, expected[1])


@pytest.mark.parametrize("sign", [1, -1])
def test_rows_beyond_the_range_are_nan(xp, sign):
    huge = 3e19 if xp.dtype == "float32" else 1.5e154
    q, k = np.asarray([[[huge], [1.0]]]), np.full((1, 3, 1), sign * huge)
    kernel, shift = (to_host(x) for x in exponentials(xp.asarray(q), xp.asarray(k)))
    assert np.isnan(kernel[0, 0]).all()
    assert np.isnan(shift[0, 0])
    np.testing.assert_array_equal(kernel[0, 1], 1)


def test_an_empty_batch_has_an_empty_kernel():
    kernel, shift = exponentials(np.ones((0, 2, 3, 4)), np.ones((0, 1, 5, 4)))
    assert kernel.shape == (0, 2, 3, 5)
    assert shift.shape == (0, 2, 3)


@pytest.mark.parametrize("keys", [1, 2, 4, 100])
def test_many_keys_are_cut_too(xp, assert_close, monkeypatch, keys):
    monkeypatch.setattr(module, "_KEYS", keys)
    monkeypatch.setattr(module, "_TILE", 6)
    q, k, bias = RNG.standard_normal((2, 9, 4)), RNG.standard_normal((2, 5, 4)), np.arange(5.0)
    kernel, shift = exponentials(xp.asarray(q), xp.asarray(k), bias=xp.asarray(bias))
    scores = q @ k.mT + bias
    assert_close(shift, scores.max(-1), rtol=0, atol=100 * xp.eps())
    assert_close(kernel, np.exp(scores - scores.max(-1, keepdims=True)), rtol=0, atol=100 * xp.eps())


@pytest.mark.parametrize("keys", [2, 100])
def test_a_score_that_is_not_finite_marks_its_row_whatever_the_tiles(monkeypatch, keys):
    monkeypatch.setattr(module, "_KEYS", keys)
    q, k = np.ones((3, 1)), np.ones((5, 1))
    q[1] = np.inf
    kernel, shift = exponentials(q, k)
    assert np.isnan(shift).tolist() == [False, True, False]
    assert np.isnan(kernel).any(axis=-1).tolist() == [False, True, False]


def test_a_kernel_stored_by_columns_is_the_same(xp, assert_close):
    q, k = (xp.asarray(x) for x in (RNG.standard_normal((2, 9, 4)), RNG.standard_normal((2, 5, 4))))
    stored = exponentials(q, k, by_columns=True)
    for found, expected in zip(stored, exponentials(q, k), strict=True):
        assert_close(found, expected, rtol=0, atol=xp.eps())
    if xp.name == "numpy":
        assert stored[0].mT.flags.c_contiguous
