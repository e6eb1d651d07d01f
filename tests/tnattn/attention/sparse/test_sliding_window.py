"""The window keeps the keys of its definition, honours every mask, and its error is that of the dropped keys."""

import tracemalloc

import numpy as np
import pytest
from fixtures import relative_output

from tnattn.arrays import to_host
from tnattn.attention import masks
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.sliding_window import SlidingWindow

RNG = np.random.default_rng(5)
BIAS = RNG.standard_normal((30, 40))
MASKS = [
    masks.FullMask(),
    masks.CausalMask(),
    masks.SlidingWindowMask(6, 2),
    masks.PaddingMask(23),
    masks.PaddingMask(np.array([23, 40])),
    masks.ExplicitMask(RNG.random((2, 4, 30, 40)) > 0.3),
    masks.BiasMask(BIAS),
    masks.CausalMask() & masks.PaddingMask(30) & masks.BiasMask(BIAS),
]


def problem(mask=masks.FullMask(), *, n_q=30, n_k=40, size=1.0, dtype="float64", as_=np.asarray, **options):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, h, n, d)).astype(dtype) for h, n, d in ((4, n_q, 6), (2, n_k, 6), (2, n_k, 3)))
    return AttentionProblem(as_(np.asarray(size, dtype=dtype) * q), as_(k), as_(v), mask=mask, **options)


def kept(method, target):
    """Positions that row i of the first head gives weight to."""
    weights = to_host(method(target).weights.to_dense())[0, 0, 0]
    return [np.nonzero(row)[0].tolist() for row in weights]


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: type(mask).__name__)
@pytest.mark.parametrize("method", [SlidingWindow(40), SlidingWindow(99), SlidingWindow(37, sinks=3)], ids=repr)
def test_a_window_as_wide_as_the_sequence_is_exact(method, mask):
    target = problem(mask)
    np.testing.assert_allclose(method(target).output, target.output, atol=1e-13)


@pytest.mark.parametrize("softcap", [None, 1.0])
def test_the_output_is_softmax_over_the_kept_keys(softcap):
    target = problem(softcap=softcap)
    weights = SlidingWindow(7, sinks=2)(target).weights.to_dense()
    scores = target.dense_scores().reshape(weights.shape)
    expected = np.where(weights > 0, np.exp(scores), 0)
    np.testing.assert_allclose(weights, expected / expected.sum(-1, keepdims=True), atol=1e-14)


def test_without_a_mask_the_window_is_centred_and_moves_inwards_at_the_ends():
    rows = kept(SlidingWindow(5), problem(n_q=40))
    assert rows[20] == [18, 19, 20, 21, 22]
    assert rows[0] == [0, 1, 2, 3, 4]
    assert rows[39] == [35, 36, 37, 38, 39]


def test_a_causal_window_ends_at_the_query_and_shrinks_at_the_start():
    rows = kept(SlidingWindow(5, sinks=2), problem(masks.CausalMask(), n_q=40))
    assert rows[20] == [0, 1, 16, 17, 18, 19, 20]
    assert rows[3] == [0, 1, 2, 3]


def test_queries_stand_at_the_end_of_the_keys():
    assert kept(SlidingWindow(3), problem(masks.CausalMask(), n_q=2))[-1] == [37, 38, 39]


def test_a_causal_window_ignores_the_future():
    target = problem(masks.CausalMask(), n_q=40)
    later = [x.copy() for x in (target.q, target.k, target.v)]
    for x in later:
        x[..., 25:, :] += 3
    changed = AttentionProblem(*later, mask=masks.CausalMask())
    method = SlidingWindow(8, sinks=1)
    np.testing.assert_array_equal(method(target).output[..., :25, :], method(changed).output[..., :25, :])
    assert np.abs(method(target).output[..., 25:, :] - method(changed).output[..., 25:, :]).max() > 0.1


