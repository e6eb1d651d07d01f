"""The keys that a sparse method drops are replaced by one mean with their share of the mass."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures import relative_output

from tnattn.attention import masks
from tnattn.attention.masks import UnsupportedMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.attention.sparse.top_k import TopK
from tnattn.attention.wrappers.mean_residual import MeanResidual, _mean_dropped_score
from tnattn.structured import Complement


def problem(*, n_q=30, n_k=40, size=1.0, dtype="float64", as_=np.asarray, **options):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, h, n, d)).astype(dtype) for h, n, d in ((4, n_q, 4), (2, n_k, 4), (2, n_k, 3)))
    return AttentionProblem(as_(np.asarray(size, dtype=dtype) * q), as_(k), as_(v), **options)


def expected_kernel(method, target):
    """Exact scores where kept, the mean of the dropped scores of the row elsewhere."""
    kept = method.method(target).weights.to_dense() > 0
    scores = target.dense_scores().reshape(kept.shape)
    mean = np.where(kept, 0, scores).sum(-1, keepdims=True) / (~kept).sum(-1, keepdims=True)
    return np.exp(np.where(kept, scores, mean))


@pytest.mark.parametrize("method", [MeanResidual(TopK(7)), MeanResidual(SlidingWindow(5, sinks=2))], ids=repr)
def test_dropped_keys_get_their_mean_score(method):
    target = problem()
    kernel = expected_kernel(method, target)
    found = method(target)
    np.testing.assert_allclose(found.weights.to_dense(), kernel / kernel.sum(-1, keepdims=True), rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(found.log_mass, np.log(kernel.sum(-1)), atol=1e-12)


def test_the_dropped_mass_lies_in_its_bracket():
    target = problem()
    kept = TopK(7)(target).weights.to_dense() > 0
    scores = target.dense_scores().reshape(kept.shape)
    exact = np.log(np.where(kept, 0, np.exp(scores)).sum(-1))
    estimate = np.log(np.exp(MeanResidual(TopK(7))(target).log_mass) - np.exp(TopK(7)(target).log_mass))
    reach = np.where(kept, -np.inf, scores).max(-1) - np.where(kept, np.inf, scores).min(-1)
    assert (exact - estimate >= -1e-12).all()
    assert (exact - estimate <= reach**2 / 8).all()


@pytest.mark.parametrize("inner", [TopK(7), SlidingWindow(7)], ids=repr)
def test_it_beats_the_sparse_method_on_flat_rows(inner):
    target = problem(size=0.3)
    assert relative_output(MeanResidual(inner)(target), target) < 0.5 * relative_output(inner(target), target)


def test_equal_scores_are_exact():
    target = problem(size=0.0)
    assert relative_output(MeanResidual(SlidingWindow(3))(target), target) < 1e-13
    assert relative_output(SlidingWindow(3)(target), target) > 0.5


def test_all_keys_kept_are_exact():
    target = problem()
    np.testing.assert_allclose(MeanResidual(TopK(40))(target).output, target.output, atol=1e-13)


def test_more_keys_err_less():
    errors = [relative_output(MeanResidual(TopK(k))(problem()), problem()) for k in (1, 10, 30)]
    assert errors == sorted(errors, reverse=True)


def test_one_vector_added_to_all_keys_changes_nothing():
    target = problem()
    moved = AttentionProblem(target.q, target.k + 100.0, target.v)
    method = MeanResidual(TopK(7))
    np.testing.assert_allclose(method(moved).output, method(target).output, atol=1e-10)


def test_halves_of_the_keys_merge_to_softmax():
    target = problem()
    rows, parts = slice(0, 30), (slice(0, 20), slice(20, 40))
    pieces = [MeanResidual(TopK(20))(target.rectangle(rows, part)).placed(part, 40) for part in parts]
    np.testing.assert_allclose((pieces[0] + pieces[1]).output, target.output, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_scores_stay_finite_and_sharp(dtype):
    target = problem(size=1e5, dtype=dtype)
    found = MeanResidual(TopK(3))(target)
    assert found.output.dtype == dtype
    np.testing.assert_allclose(found.output, target.output, atol=1e-2)


def test_every_ring_gives_the_same(xp, assert_close):
    method = MeanResidual(TopK(7))
    expected = xp.asarray(method(problem()).output)
    assert_close(method(problem(as_=xp.asarray)).output, expected, rtol=0, atol=200 * xp.eps())


def test_a_method_that_is_not_sparse_is_refused():
    with pytest.raises(TypeError, match="gives no sparse kernel"):
        MeanResidual(ValueSampling(3))(problem(), rng=np.random.default_rng(0))


@pytest.mark.parametrize("sinks", [0, 1], ids=["block", "sink"])
@pytest.mark.parametrize("size", [1e8, 1e17, 1e30])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_huge_kept_value_leaves_the_dropped_ones_as_they_are(dtype, size, sinks):
    """A kept key of weight zero, whose value is huge, takes no digit of the mean of the others."""
    n = 50
    q, k, v = np.ones((1, 1, n, 1), dtype), np.zeros((1, 1, n, 1), dtype), np.ones((1, 1, n, 1), dtype)
    k[..., 20, 0], v[..., 20, 0] = -2000.0, size  # exp(-2000) is zero
    target = AttentionProblem(q, k, v, scale=1.0)
    output = MeanResidual(SlidingWindow(3, sinks=sinks))(target).output[0, 0, :, 0]
    np.testing.assert_allclose(output[[19, 20, 21]], 1.0, rtol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("inner", [SlidingWindow(3), TopK(49)], ids=repr)
def test_a_huge_kept_key_leaves_the_mean_dropped_score_as_it_is(inner):
    target = problem(n_k=50, n_q=50)
    k = target.k.copy()
    k[..., 20, :] *= 1e17
    loud = AttentionProblem(target.q, k, target.v)
    kept = inner(loud).kernel
    pattern = kept.with_values(np.ones_like(kept.values)).to_dense() > 0
    scores = loud.dense_scores().reshape(pattern.shape)
    quiet = pattern[..., 20]
    mean = np.where(pattern, 0, scores).sum(-1) / (~pattern).sum(-1)
    found = MeanResidual(inner)(loud)
    shift = _mean_dropped_score(loud, Complement(kept), 50 - kept.kept_per_row())
    np.testing.assert_allclose(shift[quiet], mean[quiet], rtol=1e-9, atol=1e-12)
    assert found.bad_rows.sum() == 0


def test_masks_and_softcaps_are_refused():
    with pytest.raises(UnsupportedMask, match="CausalMask"):
        MeanResidual()(problem(mask=masks.CausalMask()))
    with pytest.raises(ValueError, match="softcap"):
        MeanResidual()(problem(softcap=1.0))


def test_the_cost_is_little_more_than_that_of_the_method():
    target = problem(n_q=4000, n_k=4000)
    inner, whole = SlidingWindow(64).cost(target).flops, MeanResidual(SlidingWindow(64)).cost(target).flops
    assert inner < whole < 2 * inner


def test_pieces_of_another_kernel_are_refused():
    class Other(SlidingWindow):
        def approximate(self, problem, *, rng):
            return replace(super().approximate(problem, rng=rng), units="another kernel")

    with pytest.raises(ValueError, match="belongs to exp.* the pieces hold another kernel"):
        MeanResidual(Other(3))(problem())
