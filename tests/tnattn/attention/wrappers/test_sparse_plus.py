"""A corrected far field is exact on the kept keys and the far field elsewhere."""

import numpy as np
import pytest
from fixtures import relative_output, run

from tnattn.attention import masks
from tnattn.attention.low_rank.linformer import Linformer
from tnattn.attention.low_rank.nystromformer import Nystromformer
from tnattn.attention.masks import UnsupportedMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.attention.sparse.top_k import TopK
from tnattn.attention.wrappers.sparse_plus import SparsePlus


def problem(*, n_q=30, n_k=40, size=1.0, as_=np.asarray, **options):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, h, n, d)) for h, n, d in ((4, n_q, 4), (2, n_k, 4), (2, n_k, 3)))
    return AttentionProblem(as_(size * q), as_(k), as_(v), **options)


def absolute(piece):
    """The kernel over the original keys, in units of one."""
    return np.exp(piece.shift)[..., None] * (piece.kernel.to_dense() @ piece.expand.to_dense())


FAR = [Performer(32), Nystromformer(6), ValueSampling(9)]


@pytest.mark.parametrize("far", FAR, ids=lambda far: type(far).__name__)
@pytest.mark.parametrize("near", [TopK(7), SlidingWindow(5, sinks=2)], ids=lambda near: type(near).__name__)
def test_the_kernel_is_exact_where_kept_and_far_elsewhere(near, far):
    target = problem()
    kept = near(target).weights.to_dense() > 0
    expected = np.where(kept, np.exp(target.dense_scores().reshape(kept.shape)), absolute(run(far, target)))
    np.testing.assert_allclose(absolute(run(SparsePlus(near, far), target)), expected, rtol=1e-9, atol=1e-12)


def test_adding_without_the_correction_counts_twice():
    target = problem()
    far = run(Performer(32), target)
    doubled, right = far + TopK(7)(target), run(SparsePlus(TopK(7), Performer(32)), target)
    assert np.abs(absolute(doubled) - absolute(right)).max() > 0.1


@pytest.mark.parametrize("far", FAR[:2], ids=lambda far: type(far).__name__)
def test_both_together_beat_each_alone(far):
    target = problem(size=1.5)
    both = relative_output(run(SparsePlus(TopK(7), far), target), target)
    assert both < relative_output(run(TopK(7), target), target)
    assert both < relative_output(run(far, target), target)


@pytest.mark.parametrize("far", FAR[:1], ids=lambda far: type(far).__name__)
def test_all_keys_kept_are_exact(far):
    assert relative_output(run(SparsePlus(TopK(40), far), problem()), problem()) < 1e-11


def test_halves_of_the_keys_merge_to_softmax():
    target = problem()
    rows, parts = slice(0, 30), (slice(0, 20), slice(20, 40))
    method = SparsePlus(TopK(20), Performer(8))
    pieces = [run(method, target.rectangle(rows, part)).placed(part, 40) for part in parts]
    np.testing.assert_allclose((pieces[0] + pieces[1]).output, target.output, atol=1e-11)


def test_every_ring_gives_the_same(xp, assert_close):
    method = SparsePlus(TopK(7), Nystromformer(4))
    expected = xp.asarray(run(method, problem()).output)
    assert_close(run(method, problem(as_=xp.asarray)).output, expected, rtol=0, atol=2e4 * xp.eps())


def test_pieces_that_do_not_fit_are_refused():
    target = problem()
    with pytest.raises(TypeError, match="gives no sparse kernel"):
        run(SparsePlus(ValueSampling(3), Performer(8)), target)
    with pytest.raises(ValueError, match="does not estimate"):
        run(SparsePlus(TopK(3), Linformer(8)), target)
    with pytest.raises(TypeError, match="far must be an attention method"):
        SparsePlus(TopK(3), far=None)
    with pytest.raises(UnsupportedMask, match="CausalMask"):
        run(SparsePlus(), problem(mask=masks.CausalMask()))


def test_the_cost_is_that_of_both_and_of_the_correction():
    target = problem()
    near, far = TopK(7), Performer(16)
    both = near.cost(target).flops + far.cost(target).flops
    # 16 features of all queries and keys, and the products at 7 keys of every query
    again = 2 * 4 * (70 * 16 * 4 + 30 * 7 * (16 + 3 + 1))
    assert SparsePlus(near, far).cost(target).flops == both + again
    window = SlidingWindow(7)
    tiles = 2 * 4 * (2 * 16 * 22 - 30 * 7) * (16 + 3 + 1)
    cost = window.cost(target).flops + far.cost(target).flops + again + tiles
    assert SparsePlus(window, far).cost(target).flops == cost