def test_wider_windows_err_less():
    target = problem(n_q=40)
    errors = [relative_output(SlidingWindow(width)(target), target) for width in (4, 16, 32, 40)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-14 < errors[-2]


def test_the_error_is_at_most_dropped_mass_times_diameter():
    target = problem()
    weights = SlidingWindow(9)(target).weights.to_dense()
    exact = target.weights.to_dense()
    dropped = np.where(weights > 0, 0, exact).sum(-1).reshape(2, 4, 30)
    diameter = np.linalg.norm(target.v[..., :, None, :] - target.v[..., None, :, :], axis=-1).max((-1, -2))
    error = np.linalg.norm(SlidingWindow(9)(target).output - target.output, axis=-1)
    assert (error <= dropped * np.repeat(diameter, 2, axis=1)[..., None] + 1e-14).all()
    assert (dropped > 0.1).any()


def test_a_needle_outside_the_window_is_missed_and_a_sink_is_not():
    target = problem(n_q=40)
    k = target.k.copy()
    q = np.abs(target.q) + 1
    k[..., 0, :] = 10
    needle = AttentionProblem(q, k, target.v)
    assert relative_output(SlidingWindow(8)(needle), needle) > 0.5
    assert relative_output(SlidingWindow(8, sinks=1)(needle), needle) < 1e-6


def test_a_row_whose_window_is_forbidden_is_bad_and_a_row_without_keys_is_zero():
    allowed = np.ones((30, 40), dtype=bool)
    allowed[4, 10:20] = False  # the window of query 4, at position 14
    allowed[7] = False
    found = SlidingWindow(5)(problem(masks.ExplicitMask(allowed)))
    assert to_host(found.bad_rows).tolist() == [[1] * 4] * 2
    assert np.isnan(found.output[..., 4, :]).all()
    np.testing.assert_array_equal(found.output[..., 7, :], 0)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_short_sequences_are_exact(n):
    target = problem(masks.CausalMask(), n_q=n, n_k=n)
    np.testing.assert_allclose(SlidingWindow(4, sinks=4)(target).output, target.output, atol=1e-14)


def test_huge_scores_stay_finite():
    target = problem(size=1e5)
    assert np.isfinite(SlidingWindow(9)(target).output).all()


def test_the_output_is_that_of_every_ring(xp, assert_close):
    method, mask = SlidingWindow(9, sinks=2), masks.CausalMask() & masks.PaddingMask(35)
    expected = xp.asarray(method(problem(mask)).output)
    assert_close(method(problem(mask, as_=xp.asarray)).output, expected, rtol=0, atol=100 * xp.eps())


def test_float32_stays_float32_and_agrees():
    found = SlidingWindow(9)(problem(dtype="float32")).output
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, SlidingWindow(9)(problem()).output, atol=2e-5)


def test_halves_of_the_keys_merge_to_softmax():
    target = problem()
    rows, parts = slice(0, 30), (slice(0, 20), slice(20, 40))
    pieces = [SlidingWindow(20)(target.rectangle(rows, part)).placed(part, 40) for part in parts]
    np.testing.assert_allclose((pieces[0] + pieces[1]).output, target.output, atol=1e-13)


def test_the_cost_counts_the_entries_of_all_tiles():
    target = problem()
    # two blocks of 16 queries, over two sinks and 7 + 15 further keys
    assert SlidingWindow(7, sinks=2).cost(target).flops == 2 * 4 * (2 * 16) * (2 + 22) * (6 + 3 + 1)
    # one block over all keys
    assert SlidingWindow(100).cost(target).flops == 2 * 4 * 30 * 40 * (6 + 3 + 1)
    assert SlidingWindow(7, sinks=2)(target).kernel.matmul_flops(4) == 2 * 2 * 4 * (2 * 16) * (2 + 22) * (6 + 4)


@pytest.mark.parametrize("options", [{"width": 0}, {"sinks": -1}])
def test_impossible_windows_are_refused(options):
    with pytest.raises(ValueError, match="must be an integer >="):
        SlidingWindow(**options)


@pytest.mark.parametrize("mask", MASKS[:3] + MASKS[4:], ids=lambda mask: type(mask).__name__)
@pytest.mark.parametrize("sinks", [0, 3])
def test_many_blocks_keep_what_the_definition_says(mask, sinks):
    """Several tiles, with windows that stand still at both ends."""
    rng, n = np.random.default_rng(1), 300
    q, k, v = (rng.standard_normal((2, h, n, d)) for h, d in ((4, 6), (2, 6), (2, 3)))
    method, position = SlidingWindow(37, sinks=sinks), np.arange(n)
    if isinstance(mask, (masks.ExplicitMask, masks.BiasMask)) or len(mask.conjuncts) > 1:
        mask = masks.CausalMask() & masks.BiasMask(rng.standard_normal((4, n, n)))
    target = AttentionProblem(q, k, v, mask=mask)
    stop = np.full(n, n)
    first = np.zeros(n, dtype=int)
    for part in mask.conjuncts:
        if isinstance(part, masks.CausalMask):
            stop = np.minimum(stop, position + 1)
        if isinstance(part, masks.SlidingWindowMask):
            first, stop = np.maximum(first, position - part.left), np.minimum(stop, position + part.right + 1)
        if isinstance(part, masks.PaddingMask):
            stop = np.minimum(stop, np.broadcast_to(part.lengths, (2,))[:, None])
    start = np.clip(np.maximum(np.minimum(position - 18, stop - 37), first), sinks, n - 37)[..., None]
    j = np.arange(n)
    chosen = ((j >= start) & (j < start + 37)) | (j < sinks)
    chosen = chosen[:, None] if chosen.ndim == 3 else chosen
    scores = np.where(chosen, target.dense_scores(), -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    expected = weights / weights.sum(-1, keepdims=True) @ np.repeat(v, 2, axis=1)
    np.testing.assert_allclose(method(target).output, expected, rtol=0, atol=1e-13)


def test_no_tile_of_scores_is_kept():
    """Memory for the result and a few tiles, where the scores of all tiles would take five times as much."""
    rng, n = np.random.default_rng(0), 8192
    target = AttentionProblem(*rng.standard_normal((3, 2, n, 16), dtype="float32"))
    method = SlidingWindow(128)
    method(target)
    tracemalloc.start()
    method(target)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    scores = 4 * 2 * method.entries(target)
    assert scores > 12e6 > peak
