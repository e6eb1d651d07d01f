"""The causal form: exact leaves, no look into the future, prefill and decoding agree."""

import math
from dataclasses import replace

import numpy as np
import pytest
from fixtures import run

from tnattn.arrays import to_host
from tnattn.attention import masks
from tnattn.attention.cost import exact_cost
from tnattn.attention.low_rank.linformer import Linformer
from tnattn.attention.low_rank.nystromformer import Nystromformer
from tnattn.attention.masks import UnsupportedMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.attention.sparse.top_k import TopK
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
    # on every level the rectangles have n / 2 queries and as many keys; leaves are triangles
    for n in (256, 512):
        level = n // 2 * (2 * heads * samples * (d + e + 1) + 3 * groups * e)
        leaves = n // leaf * 2 * heads * (leaf * (leaf + 1) // 2) * (d + e)
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
