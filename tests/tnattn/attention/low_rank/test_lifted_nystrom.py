"""A Gaussian kernel of queries and keys together: exactness, invariances, size of numbers, libraries, refusals."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.low_rank.lifted_nystrom import LiftedNystrom
from tnattn.attention.problem import AttentionProblem


def arrays(n_q=20, n_k=24, size=1.0, seed=0):
    rng = np.random.default_rng(seed)
    q, k, v = (rng.standard_normal(shape) for shape in ((4, n_q, 3), (2, n_k, 3), (2, n_k, 2)))
    return size * q, k, v


def run(method, target, seed=0):
    return method(target, rng=np.random.default_rng(seed))


def error(method, target, seed=0):
    found = np.nan_to_num(run(method, target, seed).output, nan=10.0)
    return np.linalg.norm(found - target.output) / np.linalg.norm(target.output)


CASES = [LiftedNystrom(44), LiftedNystrom(44, centre=False), LiftedNystrom(44, balance=False), LiftedNystrom(500)]


@pytest.mark.parametrize("method", CASES, ids=repr)
def test_all_landmarks_are_exact(method):
    assert error(method, AttentionProblem(*arrays())) < 1e-8


@pytest.mark.parametrize("method", CASES, ids=repr)
def test_scores_are_the_outer_factors_and_the_distances(method):
    target = AttentionProblem(*arrays(size=2.0), scale=0.7)
    x, y, rows, columns = method.points(target)
    distance = np.sum((x[..., :, None, :] - y[..., None, :, :]) ** 2, axis=-1)
    scores = rows[..., :, None] + columns[..., None, :] - distance / 2
    np.testing.assert_allclose(scores, target.scaled_queries @ target.keys.mT, atol=1e-12)


def test_balance_gives_both_sides_one_mean_square():
    x, y, _, _ = LiftedNystrom().points(AttentionProblem(*arrays(size=30.0)))
    sizes = [np.mean(np.sum(z * z, axis=-1), axis=-1) for z in (x, y)]
    np.testing.assert_allclose(sizes[0], sizes[1])
    x, y, _, _ = LiftedNystrom(balance=False).points(AttentionProblem(*arrays(size=30.0)))
    assert np.mean(x * x) > 100 * np.mean(y * y)


@pytest.mark.parametrize("which", [0, 1])
def test_zero_queries_or_keys_weigh_all_values_alike(which):
    given = list(arrays())
    given[which] = np.zeros_like(given[which])
    target = AttentionProblem(*given)
    np.testing.assert_allclose(run(LiftedNystrom(30), target).output, target.output, atol=1e-8)


def test_centring_helps_where_queries_and_keys_have_means():
    q, k, v = arrays(60, 60)
    target = AttentionProblem(q + 3.0, k + 4.0, v)
    plain, centred = (
        np.median([error(LiftedNystrom(24, centre=c), target, s) for s in range(5)]) for c in (False, True)
    )
    assert centred < plain


def test_a_seed_decides_and_more_landmarks_help():
    target = AttentionProblem(*arrays(60, 60))
    medians = [np.median([error(LiftedNystrom(m), target, s) for s in range(7)]) for m in (10, 40)]
    assert medians[1] < 0.5 * medians[0]
    assert np.array_equal(run(LiftedNystrom(10), target).output, run(LiftedNystrom(10), target).output)


def test_large_scores_stay_finite_or_are_counted():
    q, k, v = arrays()
    found = run(LiftedNystrom(30), AttentionProblem(40 * q, 40 * k, v))
    assert np.isfinite(found.shift).all()
    assert int(found.bad_rows.sum()) == int(np.isnan(found.output).any(axis=-1).sum())


def test_every_library_gives_the_output_of_numpy(xp, assert_close):
    host = [x.astype(xp.dtype) for x in arrays()]
    found = run(LiftedNystrom(44), AttentionProblem(*(xp.asarray(x) for x in host)))
    assert_close(found.output, AttentionProblem(*host).output, rtol=0, atol=1e5 * xp.eps())
    assert to_host(found.bad_rows).sum() == 0


def test_cost_grows_linearly_with_the_tokens():
    small, large = (LiftedNystrom(16).cost(AttentionProblem(*arrays(n, n))) for n in (200, 400))
    assert large.flops == 2 * small.flops
    assert large.peak_scalars == 2 * small.peak_scalars


def test_impossible_input_is_refused():
    with pytest.raises(ValueError, match="landmarks must be"):
        LiftedNystrom(0)
    with pytest.raises(ValueError, match="softcap"):
        run(LiftedNystrom(4), AttentionProblem(*arrays(), softcap=5.0))
    with pytest.raises(TypeError, match="pass rng"):
        LiftedNystrom(4)(AttentionProblem(*arrays()))
