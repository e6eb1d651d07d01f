"""A far field with exact entries at kept keys: swept together it is what the algebra of pieces says."""

import numpy as np
import pytest

from tnattn.attention.corrected import corrected
from tnattn.attention.low_rank.linformer import Linformer
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.attention.sparse.top_k import TopK


def problem(*, n=130, size=1.0, dtype="float64"):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, h, n, d)).astype(dtype) for h, d in ((4, 4), (2, 4), (2, 3)))
    return AttentionProblem(np.asarray(size, dtype=dtype) * q, k, v)


def pieces(near, target):
    return near(target), Performer(16)(target, rng=np.random.default_rng(0))


@pytest.mark.parametrize("size", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("near", [TopK(7), SlidingWindow(31), SlidingWindow(31, sinks=2)], ids=repr)
def test_entries_are_exact_where_kept_and_the_far_fields_elsewhere(near, size):
    target = problem(size=size)
    sparse, far = pieces(near, target)
    found = corrected(sparse, far)
    scores = target.block_scores(slice(0, 130), slice(0, 130))
    kept = sparse.weights.to_dense() > 0
    estimate = np.exp(far.shift - found.shift)[..., None] * (far.kernel.to_dense() @ far.expand.to_dense())
    kernel = np.where(kept, np.exp(scores - found.shift[..., None]), estimate)
    largest = np.abs(kernel).max()
    np.testing.assert_allclose(found.numerators, kernel @ target.values, rtol=0, atol=1e-11 * largest)
    np.testing.assert_allclose(found.denominators, kernel.sum(-1), rtol=0, atol=1e-11 * largest)
    np.testing.assert_allclose(found.kernel.to_dense() @ found.expand.to_dense(), kernel, rtol=0, atol=1e-11 * largest)


def test_one_sweep_gives_what_the_algebra_of_pieces_gives():
    sparse, far = pieces(SlidingWindow(31), problem())
    stored = sparse.kernel.as_block_sparse()
    doubled = stored.with_product(far.kernel, far.expand)
    expected = far + (sparse - type(sparse)(doubled, far.shift, sparse.values))
    found = corrected(sparse, far)
    np.testing.assert_allclose(found.numerators, expected.numerators, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.denominators, expected.denominators, rtol=0, atol=1e-12)


def test_far_fields_that_cannot_be_lifted_or_merged_are_refused():
    target = problem()
    sparse, far = pieces(SlidingWindow(31), target)
    with pytest.raises(ValueError, match="no weights over the original keys"):
        corrected(sparse, far.labelled(expand=None))
    with pytest.raises(ValueError, match="does not estimate"):
        corrected(sparse, Linformer(8)(target, rng=np.random.default_rng(0)))
