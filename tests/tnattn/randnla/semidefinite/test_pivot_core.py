"""Factors from their pivots, and the dtype in which they are computed."""

from functools import partial

import numpy as np
import pytest
from fixtures import rng

from tnattn.randnla.semidefinite.pivot_core import core_at_pivots, gaussian_factor
from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky
from tnattn.structured.gaussian_kernel import GaussianKernel


def factored(points, rank, narrow=None):
    method = RandomlyPivotedCholesky(rank=rank)
    samples = method.samples(rng(1), like=points)
    return gaussian_factor(method, partial(GaussianKernel, points), samples, narrow=narrow)


def test_the_core_is_the_factor_at_the_pivots(xp, assert_close):
    points = xp.asarray(3 * rng().standard_normal((2, 40, 3)).astype(xp.dtype))
    found = factored(points, 6)
    core = core_at_pivots(found.factor.mT, found.pivots, found.pivots >= 0)
    among = GaussianKernel(points).principal(found.pivots)
    assert_close(core @ core.mT, among, rtol=0, atol=100 * xp.eps())


def test_unused_pivots_have_rows_of_the_identity():
    points = np.repeat(rng().standard_normal((5, 3)), 4, axis=0)
    found = factored(points, 8)
    valid = found.pivots >= 0
    assert valid.sum() == 5
    core = core_at_pivots(found.factor.mT, np.where(valid, found.pivots, 0), valid)
    np.testing.assert_array_equal(core[5:], np.eye(8)[5:])


@pytest.mark.parametrize("size, dtype", [(3.0, "float32"), (0.3, "float64")])
def test_points_close_together_take_the_widest_dtype(size, dtype):
    points = size * rng().standard_normal((60, 5))
    found, wide = factored(points, 12, np.dtype("float32")), factored(points, 12)
    assert found.factor.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found.pivots, wide.pivots)
    np.testing.assert_allclose(found.factor, wide.factor, atol=20 * np.finfo(dtype).eps)


def test_an_exhausted_residual_takes_the_widest_dtype():
    points = 3 * np.repeat(rng().standard_normal((5, 3)), 4, axis=0)
    assert factored(points, 8, np.dtype("float32")).factor.dtype == np.float64
