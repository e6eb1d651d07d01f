"""Exact attention as a method is the exact output."""

import numpy as np
import pytest

from tnattn.attention import masks
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.problem import AttentionProblem


def problem(mask=masks.FullMask(), *, size=1.0, as_=np.asarray):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, h, n, d)) for h, n, d in ((4, 9, 6), (2, 12, 6), (2, 12, 3)))
    return AttentionProblem(as_(size * q), as_(k), as_(v), mask=mask)


@pytest.mark.parametrize(
    "mask", [masks.FullMask(), masks.CausalMask(), masks.PaddingMask(np.array([3, 12])), masks.PaddingMask(0)]
)
def test_the_output_is_exact(mask):
    target = problem(mask)
    found = Exact()(target)
    np.testing.assert_allclose(found.output, target.output, atol=1e-14)
    assert int(found.bad_rows.sum()) == 0


def test_the_output_is_that_of_every_ring(xp, assert_close):
    target = problem(masks.CausalMask(), as_=xp.asarray)
    assert_close(Exact()(target).output, target.output, rtol=0, atol=20 * xp.eps())


@pytest.mark.parametrize("size", [1.0, 1e5])
def test_the_mass_is_the_exact_one(size):
    target = problem(size=size)
    np.testing.assert_allclose(Exact()(target).log_mass, target.weights.log_mass, rtol=1e-12)


def test_the_kernel_is_exp_of_scores_minus_shift():
    target = problem()
    found = Exact()(target)
    scores = target.dense_scores().reshape(2, 2, 2, 9, 12)
    np.testing.assert_allclose(found.kernel.to_dense(), np.exp(scores - found.shift[..., None]), rtol=1e-12)


def test_the_cost_is_that_of_exact_attention():
    assert Exact().cost(problem()).flops == 2 * 4 * 9 * 12 * (6 + 3)
