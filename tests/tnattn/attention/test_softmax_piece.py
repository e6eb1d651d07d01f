"""Exact pieces of small problems."""

import gc
import weakref
from functools import partial

import numpy as np
import pytest

from tnattn.attention import masks
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.softmax_piece import softmax_piece, streamed_piece


def problem(mask, size=1.0):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((h, 6, 3)) for h in (4, 2, 2))
    return AttentionProblem(size * q, k, v, mask=mask)


@pytest.mark.parametrize("make", [softmax_piece, streamed_piece])
@pytest.mark.parametrize("size", [1.0, 1e4])
@pytest.mark.parametrize("mask", [masks.FullMask(), masks.CausalMask(), masks.PaddingMask(4)], ids=str)
def test_a_piece_is_exact_attention(mask, size, make):
    target = problem(mask, size)
    piece = make(target)
    np.testing.assert_allclose(piece.output, target.output, atol=1e-13)
    np.testing.assert_allclose(piece.log_mass, target.weights.log_mass, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(piece.weights.to_dense(), target.weights.to_dense(), atol=1e-14)
    # the largest entry of a dense row is one; streamed rows are normalised
    assert piece.kernel.to_dense().max() == (1 if make is softmax_piece else target.weights.to_dense().max())


@pytest.mark.parametrize("make", [softmax_piece, streamed_piece])
def test_a_row_without_keys_is_empty(make):
    piece = make(problem(masks.PaddingMask(0)))
    np.testing.assert_array_equal(piece.shift, -np.inf)
    np.testing.assert_array_equal(piece.kernel.to_dense(), 0)
    np.testing.assert_array_equal(piece.output, 0)
    np.testing.assert_array_equal(piece.bad_rows, 0)


@pytest.mark.parametrize("make", [softmax_piece, partial(streamed_piece, kept=False)], ids=["dense", "streamed"])
def test_nothing_of_the_problem_outlives_it(make):
    x = np.random.default_rng(0).standard_normal((1, 6, 3))
    target = AttentionProblem(x, x.copy(), x.copy(), mask=masks.CausalMask())
    gone = weakref.ref(target)
    gc.disable()  # a cycle would be found later, and its arrays held until then
    try:
        piece = make(target)
        weights = piece.weights.to_dense()
        del target, piece
        assert gone() is None
    finally:
        gc.enable()
    np.testing.assert_allclose(weights.sum(axis=-1), 1)
