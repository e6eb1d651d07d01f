"""The causal form: exact leaves, no look into the future, prefill and decoding agree."""

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from fixtures import run

from tnattn.arrays import to_host
from tnattn.attention import masks
from tnattn.attention.cost import exact_cost
from tnattn.attention.kernel.linear_attention import LinearAttention
from tnattn.attention.low_rank.linformer import Linformer
from tnattn.attention.low_rank.nystromformer import Nystromformer
from tnattn.attention.masks import UnsupportedMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.features import Trigonometric
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.attention.sparse.top_k import TopK
from tnattn.attention.summary import KeySet
from tnattn.attention.wrappers.causal import Causal
from tnattn.attention.wrappers.rectangles import halves, queries_of, with_queries


def problem(n_q=40, n_k=40, *, mask=masks.CausalMask(), size=1.0, dtype="float64", as_=np.asarray):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, h, n, d)).astype(dtype) for h, n, d in ((4, n_k, 4), (2, n_k, 4), (2, n_k, 3)))
    q = np.asarray(size, dtype=dtype) * q[..., n_k - n_q :, :]
    return AttentionProblem(as_(q), as_(k), as_(v), mask=mask)


@pytest.mark.parametrize("leaf", [1, 3, 8, 64])
@pytest.mark.parametrize(("n_q", "n_k"), [(40, 40), (41, 41), (13, 40), (1, 40), (1, 1), (2, 3)])
def test_an_exact_method_inside_gives_exact_causal_attention(n_q, n_k, leaf):
    target = problem(n_q, n_k)
    found = Causal(TopK(n_k), leaf=leaf, leaks_queries=True)(target)
    np.testing.assert_allclose(found.output, target.output, atol=1e-13)
    np.testing.assert_allclose(found.weights.to_dense(), target.weights.to_dense(), atol=1e-14)
    np.testing.assert_allclose(found.log_mass, target.weights.log_mass, atol=1e-13)


@pytest.mark.parametrize("leaf", [40, 1000])
def test_a_sequence_within_one_leaf_is_exact_without_a_draw(leaf):
    target = problem()
    np.testing.assert_allclose(Causal(leaf=leaf)(target).output, target.output, atol=1e-13)


def test_the_default_leaf_is_64():
    target, longer = problem(64, 64), problem(65, 65)
    np.testing.assert_allclose(run(Causal(), target).output, target.output, atol=1e-13)
    assert np.abs(run(Causal(), longer).output - longer.output).max() > 1e-3
    assert Causal(leaf=63) != Causal() == Causal(leaf=64)


@pytest.mark.parametrize("n_q, starts", [(40, [30, 20, 10, 0]), (21, [30, 20, 10]), (20, [30, 20]), (1, [30])])
def test_only_parts_at_whose_positions_a_query_stands_are_computed(n_q, starts):
    _, (leaves,) = halves(40, 10)
    assert [span.rows.start for span in with_queries(problem(n_q, 40), leaves)] == starts


def test_queries_at_positions_of_earlier_keys_do_not_exist():
    target = problem(3, 40)
    assert queries_of(target, 0, 10) == slice(0, 0)
    assert queries_of(target, 30, 38) == slice(0, 1)
    assert queries_of(target, 38, 40) == slice(1, 3)


@pytest.mark.parametrize("batch", [(), (2, 1, 2)])
@pytest.mark.parametrize("n_q", [13, 40])
def test_batch_axes_are_those_of_the_problem(batch, n_q):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((*batch, h, n, 3)) for h, n in ((4, n_q), (2, 40), (2, 40)))
    target = AttentionProblem(q, k, v, mask=masks.CausalMask())
    found = Causal(TopK(40), leaf=4, leaks_queries=True)(target)
    np.testing.assert_allclose(found.output, target.output, atol=1e-13)


@pytest.mark.parametrize("n_q", [13, 40])
def test_samples_of_every_rectangle_are_lifted_to_its_own_keys(n_q):
    target = problem(n_q, 40)
    found = run(Causal(ValueSampling(3), leaf=4), target)
    weights = target.ungroup(found.weights.to_dense())
    np.testing.assert_allclose(weights @ np.repeat(target.v, 2, axis=-3), found.output, atol=1e-13)
    later = np.arange(40) > np.arange(n_q)[:, None] + 40 - n_q
    assert not weights[..., later].any()


@pytest.mark.filterwarnings("ignore:invalid")
def test_finiteness_is_not_checked_again_inhalves():
    target = problem()
    v = target.v.copy()
    v[..., 39, 0] = np.inf
    found = run(Causal(ValueSampling(3), leaf=4), replace(target, v=v, check_finite=False))
    assert not np.isfinite(found.output[..., 39, :]).any()


