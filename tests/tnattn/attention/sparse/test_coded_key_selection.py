"""Coded keys: the choice of the oracle with many bits, forced keys, masks, causality, shared choices."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention import masks
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.coded_key_selection import CodedKeySelection
from tnattn.attention.sparse.key_statistics import KeyStatistics
from tnattn.attention.sparse.top_k import TopK

RNG = np.random.default_rng(5)
MASKS = [
    masks.FullMask(),
    masks.CausalMask(),
    masks.SlidingWindowMask(16, 2),
    masks.PaddingMask(np.array([23, 40])),
    masks.ExplicitMask(RNG.random((2, 4, 40, 40)) > 0.5),
    masks.CausalMask() & masks.BiasMask(RNG.standard_normal((40, 40))),
]
every_mask = pytest.mark.parametrize("mask", MASKS, ids=lambda mask: type(mask).__name__)
METHODS = [
    CodedKeySelection(12),
    CodedKeySelection(12, run=4),
    CodedKeySelection(12, per_group=True),
    CodedKeySelection(12, block=4, leaks_queries=True),
    CodedKeySelection(12, run=2, block=3, per_group=True, leaks_queries=True),
]
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.run}-{m.block}-{m.per_group}")


def problem(mask=masks.FullMask(), *, n_q=40, n_k=40, seed=0, dtype="float64", as_=np.asarray, size=2.0, **options):
    rng = np.random.default_rng(seed)
    decay = 0.7 ** np.arange(8)
    q, k = (rng.standard_normal((2, h, n, 8)) * decay for h, n in ((4, n_q), (2, n_k)))
    v = rng.standard_normal((2, 2, n_k, 3))
    return AttentionProblem(*(as_(x.astype(dtype)) for x in (size * q, k, v)), mask=mask, **options)


def error(method, target):
    return float(np.linalg.norm(np.nan_to_num(method(target).output - target.output)))


@every_method
@every_mask
def test_all_keys_are_exact(mask, method):
    target = problem(mask)
    for keys in (40, 1000):
        np.testing.assert_allclose(method.with_budget(keys)(target).output, target.output, atol=1e-12)


@every_method
@every_mask
def test_the_output_is_the_softmax_over_the_kept_keys(mask, method):
    target = problem(mask)
    kernel = method(target).kernel
    kept = np.zeros((*target.batch, 40, 41), dtype=bool)
    indices = np.broadcast_to(kernel.indices, kernel.values.shape)
    np.put_along_axis(kept, np.where(kernel.values > 0, indices, 40), True, axis=-1)
    scores = np.where(kept[..., :40], target.dense_scores().reshape(*target.batch, 40, 40), -np.inf)
    top = scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isinf(top), 0.0, top))
    total = weights.sum(axis=-1, keepdims=True)
    expected = target.ungroup(weights / np.where(total > 0, total, 1.0) @ target.values)
    found = method(target)
    good = ~np.isnan(found.output)
    np.testing.assert_allclose(found.output[good], expected[good], atol=1e-12)
    assert method.block > 1 or good.all()


@pytest.mark.parametrize("mask", MASKS[:4], ids=lambda mask: type(mask).__name__)
def test_plentiful_bits_choose_what_the_oracle_chooses(mask):
    target = problem(mask)
    many = CodedKeySelection(10, bits=48, sinks=0, statistics=KeyStatistics.of(target))
    oracle, found = (method(target).log_mass for method in (TopK(10), many))
    assert np.mean(np.exp(found - oracle)) > 0.98
    assert (found <= oracle + 1e-9).all()


def test_the_error_falls_with_bits_and_with_keys():
    target = problem()
    bits = [error(CodedKeySelection(8, bits=b), target) for b in (1, 4, 12, 48)]
    assert bits[0] > bits[1] > bits[3]
    assert bits[2] > 0.9 * bits[3]  # rounding of few bits may be lucky
    keys = [error(CodedKeySelection(k), target) for k in (4, 12, 30, 40)]
    assert keys == sorted(keys, reverse=True)


@every_method
def test_sinks_and_own_keys_are_kept(method):
    kernel = method(problem(masks.CausalMask())).kernel
    positive = np.where(kernel.values > 0, np.broadcast_to(kernel.indices, kernel.values.shape), -1)
    own = np.arange(40)[:, None]
    assert np.all(np.any(positive == own, axis=-1))
    sinks = method.choice(problem(masks.CausalMask())).sinks
    assert sinks >= 1
    for sink in range(sinks):
        assert np.all(np.any(positive == sink, axis=-1)[..., sink:])


def test_no_output_depends_on_later_tokens():
    target, other = problem(masks.CausalMask()), problem(masks.CausalMask(), seed=1)
    now = 25
    mixed = [
        np.concatenate([a[..., :now, :], 5 * b[..., now:, :]], axis=-2)
        for a, b in zip((target.q, target.k, target.v), (other.q, other.k, other.v), strict=True)
    ]
    after = AttentionProblem(*mixed, mask=masks.CausalMask())
    before, changed = (CodedKeySelection(9)(x).output[..., :now, :] for x in (target, after))
    np.testing.assert_allclose(changed, before, rtol=0, atol=1e-12)
    # the control: statistics of the whole text see its end
    seeing = [CodedKeySelection(9, bits=8).calibrated(x)(x).output[..., :now, :] for x in (target, after)]
    assert np.abs(seeing[0] - seeing[1]).max() > 1e-3


def test_a_choice_for_a_block_of_causal_queries_is_refused_unless_asked_for():
    with pytest.raises(ValueError, match="leaks_queries=True"):
        CodedKeySelection(12, block=4)(problem(masks.CausalMask()))
    assert CodedKeySelection(12, block=4)(problem()).output.shape == (2, 4, 40, 3)


def test_heads_of_a_group_and_queries_of_a_block_share_their_keys():
    indices = CodedKeySelection(12, block=4, per_group=True)(problem()).kernel.indices
    assert indices.shape == (2, 2, 1, 40, 12)
    np.testing.assert_array_equal(indices[..., ::4, :], indices[..., 3::4, :])


def test_statistics_of_shuffled_coordinates_choose_worse():
    """Negative control: the transform matters, not the number of bits alone."""
    target = problem()
    shuffled = AttentionProblem(target.q[..., ::-1], target.k[..., ::-1], target.v)
    right, wrong = (CodedKeySelection(8, bits=8).calibrated(x) for x in (target, shuffled))
    assert error(wrong, target) > 1.2 * error(right, target)


def test_statistics_of_another_text_serve():
    target = problem()
    assert error(CodedKeySelection(12).calibrated(problem(seed=9)), target) < 1.3 * error(CodedKeySelection(12), target)


@pytest.mark.parametrize("sizes", [(1, 1), (1, 13), (5, 24), (40, 9)])
def test_any_number_of_queries_and_keys_works(sizes):
    n_q, n_k = sizes
    aligned = [masks.CausalMask()] if n_q <= n_k else []
    for mask in (masks.FullMask(), *aligned):
        for method in METHODS:
            found = method.with_budget(8)(problem(mask, n_q=n_q, n_k=n_k))
            assert np.isfinite(found.output).all()


def test_rows_without_keys_are_zero():
    allowed = np.ones((40, 40), dtype=bool)
    allowed[7] = False
    for method in METHODS:
        found = method(problem(masks.ExplicitMask(allowed)))
        np.testing.assert_array_equal(found.output[..., 7, :], 0)


def test_equal_keys_are_no_error():
    target = problem()
    flat = AttentionProblem(target.q, np.ones_like(target.k), target.v)
    assert np.isfinite(CodedKeySelection(8)(flat).output).all()
    none = AttentionProblem(np.zeros_like(target.q), target.k, target.v)
    assert np.isfinite(CodedKeySelection(8)(none).output).all()


@pytest.mark.parametrize("size", [1e-30, 1e15])
def test_huge_and_tiny_scores_stay_finite(size):
    found = CodedKeySelection(8)(problem(size=size, dtype="float32"))
    assert found.output.dtype == np.float32
    assert np.isfinite(found.output).all()


def test_half_precision_is_computed_in_single():
    half = problem(dtype="float16")
    single = AttentionProblem(*(x.astype("float32") for x in (half.q, half.k, half.v)))
    found, expected = CodedKeySelection(8)(half).output, CodedKeySelection(8)(single).output
    np.testing.assert_array_equal(found, expected.astype("float16"))
    assert CodedKeySelection(8).calibrated(half)(half).output.dtype == np.float16


@pytest.mark.parametrize("method", METHODS[:1] + METHODS[4:], ids=["single", "shared"])
def test_every_ring_errs_alike(xp, method):
    target = problem(masks.CausalMask(), dtype="float32")
    given = problem(masks.CausalMask(), dtype="float32", as_=xp.asarray)
    found = to_host(method(given).output)
    expected = method(target).output
    truth = target.output
    # an estimate on a threshold may fall to either side, so that outputs agree almost everywhere
    assert np.mean(np.abs(found - expected) > 1e-4) < 0.1
    assert np.linalg.norm(found - truth) < 1.2 * np.linalg.norm(expected - truth)


def test_fewer_bits_cost_less_and_exact_rows_cost_no_codes():
    target = problem(masks.CausalMask())
    costs = [CodedKeySelection(8, bits=b).cost(target).flops for b in (4, 8)]
    assert costs[0] < costs[1]
    assert CodedKeySelection(40).cost(target).flops == 2 * 4 * (40 * 41 / 2) * (8 + 3 + 1)
    given = CodedKeySelection(8).calibrated(target).cost(target)
    assert given.flops < CodedKeySelection(8).cost(target).flops


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"keys": 0}, "keys must be an integer >= 1"),
        ({"bits": 0}, "bits must be an integer >= 1"),
        ({"sinks": -1}, "sinks must be an integer >= 0"),
        ({"keys": 4, "run": 8}, "raise keys, or reduce run or block"),
        ({"keys": 4, "block": 8}, "raise keys, or reduce run or block"),
    ],
)
def test_impossible_sizes_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        CodedKeySelection(**arguments)


def test_other_statistics_are_refused():
    with pytest.raises(TypeError, match=r"KeyStatistics\.of"):
        CodedKeySelection(statistics=3)
    with pytest.raises(ValueError, match="of the same layer"):
        CodedKeySelection(8).calibrated(AttentionProblem(*np.ones((3, 1, 9, 8))))(problem())


def test_it_is_no_oracle():
    assert not CodedKeySelection.reads_weights
