"""Leaves are exact, see no later key, and keep what overflows to itself."""

import numpy as np
import pytest

from tnattn.attention.exact_leaves import Leaves
from tnattn.attention.masks import CausalMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.softmax_piece import softmax_piece
from tnattn.attention.workspace import Workspace

RNG = np.random.default_rng(0)


def leaves(n_q=5, n=5, size=1.0):
    """(g, L, R, r', d) and (g, L, 1, r, d)."""
    return size * RNG.standard_normal((2, 3, 2, n_q, 4)), RNG.standard_normal((2, 3, 1, n, 4))


@pytest.mark.parametrize("unsafe", [False, True])
@pytest.mark.parametrize(("n_q", "n"), [(5, 5), (2, 5), (1, 1)])
def test_scores_are_those_of_the_causal_piece(n_q, n, unsafe):
    q, k = leaves(n_q, n)
    found, shift = Leaves(n, 0.7, unsafe).of_scores(q, k, Workspace())
    expected = softmax_piece(AttentionProblem(q, k, k, mask=CausalMask(), scale=0.7))
    np.testing.assert_allclose(found, expected.kernel.to_dense()[:, :, 0], rtol=1e-12)
    np.testing.assert_allclose(shift, expected.shift[:, :, 0], rtol=1e-12)


@pytest.mark.parametrize(("n_q", "n"), [(5, 5), (2, 5)])
def test_features_are_multiplied_up_to_the_query(n_q, n):
    q, k = leaves(n_q, n)
    found, shift = Leaves(n, 1.0).of_features(q, k, Workspace())
    earlier = np.arange(n) <= np.arange(n_q)[:, None] + n - n_q
    np.testing.assert_allclose(found, q @ k.mT * earlier, rtol=1e-13)
    assert not shift.any()


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_a_forbidden_score_that_overflows_spoils_no_row_before_it():
    q, k = np.ones((1, 1, 1, 2, 1)), np.array([1.0, 1e308])[None, None, None, :, None]
    found, _ = Leaves(2, 10.0, unsafe=True).of_scores(q, k, Workspace())
    np.testing.assert_array_equal(found[0, 0, 0, 0], [1.0, 0.0])
    assert np.isnan(found[0, 0, 0, 1]).any()
    careless, _ = Leaves(2, 10.0, unsafe=False).of_scores(q, k, Workspace())
    assert np.isnan(careless[0, 0, 0, 0]).any()


def test_every_ring(xp, assert_close):
    q, k = leaves()
    expected = Leaves(5, 0.5).of_scores(q, k, Workspace())
    found = Leaves(5, 0.5).of_scores(xp.asarray(q), xp.asarray(k), Workspace())
    for a, b in zip(found, expected, strict=True):
        assert_close(a, xp.asarray(b), rtol=50 * xp.eps(), atol=50 * xp.eps())
