"""Pooling of keys and values of an attention problem."""

import dataclasses

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.conversion.pooled_key_value import PooledKeyValue
from tnattn.attention.conversion.substituted import mean_pooled
from tnattn.attention.dense_kernels import exact_kernel, unshifted_kernel
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, PaddingMask, SlidingWindowMask
from tnattn.attention.problem import AttentionProblem


def problem(seed=0, *, heads=8, groups=4, n_q=5, n_k=6, dtype="float64", as_=np.asarray, mask=None, softcap=None):
    rng = np.random.default_rng(seed)
    shapes = [(heads, n_q, 4), (groups, n_k, 4), (groups, n_k, 3)]
    q, k, v = (as_(rng.standard_normal(shape).astype(dtype)) for shape in shapes)
    return AttentionProblem(q, k, v, softcap=softcap, **({} if mask is None else {"mask": mask}))


def pooled(target, groups):
    """The problem that the method solves exactly."""
    k, v = (
        x.reshape(groups, target.groups // groups, *x.shape[1:]).mean(axis=1)
        for x in map(to_host, (target.k, target.v))
    )
    return dataclasses.replace(target, q=to_host(target.q), k=k, v=v)


MASKS = [
    None,
    CausalMask(),
    SlidingWindowMask(2, 1),
    PaddingMask(4),
    ExplicitMask(np.random.default_rng(5).random((8, 5, 6)) > 0.3),
    BiasMask(np.random.default_rng(6).standard_normal((5, 6))),
    CausalMask() & PaddingMask(5),
]


@pytest.mark.parametrize("mask", MASKS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_it_is_exact_for_the_pooled_problem_under_every_mask(mask, groups):
    target = problem(mask=mask)
    np.testing.assert_allclose(PooledKeyValue(groups)(target).output, pooled(target, groups).output, rtol=1e-10)


def test_it_honours_a_softcap():
    target = problem(softcap=1.0)
    np.testing.assert_allclose(PooledKeyValue(2)(target).output, pooled(target, 2).output, rtol=1e-10)


def test_as_many_groups_as_heads_are_exact_and_fewer_are_not():
    target = problem()
    np.testing.assert_allclose(PooledKeyValue(4)(target).output, target.output, rtol=1e-11)
    assert np.linalg.norm(PooledKeyValue(2)(target).output - target.output) > 0.01


def test_scores_and_mass_are_within_the_stated_bracket():
    target = problem()
    distance = np.linalg.norm(to_host(target.k) - np.repeat(pooled(target, 1).k, 4, axis=0), axis=-1)
    allowed = target.score_scale * np.linalg.norm(target.queries, axis=-1)[..., None] * distance[:, None, None, :]
    change = np.abs(PooledKeyValue(1)(target).shift - target.weights.log_mass)
    assert (change <= allowed.max(axis=-1)).all()
    assert change.max() > 0.1 * allowed.max()


def test_halves_merge_to_the_whole():
    target, parts = problem(), (slice(0, 2), slice(2, 6))
    one, two = (PooledKeyValue(2)(target.rectangle(slice(0, 5), p)).placed(p, 6) for p in parts)
    np.testing.assert_allclose((one + two).output, PooledKeyValue(2)(target).output, rtol=1e-10)


def test_it_has_a_kernel_but_no_weights_over_the_original_keys():
    target = problem()
    piece = PooledKeyValue(2)(target)
    np.testing.assert_allclose(target.ungroup(piece.kernel @ piece.values), piece.output, rtol=1e-11)
    np.testing.assert_allclose(unshifted_kernel(target, piece), exact_kernel(pooled(target, 2)), rtol=1e-10)
    with pytest.raises(ValueError, match="no weights"):
        _ = piece.weights


def test_pooled_scores_are_smaller():
    """The waiver of P7 is needed: pooling flattens the weights."""
    target = problem()
    exact, flat = (np.abs(to_host(x.dense_scores())).mean() for x in (target, pooled(target, 1)))
    assert flat < 0.7 * exact


def test_the_dense_weights_are_not_formed(monkeypatch):
    def refuse(*_):
        raise AssertionError("dense weights were asked for")

    target = problem()
    monkeypatch.setattr(type(target.weights), "to_dense", refuse)
    assert PooledKeyValue()(target).output.shape == (8, 5, 3)


def test_one_vector_added_to_all_keys_changes_nothing():
    target = problem()
    moved = dataclasses.replace(target, k=target.k + np.asarray([2.0, -1.0, 3.0, 1.0]))
    np.testing.assert_allclose(PooledKeyValue(2)(moved).output, PooledKeyValue(2)(target).output, rtol=1e-10)


def test_single_precision_agrees_with_double():
    single = PooledKeyValue(2)(problem(dtype="float32")).output
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, PooledKeyValue(2)(problem()).output, rtol=1e-4, atol=1e-5)


def test_it_runs_on_every_ring(xp, assert_close):
    output = PooledKeyValue(2)(problem(as_=xp.asarray)).output
    assert_close(to_host(output), PooledKeyValue(2)(problem()).output, rtol=500 * xp.eps(), atol=500 * xp.eps())


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="groups=3"):
        PooledKeyValue(3)(problem())
    with pytest.raises(ValueError, match="positive"):
        PooledKeyValue(0)


def test_the_cache_shrinks_but_the_scores_do_not():
    """Fewer key heads save cache, not the H n_q n_k d of the scores."""
    target = problem()
    one, four = (PooledKeyValue(g).cost(target) for g in (1, 4))
    assert one.flops == four.flops > 2 * 8 * 5 * 6 * (4 + 3)
    assert 4 * one.state_per_token == four.state_per_token == 4 * (4 + 3)


def test_means_of_halves_are_taken_in_single_precision():
    heads = np.array([60000.0, 60000.0, 1.0, 3.0], "f2").reshape(4, 1, 1)
    found = mean_pooled(heads, 2, axis=0)
    assert found.dtype == np.float16
    assert found.ravel().tolist() == [60000, 2]
    with pytest.raises(TypeError, match="groups is True"):
        mean_pooled(heads, True, axis=0)
