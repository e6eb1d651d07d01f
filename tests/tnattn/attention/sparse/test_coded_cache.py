"""The cache of codes: streams give what the method gives, and its bytes are counted."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.masks import CausalMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.coded_cache import CodedCache
from tnattn.attention.sparse.coded_key_selection import CodedKeySelection
from tnattn.attention.summary import KeySet

RNG = np.random.default_rng(0)
DECAY = 0.7 ** np.arange(8)
Q, K, V = (RNG.standard_normal((h, 30, 8)) * DECAY for h in (4, 2, 2))


def method(keys=10, **options):
    return CodedKeySelection(keys, **options).calibrated(AttentionProblem(Q, K, V))


@pytest.mark.parametrize("options", [{}, {"run": 2}, {"per_group": True}], ids=str)
def test_a_stream_answers_as_the_method_does(options):
    chosen = method(**options)
    cache = CodedCache.of(chosen, KeySet.from_arrays(K[:, :20], V[:, :20]))
    expected = chosen(AttentionProblem(Q, K, V, mask=CausalMask())).output
    for i in range(20, 30):
        cache = cache.extend(K[:, i : i + 1], V[:, i : i + 1])
        found = cache.attend(Q[:, i : i + 1]).output
        np.testing.assert_allclose(found[:, 0], expected[:, i], rtol=0, atol=1e-12)


def test_all_keys_are_exact_and_many_queries_work():
    cache = CodedCache.of(method(1000), KeySet.from_arrays(K, V))
    np.testing.assert_allclose(cache.attend(Q).output, AttentionProblem(Q, K, V).output, atol=1e-13)
    few = CodedCache.of(method(4), KeySet.from_arrays(K[:, :9], V[:, :9]))
    assert few.attend(Q).output.shape == (4, 30, 8)


def test_bytes_are_those_that_are_held():
    cache = CodedCache.of(method(), KeySet.from_arrays(K, V))
    assert cache.nbytes == K.nbytes + V.nbytes + cache.coded.indices.nbytes
    assert cache.coded.nbytes == 2 * 30 * 32 // 8


def test_a_cache_owns_its_arrays():
    k, v = K.copy(), V.copy()
    cache = CodedCache.of(method(), KeySet.from_arrays(k, v))
    before = cache.attend(Q).output
    k[...], v[...] = 0, 0
    np.testing.assert_array_equal(cache.attend(Q).output, before)


def test_every_ring_answers_alike(xp):
    def answer(as_):
        given = AttentionProblem(*(as_(x.astype("float32")) for x in (Q, K, V)))
        cache = CodedCache.of(
            CodedKeySelection(10).calibrated(given), KeySet.from_arrays(given.k[:, :29, :], given.v[:, :29, :])
        )
        cache = cache.extend(given.k[:, 29:, :], given.v[:, 29:, :])
        return to_host(cache.attend(given.q[:, 29:, :]).output)

    truth = AttentionProblem(Q, K, V).output[:, 29:]
    # a key on a threshold may fall to either side
    assert np.linalg.norm(answer(xp.asarray) - truth) < 1.2 * np.linalg.norm(answer(np.asarray) - truth)


@pytest.mark.parametrize("unfit", [CodedKeySelection(10), method(block=2)], ids=["no statistics", "blocks"])
def test_methods_without_statistics_or_with_blocks_are_refused(unfit):
    with pytest.raises(ValueError, match="needs a method with statistics and block=1"):
        CodedCache.of(unfit, KeySet.from_arrays(K, V))
