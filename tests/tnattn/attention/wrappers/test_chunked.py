"""Chunks of keys merge to what the method gives on all of them."""

import tracemalloc

import numpy as np
import pytest

from tnattn.attention.baseline.exact import Exact
from tnattn.attention.low_rank.linformer import Linformer
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.performer import Performer
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


def test_chunks_with_denominators_of_their_own_are_added():
    target = problem()
    method = Chunked(ValueSampling(4, normalise=False), 3)
    found = method(target, rng=np.random.default_rng(0))
    np.testing.assert_allclose(found.log_mass, target.weights.log_mass, rtol=1e-12)  # exact row sums


def test_products_of_the_kernel_are_the_sums_of_the_chunks():
    found = Chunked(TopK(2), 3)(problem())
    np.testing.assert_allclose(found.kernel @ found.values, found.numerators, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found.output, (found.weights @ problem().values).reshape(4, 12, 2), atol=1e-13)
    assert found.keys in (slice(None), slice(0, 12))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_products_of_the_chunks():
    rng = np.random.default_rng(0)
    target = AttentionProblem(*(rng.standard_normal((8, 4096, 64), dtype=np.float32) for _ in range(3)))
    peaks = []
    for chunks in (2, 8):
        method = Chunked(Performer(64), chunks)
        method(target, rng=np.random.default_rng(0))
        tracemalloc.start()
        size = method(target, rng=np.random.default_rng(0)).output.nbytes
        peaks.append(tracemalloc.get_traced_memory()[1] / size)
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1  # of one chunk at a time; held together they took six outputs more
    assert peaks[0] < 5
