"""Random projection of normalised weights."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import exact_output, exact_weights, head_values, host
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import ExactExpectation, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from theory.statistics.moments import chaos_spread
from tnattn.attention.low_rank.linformer import Linformer
from tnattn.attention.problem import AttentionProblem


def _flat(rng: np.random.Generator) -> Instance:
    """Equal weights, as in the example of the catalogue; many rows, so that 200 runs tell the mean from a third."""
    v = np.array([1.0, -1.0, 1.0, 1.0])[None, :, None]
    return Linformer(48, project_weights=True), AttentionProblem(np.zeros((1, 4, 1)), np.zeros((1, 4, 1)), v)


def _random(rng: np.random.Generator) -> Instance:
    return Linformer(48, project_weights=True), random_problem(rng)


def _sizes(problem: AttentionProblem) -> Values:
    """Norm of every row of the weights times norm of every column of the values, (..., H, n_q, d_v)."""
    rows = np.linalg.norm(exact_weights(problem), axis=-1)[..., :, None]
    return np.asarray(rows * np.linalg.norm(head_values(problem), axis=-2)[..., None, :])


def _parallel(rng: np.random.Generator) -> Instance:
    """Weights and columns of the values that are coordinates: the projected products vary most, independently."""
    n = 16
    # scores 60: weights are one to rounding
    problem = AttentionProblem(np.eye(n)[None] * 60.0, np.eye(n)[None], np.eye(n)[None], scale=1.0)
    return Linformer(360, project_weights=True), problem


output_entry_errors = Error(
    "absolute error of every entry of the output",
    lambda t, r: np.abs(host(r.output) - exact_output(t)),
    _sizes,
    _sizes,
)


def _require_projection(method: Linformer) -> None:
    require(method.project_weights, "the normalised weights are projected, not the keys inside the softmax")


own = Paper(
    "re-derived", method=Linformer, instances=(_flat, _random), statement="from the moments of a Gaussian embedding"
)

own_mean = replace(own, guarantee=ExactExpectation(spread=lambda method, problem: chaos_spread(method.size)))


@own_mean(error=errors.output_frobenius_squared)
def linformer_projection_mse(method: Linformer, problem: AttentionProblem) -> Values:
    """E ||P R^T R V - P V||_F^2 = (||P||_F^2 ||V||_F^2 + ||P V||_F^2) / k for k Gaussian rows of R.

    Letters: R the random projection, with k rows of mean squared length one; k its number of rows.
    Hypotheses: the normalised weights are projected, not the keys inside the softmax.
    """
    _require_projection(method)
    # ||P||_F^2, ||V||_F^2 and ||P V||_F^2, (..., H)
    squares = [
        np.sum(a**2, axis=(-2, -1)) for a in (exact_weights(problem), head_values(problem), exact_output(problem))
    ]
    return np.asarray((squares[0] * squares[1] + squares[2]) / method.size)


own_entry = replace(
    own,
    instances=(_parallel, _random),
    must_fail=0.1,
    guarantee=WithProbability(),
    statement="from the moments of a Gaussian embedding",
)


@own_entry(error=output_entry_errors, sharpest={"epsilon": 0.3})
def linformer_entry(method: Linformer, problem: AttentionProblem, *, epsilon: float = 0.8) -> tuple[Values, Values]:
    """P{|p^T R^T R v - p^T v| > eps ||p|| ||v||} <= 4 exp(-k (eps - log(1 + eps)) / 2) for every entry.

    Letters: R the random projection, with k rows of mean squared length one; eps the relative deviation, a parameter; k
    its number of rows.
    Hypotheses: the normalised weights are projected, not the keys inside the softmax; eps > 0.
    """
    _require_projection(method)
    require(epsilon > 0, "eps > 0")
    sizes = _sizes(problem)
    # polarisation: two lengths with two tails each, of which the upper is the larger
    failure = 4 * math.exp(-method.size * (epsilon - math.log1p(epsilon)) / 2)
    return epsilon * sizes, np.full_like(sizes, failure)
