"""Every row of the output from the diagonal of the error of a lifted kernel, which is known exactly."""

from __future__ import annotations

import numpy as np

from theory.bounds.attention.lift import Lifted, lifted_error, lifted_size
from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import denominators_over_mass, head_values, host
from theory.bounds.certificate.value_ball import ball_of, distance_of_rows
from theory.statement.bound import Instance, require
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from theory.statistics.intervals import deterministic_slack
from tnattn.arrays import eps
from tnattn.attention.approximation import Approximation
from tnattn.attention.problem import AttentionProblem
from tnattn.randnla.semidefinite.nystrom import Nystrom
from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky


def _one_direction(rng: np.random.Generator) -> Instance:
    """A query and two keys with opposite values; the error has rank one, whose signs move them apart or together."""
    return Lifted(Nystrom(rank=2, oversampling=0)), AttentionProblem(
        np.full((1, 1, 1), 0.2), np.array([[[0.9], [-0.8]]]), np.array([[[1.0], [-1.0]]])
    )


def _random(rng: np.random.Generator) -> Instance:
    return Lifted(RandomlyPivotedCholesky(rank=18)), random_problem(rng, size=0.5)


own = Paper(
    "Chen et al. 2021",
    method=Lifted,
    instances=(_one_direction, _random),
    guarantee=Deterministic(condition=16.0),
    statement="their lifting, from Cauchy and Schwarz re-derived",
)


def _parts(problem: AttentionProblem, result: Approximation) -> tuple[Values, Values, Values, Values]:
    """Return the error of the lifted kernel with its diagonal apart, v - c, ||o' - c||, and the row sums d'."""
    error = lifted_error(problem, result)
    require(problem.empty_rows == 0, "every query sees a key")
    rounding = deterministic_slack((problem.n_q, problem.n_k), eps(problem.q), lifted_size(problem))[..., None]
    # a root turns a lost 1e-16 into 1e-8: rounding is added before it
    diagonal = np.maximum(np.diagonal(error, axis1=-2, axis2=-1), 0.0) + rounding
    centre = host(ball_of(problem).centre)
    apart = np.linalg.norm(host(result.output) - centre, axis=-1)
    # the row sums of the approximation itself, not divided by the exact ones
    d = denominators_over_mass(problem, result) * np.exp(
        host(problem.weights.log_mass).reshape(*problem.batch[:-2], problem.heads, problem.n_q)
    )
    return diagonal, head_values(problem) - centre, apart, d


def _row_bound(root: Values, values: Values, ones: Values, apart: Values, d: Values) -> Values:
    left = d - root * ones[..., None]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.asarray(np.where(left > 0, root * (values[..., None] + apart * ones[..., None]) / left, np.inf))


@own(error=distance_of_rows)
def lifted_diagonal(method: Lifted, problem: AttentionProblem, result: Approximation) -> Values:
    """||o'_i - o_i|| <= sqrt(r_i) (S_v + ||o'_i - c|| S_1) / max(d'_i - sqrt(r_i) S_1, 0).

    S_1 is the sum of sqrt(r_j) over the keys and S_v that of sqrt(r_j) ||v_j - c||: once per head, then O(1) for a row.
    Vacuous below a rank of about the number of queries and keys.

    Letters: r the diagonal of the error of the lifted kernel; S the sums over the keys; d' the row sums of the
    approximate kernel.
    Hypotheses: scores are inner products; the kernel is a block of a lifted one; the error of the lifted kernel is
    positive semidefinite; every query sees a key.
    """
    diagonal, v, apart, d = _parts(problem, result)
    root, keys = np.sqrt(diagonal[..., : problem.n_q]), np.sqrt(diagonal[..., problem.n_q :])
    return _row_bound(root, np.sum(keys * np.linalg.norm(v, axis=-1), axis=-1), np.sum(keys, axis=-1), apart, d)


@own(error=distance_of_rows)
def lifted_quadratic_form(method: Lifted, problem: AttentionProblem, result: Approximation) -> Values:
    """||o'_i - o_i|| <= sqrt(r_i) (||Q_v||^(1/2) + ||o'_i - c|| Q_1^(1/2)) / max(d'_i - sqrt(r_i) Q_1^(1/2), 0).

    Q_v = (V - 1 c^T)^T E (V - 1 c^T) and Q_1 = 1^T E 1 with the block E of the keys: Cauchy and Schwarz in the norm of
    the error. Forming E costs as much as exact attention.

    Letters: r the diagonal of the error of the lifted kernel; Q the quadratic forms of its block of keys; d' the row
    sums of the approximate kernel.
    Hypotheses: scores are inner products; the kernel is a block of a lifted one; the error of the lifted kernel is
    positive semidefinite; every query sees a key.
    """
    diagonal, v, apart, d = _parts(problem, result)
    n = problem.n_q
    block = lifted_error(problem, result)[..., n:, n:]
    size = np.sum(diagonal[..., n:], axis=-1)
    rounding = problem.n_k * eps(problem.q) * size  # of the quadratic forms, which may be differences
    form = np.linalg.norm(np.swapaxes(v, -1, -2) @ block @ v, ord=2, axis=(-2, -1))
    form = form + rounding * np.linalg.norm(v, axis=(-2, -1)) ** 2
    ones = np.maximum(np.sum(block, axis=(-2, -1)), 0.0) + problem.n_k * rounding
    return _row_bound(np.sqrt(diagonal[..., :n]), np.sqrt(form), np.sqrt(ones), apart, d)
