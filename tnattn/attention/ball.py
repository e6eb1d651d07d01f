"""A ball around the values: every exact output lies in it, whatever the weights, so that any approximation may move."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, eps, quiet_overflow, widened
from tnattn.attention.prefix_balls import prefix_balls
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.visible_values import last_visible, visible_values
from tnattn.display import Displayed
from tnattn.linalg.scaling import binary_scale, euclidean_norm, largest_magnitude
from tnattn.scalars import Parameters, as_integer

STEPS = 24  # radii are 1.02 times the least ones on trained heads; 60 steps give 1.01 at 2.5 times the time


@dataclass(frozen=True, eq=False, repr=False)
class Ball(Parameters, Displayed):
    """A ball for every head, or for every row of it, that holds the exact output.

    Parameters
    ----------
    centre : Array, (..., H, 1 or n_q, d_v)
    radius : Array, (..., H, 1 or n_q, 1)

    Notes
    -----
    An exact output is a convex combination of values, hence in every ball that holds these: an approximation differs
    from it by no more than its distance from the centre plus the radius, and its projection on the ball is never
    further from it. A row without keys has the exact output zero, so that zero counts as a value where the mask may
    leave a row without any. Values that the mask hides from all rows by their position, as padding, do not count.

    ``Ball.of`` knows all values: as a part of a causal method it would tell a query about later ones.
    ``Ball.for_rows`` does not.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Ball
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 1, 64, 4))
    >>> ball = Ball.of(AttentionProblem(q, k, v))
    >>> bool(np.all(np.linalg.norm(v - ball.centre, axis=-1) <= ball.radius[..., 0]))
    True
    """

    centre: Array
    radius: Array

    @classmethod
    def of(cls, problem: AttentionProblem, *, steps: int = STEPS) -> Ball:
        """Return one ball for all rows of a head, around all its values.

        Parameters
        ----------
        problem : AttentionProblem
        steps : int
            Passes over the values, each of which moves the centre towards the value farthest from it; the radius is
            within 1 / sqrt(steps) of the least one.

        Notes
        -----
        Badoiu and Clarkson 2003, section 3, from the mean on. O(steps n_k d_v) per key head, no synchronisation.
        """
        steps = as_integer(steps, "steps", least=0)
        points = visible_values(problem)  # (..., G, 1, n, d_v)
        xp = array_namespace(points)
        unit = binary_scale(points, axis=(-2, -1))  # squares might overflow, or vanish
        scaled = points / unit
        mean = xp.mean(scaled, axis=-2, keepdims=True)
        scaled = scaled - mean
        squares = xp.sum(scaled * scaled, axis=-1, keepdims=True)
        centre = xp.zeros_like(mean)
        for step in range(steps):
            # |x - c|^2 less |c|^2, by one product; its rounding may at worst pick the second farthest value
            far = xp.argmax(squares - 2 * (scaled @ centre.mT), axis=-2, keepdims=True)
            farthest = xp.take_along_axis(scaled, xp.broadcast_to(far, centre.shape), axis=-2)
            centre = centre + (farthest - centre) / (step + 2)
        centre = (mean + centre) * unit
        radius = xp.max(euclidean_norm(points - centre, axis=-1, keepdims=True), axis=-2, keepdims=True)
        return cls._rounded(problem, centre, radius, units=4 * problem.value_width)

    @classmethod
    def for_rows(cls, problem: AttentionProblem) -> Ball:
        """Return balls that hold only values up to the last one that the position of a row admits.

        One for every row, as the values grow in number, under ``CausalMask``, ``SlidingWindowMask`` and conjunctions
        with them; ``Ball.of`` under other masks, also where an array forbids all later keys.

        Notes
        -----
        See ``prefix_balls``: O(n_k d_v) per key head. Radii are about 1.2 times the least ones.
        """
        last = last_visible(problem)
        if last is None:
            return cls.of(problem)
        centres, radii = prefix_balls(visible_values(problem))
        xp = array_namespace(centres)
        # (..., G, 1, n_q, d_v)
        centre, radius = (xp.take(x, last, axis=-2) for x in (centres, radii))
        return cls._rounded(problem, centre, radius, units=4 * problem.value_width + 500)  # rounding of 60 merges

    @classmethod
    def _rounded(cls, problem: AttentionProblem, centre: Array, radius: Array, *, units: float) -> Ball:
        """Return the ball of a head with its radius raised by rounding of the distances and of exact outputs."""
        size = radius + largest_magnitude(centre, axis=-1, keepdims=True)
        return cls(problem.ungroup(centre), problem.ungroup(radius + units * eps(centre) * size))

    def envelope(self, output: Array) -> Array:
        """Return upper bounds (..., H, n_q) of the distances of an output (..., H, n_q, d_v) from the exact one.

        Infinite for rows that are not finite.
        """
        xp, output = array_namespace(output), widened(output)
        with quiet_overflow():
            bound = euclidean_norm(output - self.centre, axis=-1) + self.radius[..., 0]
        return xp.where(xp.isfinite(bound), bound, xp.full_like(bound, float("inf")))

    def shares(self, output: Array) -> Array:
        """Return the share of the distance from the centre that the projection leaves to a row, (..., H, n_q, 1).

        1 inside the ball, radius / distance outside, 0 for rows that are not finite.
        """
        xp, wide = array_namespace(output), widened(output)
        with quiet_overflow():  # infinite rows
            distance = euclidean_norm(wide - self.centre, axis=-1, keepdims=True)
        outside, finite = distance > self.radius, xp.isfinite(distance)
        share = self.radius / xp.where(outside & finite, distance, xp.ones_like(distance))
        share = xp.where(outside, share, xp.ones_like(share))
        return xp.where(finite, share, xp.zeros_like(share))

    def projected(self, output: Array) -> Array:
        """Return an output (..., H, n_q, d_v) with its rows moved into the ball; none moves away from the exact one.

        Rows that are not finite become the centre.
        """
        xp, wide, share = array_namespace(output), widened(output), self.shares(output)
        with quiet_overflow():
            apart = xp.where(share > 0, wide - self.centre, xp.zeros_like(wide))
            moved = xp.where(share == 1, wide, self.centre + share * apart)  # rows inside keep their bits
        return xp.astype(moved, output.dtype, copy=False)
