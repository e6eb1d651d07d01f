"""The full cache: exact answers, growth without copies of older tokens, and one check of every token."""

import copy
import pickle

import numpy as np
import pytest

from tnattn.arrays import finiteness
from tnattn.attention import summary as module
from tnattn.attention.cache.full_cache import CachedKeys, FullCache
from tnattn.attention.masks import CausalMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.summary import KeySet
from tnattn.attention.wrappers.causal import Causal


def arrays(n=12, *, heads=4, groups=2, n_q=3, batch=(), as_=np.asarray, dtype="float64"):
    rng = np.random.default_rng(0)
    shapes = ((heads, n_q, 4), (groups, n, 4), (groups, n, 3))
    return [as_(rng.standard_normal((*batch, *shape)).astype(dtype)) for shape in shapes]


def summarised(k, v, stop=None, start=0):
    return FullCache().summarise(KeySet.from_arrays(k[..., start:stop, :], v[..., start:stop, :]))


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
@pytest.mark.parametrize("n_q", [1, 40])
def test_answers_are_exact_however_the_cache_grew(xp, assert_close, n_q, batch):
    q, k, v = arrays(n_q=n_q, batch=batch, as_=xp.asarray, dtype=xp.dtype)
    cache = summarised(k, v, 2)
    for start, stop in ((2, 3), (3, 4), (4, 9), (9, 12)):
        cache = cache.extend(k[..., start:stop, :], v[..., start:stop, :])
    expected = AttentionProblem(q, k, v)
    assert_close(cache.attend(q).output, expected.output, rtol=0, atol=30 * xp.eps())
    assert_close(cache.attend(q).log_mass, expected.weights.log_mass, rtol=0, atol=30 * xp.eps())
    assert cache.n == 12


def test_an_older_cache_keeps_its_tokens(xp, assert_close):
    q, k, v = arrays(as_=xp.asarray, dtype=xp.dtype)
    caches = [summarised(k, v, 1)]
    for i in range(1, 12):
        caches.append(caches[-1].extend(k[..., i : i + 1, :], v[..., i : i + 1, :]))
    for n, cache in enumerate(caches, 1):
        expected = AttentionProblem(q, k[..., :n, :], v[..., :n, :]).output
        assert_close(cache.attend(q).output, expected, rtol=0, atol=30 * xp.eps())


def test_two_continuations_of_one_cache_do_not_meet():
    q, k, v = arrays()
    root = summarised(k, v, 5).extend(k[:, 5:6], v[:, 5:6])  # with room for four more tokens
    left, right = root.extend(k[:, 6:8], v[:, 6:8]), root.extend(k[:, 8:10], v[:, 8:10])
    assert np.shares_memory(root.keys, left.keys)
    assert not np.shares_memory(left.keys, right.keys)
    for cache, kept in ((root, slice(0, 6)), (left, slice(0, 8)), (right, [0, 1, 2, 3, 4, 5, 8, 9])):
        np.testing.assert_array_equal(cache.keys[:, 0], k[:, kept])
        np.testing.assert_allclose(cache.attend(q).output, AttentionProblem(q, k[:, kept], v[:, kept]).output)


def test_an_answer_outlives_the_growth_of_its_cache():
    q, k, v = arrays()
    cache = summarised(k, v, 5).extend(k[:, 5:6], v[:, 5:6])
    piece = cache.attend(q)
    _ = cache.extend(k[:, 6:], v[:, 6:])
    np.testing.assert_allclose(piece.output, AttentionProblem(q, k[:, :6], v[:, :6]).output)


def test_memory_is_doubled_when_it_is_full_only():
    _, k, v = arrays(65)
    cache, moved = summarised(k, v, 1), 0
    for i in range(1, 65):
        grown = cache.extend(k[:, i : i + 1], v[:, i : i + 1])
        moved += not np.shares_memory(grown.keys, cache.keys)
        cache = grown
    assert moved == 7  # at 1, 2, 4, ..., 64 tokens
    np.testing.assert_array_equal(cache.keys[:, 0], k)


def test_the_cache_owns_its_tokens():
    q, k, v = arrays()
    cache = summarised(k, v, 8).extend(k[:, 8:], v[:, 8:])
    expected = cache.attend(q).output
    k[...], v[...] = 0, 0
    np.testing.assert_array_equal(cache.attend(q).output, expected)


def test_every_token_is_checked_once(monkeypatch):
    q, k, v = arrays()
    checked, check = [], finiteness.check_finite
    monkeypatch.setattr(module, "check_finite", lambda x, name: checked.append((name, x.shape[-2])) or check(x, name))
    cache = summarised(k, v, 8).extend(k[:, 8:], v[:, 8:])
    assert checked == [("keys", 8), ("values", 8), ("k", 4), ("v", 4)]
    checked.clear()
    monkeypatch.setattr("tnattn.attention.problem.check_finite", lambda x, name: checked.append((name, x.shape[-2])))
    _ = cache.attend(q).output
    assert checked == [("q", 3)]
    with pytest.raises(ValueError, match="k holds 2 NaN"):
        cache.extend(np.full((2, 1, 4), [np.nan, 1, 1, 1]), v[:, :1])


@pytest.mark.parametrize("name", ["float16", "float32"])
def test_state_is_counted_in_bytes(name):
    _, k, v = arrays(dtype=name)
    cache = summarised(k, v, 8).extend(k[:, 8:], v[:, 8:])
    assert cache.nbytes == 2 * 12 * (4 + 3) * 4  # half precision is widened
    assert cache.nbytes == FullCache().cost(AttentionProblem(k, k, v)).state_per_token * 12 * 4


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"])
def test_a_copy_grows_by_itself(copied):
    _, k, v = arrays()
    cache = summarised(k, v, 5).extend(k[:, 5:6], v[:, 5:6])
    other = copied(cache)
    grown = other.extend(k[:, 6:8], v[:, 6:8])
    assert isinstance(grown, CachedKeys)
    assert not np.shares_memory(cache.keys, grown.keys)
    np.testing.assert_array_equal(grown.keys[:, 0], k[:, :8])


def test_the_causal_form_is_exact():
    q, k, v = arrays(40, n_q=40)
    target = AttentionProblem(q, k, v, mask=CausalMask())
    np.testing.assert_allclose(Causal(FullCache(), leaf=4)(target).output, target.output, rtol=1e-10, atol=1e-12)
