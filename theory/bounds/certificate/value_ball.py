"""The ball around the values: an envelope of the error of any output, and a projection that never increases it."""

from __future__ import annotations

from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np

from theory.bounds.attention.perturbed import (
    PerturbedKernel,
    PerturbedScores,
    one_dimensional_problem,
    random_scores,
)
from theory.bounds.attention.rows import exact_output, host
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.attention.approximation import Approximation
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.certificate import Ball

_BALLS: WeakKeyDictionary[AttentionProblem, Ball] = WeakKeyDictionary()


def ball_of(problem: AttentionProblem) -> Ball:
    """Return the ball around the values of a problem, computed once."""
    if problem not in _BALLS:
        _BALLS[problem] = Ball.of(problem)
    return _BALLS[problem]


def reach(problem: AttentionProblem, output: Values) -> Values:
    """Return ||o'_i - c|| + rho, (..., H, n_q), for outputs (..., H, n_q, d_v)."""
    ball = ball_of(problem)
    return np.asarray(np.linalg.norm(output - host(ball.centre), axis=-1) + host(ball.radius)[..., 0])


def _projected(problem: AttentionProblem, result: Approximation) -> Values:
    projected = host(ball_of(problem).projected(result.output))
    return np.asarray(np.linalg.norm(projected - exact_output(problem), axis=-1))


ANY_OUTPUT = (PerturbedScores, PerturbedKernel)
"""Classes that reach any output: the statements hold for every method, and cost too much to be judged with each."""

# names of their own: chains that predict an output error leave out what no row can exceed
distance_of_rows = replace(errors.output_rows, name="distance of every row from the exact output")
projected_rows = Error(
    "distance of every projected row from the exact output",
    _projected,
    errors.output_rows.trivial,
    errors.output_rows.norm,
)


def _opposite_ends(rng: np.random.Generator) -> Instance:
    """All weight moves from one value to the opposite one."""
    side = np.array([1.0, -1.0])
    return PerturbedScores(-40.0 * side), one_dimensional_problem(20.0 * side, side)


convexity = Paper(
    "re-derived",
    method=ANY_OUTPUT,
    instances=(_opposite_ends, random_scores),
    guarantee=Deterministic(condition=4.0),
    statement="from the convexity of a ball",
)


@convexity(error=distance_of_rows)
def value_ball_envelope(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """||o'_i - o_i|| <= ||o'_i - c|| + rho for any output, however it was found.

    An exact output is a convex combination of the values, hence in the ball that holds them.

    Hypotheses: every query sees a key.
    """
    require(problem.empty_rows == 0, "every query sees a key")
    return reach(problem, host(result.output))


@convexity(error=projected_rows)
def value_ball_projection(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """||Pi o'_i - o_i|| <= ||o'_i - o_i|| for the projection Pi on the ball around the values.

    Projections on convex sets are non-expansive, and this one leaves o_i where it is.

    Letters: Pi the projection on the ball.
    Hypotheses: every query sees a key.
    """
    require(problem.empty_rows == 0, "every query sees a key")
    return np.asarray(np.linalg.norm(host(result.output) - exact_output(problem), axis=-1))
