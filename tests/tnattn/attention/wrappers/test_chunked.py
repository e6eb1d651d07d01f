"""Chunks of keys merge to what the method gives on all of them."""

import numpy as np
import pytest

from tnattn.attention.baseline.exact import Exact
from tnattn.attention.low_rank.linformer import Linformer
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.attention.sparse.top_k import TopK
from tnattn.attention.wrappers.chunked import Chunked


def problem(n_k=12, *, as_=np.asarray):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((h, n, d)) for h, n, d in ((4, 12, 3), (2, n_k, 3), (2, n_k, 2)))
    return AttentionProblem(as_(q), as_(k), as_(v))


@pytest.mark.parametrize("chunks", [1, 2, 5, 12, 100])
@pytest.mark.parametrize("method", [Exact(), TopK(12)], ids=repr)
def test_chunks_of_an_exact_method_are_exact(method, chunks):
    target = problem()
    np.testing.assert_allclose(Chunked(method, chunks)(target).output, target.output, atol=1e-13)


def test_chunks_of_a_sampling_method_tend_to_softmax():
    target = problem()
    errors = [
        np.abs(Chunked(ValueSampling(m), 3)(target, rng=np.random.default_rng(0)).output - target.output).max()
        for m in (10, 100_000)
    ]
    assert errors[1] < 0.02 < errors[0]


def test_every_chunk_spends_the_budget():
    target = problem()
    found = Chunked(TopK(2), 3)(target).weights.to_dense()
    assert ((found > 0).sum(-1) == 6).all()
    assert ((found[..., :4] > 0).sum(-1) == 2).all()


def test_chunks_have_draws_of_their_own():
    target = problem()
    method = Chunked(ValueSampling(1), 2)
    twin = AttentionProblem(target.q, *(np.concatenate([x[:, :6], x[:, :6]], axis=1) for x in (target.k, target.v)))
    picked = [np.nonzero(method(twin, rng=np.random.default_rng(s)).weights.to_dense()[0, 0, 0])[0] for s in range(8)]
    assert any(len(p) == 2 and p[1] - p[0] != 6 for p in picked)


def test_a_method_without_a_mass_is_refused():
    with pytest.raises(ValueError, match="does not estimate"):
        Chunked(Linformer(3), 2)(problem(), rng=np.random.default_rng(0))


def test_every_ring_gives_the_same(xp, assert_close):
    expected = xp.asarray(Chunked(TopK(2), 3)(problem()).output)
    assert_close(Chunked(TopK(2), 3)(problem(as_=xp.asarray)).output, expected, rtol=0, atol=50 * xp.eps())


def test_the_cost_is_the_sum_over_chunks():
    assert Chunked(TopK(12), 3).cost(problem()).flops == TopK(12).cost(problem()).flops
    assert Chunked(TopK(2), 3).cost(problem()).flops == TopK(6).cost(problem()).flops


@pytest.mark.parametrize(("options", "error"), [({"chunks": 0}, ValueError), ({"method": 3}, TypeError)])
def test_impossible_parameters_are_refused(options, error):
    with pytest.raises(error, match="must be an"):
        Chunked(**options)
