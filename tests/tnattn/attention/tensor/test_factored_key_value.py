import tracemalloc

import numpy as np
import pytest

from tnattn.arrays import dtype_name
from tnattn.attention.masks import CausalMask, UnsupportedMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.summary import KeySet
from tnattn.attention.tensor import factored_key_value
from tnattn.attention.tensor.factored_key_value import FactoredKeyValue, tokens_first
from tnattn.attention.tensor.token_factors import TokenFactors
from tnattn.attention.wrappers.causal import Causal
from tnattn.decomposition.base import Decomposition
from tnattn.decomposition.tensor_train.quantised import QuantisedTT
from tnattn.decomposition.tensor_train.tt_svd import TTSVD
from tnattn.decomposition.tucker.partial_tucker import PartialTucker
from tnattn.decomposition.tucker.shared_factors import SharedFactors
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.discovery import subclasses
from tnattn.structured.tensor import StructuredTensor
from tnattn.testing import check_method

FOUND = subclasses("tnattn.decomposition", Decomposition)
KINDS = {
    # digits have no factor of tokens, and modes that share one must be as long as each other
    **{name: cls() for name, cls in FOUND.items() if name not in ("QuantisedTT", "SharedFactors")},
    "heads kept": PartialTucker(modes=(0, 2)),
    "shared": SharedFactors(modes=(2,)),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def drawn(n_q=7, n_k=20, width=5, batch=(), seed=0, low_rank=None, convert=lambda x: x):
    """Four query heads in two groups; keys and values of rank ``low_rank`` over all heads."""
    rng = np.random.default_rng(seed)
    q = rng.standard_normal((*batch, 4, n_q, width))
    if low_rank is None:
        k, v = (rng.standard_normal((*batch, 2, n_k, width)) for _ in range(2))
    else:
        token = rng.standard_normal((*batch, 1, n_k, low_rank))
        k, v = (token @ rng.standard_normal((*batch, 2, low_rank, width)) for _ in range(2))
    return AttentionProblem(*(convert(a) for a in (q, k, v)))


def cache_of(problem, method, rng=None):
    return method.summarise(KeySet.of(problem), rng=rng)


EXACT = [d for d in KINDS.values() if d.recovery <= Decomposition.recovery]


@pytest.mark.parametrize("decomposition", EXACT, ids=repr)
@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
def test_full_rank_is_exact_attention(decomposition, batch):
    problem = drawn(batch=batch)
    output = FactoredKeyValue(decomposition, rank=100)(problem, rng=np.random.default_rng(0)).output
    np.testing.assert_allclose(output, problem.output, atol=1e-11)


@every_kind
def test_the_output_is_attention_over_the_decompressed_keys_and_values(kind):
    problem = drawn(batch=(2,))
    cache = cache_of(problem, FactoredKeyValue(KINDS[kind], rank=3), np.random.default_rng(0))
    decompressed = AttentionProblem(problem.q, cache.keys.to_dense(), cache.values.to_dense())
    approximation = cache.attend(problem.q)
    np.testing.assert_allclose(approximation.output, decompressed.output, atol=1e-11)
    np.testing.assert_allclose(approximation.log_mass, decompressed.weights.log_mass, atol=1e-11)
    assert np.abs(approximation.output - problem.output).max() > 1e-3


@pytest.mark.parametrize("kind", ["STHOSVD", "TTSVD"])
def test_keys_and_values_that_share_few_token_factors_cost_nothing(kind):
    problem = drawn(low_rank=3, n_k=40)
    output = FactoredKeyValue(KINDS[kind], rank=6)(problem).output
    np.testing.assert_allclose(output, problem.output, atol=1e-10)


def test_a_tolerance_decides_where_no_rank_is_given():
    problem = drawn(low_rank=3, n_k=40)
    cache = cache_of(problem, FactoredKeyValue(STHOSVD(rtol=1e-6), rank=None))
    assert cache.keys.factor.shape[-1] == 3
    np.testing.assert_allclose(cache.attend(problem.q).output, problem.output, atol=1e-4)


def test_no_key_is_decompressed(monkeypatch):
    """Nothing with the tokens and the features of a head is made beyond what the decomposition reads."""
    problem = drawn(n_k=50)
    cache = cache_of(problem, FactoredKeyValue(rank=3))

    def refuse(self):
        raise AssertionError("it forms a dense tensor")

    monkeypatch.setattr(StructuredTensor, "to_dense", refuse)
    monkeypatch.setattr(TokenFactors, "to_dense", refuse)
    assert cache.attend(problem.q).output.shape == problem.q.shape


@every_kind
def test_the_cache_is_smaller_and_counts_what_it_keeps(kind):
    problem = drawn(n_k=60)
    cache = cache_of(problem, FactoredKeyValue(KINDS[kind], rank=3), np.random.default_rng(0))
    rest = sum(part.rest.storage - part.factor.shape[-1] ** 2 for part in (cache.keys, cache.values))
    kept = rest + sum(part.factor.size + part.mean.size for part in (cache.keys, cache.values))
    assert cache.nbytes == 8 * kept
    assert cache.nbytes < problem.k.nbytes + problem.v.nbytes
    assert cache.groups == 2


# growth


@every_kind
def test_a_token_in_the_span_is_appended_exactly(kind):
    problem = drawn(low_rank=2, n_k=30)
    method = FactoredKeyValue(KINDS[kind], rank=8)
    whole = cache_of(problem, method, np.random.default_rng(0))
    first = AttentionProblem(problem.q, problem.k[:, :28], problem.v[:, :28])
    grown = cache_of(first, method, np.random.default_rng(0)).extend(problem.k[:, 28:], problem.v[:, 28:])
    assert grown.keys.tokens == whole.keys.tokens == 30
    tolerance = 1e-2 if kind == "canonical" else 1e-9  # sweeps stop early
    np.testing.assert_allclose(grown.attend(problem.q).output, problem.output, atol=tolerance)
    assert grown.keys.residual <= tolerance * np.linalg.norm(problem.k)


def test_what_a_token_has_outside_the_span_is_said(seed):
    problem = drawn(low_rank=2, n_k=30, seed=seed)
    cache = cache_of(problem, FactoredKeyValue(rank=3))
    token = np.random.default_rng(seed).standard_normal((2, 1, 5))
    grown = cache.extend(token, token)
    lost = np.linalg.norm(grown.keys.to_dense()[:, -1:] - token)
    assert lost > 0.1
    assert grown.keys.residual == pytest.approx(lost)
    np.testing.assert_allclose(grown.keys.to_dense()[:, :-1], cache.keys.to_dense(), atol=1e-13)
    twice = grown.extend(token, token)
    assert twice.keys.residual == pytest.approx(2**0.5 * lost)


def test_tokens_appended_one_by_one_are_those_appended_at_once():
    problem, cache = drawn(), cache_of(drawn(), FactoredKeyValue(rank=3))
    more = np.random.default_rng(1).standard_normal((2, 2, 4, 5))
    at_once, single = cache.extend(*more), cache
    for j in range(4):
        single = single.extend(more[0][:, j : j + 1], more[1][:, j : j + 1])
    np.testing.assert_allclose(single.attend(problem.q).output, at_once.attend(problem.q).output, atol=1e-12)


def test_a_quantised_cache_attends_and_refuses_to_grow():
    problem = drawn(low_rank=3, n_k=32)
    cache = cache_of(problem, FactoredKeyValue(QuantisedTT(), rank=100))
    np.testing.assert_allclose(cache.attend(problem.q).output, problem.output, atol=1e-10)
    with pytest.raises(TypeError, match="a QuantisedTensor has no factor of the tokens to append to; summarise anew"):
        cache.extend(problem.k[:, :1], problem.v[:, :1])


def test_a_tensor_without_a_token_factor_attends_but_does_not_grow():
    problem = drawn()
    tensor, mean = tokens_first(problem.keys)
    whole = TTSVD(ranks=2)(tensor)
    kept = TokenFactors(None, whole, mean, np.zeros(()))
    split = TokenFactors.of(whole, mean)
    x = np.random.default_rng(0).standard_normal((2, 3, 5))
    products = [factors.contracted(x) @ factors.rows.mT for factors in (kept, split)]
    np.testing.assert_allclose(*products, atol=1e-12)
    np.testing.assert_allclose(products[0], x @ (split.to_dense() - mean).mT, atol=1e-12)
    y = np.random.default_rng(1).standard_normal((2, 3, kept.tokens))
    sums = [factors.expanded(y @ factors.rows) for factors in (kept, split)]
    np.testing.assert_allclose(*sums, atol=1e-12)
    np.testing.assert_allclose(sums[0], y @ (split.to_dense() - mean), atol=1e-12)
    np.testing.assert_allclose(kept.to_dense(), split.to_dense(), atol=1e-12)
    assert kept.tokens == split.tokens
    assert kept.storage == whole.storage + mean.size
    with pytest.raises(TypeError, match="no factor of the tokens"):
        kept.extended(problem.k)


# masks and the rest


def test_a_causal_mask_is_refused_and_the_wrapper_honours_it():
    problem = drawn(n_q=40, n_k=40)
    causal = AttentionProblem(problem.q, problem.k, problem.v, mask=CausalMask())
    with pytest.raises(UnsupportedMask, match="wrap it in Causal"):
        FactoredKeyValue()(causal)
    exact = Causal(FactoredKeyValue(rank=100), leaf=4)(causal).output
    np.testing.assert_allclose(exact, causal.output, atol=1e-10)


@pytest.mark.slow
@every_kind
def test_every_kind_obeys_the_laws(kind):
    laws = ["output", "implicit", "P1", "P2", "P4", "P5", "P6", "P9", "P10", "P12"]
    check_method(FactoredKeyValue(KINDS[kind]), laws=[law for law in laws if KINDS[kind] in EXACT or law != "P12"])


def test_every_library_gives_the_same(xp, assert_close):
    method = FactoredKeyValue(rank=3)
    host, ring = method(drawn()).output, method(drawn(convert=xp.asarray)).output
    assert_close(ring, host, rtol=0, atol=1e4 * xp.eps())
    single = drawn(convert=lambda a: xp.asarray(a, dtype="float32"))
    assert dtype_name(method(single).output.dtype) == "float32"
    cache = cache_of(single, method)
    assert dtype_name(cache.extend(single.k, single.v).attend(single.q).output.dtype) == "float32"


def test_half_precision_is_kept_outside_and_widened_inside():
    problem = drawn(convert=lambda a: a.astype(np.float16))
    output = FactoredKeyValue(rank=100)(problem).output
    assert output.dtype == np.float16
    np.testing.assert_allclose(output, drawn().output, atol=5e-3)


def test_a_lower_rank_costs_less_and_is_worse():
    problem = drawn(n_k=64, n_q=64)
    errors = [np.linalg.norm(FactoredKeyValue(rank=r)(problem).output - problem.output) for r in (2, 6, 12)]
    costs = [FactoredKeyValue(rank=r).cost(problem) for r in (2, 6, 12)]
    assert errors[0] > errors[1] > errors[2]
    assert costs[0].flops < costs[1].flops < costs[2].flops
    assert costs[1].state_per_token == 12


@pytest.mark.parametrize(
    "fields, error, message",
    [
        ({"decomposition": STHOSVD(order=4)}, ValueError, "order 4"),
        ({"decomposition": "tucker"}, TypeError, "STHOSVD"),
        ({"rank": 0}, ValueError, "rank must be"),
        ({"rank": 1.5}, TypeError, "rank is 1.5; an integer"),
    ],
    ids=str,
)
def test_bad_fields_are_refused(fields, error, message):
    with pytest.raises(error, match=message):
        FactoredKeyValue(**fields)


@pytest.mark.parametrize("batch", [(), (2,)])
def test_blocks_of_queries_answer_as_all_at_once(monkeypatch, batch):
    problem = drawn(n_q=7, batch=batch)
    whole = FactoredKeyValue(rank=3)(problem)
    monkeypatch.setattr(factored_key_value, "_COORDINATES", 1)
    monkeypatch.setattr(factored_key_value, "_LEAST", 3)
    parts = FactoredKeyValue(rank=3)(problem)
    np.testing.assert_allclose(parts.output, whole.output, rtol=1e-12)
    np.testing.assert_allclose(parts.shift, whole.shift, rtol=1e-12, atol=1e-12)


def test_memory_does_not_grow_with_queries_times_rank(monkeypatch):
    monkeypatch.setattr(factored_key_value, "_COORDINATES", 1 << 12)
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, n, 4), dtype=np.float32) for n in (20_000, 64, 64))
    cache = FactoredKeyValue(rank=8).summarise(KeySet.from_arrays(k, v))
    queries = q[:, None]
    tracemalloc.start()
    cache.approximate(queries)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6  # numerators, masses and shifts take 1 MB, coordinates and sums of all queries 2.6 MB more
