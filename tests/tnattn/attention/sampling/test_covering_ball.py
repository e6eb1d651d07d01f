"""Balls around the values: they hold what a query sees, are not much too large, and know nothing else."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.masks import CausalMask, ExplicitMask, FullMask, PaddingMask, SlidingWindowMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling import covering_ball
from tnattn.attention.sampling.covering_ball import covering_balls, covering_flops

SEEN = np.random.default_rng(1).random((4, 24, 24)) < 0.3
MASKS = [FullMask(), CausalMask(), PaddingMask(9), SlidingWindowMask(3, 0), ExplicitMask(SEEN)]


def problem(mask, *, as_=np.asarray):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((h, 24, d)) for h, d in ((4, 3), (2, 3), (2, 2)))
    return AttentionProblem(as_(q), as_(k), as_(v), mask=mask)


def distances(target, balls):
    """Return distances of all values from the centre of every query, (H, n_q, n_k), and the radii (H, n_q)."""
    centres = np.broadcast_to(balls.centres, (2, 2, *balls.centres.shape[-2:]))[..., balls.block, :]
    apart = np.linalg.norm(np.asarray(target.values)[..., None, :, :] - centres[..., None, :], axis=-1)
    return apart.reshape(4, 24, 24), np.broadcast_to(balls.radius, (2, 2, 24)).reshape(4, 24)


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: type(mask).__name__)
def test_every_query_sees_values_of_its_ball_only(monkeypatch, mask):
    monkeypatch.setattr(covering_ball, "_ROWS", 7)
    target = problem(mask)
    apart, radius = distances(target, covering_balls(target, target.values))
    seen = np.broadcast_to(target.dense_scores() > -np.inf, apart.shape)
    farthest = np.where(seen, apart, 0).max(-1)
    np.testing.assert_allclose(farthest, radius, rtol=1e-12)
    assert (farthest <= radius).all()


def test_the_radius_is_close_to_the_least_one():
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    v = np.stack([np.cos(angles), np.sin(angles)], axis=-1)[None] + 5  # the least radius is one
    target = AttentionProblem(np.ones((1, 24, 2)), np.ones((1, 24, 2)), v)
    assert 1 <= covering_balls(target, target.values).radius.max() < 1.2


def test_later_keys_do_not_matter(monkeypatch):
    monkeypatch.setattr(covering_ball, "_ROWS", 8)
    target = problem(CausalMask())
    v = target.v.copy()
    v[:, 13:] *= 100
    other = AttentionProblem(target.q, target.k, v, mask=CausalMask())
    before, after = (covering_balls(x, x.values) for x in (target, other))
    np.testing.assert_array_equal(before.radius[..., :13], after.radius[..., :13])
    np.testing.assert_array_equal(before.centres[..., :2, :], after.centres[..., :2, :])  # blocks of 0..7 and 8..15
    assert (after.radius[..., 13:] > 3 * before.radius[..., 13:]).all()


def test_the_centre_is_the_mean_of_its_points(xp, assert_close):
    target = problem(CausalMask(), as_=xp.asarray)
    balls = covering_balls(target, target.values)
    points, centres = to_host(balls.points), to_host(balls.centres)
    chosen = np.take_along_axis(to_host(target.values)[..., None, :, :], points[..., None], axis=-2)
    assert_close(xp.asarray(centres), chosen.mean(-2), rtol=0, atol=100 * xp.eps())


def test_a_block_without_a_common_key_has_the_centre_zero():
    seen = np.eye(24, dtype=bool)
    target = problem(ExplicitMask(seen))
    balls = covering_balls(target, target.values)
    np.testing.assert_array_equal(balls.centres, 0)
    np.testing.assert_array_equal(balls.share, 0)


def test_every_block_of_a_mask_pays_for_its_centre(monkeypatch):
    monkeypatch.setattr(covering_ball, "_ROWS", 7)
    assert covering_flops(problem(FullMask())) == 3 * 17 * 2 * 24 * 2
    assert covering_flops(problem(CausalMask())) == 4 * 3 * 17 * 2 * 24 * 2
