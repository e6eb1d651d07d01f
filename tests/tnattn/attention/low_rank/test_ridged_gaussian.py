"""The ridged Gaussian kernel: semidefinite for points of any size, reads that agree, entries of a narrower dtype."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.low_rank.ridged_gaussian import RidgedGaussian


@pytest.mark.parametrize("size", [1.0, 1e3, 1e6])
def test_the_kernel_of_far_points_stays_semidefinite(size):
    points = size * np.random.default_rng(0).standard_normal((2, 30, 3))
    points[:, 1::2] = points[:, ::2] * (1 + 1e-9)
    kernel = RidgedGaussian.of(points)
    every = np.tile(np.arange(30), (2, 1))
    dense = kernel.columns(every)
    np.testing.assert_array_equal(np.diagonal(dense, axis1=-2, axis2=-1), kernel.diagonal())
    np.testing.assert_allclose(kernel.principal(every), dense, rtol=1e-6, atol=1e-9)
    assert np.linalg.eigvalsh((dense + np.swapaxes(dense, -1, -2)) / 2).min() > -1e-13
    largest = np.sum(points**2, axis=-1).max(axis=-1)
    np.testing.assert_allclose(kernel.diagonal() - 1, np.tile((2.0**-50 * largest)[:, None], 30), rtol=1e-3, atol=2e-16)


def test_entries_may_have_a_dtype_of_their_own():
    points = np.random.default_rng(0).standard_normal((2, 30, 3))
    wide, narrow = RidgedGaussian.of(points), RidgedGaussian.of(points, np.dtype("float32"))
    every = np.tile(np.arange(30), (2, 1))
    for read in ("columns", "principal"):
        found = getattr(narrow, read)(every)
        assert found.dtype == narrow.like.dtype == np.dtype("float32")
        np.testing.assert_allclose(found, getattr(wide, read)(every), rtol=1e-6)
    assert narrow.diagonal().dtype == np.dtype("float32")


def test_every_library_puts_the_ridge_on_the_diagonal(xp, assert_close):
    points, indices = 100 * np.random.default_rng(0).standard_normal((2, 9, 3)), np.asarray([[3, 0], [8, 1]])
    kernel = RidgedGaussian.of(xp.asarray(points.astype(xp.dtype)))
    columns = to_host(kernel.columns(xp.asarray(indices)))
    own = np.take_along_axis(columns, indices[:, None, :], axis=1)[:, 0]
    assert_close(own, np.broadcast_to(1 + to_host(kernel.ridge), (2, 2)), rtol=0, atol=4 * xp.eps())
