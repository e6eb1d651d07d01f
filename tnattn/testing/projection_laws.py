"""Law of projections: moved into a ball that holds the exact output, no row is further from it than before."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tnattn.arrays import to_host
from tnattn.attention.approximation import Approximation
from tnattn.attention.ball import Ball
from tnattn.attention.masks import CausalMask, FullMask
from tnattn.attention.problem import AttentionProblem
from tnattn.testing.report import Violation
from tnattn.testing.trial import Trial, exact, tolerance


def projection_helps(trial: Trial, *, ball: Callable[[AttentionProblem], Ball] = Ball.for_rows) -> None:
    """The projection moves no row further from the exact output, and bad rows into the ball, where they are counted.

    Under the full mask, and under the causal one where the method honours it. ``ball`` makes the ball of a problem.
    """
    for mask in (FullMask(), CausalMask()):
        problem = trial.problem(mask=mask)
        method = trial.fitted(problem)
        if method.honours(mask):
            require_no_row_moves_away(trial.run(problem, method=method), problem, ball(problem))


def require_no_row_moves_away(found: Approximation, problem: AttentionProblem, ball: Ball) -> None:
    """Raise Violation if a projected row is further from the exact one than the row was, by more than rounding."""
    truth, rounding = exact(problem), tolerance(problem) * float(np.abs(problem.v).max())
    with np.errstate(all="ignore"):
        counted = to_host(found.bad_rows)
        raw, moved = (to_host(x).astype(np.float64) for x in (found.output, found.projected(ball)))
        before, after, reach = (np.linalg.norm(x - truth, axis=-1) for x in (raw, moved, to_host(ball.centre)))
    radius = to_host(ball.radius)[..., 0]
    if not np.all(reach <= radius + rounding):
        raise Violation(
            f"the ball does not hold the exact output: distance {np.max(reach - radius):.2g} beyond its radius"
        )
    worse = np.where(np.isfinite(before), after - before, after - 2 * radius)  # a bad row is anywhere in the ball
    if not np.all(worse <= rounding):
        raise Violation(
            f"the projection moves {np.sum(~(worse <= rounding))} rows away from the exact output, by up to "
            f"{np.nanmax(worse):.2g}"
        )
    if not np.array_equal(to_host(found.bad_rows), counted):
        raise Violation("bad rows are no longer counted after the projection")
