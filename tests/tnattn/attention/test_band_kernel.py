"""Softmax over a band: kernel, products and shifts by definition, under every mask."""

import numpy as np
import pytest

from tnattn.attention import masks
from tnattn.attention.band_kernel import BandKernel, band_piece, key_band
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import row_tiles

RNG = np.random.default_rng(8)
N_Q, N_K, REACH = 50, 60, 11
POSITION = np.arange(N_Q) + N_K - N_Q
MASKS = [
    masks.FullMask(),
    masks.CausalMask(),
    masks.SlidingWindowMask(4, 2),
    masks.PaddingMask(41),
    masks.PaddingMask(np.array([35, 60])),
    masks.ExplicitMask(RNG.random((2, 4, N_Q, N_K)) > 0.3),
    masks.CausalMask() & masks.BiasMask(RNG.standard_normal((4, N_Q, N_K))),
]


def problem(mask=masks.FullMask(), *, as_=np.asarray, dtype="float64", **options):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, h, n, d)).astype(dtype) for h, n, d in ((4, N_Q, 6), (2, N_K, 6), (2, N_K, 3)))
    return AttentionProblem(as_(q), as_(k), as_(v), mask=mask, **options)


def piece(target, *, xp=np, fixed=0, size=8):
    first = np.clip(POSITION - 7, fixed, N_K - REACH)
    bounds = xp.asarray(first), xp.asarray(first + REACH)
    return band_piece(target, key_band(target, *bounds, size=size, reach=REACH, fixed=fixed))


def expected(target, *, fixed=0):
    """Masked scores on the band, minus infinity elsewhere, in grouped layout."""
    first, j = np.clip(POSITION - 7, fixed, N_K - REACH)[:, None], np.arange(N_K)
    kept = ((j >= first) & (j < first + REACH)) | (j < fixed)
    return np.where(kept, target.block_scores(slice(0, N_Q), slice(0, N_K)), -np.inf)


@pytest.fixture(params=[1, 1 << 18], autouse=True)
def tile(monkeypatch, request):
    monkeypatch.setattr(row_tiles, "HOST_TILE", request.param)


@pytest.mark.parametrize("fixed", [0, 3])
@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: type(mask).__name__)
def test_the_kernel_is_that_of_the_scores(mask, fixed):
    target = problem(mask)
    found, scores = piece(target, fixed=fixed), expected(target, fixed=fixed)
    shift = scores.max(-1)
    seen = np.isfinite(shift)
    np.testing.assert_allclose(found.shift[seen], shift[seen], rtol=0, atol=1e-14)
    kernel = np.exp(scores - np.where(seen, shift, 0)[..., None])
    np.testing.assert_allclose(found.kernel.to_dense(), kernel, rtol=0, atol=1e-14)
    np.testing.assert_allclose(found.numerators, kernel @ target.values, rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.denominators, kernel.sum(-1), rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.kernel @ target.values, found.numerators, rtol=0, atol=1e-13)


@pytest.mark.parametrize("mask", MASKS[:2], ids=lambda mask: type(mask).__name__)
def test_every_ring_gives_the_same(xp, assert_close, mask):
    found = piece(problem(mask, as_=xp.asarray), xp=xp, fixed=2)
    assert_close(found.output, xp.asarray(piece(problem(mask), fixed=2).output), rtol=0, atol=100 * xp.eps())


def test_softcaps_are_applied():
    target = problem(softcap=0.5)
    scores = expected(target)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    np.testing.assert_allclose(piece(target).weights.to_dense(), weights, rtol=0, atol=1e-14)


def test_scores_beyond_the_range_make_their_rows_bad_and_forbidden_ones_do_not():
    target = problem(dtype="float32")
    q, k = target.q.copy(), target.k.copy()
    q[:, :, 20] = 1e25
    k[:, :, [21, 30]] = 1e25  # query 20, at position 30, keeps keys 23 to 33
    found = piece(AttentionProblem(q, k, target.v))
    assert np.isnan(found.output[:, :, 20]).all()
    k[:, :, 30] = -1e25
    k[:, :, 50] = 1e25
    assert np.isfinite(piece(AttentionProblem(q, k, target.v)).output[:, :, 20]).all()


def test_the_sweep_has_the_products_already(monkeypatch):
    found = piece(problem())
    monkeypatch.setattr(BandKernel, "products", None)  # would raise
    assert np.isfinite(found.output).all()


def test_operations_and_storage_are_counted():
    kernel = piece(problem(), fixed=2).kernel
    # 7 blocks of 8 rows over 2 + 11 + 7 keys
    assert kernel.matmul_flops(3) == 8 * 7 * 8 * 20 * 2 * (6 + 3)
    assert kernel.storage == 8 * N_Q * 6 + 4 * N_K * 6 + 8 * N_Q + 2 * N_Q
