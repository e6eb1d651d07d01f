"""The ball holds all values, its envelope all errors, and a projection moves no row away from the exact one."""

import numpy as np
import pytest

from tnattn import AttentionProblem, CausalMask, ExplicitMask, PaddingMask, SlidingWindowMask
from tnattn.arrays import to_host
from tnattn.attention.ball import Ball
from tnattn.gallery import problems

RNG = np.random.default_rng(0)


def random_problem(xp, scale=1.0, heads=(4, 2)):
    q, k, v = (RNG.standard_normal((h, 30, 4)) for h in (heads[0], heads[1], heads[1]))
    return AttentionProblem(*(xp.asarray(x) for x in (q, k, scale * v)))


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_all_values_lie_in_the_ball(xp, scale):
    problem = random_problem(xp, scale)
    ball = Ball.of(problem)
    v = np.repeat(to_host(problem.v).astype("f8"), 2, axis=0)
    distance = np.linalg.norm(v - to_host(ball.centre).astype("f8"), axis=-1)
    assert np.all(distance <= to_host(ball.radius)[..., 0])


def test_the_radius_is_within_a_tenth_of_the_least_one():
    problem = random_problem(np)
    assert np.all(Ball.of(problem).radius <= 1.1 * Ball.of(problem, steps=500).radius)


@pytest.mark.parametrize("name", problems())
def test_a_projection_moves_no_row_away(name):
    problem = problems()[name](48, 8, rng=np.random.default_rng(0))
    ball, exact = Ball.of(problem), problem.output
    noise = np.random.default_rng(1).standard_normal(exact.shape).astype(exact.dtype)
    for size in (0.1, 1.0, 100.0):
        output = exact + size * np.abs(exact).max() * noise
        before, after = (np.linalg.norm(x - exact, axis=-1) for x in (output, ball.projected(output)))
        tolerance = 1e-12 * np.abs(problem.v).max()
        assert np.all(after <= before + tolerance)
        assert np.all(after <= ball.envelope(output) + tolerance)


def test_rows_that_are_not_finite_become_the_centre(xp, assert_close):
    problem = random_problem(xp)
    ball, output = Ball.for_rows(problem), np.array(to_host(problem.output))
    output[0, 3] = np.nan
    output[1, 4] = np.inf
    moved = to_host(ball.projected(xp.asarray(output)))
    centre = to_host(ball.centre)[:, 0]
    np.testing.assert_allclose(moved[0, 3], centre[0], rtol=1e-6)
    np.testing.assert_allclose(moved[1, 4], centre[1], rtol=1e-6)
    np.testing.assert_array_equal(moved[2], output[2])
    assert np.isinf(to_host(ball.envelope(xp.asarray(output)))[0, 3])


def test_exact_outputs_stay_where_they_are():
    q, k, v = RNG.standard_normal((3, 2, 64, 4))
    problem = AttentionProblem(q, k, v, mask=CausalMask())
    np.testing.assert_array_equal(Ball.of(problem).projected(problem.output), problem.output)


def test_equal_values_have_a_ball_of_rounding():
    q, k = RNG.standard_normal((2, 1, 8, 4))
    ball = Ball.of(AttentionProblem(q, k, np.ones((1, 8, 3))))
    assert 0 < float(ball.radius.max()) < 1e-13


MASKS = {
    "causal": CausalMask(),
    "window": SlidingWindowMask(3, right=2),
    "padding": PaddingMask(7),
    "window and padding": SlidingWindowMask(3) & PaddingMask(7),
    "array": ExplicitMask(np.arange(12)[:, None] > 4 + np.arange(16)),
}


@pytest.mark.parametrize("make", [Ball.of, Ball.for_rows])
@pytest.mark.parametrize("name", MASKS)
def test_every_exact_output_lies_in_its_ball(name, make):
    """Also the zero of rows without keys, far from the values."""
    q, k, v = (RNG.standard_normal((h, n, 4)) for h, n in ((4, 12), (2, 16), (2, 16)))
    problem = AttentionProblem(q, k, v + 10, mask=MASKS[name])
    ball = make(problem)
    apart = np.linalg.norm(problem.output - ball.centre, axis=-1)
    assert np.all(apart <= ball.radius[..., 0])
    assert problem.empty_rows == {"window and padding": 24, "array": 20}.get(name, 0)
    moved = ball.projected(np.zeros_like(problem.output))
    before, after = (np.linalg.norm(x - problem.output, axis=-1) for x in (0 * moved, moved))
    assert np.all(after <= before + 1e-12)


def test_balls_of_rows_know_no_later_value():
    q, k, v = RNG.standard_normal((3, 2, 20, 4))
    problem, other = (
        AttentionProblem(q, k, x, mask=CausalMask()) for x in (v, np.where(np.arange(20) < 8, 1, 9)[:, None] * v)
    )
    ball, changed = Ball.for_rows(problem), Ball.for_rows(other)
    np.testing.assert_allclose(changed.radius[:, :8], ball.radius[:, :8], rtol=1e-12)
    np.testing.assert_allclose(changed.centre[:, :8], ball.centre[:, :8], rtol=1e-12, atol=1e-14)
    assert np.all(Ball.of(other).radius > 2 * Ball.of(problem).radius)  # the control: one ball of all values


def test_the_content_of_padding_is_not_seen():
    q, k, v = RNG.standard_normal((3, 2, 1, 10, 4))
    masks = PaddingMask(6), PaddingMask(np.asarray([6, 6]))
    for mask in masks:
        balls = [
            Ball.of(AttentionProblem(q, k, np.where(np.arange(10)[:, None] < 6, v, fill), mask=mask)) for fill in (0, 9)
        ]
        np.testing.assert_array_equal(balls[0].radius, balls[1].radius)


def test_half_precision_is_widened():
    q, k, v = RNG.standard_normal((3, 1, 8, 4)).astype("float16")
    ball = Ball.of(AttentionProblem(q, k, v))
    assert ball.centre.dtype == np.float32
    assert ball.projected(v).dtype == np.float16
