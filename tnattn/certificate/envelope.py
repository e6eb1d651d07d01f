"""A ball around the values: every exact output lies in it, whatever the weights, so that any approximation may move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tnattn.arrays import Array, array_namespace, eps, quiet_overflow, widened
from tnattn.attention.problem import AttentionProblem
from tnattn.display import Displayed
from tnattn.scalars import Parameters, as_integer


@dataclass(frozen=True, eq=False, repr=False)
class Ball(Parameters, Displayed):
    """A ball that holds all values of each key head.

    Parameters
    ----------
    centre : Array, (..., H, 1, d_v)
    radius : Array, (..., H, 1, 1)

    Notes
    -----
    An exact output is a convex combination of the values, hence in the ball: an approximation differs from it by
    no more than its distance from the centre plus the radius, and its projection on the ball is never further from it.
    The ball knows all values: as a part of a causal method it would tell a query about later ones.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem
    >>> from tnattn.certificate import Ball
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 1, 64, 4))
    >>> ball = Ball.of(AttentionProblem(q, k, v))
    >>> bool(np.all(np.linalg.norm(v - ball.centre, axis=-1) <= ball.radius[..., 0]))
    True
    """

    centre: Array
    radius: Array

    @classmethod
    def of(cls, problem: AttentionProblem, *, steps: int = 60) -> Ball:
        """Return a ball around the values of every head of a problem.

        Parameters
        ----------
        problem : AttentionProblem
        steps : int
            Passes over the values, each of which moves the centre towards the value farthest from it; the radius is
            within 1 / sqrt(steps) of the least one.

        Notes
        -----
        Bădoiu and Clarkson 2003, section 3. O(steps n_k d_v) per key head, no synchronisation.
        """
        steps = as_integer(steps, "steps", least=0)
        values = widened(problem.values)  # (..., G, 1, n_k, d_v)
        xp = array_namespace(values)
        unit = xp.max(xp.abs(values), axis=(-2, -1), keepdims=True)  # squares might overflow, or vanish
        unit = xp.where(unit > 0, unit, xp.ones_like(unit))
        points = values / unit
        centre = xp.mean(points, axis=-2, keepdims=True)
        for step in range(steps):
            far = xp.argmax(_square_distances(points, centre), axis=-2, keepdims=True)
            farthest = xp.take_along_axis(points, xp.broadcast_to(far, centre.shape), axis=-2)
            centre = centre + (farthest - centre) / (step + 2)
        radius = xp.sqrt(xp.max(_square_distances(points, centre), axis=-2, keepdims=True))
        # rounding of the distances and of the scaling, generously
        radius = radius * (1 + 4 * problem.value_width * eps(points)) + 4 * eps(points)
        return cls(problem.ungroup(centre * unit), problem.ungroup(radius * unit))

    def envelope(self, output: Array) -> Array:
        """Return upper bounds (..., H, n_q) of the distances of an output (..., H, n_q, d_v) from the exact one.

        Infinite for rows that are not finite. Rows without keys, whose exact output is zero, are not covered.
        """
        xp, output = array_namespace(output), widened(output)
        bound = xp.linalg.vector_norm(output - self.centre, axis=-1) + self.radius[..., 0]
        return xp.where(xp.isfinite(bound), bound, xp.full_like(bound, float("inf")))

    def projected(self, output: Array) -> Array:
        """Return an output (..., H, n_q, d_v) with its rows moved into the ball; none moves away from the exact one.

        Rows that are not finite become the centre.
        """
        xp = array_namespace(output)
        wide = widened(output)
        with quiet_overflow():  # infinite rows
            apart = wide - self.centre
            distance = xp.linalg.vector_norm(apart, axis=-1, keepdims=True)
            outside = distance > self.radius
            safe = xp.where(outside, distance, xp.ones_like(distance))
            inside = xp.where(outside, self.centre + apart * (self.radius / safe), wide)
        lost = ~xp.all(xp.isfinite(inside), axis=-1, keepdims=True)
        moved = xp.where(lost, xp.broadcast_to(self.centre, inside.shape), inside)
        return xp.astype(moved, output.dtype, copy=False)


def _square_distances(points: Array, centre: Array) -> Any:
    apart = points - centre
    return array_namespace(points).sum(apart * apart, axis=-1, keepdims=True)
