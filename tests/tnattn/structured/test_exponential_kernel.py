"""Kernels in tiles are those of the whole: products, shifts, reads, and scores beyond the range."""

import numpy as np
import pytest

from tnattn.structured import ExponentialKernel, exponential_kernel, row_tiles

RNG = np.random.default_rng(1)


def expected(q, k, bias=None, softcap=None):
    scores = q @ k.mT
    scores = scores if softcap is None else softcap * np.tanh(scores / softcap)
    scores = scores if bias is None else scores + bias
    return np.exp(scores - scores.max(-1, keepdims=True)), scores.max(-1)


@pytest.fixture(params=[(1, 2), (40, 3), (10_000, 1000)], ids=str)
def small_tiles(monkeypatch, request):
    tile, keys = request.param
    for name in ("HOST_TILE", "DEVICE_TILE"):
        monkeypatch.setattr(row_tiles, name, tile)
    monkeypatch.setattr(exponential_kernel, "_KEYS", keys)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("softcap", [None, 1.5])
@pytest.mark.usefixtures("small_tiles")
def test_tiles_join_to_the_whole(xp, assert_close, shared, softcap):
    q, k = RNG.standard_normal((2, 2, 3, 9, 4)), RNG.standard_normal((2, 2, 1 if shared else 3, 5, 4))
    q, k, bias = q[0], k[0], np.arange(5.0)
    values, mass = RNG.standard_normal((2, 1, 5, 2)), RNG.standard_normal((5, 1))
    kernel, products = ExponentialKernel.shifted(
        *(xp.asarray(x) for x in (q, k)),
        times=(xp.asarray(values), xp.asarray(mass)),
        bias=xp.asarray(bias),
        softcap=softcap,
    )
    dense, shift = expected(q, k, bias, softcap)
    tolerance = {"rtol": 0, "atol": 200 * xp.eps()}
    assert_close(kernel.shift, shift, **tolerance)
    assert_close(kernel.to_dense(), dense, **tolerance)
    for product, factor in zip(products, (values, mass), strict=True):
        assert_close(product, dense @ factor, **tolerance)
        assert_close(kernel @ xp.asarray(factor), dense @ factor, **tolerance)
    left = RNG.standard_normal((2, 3, 9, 2))
    assert_close(kernel.mT @ xp.asarray(left), dense.mT @ left, **tolerance)
    rows = np.asarray([8, 0])
    assert_close(kernel.rows(xp.asarray(rows)), dense[..., rows, :], **tolerance)
    assert_close(kernel.columns(xp.asarray(rows // 2)), dense[..., rows // 2], **tolerance)


@pytest.mark.usefixtures("small_tiles")
def test_a_row_beyond_the_range_is_nan_and_no_other():
    q = np.ones((1, 3, 2), dtype=np.float32)
    q[0, 1] = 1e38
    k = np.asarray([[[1, 1], [1, -1], [3e38, 3e38], [0, 1], [2, 2]]], dtype=np.float32)
    k[0, 2] = [1e10, 1e10]
    kernel, (sums,) = ExponentialKernel.shifted(q, k, times=(np.ones((1, 5, 1), np.float32),))
    assert np.isnan(kernel.shift[0, 1])
    assert np.isnan(sums[0, 1]).all()
    np.testing.assert_array_equal(sums[0, [0, 2], 0], 1)


@pytest.mark.usefixtures("small_tiles")
def test_a_chunk_of_minus_infinities_is_no_unit():
    q = np.full((1, 2, 1), 1e30, dtype=np.float32)
    k = np.asarray([[[-1e30], [-1e30], [-1e30], [0.0], [0.0]]], dtype=np.float32)  # scores overflow downwards
    kernel, (sums,) = ExponentialKernel.shifted(q, k, times=(np.ones((1, 5, 1), np.float32),))
    np.testing.assert_array_equal(kernel.shift, 0)
    np.testing.assert_array_equal(sums, 2)


def test_huge_scores_do_not_overflow():
    q = np.full((1, 3, 2), 1e18, dtype=np.float32)
    kernel, (sums,) = ExponentialKernel.shifted(
        q, np.asarray([[[1.0, 0], [0, -1.0]]], dtype=np.float32), times=(np.ones((1, 2, 1), np.float32),)
    )
    np.testing.assert_array_equal(sums, 1)
    np.testing.assert_array_equal(kernel.shift, np.float32(1e18))


def test_the_arguments_are_left_alone():
    q, k, v = RNG.standard_normal((3, 1, 6, 3))
    before = [x.copy() for x in (q, k, v)]
    ExponentialKernel.shifted(q, k, times=(v,), softcap=2.0, bias=np.ones(6))
    for x, y in zip((q, k, v), before, strict=True):
        np.testing.assert_array_equal(x, y)


def test_memory_is_that_of_the_result():
    import tracemalloc

    q, k = RNG.standard_normal((1, 20_000, 4), dtype=np.float32), RNG.standard_normal((1, 2000, 4), dtype=np.float32)
    tracemalloc.start()
    ExponentialKernel.shifted(q, k, times=(np.ones((1, 2000, 1), np.float32),))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16e6  # the kernel has 160 MB
