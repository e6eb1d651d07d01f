"""Pieces of few weighted keys, with the products of their sweep."""

import numpy as np
import pytest

from tnattn.attention.exponential_piece import exponential_piece

RNG = np.random.default_rng(2)
Q, K, V = RNG.standard_normal((2, 3, 7, 4)), RNG.standard_normal((2, 1, 5, 4)), RNG.standard_normal((2, 1, 5, 2))
MASS = RNG.uniform(1, 2, (2, 1, 5))


@pytest.mark.parametrize("mass", [None, MASS])
@pytest.mark.parametrize("row_sums", [False, True])
def test_the_output_is_that_of_the_dense_kernel(xp, assert_close, mass, row_sums):
    piece = exponential_piece(
        *(xp.asarray(x) for x in (Q, K, V)), mass=None if mass is None else xp.asarray(mass), row_sums=row_sums
    )
    kernel = np.exp(Q @ K.mT)
    counts = np.ones_like(MASS) if mass is None or row_sums else mass
    output = kernel @ V / (kernel @ counts[..., None])
    assert_close(piece.output, output.reshape(6, 7, 2), rtol=0, atol=100 * xp.eps())
    assert_close(piece.kernel @ piece.values, piece.numerators, rtol=0, atol=100 * xp.eps())


def test_the_kernel_is_swept_once(monkeypatch):
    piece = exponential_piece(Q, K, V, mass=MASS)
    monkeypatch.setattr(type(piece.kernel), "_matmul", None)  # would raise
    assert np.isfinite(piece.output).all()
    assert np.isfinite(piece.labelled(dtype=np.float32).output).all()


@pytest.mark.parametrize("n_q", [1, 7])  # fewer and more queries than keys: either side may be scaled
def test_scores_are_scaled(n_q):
    found = exponential_piece(Q[..., :n_q, :], K, V, scale=0.3)
    expected = exponential_piece(0.3 * Q[..., :n_q, :], K, V)
    np.testing.assert_allclose(found.output, expected.output, rtol=1e-13)
    np.testing.assert_allclose(found.shift, expected.shift, rtol=1e-13)
