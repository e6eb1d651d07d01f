"""The oracle keeps the largest weights, and nothing beats it at dropping little."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention import masks
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse import top_k
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.attention.sparse.top_k import TopK

RNG = np.random.default_rng(5)
MASKS = [
    masks.FullMask(),
    masks.CausalMask(),
    masks.SlidingWindowMask(6, 2),
    masks.PaddingMask(np.array([23, 40])),
    masks.ExplicitMask(RNG.random((2, 4, 30, 40)) > 0.9),
    masks.CausalMask() & masks.BiasMask(RNG.standard_normal((30, 40))),
]


def problem(mask=masks.FullMask(), *, n_q=30, n_k=40, size=1.0, dtype="float64", as_=np.asarray, **options):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, h, n, d)).astype(dtype) for h, n, d in ((4, n_q, 6), (2, n_k, 6), (2, n_k, 3)))
    return AttentionProblem(as_(np.asarray(size, dtype=dtype) * q), as_(k), as_(v), mask=mask, **options)


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: type(mask).__name__)
@pytest.mark.parametrize("keys", [40, 1000])
def test_all_keys_are_exact(keys, mask):
    target = problem(mask)
    found = TopK(keys)(target)
    np.testing.assert_allclose(found.output, target.output, atol=1e-13)
    assert int(found.bad_rows.sum()) == 0


@pytest.mark.parametrize("softcap", [None, 1.0])
@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: type(mask).__name__)
def test_the_kept_scores_are_the_largest(mask, softcap):
    target = problem(mask, softcap=softcap)
    kernel = TopK(7)(target).kernel
    scores = target.dense_scores().reshape(*kernel.shape)
    found = np.sort(np.take_along_axis(scores, kernel.indices, axis=-1), axis=-1)
    np.testing.assert_allclose(found, np.sort(scores, axis=-1)[..., -7:], rtol=1e-12)


def test_kept_keys_are_distinct():
    indices = TopK(7)(problem(masks.CausalMask())).kernel.indices
    assert (np.diff(indices, axis=-1) > 0).all()


def test_among_equal_scores_the_first_keys_win():
    target = problem()
    flat = AttentionProblem(np.zeros_like(target.q), target.k, target.v)
    indices = TopK(3)(flat).kernel.indices
    np.testing.assert_array_equal(indices, np.broadcast_to([0, 1, 2], indices.shape))


def test_rows_with_fewer_admissible_keys_keep_those():
    target = problem(masks.CausalMask(), n_q=40)
    np.testing.assert_allclose(TopK(5)(target).output[..., :5, :], target.output[..., :5, :], atol=1e-14)


def test_rows_without_keys_are_zero():
    allowed = np.ones((30, 40), dtype=bool)
    allowed[7] = False
    found = TopK(5)(problem(masks.ExplicitMask(allowed)))
    np.testing.assert_array_equal(found.output[..., 7, :], 0)
    assert int(found.bad_rows.sum()) == 0


def test_no_window_of_as_many_keys_drops_less_mass():
    target = problem()
    oracle, window = (method(target).log_mass for method in (TopK(9), SlidingWindow(9)))
    assert (oracle >= window - 1e-14).all()
    assert (oracle > window + 0.1).any()


def test_the_error_is_dropped_mass_times_distance_of_conditional_means():
    # logits (2, 1, 0), one kept key, values (1, 0, 0): dropped mass 0.334759, output 1 instead of 0.665241
    target = AttentionProblem(np.ones((1, 1, 1)), np.array([[[2.0], [1.0], [0.0]]]), np.eye(3)[None, :, :1], scale=1.0)
    error = TopK(1)(target).output[0, 0, 0] - target.output[0, 0, 0]
    np.testing.assert_allclose(error, 0.334759, atol=1e-6)


def test_more_keys_err_less():
    target = problem()
    errors = [np.linalg.norm(TopK(keys)(target).output - target.output) for keys in (1, 10, 30, 40)]
    assert errors == sorted(errors, reverse=True)


def test_a_needle_is_found_anywhere():
    target = problem(n_q=40)
    k = target.k.copy()
    k[..., 17, :] = 10
    needle = AttentionProblem(np.abs(target.q) + 1, k, target.v)
    np.testing.assert_allclose(TopK(1)(needle).output, needle.output, atol=1e-6)


def test_permuting_keys_with_values_changes_nothing():
    target = problem()
    order = RNG.permutation(40)
    moved = AttentionProblem(target.q, target.k[..., order, :], target.v[..., order, :])
    np.testing.assert_allclose(TopK(9)(moved).output, TopK(9)(target).output, atol=1e-13)


def test_scores_stream_in_blocks(monkeypatch):
    monkeypatch.setattr(top_k, "_BLOCK", 1000)
    expected = problem()
    rows = []
    original = AttentionProblem.block_scores
    monkeypatch.setattr(
        AttentionProblem, "block_scores", lambda self, r, c: rows.append(r.stop - r.start) or original(self, r, c)
    )
    found = TopK(9)(expected).output
    assert max(rows) == 1000 // (40 * 8)
    monkeypatch.undo()
    np.testing.assert_allclose(found, TopK(9)(expected).output, rtol=1e-12)


def test_the_output_is_that_of_every_ring(xp, assert_close):
    expected = xp.asarray(TopK(9)(problem(masks.CausalMask())).output)
    assert_close(TopK(9)(problem(masks.CausalMask(), as_=xp.asarray)).output, expected, rtol=0, atol=100 * xp.eps())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_scores_stay_finite(dtype):
    found = TopK(3)(problem(size=1e5, dtype=dtype)).output
    assert found.dtype == dtype
    assert np.isfinite(found).all()


def test_halves_of_the_keys_merge_to_softmax():
    target = problem()
    rows, parts = slice(0, 30), (slice(0, 20), slice(20, 40))
    pieces = [TopK(20)(target.rectangle(rows, part)).placed(part, 40) for part in parts]
    np.testing.assert_allclose((pieces[0] + pieces[1]).output, target.output, atol=1e-13)


def test_the_cost_holds_all_scores():
    assert TopK(7).cost(problem()).flops == 2 * 4 * 30 * (40 * 6 + 7 * (3 + 1))


def test_zero_keys_are_refused():
    with pytest.raises(ValueError, match="keys must be an integer >= 1"):
        TopK(0)


def test_it_says_that_it_is_an_oracle():
    assert TopK.reads_weights
    assert not SlidingWindow.reads_weights
    assert to_host(TopK(3)(problem()).kernel.values).shape[-1] == 3
