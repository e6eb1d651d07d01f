"""Dropping one column, seen in the triangular factor."""

import numpy as np
import pytest
from fixtures import rng

from tnattn.arrays import to_host
from tnattn.randnla.estimates.leave_one_out import left_out_directions, left_out_squares


def test_worked_squares(xp, assert_close):
    """R = [[2, 1], [0, 1]]: the rows of R^-1 have squared lengths 1/2 and 1."""
    given = xp.asarray([[2.0, 1.0], [0.0, 1.0]])
    assert_close(left_out_squares(given), xp.asarray([2.0, 1.0]), rtol=10 * xp.eps())


def test_squares_are_distances_from_the_span_of_the_others():
    y = rng().standard_normal((2, 9, 4)) * np.array([1.0, 1e3, 1e-3, 1.0])
    direct = np.empty((2, 4))
    for i, j in np.ndindex(2, 4):
        others = np.delete(y[i], j, axis=1)
        direct[i, j] = np.sum((y[i, :, j] - others @ np.linalg.lstsq(others, y[i, :, j])[0]) ** 2)
    np.testing.assert_allclose(left_out_squares(np.linalg.qr(y)[1]), direct, rtol=1e-8)


def test_a_dependent_column_is_at_distance_zero():
    r = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
    np.testing.assert_allclose(left_out_squares(r), [0.0, 0.0, 4.0], atol=1e-30)


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_neither_tiny_nor_huge_factors_lose_the_squares(scale):
    r = np.array([[2.0, 1.0], [0.0, 1.0]])
    np.testing.assert_allclose(left_out_squares(scale * r) / scale**2, [2.0, 1.0])


def test_a_zero_factor_gives_zero_squares_and_unit_directions(xp):
    zero = xp.asarray(np.zeros((3, 3)))
    assert np.all(to_host(left_out_squares(zero)) == 0)
    np.testing.assert_allclose(np.linalg.norm(to_host(left_out_directions(zero)), axis=0), 1.0)


def test_directions_give_the_projectors_without_a_column(xp):
    y = rng(1).standard_normal((8, 3))
    q, r = np.linalg.qr(y)
    s = to_host(left_out_directions(xp.asarray(r)))
    for j in range(3):
        others = np.delete(y, j, axis=1)
        actual = q @ (np.eye(3) - np.outer(s[:, j], s[:, j])) @ q.T
        np.testing.assert_allclose(actual, others @ np.linalg.pinv(others), atol=100 * xp.eps())


def test_directions_of_a_singular_factor_leave_the_range_untouched():
    r = np.linalg.qr(rng(2).standard_normal((4, 2)) @ rng(3).standard_normal((2, 4)))[1]
    assert np.abs(left_out_directions(r).T @ r).max() < 1e-13
