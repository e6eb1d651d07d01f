"""The ball of a position holds all points up to it, is not much larger than the least one, and knows no later point."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.prefix_balls import block_ends, prefix_balls, running_maximum

RNG = np.random.default_rng(0)
POINTS = RNG.standard_normal((2, 40, 3))


def distances(points, centres):
    """Distances (..., i, j) of the centre i from the point j."""
    return np.linalg.norm(centres[..., :, None, :] - points[..., None, :, :], axis=-1)


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_a_ball_holds_all_points_so_far(xp, scale):
    points = xp.asarray(scale * POINTS)
    centres, radii = (to_host(x).astype("f8") for x in prefix_balls(points))
    reach = np.where(np.tri(40, dtype=bool), distances(to_host(points).astype("f8"), centres), 0).max(-1)
    assert np.all(reach <= radii[..., 0] * (1 + 100 * xp.eps()))
    assert np.all(radii[:, 0] == 0)


def test_later_points_change_no_ball():
    other = POINTS.copy()
    other[:, 17:] *= 1e200
    for before, after in zip(prefix_balls(POINTS), prefix_balls(other), strict=True):
        np.testing.assert_allclose(after[:, :17], before[:, :17], rtol=1e-13)
    np.testing.assert_allclose(prefix_balls(POINTS[:, :17])[1], prefix_balls(POINTS)[1][:, :17], rtol=1e-13)


def test_a_ball_is_not_much_larger_than_the_least_one():
    """By at most 1 / 2 for point by point (Zarrabi-Zadeh and Chan 2006, Theorem 1), at the ends of blocks."""
    points = RNG.standard_normal((200, 8))
    centre = points.mean(axis=0)
    for step in range(400):
        centre += (points[np.argmax(np.linalg.norm(points - centre, axis=-1))] - centre) / (step + 2)
    least = np.linalg.norm(points - centre, axis=-1).max()
    assert 1 <= prefix_balls(points)[1][-1, 0] / least <= 1.5


def test_equal_points_have_balls_of_radius_zero():
    assert not np.any(prefix_balls(np.ones((5, 3)))[1])


def test_blocks_grow_with_what_is_before_them():
    assert block_ends(1) == [1]
    assert block_ends(20) == [1, 2, 3, 4, 6, 9, 13, 19, 20]
    assert len(block_ends(1 << 20)) < 40


def test_the_running_maximum_is_that_of_numpy(xp):
    x = RNG.standard_normal((2, 13, 1))
    found = to_host(running_maximum(xp.asarray(x)))
    np.testing.assert_allclose(found, np.maximum.accumulate(x, axis=-2), rtol=1e-6)
