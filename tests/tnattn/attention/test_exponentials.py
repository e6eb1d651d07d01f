"""Exponentials in tiles are those of the whole."""

import numpy as np
import pytest

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
