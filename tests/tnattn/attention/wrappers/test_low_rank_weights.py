"""Matrix methods applied to the exact weights."""

import dataclasses

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, PaddingMask, SlidingWindowMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.wrappers.low_rank_weights import LowRankWeights
from tnattn.randnla.low_rank.qb import QB
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD


def problem(seed=0, *, n_q=12, n_k=14, heads=4, groups=2, size=1.0, dtype="float64", as_=np.asarray, mask=None):
    rng = np.random.default_rng(seed)
    shapes = [(heads, n_q, 5), (groups, n_k, 5), (groups, n_k, 3)]
    q, k, v = (as_((size * rng.standard_normal(shape)).astype(dtype)) for shape in shapes)
    return AttentionProblem(q, k, v, **({} if mask is None else {"mask": mask}))


def svd(rank, power_iterations=1):
    return LowRankWeights(RandomizedSVD(rank, oversampling=2, power_iterations=power_iterations))


MASKS = [
    CausalMask(),
    SlidingWindowMask(4, 1),
    PaddingMask(9),
    ExplicitMask(np.random.default_rng(5).random((4, 12, 14)) > 0.3),
    BiasMask(np.random.default_rng(6).standard_normal((12, 14))),
    CausalMask() & PaddingMask(11),
]


@pytest.mark.parametrize("mask", [None, *MASKS], ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("renormalise", [True, False])
def test_full_rank_is_exact_under_every_mask(mask, renormalise):
    target = problem(mask=mask)
    method = dataclasses.replace(svd(10), renormalise=renormalise).with_budget(10)
    full = dataclasses.replace(method, method=RandomizedSVD(12, oversampling=0))
    output = full(target, rng=np.random.default_rng(0)).output
    np.testing.assert_allclose(output, target.output, rtol=1e-9, atol=1e-10)


def test_the_error_falls_with_the_rank_to_the_floor_of_the_matrix():
    target = problem(size=1.5, n_q=14)
    weights = target.dense_weights()
    s = np.linalg.svd(weights, compute_uv=False)
    errors = []
    for rank in (2, 5, 8):
        piece = svd(rank, power_iterations=3)(target, rng=np.random.default_rng(0))
        error = np.linalg.norm(target.ungroup(piece.kernel.to_dense()) - weights, axis=(-2, -1))
        floor = np.linalg.norm(s[..., rank:], axis=-1)
        assert (error >= floor * (1 - 1e-9)).all()
        assert (error <= floor * 1.1).all()
        errors.append(error.sum())
    assert errors[0] > 1.5 * errors[1] > 1.5 * errors[2]


def test_the_output_without_normalisation_is_weights_times_values():
    target = problem()
    piece = dataclasses.replace(svd(3), renormalise=False)(target, rng=np.random.default_rng(0))
    expected = target.ungroup(piece.kernel @ target.values)
    np.testing.assert_allclose(piece.output, expected, rtol=1e-12)
    renormalised = svd(3)(target, rng=np.random.default_rng(0))
    assert not np.allclose(renormalised.output, expected)


def test_values_of_one_give_one():
    target = problem()
    target = dataclasses.replace(target, v=np.ones_like(target.v))
    np.testing.assert_allclose(svd(4)(target, rng=np.random.default_rng(0)).output, 1, rtol=1e-12)


def test_weights_times_values_are_the_output():
    target = problem()
    piece = svd(4)(target, rng=np.random.default_rng(0))
    np.testing.assert_allclose(target.ungroup(piece.weights @ target.values), piece.output, rtol=1e-11)


def test_halves_merge_with_their_true_mass():
    target = problem()
    parts = (slice(0, 6), slice(6, 14))
    method = LowRankWeights(RandomizedSVD(6, oversampling=0))
    rng = np.random.default_rng(0)
    one, two = (method(target.rectangle(slice(0, 12), part), rng=rng).placed(part, 14) for part in parts)
    # the second half has rank 8 > 6 and is not exact; both masses are right up to its truncation
    whole = (one + two).output
    error = np.linalg.norm(whole - target.output) / np.linalg.norm(target.output)
    exact = LowRankWeights(RandomizedSVD(8, oversampling=0))
    merged = one + exact(target.rectangle(slice(0, 12), parts[1]), rng=rng).placed(parts[1], 14)
    np.testing.assert_allclose(merged.output, target.output, rtol=1e-9, atol=1e-10)
    assert 1e-6 < error < 0.5


def test_rows_without_keys_are_zero():
    allowed = np.ones((12, 14), dtype=bool)
    allowed[3] = False
    target = problem(mask=ExplicitMask(allowed))
    piece = svd(4)(target, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(piece.output[:, 3], 0)
    assert np.isfinite(piece.output).all()
    np.testing.assert_array_equal(piece.bad_rows, 0)


def test_the_dense_weights_are_not_formed(monkeypatch):
    def refuse(*_):
        raise AssertionError("dense weights were asked for")

    target = problem()
    monkeypatch.setattr(type(target.weights), "to_dense", refuse)
    monkeypatch.setattr(type(target), "dense_weights", refuse)
    svd(3)(target, rng=np.random.default_rng(0))


def test_the_stage_is_the_matrix_method_on_the_weights():
    target, method = problem(), svd(4)
    [(inner, operator)] = method.stages(target)
    assert inner == method.method
    assert operator is target.weights
    factorised = inner(operator, rng=np.random.default_rng(0))
    piece = method(target, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(factorised.to_dense(), piece.kernel.to_dense())


@pytest.mark.parametrize("inner", [RandomizedSVD(3), QB()])
def test_the_budget_is_the_rank_of_the_inner_method(inner):
    method = LowRankWeights(inner).with_budget(5)
    assert method.budget == method.method.budget == 5
    assert LowRankWeights(RandomizedSVD(16)).budget == 16


def test_later_rows_reach_earlier_ones():
    """The waiver of P2 is needed."""
    target = problem(mask=CausalMask())
    changed = np.array(target.q)
    changed[:, -1] += 3.0
    outputs = [
        svd(3)(x, rng=np.random.default_rng(0)).output[:, :-1] for x in (target, dataclasses.replace(target, q=changed))
    ]
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3


def test_permuted_keys_see_another_draw():
    """P11 holds in distribution only, a test matrix being drawn by position; at full rank for every draw."""
    target = problem()
    order = np.random.default_rng(1).permutation(14)
    moved = dataclasses.replace(target, k=target.k[:, order], v=target.v[:, order])
    outputs = [svd(3, 0)(x, rng=np.random.default_rng(0)).output for x in (target, moved)]
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-6
    full = LowRankWeights(RandomizedSVD(12, oversampling=0))
    np.testing.assert_allclose(*(full(x, rng=np.random.default_rng(0)).output for x in (target, moved)), rtol=1e-8)


def test_a_missing_generator_is_refused():
    with pytest.raises(TypeError, match="rng"):
        svd(3)(problem())


def test_single_precision_agrees_with_double():
    full = LowRankWeights(RandomizedSVD(12, oversampling=0))
    single, double = (full(problem(dtype=d), rng=np.random.default_rng(0)).output for d in ("float32", "float64"))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, rtol=1e-3, atol=1e-4)


def test_it_runs_on_every_ring(xp, assert_close):
    target = problem(as_=xp.asarray)
    output = LowRankWeights(RandomizedSVD(12, oversampling=0))(target, rng=np.random.default_rng(0)).output
    assert type(output) is type(target.q)
    tolerance = 1e6 * xp.eps() if xp.dtype == "float64" else 1e-3
    assert_close(to_host(output), problem().output, rtol=tolerance, atol=tolerance)


def test_the_cost_counts_the_passes():
    target = problem()
    h, n_q, n_k, d, e = 4, 12, 14, 5, 3
    products = 4 * 2 * h * n_q * n_k * (d + 6)
    assert svd(4).cost(target).flops == products + 2 * h * 4 * (n_q + n_k) * (e + 1)


@pytest.mark.parametrize("rank", [12, 13, 300, 10**6])
def test_a_rank_beyond_the_weights_is_lowered_to_theirs(rank):
    target = problem()
    found = svd(rank)(target, rng=np.random.default_rng(0))
    np.testing.assert_allclose(found.output, target.output, atol=1e-12)
    assert svd(rank).fitted(target).rank == 12
    assert svd(5).fitted(target).rank == 5
