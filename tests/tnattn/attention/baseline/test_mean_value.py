"""The free control is attention with scores zero."""

import tracemalloc

import numpy as np
import pytest

from tnattn.attention import masks
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.baseline.mean_value import MeanValue
from tnattn.attention.masks import UnsupportedMask
from tnattn.attention.problem import AttentionProblem


def problem(mask=masks.FullMask(), *, as_=np.asarray, dtype="float64"):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, h, n, d)).astype(dtype) for h, n, d in ((4, 9, 6), (2, 12, 6), (2, 12, 3)))
    return AttentionProblem(as_(q), as_(k), as_(v), mask=mask)


@pytest.mark.parametrize(
    "mask",
    [
        masks.FullMask(),
        masks.CausalMask(),
        masks.SlidingWindowMask(3, 1),
        masks.PaddingMask(np.array([3, 0])),
        masks.PaddingMask(5) & masks.CausalMask(),
    ],
    ids=repr,
)
def test_it_is_attention_with_zero_queries(mask):
    target = problem(mask)
    flat = AttentionProblem(0 * target.q, target.k, target.v, mask=mask)
    found = MeanValue()(target)
    np.testing.assert_allclose(found.output, flat.output, atol=1e-14)
    np.testing.assert_allclose(found.log_mass, flat.weights.log_mass, atol=1e-14)


def test_it_is_not_exact_where_scores_differ():
    assert np.abs(MeanValue()(problem()).output - problem().output).max() > 0.1


def test_without_a_mask_it_is_one_column_whose_mass_is_the_number_of_keys():
    found = MeanValue()(problem())
    assert found.kernel.shape[-1] == 1
    assert found.mass.ravel().tolist() == [12.0] * 4
    np.testing.assert_allclose(found.weights.to_dense(), 1 / 12)


@pytest.mark.parametrize("mask", [masks.FullMask(), masks.CausalMask()], ids=repr)
def test_the_output_is_that_of_every_ring(xp, assert_close, mask):
    expected = xp.asarray(MeanValue()(problem(mask)).output)
    assert_close(MeanValue()(problem(mask, as_=xp.asarray)).output, expected, rtol=0, atol=20 * xp.eps())


def test_merged_with_the_exact_rest_it_has_its_share_of_the_mass():
    target = problem()
    rows, parts = slice(0, 9), (slice(0, 5), slice(5, 12))
    merged = MeanValue()(target.rectangle(rows, parts[0])).placed(parts[0], 12) + Exact()(
        target.rectangle(rows, parts[1])
    ).placed(parts[1], 12)
    k = target.k.copy()
    k[..., :5, :] = 0
    np.testing.assert_allclose(merged.output, AttentionProblem(target.q, k, target.v).output, atol=1e-13)


def test_arbitrary_masks_are_refused():
    with pytest.raises(UnsupportedMask, match="MeanValue does not honour ExplicitMask"):
        MeanValue()(problem(masks.ExplicitMask(np.ones((9, 12), dtype=bool))))


def test_the_cost_does_not_see_pairs():
    # sums of the values, one column of a product, one division of each output
    assert MeanValue().cost(problem()).flops == 2 * 12 * 3 + 4 * 9 * (2 * (3 + 1) + 3)


def test_a_window_forgets_what_stands_before_it():
    v = np.array([1e17, 0.0, 1.0, 1.0])[None, :, None]
    target = AttentionProblem(np.zeros((1, 4, 2)), np.zeros((1, 4, 2)), v, mask=masks.SlidingWindowMask(1))
    assert MeanValue()(target).output[0, :, 0].tolist() == [1e17, 5e16, 0.5, 1.0]


def test_running_sums_are_counted_once_and_windows_by_doubling():
    assert MeanValue().cost(problem(masks.CausalMask())).flops == 2 * 12 * 3 + 4 * 9 * 3
    assert MeanValue().cost(problem(masks.SlidingWindowMask(3))).flops == 2 * 12 * 3 * 2 * 4 + 4 * 9 * 3


def test_running_means_keep_small_values_after_large_ones_of_their_own_sequence():
    v = np.random.default_rng(0).standard_normal((1, 2000, 1)).astype("f4") + 100
    z = np.zeros((1, 2000, 2), "f4")
    found = MeanValue()(AttentionProblem(z, z, v, mask=masks.CausalMask())).output
    expected = np.cumsum(v.astype(float), axis=-2) / np.arange(1, 2001)[:, None]
    np.testing.assert_allclose(found, expected, rtol=4 * np.finfo("f4").eps)


@pytest.mark.slow
@pytest.mark.parametrize("mask", [masks.CausalMask(), masks.SlidingWindowMask(100)], ids=repr)
def test_memory_is_that_of_sums_and_output(mask):
    q, k, v = (np.zeros((12, 4096, 64), "f4") for _ in range(3))
    target = AttentionProblem(q, k, v, mask=mask)
    MeanValue()(target)
    tracemalloc.start()
    size = MeanValue()(target).output.nbytes
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * size  # doubling for all heads at once took ten outputs