def test_more_samples_err_less():
    target = problem()
    errors = [
        np.linalg.norm(run(Causal(ValueSampling(m), leaf=4), target).output - target.output) for m in (4, 400, 40_000)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.05 * errors[0]


def test_a_larger_leaf_errs_less():
    target = problem()
    errors = [
        np.mean([np.linalg.norm(run(Causal(leaf=leaf), target, s).output - target.output) for s in range(3)])
        for leaf in (1, 8, 20)
    ]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("inner", [ValueSampling(8), Performer(16)], ids=repr)
@pytest.mark.parametrize("cut", [1, 9, 22, 39])
def test_earlier_outputs_ignore_later_queries_keys_and_values(inner, cut):
    target = problem()
    later = [x.copy() for x in (target.q, target.k, target.v)]
    for x in later:
        x[..., cut:, :] = 3 * x[..., cut:, :] + 1
    changed = AttentionProblem(*later, mask=masks.CausalMask())
    method = Causal(inner, leaf=4)
    before, after = run(method, target).output, run(method, changed).output
    np.testing.assert_array_equal(before[..., :cut, :], after[..., :cut, :])
    assert np.abs(before[..., cut:, :] - after[..., cut:, :]).min() > 0


def test_a_method_that_reads_queries_does_look_into_the_future():
    target = problem()
    q = target.q.copy()
    q[..., 30:, :] = 5
    changed = AttentionProblem(q, target.k, target.v, mask=masks.CausalMask())
    method = Causal(Nystromformer(4), leaf=4, leaks_queries=True)
    assert np.abs(method(target).output - method(changed).output)[..., 20:30, :].max() > 1e-3


@pytest.mark.parametrize("inner", [TopK(), Linformer()], ids=repr)
def test_a_method_that_reads_queries_must_be_asked_for(inner):
    with pytest.raises(TypeError, match="leaks_queries=True"):
        Causal(inner)
    assert Causal(inner, leaks_queries=True).leaks_queries


@pytest.mark.parametrize("last", [1, 3, 17])
def test_the_last_queries_alone_get_what_they_get_in_the_whole_sequence(last):
    method = Causal(ValueSampling(5), leaf=4)
    whole, tail = run(method, problem()).output, run(method, problem(last, 40)).output
    np.testing.assert_allclose(tail, whole[..., -last:, :], atol=1e-14)


def test_values_of_one_give_one():
    target = problem()
    ones = AttentionProblem(target.q, target.k, np.ones_like(target.v), mask=masks.CausalMask())
    np.testing.assert_allclose(run(Causal(leaf=4), ones).output, 1, rtol=1e-13)


def test_without_a_mask_the_method_runs_as_it_is():
    target = problem(mask=masks.FullMask())
    np.testing.assert_array_equal(run(Causal(leaf=4), target).output, run(ValueSampling(), target).output)


def test_pieces_without_a_mass_are_refused():
    with pytest.raises(ValueError, match="does not estimate"):
        run(Causal(Linformer(3), leaf=4, leaks_queries=True), problem())


def test_other_masks_are_refused():
    with pytest.raises(UnsupportedMask, match="PaddingMask"):
        run(Causal(), problem(mask=masks.CausalMask() & masks.PaddingMask(3)))


def test_the_budget_is_that_of_the_method():
    assert Causal().with_budget(7).method == ValueSampling(7)
    assert Causal().budget == 64


def test_the_cost_is_below_exact_and_grows_like_n_log_n():
    def flops(n):
        target = problem(n, n)
        return Causal(ValueSampling(2), leaf=4).cost(target).flops

    assert flops(256) < 0.5 * exact_cost(problem(256, 256)).flops
    heads, groups, leaf, d, e, samples = 4, 2, 4, 4, 3, 2
    # on every level the rectangles have n / 2 queries and as many keys; leaves are squares, cut after their products
    for n in (256, 512):
        level = n // 2 * (2 * heads * samples * (d + e + 1) + 3 * groups * e)
        leaves = n // leaf * 2 * heads * leaf**2 * (d + e)
        assert flops(n) == leaves + level * math.log2(n / leaf)


@pytest.mark.parametrize("n", [64, 100, 8192])
def test_the_cache_is_counted_once(n):
    exact, causal = exact_cost(problem(n, n)), Causal(ValueSampling(2), leaf=4).cost(problem(n, n))
    assert causal.state_per_token == exact.state_per_token == 2 * (4 + 3)


def test_the_peak_is_that_of_the_largest_part():
    target = problem(64, 64)
    method = Causal(ValueSampling(2), leaf=4)
    largest = ValueSampling(2).cost(target.rectangle(slice(32, 64), slice(0, 32)))
    assert method.cost(target).peak_scalars == largest.peak_scalars


def test_without_a_mask_the_cost_is_that_of_the_method():
    target = problem(mask=masks.FullMask())
    assert Causal(ValueSampling(2)).cost(target) == ValueSampling(2).cost(target)


def test_few_queries_pay_for_the_rectangles_that_they_see():
    method, leaf = Causal(ValueSampling(2), leaf=8), 2 * 4 * 8 * 7  # one query, a leaf of 8 keys
    one = method.cost(problem(1, 64)).flops
    rectangles = [ValueSampling(2).cost(problem(1, n, mask=masks.FullMask())).flops for n in (32, 16, 8)]
    assert one == leaf + sum(rectangles)


def test_deep_recursions_stay_cheap_to_inspect():
    found = Causal(TopK(3), leaf=1, leaks_queries=True)(problem(64, 64))
    assert found.storage > 0
    assert found.output.shape == (2, 4, 64, 3)


def test_huge_scores_stay_finite_in_float32():
    found = run(Causal(leaf=4), problem(size=1e5, dtype="float32"))
    assert found.output.dtype == np.float32
    assert np.isfinite(found.output).all()


def test_every_ring_gives_the_same(xp, assert_close):
    method = Causal(TopK(6), leaf=8, leaks_queries=True)
    expected = xp.asarray(method(problem()).output)
    assert_close(method(problem(as_=xp.asarray)).output, expected, rtol=0, atol=100 * xp.eps())
    assert to_host(run(Causal(leaf=8), problem(as_=xp.asarray)).output).shape == (2, 4, 40, 3)


@pytest.mark.parametrize(("options", "error"), [({"leaf": 0}, ValueError), ({"method": "performer"}, TypeError)])
def test_impossible_parameters_are_refused(options, error):
    with pytest.raises(error, match="must be an"):
        Causal(**options)


def test_the_method_is_a_value():
    assert Causal(leaf=np.int64(8)) == Causal(leaf=8)
    assert hash(Causal(ValueSampling(3))) == hash(Causal(ValueSampling(3)))
    assert Causal(leaf=8) != Causal(leaf=9)


def test_methods_that_read_queries_need_a_permission():
    for inner in (TopK(3), Linformer(4), Nystromformer(3)):
        with pytest.raises(TypeError, match=f"{type(inner).__name__} reads queries.*leaks_queries=True"):
            Causal(inner)
        assert Causal(inner, leaks_queries=True).method == inner
    probing = type("Probing", (ValueSampling,), {"probes": True})()
    with pytest.raises(TypeError, match="Probing reads queries"):
        Causal(probing)


@pytest.mark.parametrize("n", [1, 2, 5, 16, 41, 100])
@pytest.mark.parametrize("leaf", [1, 3, 8])
def test_parts_cover_every_pair_below_the_diagonal_once(n, leaf):
    covered = np.zeros((n, n), dtype=int)
    rectangles, leaves = halves(n, leaf)
    for spans in rectangles:
        assert len({(s.rows.stop - s.rows.start, s.columns.stop - s.columns.start) for s in spans}) == 1
        assert [s.rows.start for s in spans] == sorted((s.rows.start for s in spans), reverse=True)
        for span in spans:
            assert span.columns.stop == span.rows.start
            covered[span.rows, span.columns] += 1
    for spans in leaves:
        for span in spans:
            assert span.rows == span.columns
            assert 1 <= span.rows.stop - span.rows.start <= leaf
            covered[span.rows, span.columns] += 1
    np.testing.assert_array_equal(np.tril(covered), np.tril(np.ones((n, n), dtype=int)))
    assert len(rectangles) <= 2 * max(1, n.bit_length())


def test_a_rectangle_draws_the_same_whatever_was_drawn_before():
    target, last = problem(40, 40), problem(13, 40)
    method = Causal(ValueSampling(4), leaf=4)
    np.testing.assert_allclose(run(method, target).output[..., -13:, :], run(method, last).output, rtol=1e-12)


def test_normalisers_and_masses_are_placed_with_their_rows():
    target = problem(21, 40)
    found = run(Causal(ValueSampling(6, normalise=False), leaf=4), target)
    # exact row sums of every rectangle add up to those of the whole
    np.testing.assert_allclose(found.log_mass, target.weights.log_mass, rtol=1e-12)
    # one value for all keys comes out in the mean over draws
    ones = AttentionProblem(target.q, target.k, np.ones_like(target.v), mask=target.mask)
    plain = run(Causal(ValueSampling(6), leaf=4), ones)
    np.testing.assert_allclose(plain.output, 1, rtol=1e-12)


# --- scans -----------------------------------------------------------------------------------------------------------

SCANNED = [Performer(16), Performer(16, Trigonometric()), Performer(16, centre=False), LinearAttention()]


def written_out(method, target, leaf, origin_keys=None):
    """Return the output of one draw: features of the whole past before the leaf, exact entries within it."""
    q, k, v = target.queries, target.keys, target.values
    first = KeySet(k[..., : origin_keys or leaf, :], v[..., : origin_keys or leaf, :], target.score_scale)
    features = method.prefix_features(first, rng=np.random.default_rng(0))
    parts = [side(x) for side, x in ((features.of_queries, q), (features.of_keys, k))]
    phi = [np.exp(0.0 if a is None else a) * (1.0 if b is None else b) for a, b in parts]
    offset = np.broadcast_to(features.offset(q), q.shape[:-1])
    kernel = phi[0] @ phi[1].mT * np.exp(offset)[..., None]
    exact = kernel if features.exact else np.exp(target.score_scale * q @ k.mT)
    position, key = np.arange(target.n_q)[:, None] + target.n_k - target.n_q, np.arange(target.n_k)
    kernel = np.where(key >= position // leaf * leaf, exact, kernel) * (key <= position)
    sums = kernel.sum(axis=-1, keepdims=True)
    return target.ungroup(kernel @ v / np.where(sums > 0, sums, np.nan))  # signed features may spoil a row


@pytest.mark.parametrize("inner", SCANNED, ids=repr)
@pytest.mark.parametrize(("n_q", "n_k"), [(40, 40), (41, 41), (13, 40), (1, 40), (2, 9)])
@pytest.mark.parametrize("leaf", [1, 4, 8])
def test_a_scan_is_the_formula(inner, n_q, n_k, leaf):
    target = problem(n_q, n_k)
    found = run(Causal(inner, leaf=leaf), target)
    np.testing.assert_allclose(found.output, written_out(inner, target, leaf), rtol=1e-9, atol=1e-11)
    weights = target.ungroup(found.weights.to_dense())
    np.testing.assert_allclose(weights @ np.repeat(target.v, 2, axis=-3), found.output, rtol=1e-9, atol=1e-11)
    assert not np.nan_to_num(weights)[..., np.arange(n_k) > np.arange(n_q)[:, None] + n_k - n_q].any()


@pytest.mark.parametrize("inner", SCANNED, ids=repr)
@pytest.mark.parametrize("last", [1, 3, 17])
def test_the_last_queries_of_a_scan_get_what_they_get_in_the_whole_sequence(inner, last):
    method = Causal(inner, leaf=4)
    whole, tail = run(method, problem()).output, run(method, problem(last, 40)).output
    np.testing.assert_allclose(tail, whole[..., -last:, :], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("inner", SCANNED, ids=repr)
def test_further_tokens_change_no_output_of_a_scan(inner):
    whole = problem()
    start = AttentionProblem(whole.q[..., :29, :], whole.k[..., :29, :], whole.v[..., :29, :], mask=masks.CausalMask())
    found, expected = (run(Causal(inner, leaf=4), target).output for target in (start, whole))
    np.testing.assert_allclose(found, expected[..., :29, :], rtol=1e-11, atol=1e-13)


def changed_later(target, cut):
    later = [x.copy() for x in (target.q, target.k, target.v)]
    for x in later:
        x[..., cut:, :] = 3 * x[..., cut:, :] + 1
    return AttentionProblem(*later, mask=masks.CausalMask())


def test_an_origin_of_all_keys_would_look_into_the_future():
    """The control of the scan: with the mean of all keys as origin, later keys change earlier outputs."""
    target, inner, cut = problem(), Performer(16), 22
    before, after = (written_out(inner, x, 4, origin_keys=40) for x in (target, changed_later(target, cut)))
    assert np.abs(before - after)[..., :cut, :].max() > 1e-3
    before, after = (written_out(inner, x, 4) for x in (target, changed_later(target, cut)))
    np.testing.assert_allclose(before[..., :cut, :], after[..., :cut, :], rtol=1e-12)


@pytest.mark.parametrize("inner", SCANNED, ids=repr)
@pytest.mark.parametrize("cut", [3, 4, 5, 39])
def test_no_bit_of_an_earlier_output_of_a_scan_depends_on_later_tokens(inner, cut):
    before, after = (run(Causal(inner, leaf=4), x).output for x in (problem(), changed_later(problem(), cut)))
    np.testing.assert_array_equal(before[..., :cut, :], after[..., :cut, :])
    assert np.nanmax(np.abs(before - after)[..., cut:, :]) > 1e-3


def test_a_later_key_of_huge_norm_does_not_wipe_out_the_past():
    target = problem(dtype="float32")
    k = target.k.copy()
    k[..., 30, :] *= 1e3
    huge = AttentionProblem(target.q, k, target.v, mask=masks.CausalMask())
    found, expected = (run(Causal(Performer(16), leaf=4), x).output for x in (huge, target))
    np.testing.assert_array_equal(found[..., :30, :], expected[..., :30, :])
    assert np.isfinite(found).all()


def test_a_scan_makes_one_draw():
    method, target = Performer(16), problem()
    rng = np.random.default_rng(0)
    Causal(method, leaf=4)(target, rng=rng)
    other = np.random.default_rng(0)
    method.draw(KeySet.of(target.rectangle(slice(0, 1), slice(0, 4))), rng=other)
    assert rng.random() == other.random()


def test_more_features_err_less():
    q, k, v = problem(size=0.4).q, 0.4 * problem().k, problem().v
    target, seeds = AttentionProblem(q, k, v, mask=masks.CausalMask()), range(8)
    errors = [
        np.median([np.linalg.norm(run(Causal(Performer(m), leaf=4), target, s).output - target.output) for s in seeds])
        for m in (16, 256, 4096)
    ]
    # the rate m^(-1/2) predicts a quarter; three eighths leave room for the median of eight
    assert errors[1] < 0.375 * errors[0]
    assert errors[2] < 0.375 * errors[1]


def test_a_scan_costs_the_method_once_and_its_leaves():
    heads, groups, d, e, m, leaf, n = 4, 2, 4, 3, 16, 8, 64
    flops = Causal(Performer(m), leaf=leaf).cost(problem(n, n)).flops
    # keys of all leaves but the last join the sums, queries of all but the first ask for them
    past = 2 * (groups + heads) * (n - leaf) * m * (d + e + 1)
    assert flops == past + n // leaf * 2 * heads * leaf**2 * (d + e)
    incomplete = Causal(Performer(m), leaf=leaf).cost(problem(1, n + 3)).flops
    assert incomplete == 2 * groups * n * m * (d + e + 1) + 2 * heads * m * (d + e + 1) + 2 * heads * 3 * (d + e)


def test_the_state_of_a_scan_does_not_grow_with_the_tokens():
    short, long = (Causal(Performer(16), leaf=8).cost(problem(n, n)) for n in (64, 1024))
    assert short.state_per_token == long.state_per_token == 0
    assert short.peak_scalars == long.peak_scalars == 2 * 16 * (3 + 1) + 8
    whole = problem(64, 64).rectangle(slice(0, 64), slice(0, 64))  # one leaf, a square
    assert Causal(Performer(16), leaf=64).cost(problem(64, 64)) == exact_cost(whole)


def test_a_method_whose_summary_is_no_sum_cannot_be_scanned():
    assert not ValueSampling.scanned
    with pytest.raises(NotImplementedError, match="ValueSampling holds no sums of features"):
        ValueSampling().prefix_features(KeySet.of(problem()), rng=None)
    liar = type("Liar", (ValueSampling,), {"scanned": True})()
    with pytest.raises(NotImplementedError, match="Liar declares that it is scanned"):
        Causal(liar, leaf=4)(problem())


def test_every_ring_scans(xp, assert_close):
    for inner in (Performer(16), LinearAttention()):
        expected = run(Causal(inner, leaf=8), problem()).output
        found = run(Causal(inner, leaf=8), problem(as_=xp.asarray)).output
        assert_close(found, xp.asarray(expected), rtol=2000 * xp.eps(), atol=2000 * xp.eps())


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("inner", "outputs"), [(Performer(256), 2.5), (LinearAttention(), 2.5), (ValueSampling(256), 4.8)], ids=repr
)
def test_memory_is_of_the_order_of_the_output(inner, outputs):
    """Numerators and output; a tile of a scan, or one stack of rectangles: those of all levels take 30 outputs."""
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((12, 4096, 64), dtype=np.float32) for _ in range(3))
    target = AttentionProblem(q, k, v, mask=masks.CausalMask())
    run(Causal(inner), target)
    tracemalloc.start()
    found = run(Causal(inner), target).output
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < outputs * found.nbytes
