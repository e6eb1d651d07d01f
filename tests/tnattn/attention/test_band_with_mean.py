"""One sweep with the mean of the dropped keys gives what merged pieces give."""

import numpy as np
import pytest

from tnattn.attention.band_kernel import band_piece
from tnattn.attention.band_with_mean import band_with_mean
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.attention.wrappers.mean_residual import MeanResidual
from tnattn.structured import row_tiles


class Merged(SlidingWindow):
    """A window of another class, whose mean is merged as a piece."""


def problem(*, n=300, size=1.0, dtype="float64", as_=np.asarray):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, h, n, d)).astype(dtype) for h, d in ((4, 6), (2, 6), (2, 3)))
    return AttentionProblem(as_(np.asarray(size, dtype=dtype) * q), as_(k), as_(v))


@pytest.fixture(params=[1, 1 << 18], autouse=True)
def tile(monkeypatch, request):
    monkeypatch.setattr(row_tiles, "HOST_TILE", request.param)


@pytest.mark.parametrize("size", [0.3, 1.0, 30.0])
@pytest.mark.parametrize("sinks", [0, 3])
@pytest.mark.parametrize("width", [5, 37, 130, 290])
def test_kernel_sums_and_mass_are_those_of_merged_pieces(width, sinks, size):
    target = problem(size=size)
    window = SlidingWindow(width, sinks=sinks)
    found, expected = band_with_mean(target, window.band(target)), MeanResidual(Merged(width, sinks=sinks))(target)
    np.testing.assert_allclose(found.output, expected.output, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.log_mass, expected.log_mass, rtol=0, atol=1e-11)
    np.testing.assert_allclose(found.weights.to_dense(), expected.weights.to_dense(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.kernel @ target.values, found.numerators, rtol=0, atol=1e-10)
    assert np.abs(found.output - band_piece(target, window.band(target)).output).max() > 1e-10  # the mean matters


def test_all_keys_kept_are_exact():
    target = problem()
    found = band_with_mean(target, SlidingWindow(300).band(target))
    np.testing.assert_allclose(found.output, target.output, rtol=0, atol=1e-13)


def test_every_ring_gives_the_same(xp, assert_close):
    found = MeanResidual(SlidingWindow(37, sinks=2))(problem(as_=xp.asarray)).output
    expected = MeanResidual(Merged(37, sinks=2))(problem()).output
    assert_close(found, xp.asarray(expected), rtol=0, atol=200 * xp.eps())


def test_scores_that_may_leave_the_range_are_left_to_pieces():
    target = problem(dtype="float32")
    k = target.k.copy()
    k[..., 7, :] = 1e37
    loud = AttentionProblem(target.q, k, target.v)
    assert band_with_mean(loud, SlidingWindow(37).band(loud)) is None
    assert np.isfinite(MeanResidual(SlidingWindow(37))(loud).output).any()
