"""Kept keys: the softmax over them alone, with the exact part of the mass; rows without any are empty or bad."""

import numpy as np

from tnattn.attention.masks import ExplicitMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.support import kept_keys

RNG = np.random.default_rng(0)
N, KEPT = 6, np.asarray([0, 2, 3])


def problem(mask=None):
    q, k, v = RNG.standard_normal((3, 2, N, 4))
    return AttentionProblem(q, k, v) if mask is None else AttentionProblem(q, k, v, mask=ExplicitMask(mask))


def scores_of(problem, mask=None):
    """Masked scores of the kept keys in the grouped layout, (G, R, n_q, w)."""
    scores = (problem.q @ problem.k.mT * problem.score_scale)[..., KEPT]
    return (scores if mask is None else np.where(mask[:, KEPT], scores, -np.inf))[:, None]


def expected(problem):
    """Softmax over the kept keys by definition, (H, n_q, d_v)."""
    scores = (problem.q @ problem.k.mT * problem.score_scale)[..., KEPT]
    weights = np.exp(scores)
    return weights / weights.sum(axis=-1, keepdims=True) @ problem.v[..., KEPT, :]


def test_the_output_is_the_softmax_over_the_kept_keys():
    given = problem()
    indices = np.broadcast_to(KEPT, (N, KEPT.size))
    made = kept_keys(given, indices, scores_of(given))
    np.testing.assert_allclose(made.output, expected(given), rtol=0, atol=64 * np.finfo(float).eps)


def test_a_query_without_a_kept_key_is_bad_and_one_without_any_key_is_empty():
    mask = np.ones((N, N), dtype=bool)
    mask[0, KEPT] = False  # sees other keys
    mask[1] = False  # sees none
    given = problem(mask)
    indices = np.broadcast_to(KEPT, (N, KEPT.size))
    made = kept_keys(given, indices, scores_of(given, mask))
    np.testing.assert_array_equal(made.bad_rows, [1, 1])  # one in each head
    output = np.asarray(made.output)
    assert np.all(np.isnan(output[:, 0]))
    np.testing.assert_array_equal(output[:, 1], 0.0)
    assert np.all(np.isfinite(output[:, 2:]))
