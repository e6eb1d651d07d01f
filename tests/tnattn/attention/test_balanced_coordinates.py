"""Balanced coordinates keep the scores, and have the covariances that theory gives them."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.balanced_coordinates import balanced_coordinates
from tnattn.attention.problem import AttentionProblem

EPS = float(np.finfo(float).eps)


def arrays(*, heads=4, groups=2, n_q=14, n_k=17, d=5, seed=0):
    """Queries and keys with means, and with directions of different sizes that are not the axes."""
    rng = np.random.default_rng(seed)
    mixed = np.linalg.qr(rng.standard_normal((d, d)))[0] * np.geomspace(3.0, 0.1, d)
    q = rng.standard_normal((2, heads, n_q, d)) @ mixed + rng.standard_normal(d)
    k = rng.standard_normal((2, groups, n_k, d)) @ mixed.T + rng.standard_normal(d)
    return q, k, rng.standard_normal((2, groups, n_k, 3))


def scores(problem, found):
    """Scores in grouped layout from the coordinates: x . y + bias of the key + offset of the query."""
    shape = (*problem.batch, problem.n_q, problem.width)
    x, y = np.reshape(np.asarray(found.queries), shape), np.asarray(found.keys)[..., None, :, :]
    bias, offset = np.asarray(found.key_bias)[..., None, None, :], np.asarray(found.row_offset)[..., None]
    return (x @ y.mT).astype(float) + bias + offset


def error(problem, found):
    """Largest error of the scores in units of the sizes of their terms."""
    q, k = (np.asarray(x, dtype=float) for x in (problem.queries, problem.keys))
    exact = problem.score_scale * (q @ k.mT)
    size = problem.score_scale * np.linalg.norm(q, axis=-1).max() * np.linalg.norm(k, axis=-1).max()
    return np.abs(scores(problem, found) - exact).max() / (size or 1.0)


def moments(x):
    return x.mT @ x / x.shape[-2]


def root(a):
    """Symmetric square root."""
    values, vectors = np.linalg.eigh(a)
    return vectors * np.sqrt(np.maximum(values, 0))[..., None, :] @ vectors.mT


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("reach", [np.inf, 0.5])
def test_scores_are_kept(centre, reach):
    problem = AttentionProblem(*arrays(), scale=0.7)
    assert error(problem, balanced_coordinates(problem, centre=centre, reach=reach)) < 100 * EPS


def test_scores_are_kept_on_every_library(xp, assert_close):
    q, k, v = arrays()
    problem = AttentionProblem(*(xp.asarray(x) for x in (q, k, v)))
    found = balanced_coordinates(problem)
    assert found.queries.dtype == found.row_offset.dtype == problem.q.dtype
    shape = (2, 2, 2, 14, 5)
    x, y, bias, offset = map(to_host, (found.queries, found.keys, found.key_bias, found.row_offset))
    given = np.reshape(x, shape) @ y[..., None, :, :].mT + bias[..., None, None, :] + offset[..., None]
    assert_close(given, np.reshape(q, shape) @ k[..., None, :, :].mT / np.sqrt(5), rtol=0, atol=500 * xp.eps())


def test_a_key_head_has_one_map_for_all_its_query_heads():
    q, k, _ = arrays()
    found = balanced_coordinates(AttentionProblem(q, k, k))
    x = np.reshape(found.queries, (2, 2, 28, 5))
    np.testing.assert_allclose(moments(x), moments(found.keys), atol=1e-6)


@pytest.mark.parametrize("centre", [True, False])
def test_both_moments_are_diagonal_with_the_nuclear_norm_as_trace(centre):
    q, k, _ = arrays(heads=2)
    problem = AttentionProblem(q, k, k, scale=0.7)
    found = balanced_coordinates(problem, centre=centre)
    q, k = (q - q.mean(-2, keepdims=True) if centre else q), k - k.mean(-2, keepdims=True)
    lift = 0.7 * np.linalg.svdvals(root(moments(q)) @ root(moments(k))).sum(-1)
    for x in (found.queries, found.keys):
        np.testing.assert_allclose(np.trace(moments(x), axis1=-2, axis2=-1), lift, rtol=1e-6)
        assert np.abs(moments(x) * (1 - np.eye(5))).max() < 1e-6 * lift.max()


def test_no_other_map_has_smaller_mean_squares():
    q, k, _ = arrays(heads=2)
    found = balanced_coordinates(AttentionProblem(q, k, k))
    least = np.square(found.queries).sum(-1).mean() + np.square(found.keys).sum(-1).mean()
    rng = np.random.default_rng(1)
    for size in (0.0, 0.1, 1.0):
        other = np.eye(5) + size * rng.standard_normal((5, 5))
        x, y = found.queries @ other, found.keys @ np.linalg.inv(other).T
        assert np.square(x).sum(-1).mean() + np.square(y).sum(-1).mean() >= least * (1 - 1e-6)
    plain = [np.square(a - a.mean(-2, keepdims=True)).sum(-1).mean() / np.sqrt(5) for a in (q, k)]
    assert sum(plain) > 1.2 * least  # the control: centred, not balanced


def test_the_bias_of_keys_stays_within_its_reach():
    problem = AttentionProblem(*arrays())
    spans = [np.ptp(balanced_coordinates(problem, reach=reach).key_bias, axis=-1) for reach in (np.inf, 0.5)]
    assert spans[0].max() > 1
    np.testing.assert_allclose(spans[1], np.minimum(spans[0], 0.5), rtol=1e-12)
    assert balanced_coordinates(problem).key_bias.max(axis=-1).tolist() == [[0, 0], [0, 0]]
    assert not balanced_coordinates(problem, centre=False).key_bias.any()


def degenerate(kind):
    """Queries and keys whose moments are singular."""
    q, k, v = arrays()
    if kind == "rank one":
        q, k = q * [1, 0, 0, 0, 0], k * [0, 1, 1, 0, 0]
    elif kind == "equal queries":
        q = np.broadcast_to(q[..., :1, :], q.shape)
    elif kind == "one query":
        q = q[:, ::2, :1]
    elif kind == "zero queries":
        q = 0 * q
    elif kind == "zero":
        q, k = 0 * q, 0 * k
    elif kind == "one key":
        k, v = k[..., :1, :], v[..., :1, :]
    return q, k, v


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["rank one", "equal queries", "one query", "zero queries", "zero", "one key"])
def test_singular_moments_keep_the_scores_to_rounding(kind, dtype):
    problem = AttentionProblem(*(np.asarray(x, dtype=dtype) for x in degenerate(kind)))
    found = balanced_coordinates(problem)
    assert error(problem, found) < 100 * np.finfo(dtype).eps
    assert np.isfinite(found.keys).all()


@pytest.mark.parametrize("exponent", [-300, 7, 200])
@pytest.mark.parametrize("kind", ["", "zero queries", "one query"])
def test_powers_of_two_between_queries_and_keys_change_nothing(exponent, kind):
    q, k, v = degenerate(kind)
    before = balanced_coordinates(AttentionProblem(q, k, v))
    after = balanced_coordinates(AttentionProblem(q * 2.0**exponent, k * 2.0**-exponent, v))
    for name in ("queries", "keys", "key_bias", "row_offset"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=1e-12, atol=1e-13, err_msg=name)


def test_large_means_cost_no_digits_of_centred_scores():
    """In float32 the scores of tokens around a mean of 1000 are lost in the terms of the mean, but not here."""
    q, k, v = (np.asarray(x, dtype=np.float32) for x in arrays())
    k = k + np.float32(1000)
    problem = AttentionProblem(q, k, v)
    found = balanced_coordinates(problem)
    wide = np.asarray(problem.queries, dtype=float) @ np.asarray(problem.keys, dtype=float).mT / np.sqrt(5)

    def spread(s):  # differences within a row are what the weights depend on
        return s - s.mean(-1, keepdims=True)

    shape = (*problem.batch, problem.n_q, problem.width)
    x, y = np.reshape(found.queries, shape), found.keys[..., None, :, :]
    ours = np.abs(spread((x @ y.mT).astype(float) + found.key_bias[..., None, None, :]) - spread(wide)).max()
    plain = np.abs(spread(np.asarray(problem.queries @ problem.keys.mT, dtype=float) / np.sqrt(5)) - spread(wide)).max()
    assert ours < 1e-5
    assert plain > 20 * ours  # the control


def test_tokens_out_of_range_are_not_finite_and_raise_nothing():
    q, k, v = arrays()
    found = balanced_coordinates(AttentionProblem(q * 1e300, k * 1e200, v))
    assert not np.isfinite(found.queries).any()
    q[0, 0, 0, 0] = np.nan
    found = balanced_coordinates(AttentionProblem(q, k, v, check_finite=False))
    assert np.isfinite(found.queries[1]).all()  # other members of the batch
    assert np.isnan(found.queries[0, :2]).any()


def test_a_softcap_is_refused():
    with pytest.raises(ValueError, match=r"softcap=5\.0 makes the scores no inner products"):
        balanced_coordinates(AttentionProblem(*arrays(), softcap=5.0))
