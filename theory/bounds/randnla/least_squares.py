"""Excess of sketched least squares solutions over the best one."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.hypotheses import require_full_column_rank
from theory.bounds.randnla.instances import slow_spectrum, with_singular_values
from theory.bounds.randnla.leverage import chernoff_lower
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import Deterministic, ExactExpectation, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from theory.statistics.moments import inverse_wishart_spread
from tnattn.arrays import to_host
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.solvers.least_squares import LeastSquaresProblem, LeastSquaresSolution
from tnattn.randnla.solvers.sketch_and_solve import SampleAndSolve, SketchAndSolve
from tnattn.randnla.solvers.sketch_preconditioned import SketchPreconditioned


def _sides(problem: LeastSquaresProblem) -> Values:
    return np.asarray(to_host(problem.sides), dtype=np.float64)


def _solution(problem: LeastSquaresProblem, result: LeastSquaresSolution) -> Values:
    x = np.asarray(to_host(result.x), dtype=np.float64)
    return x[..., None] if problem.vector else x


def _square(a: Values) -> Values:
    return np.asarray(np.sum(a**2, axis=(-2, -1)))


def least_residual(problem: LeastSquaresProblem) -> Values:
    """Return ||r||_F^2 of the best solution, (...)."""
    a, b = errors.dense(problem.a), _sides(problem)
    # not ||b||^2 - ||fit||^2, which cancels where the fit is good
    return _square(b - a @ (np.linalg.pinv(a) @ b))


def _excess(problem: LeastSquaresProblem, result: LeastSquaresSolution) -> Values:
    a = errors.dense(problem.a)
    # ||Ax' - b||^2 = ||r||^2 + ||A(x' - x*)||^2: the excess is measured as a norm, not as a difference
    return _square(a @ (_solution(problem, result) - np.linalg.pinv(a) @ _sides(problem)))


def _residual(problem: LeastSquaresProblem, result: LeastSquaresSolution) -> Values:
    return _square(errors.dense(problem.a) @ _solution(problem, result) - _sides(problem))


def _size(problem: LeastSquaresProblem) -> Values:
    return np.asarray(_square(_sides(problem)) + np.zeros(problem.shape[:-2]))


def _fitted(problem: LeastSquaresProblem) -> Values:
    """Return the excess of the zero solution."""
    return np.asarray(_size(problem) - least_residual(problem))


residual_squared = Error("squared norm of the residual", _residual, _size, _size)
excess_squared = Error("squared distance of the fitted values from the best ones", _excess, _fitted, _size)


def _noisy(rng: np.random.Generator, method: Any) -> Instance:
    a = with_singular_values(rng, slow_spectrum(3), 64, 3)
    b = a @ rng.standard_normal((3, 2)) * 20 + 0.3 * rng.standard_normal((64, 2))
    return method, LeastSquaresProblem(a, b)


def _coherent(rng: np.random.Generator, method: Any) -> Instance:
    """One row decides about a direction."""
    _, problem = _noisy(rng, method)
    a = errors.dense(problem.a)
    a[0] *= 30.0
    return method, LeastSquaresProblem(a, problem.sides)


def _one_side(rng: np.random.Generator, method: Any) -> Instance:
    _, problem = _coherent(rng, method)
    return method, LeastSquaresProblem(problem.a, problem.b[:, :1])


def _many_columns(rng: np.random.Generator) -> Instance:
    """As many columns as let the condition come near its bound."""
    method = SketchPreconditioned(size=400, sketch=Gaussian(), tolerance=0.0, iterations=1)
    a = rng.standard_normal((64, 40))
    return method, LeastSquaresProblem(a, 4 * a @ np.ones((40, 1)) + rng.standard_normal((64, 1)))


def _columns(problem: Any) -> int:
    require(isinstance(problem, LeastSquaresProblem), "the target is a least squares problem")
    return require_full_column_rank(problem.a)[1]


bartan = Paper(
    "Bartan & Pilanci 2023",
    method=SketchAndSolve,
    instances=(
        lambda rng: _noisy(rng, SketchAndSolve(24, Gaussian())),
        lambda rng: _coherent(rng, SketchAndSolve(40, Gaussian())),
    ),
    guarantee=ExactExpectation(spread=lambda m, problem: inverse_wishart_spread(_columns(problem), m.size)),
)


@bartan("inverse Wishart moment, re-derived", error=excess_squared)
def sketched_ls_gaussian(method: SketchAndSolve, problem: Any) -> Values:
    """E||A(x' - x*)||^2 = d/(m-d-1) ||r||^2, so that E||Ax' - b||^2 = (1 + d/(m-d-1)) ||r||^2; m Gaussian rows.

    d is the number of columns, x* the best solution and r its residual; several right-hand sides add up.

    Letters: x the solutions, x' the computed and x* the best one; m the number of rows of the sketch; b the right-hand
    side; d the number of columns of A; r the residual of x*.
    Hypotheses: the sketch is Gaussian; the target is a least squares problem; A is tall; A has full column rank, beyond
    rounding; m >= d + 4, where the variance is finite.
    """
    require(isinstance(method.sketch, Gaussian), "the sketch is Gaussian")
    d = _columns(problem)
    m = 4 * d if method.size is None else method.size
    require(m >= d + 4, "m >= d + 4, where the variance is finite")
    return np.asarray(d / (m - d - 1) * least_residual(problem))


sarlos = Paper(
    "Sarlos 2006",
    method=SampleAndSolve,
    instances=(lambda rng: _noisy(rng, SampleAndSolve(1000)), lambda rng: _coherent(rng, SampleAndSolve(200))),
)


# rounding: pseudo-inverses of the matrix and of its sample
@sarlos("constants re-derived", error=residual_squared, guarantee=Deterministic(condition=8.0))
def sampled_ls_embedding(method: SampleAndSolve, problem: Any, result: LeastSquaresSolution) -> Values:
    """||Ax' - b||^2 <= (1+e)/(1-e) ||r||^2 if S embeds the range of [A b] with eigenvalues in [1-e, 1+e].

    Letters: b the right-hand side; e the distortion; r the residual of x*; S the sampling matrix; x the solutions, x'
    the computed and x* the best one.
    Hypotheses: the target is a least squares problem; A is tall; A has full column rank, beyond rounding; S embeds the
    range of [A b]: e < 1.
    """
    _columns(problem)
    a, b = errors.dense(problem.a), _sides(problem)
    basis = np.linalg.svd(np.concatenate([np.broadcast_to(a, (*b.shape[:-2], *a.shape[-2:])), b], axis=-1))[0]
    basis = basis[..., : a.shape[-1] + b.shape[-1]]
    sampled = errors.dense(result.sample) @ basis
    gram = np.swapaxes(sampled, -1, -2) @ sampled
    # the realised distortion, so that the statement holds for every sample
    epsilon = np.linalg.norm(gram - np.eye(gram.shape[-1]), ord=2, axis=(-2, -1))
    require(bool(np.all(epsilon < 1)), "S embeds the range of [A b]: e < 1")
    return np.asarray((1 + epsilon) / (1 - epsilon) * least_residual(problem))


drineas = Paper(
    "Drineas, Mahoney, Muthukrishnan & Sarlos 2011",
    method=SampleAndSolve,
    instances=(lambda rng: _noisy(rng, SampleAndSolve(200)), lambda rng: _coherent(rng, SampleAndSolve(200))),
)


# must fail at less: Markov's inequality, and the worst sample that the embedding allows
@drineas("constants re-derived", error=excess_squared, guarantee=WithProbability(), must_fail=0.01)
def sampled_ls_markov(
    method: SampleAndSolve, problem: Any, *, epsilon: float = 0.5, delta: float = 0.2
) -> tuple[Values, Values]:
    """||A(x' - x*)||^2 <= d / ((1-e)^2 s g) ||r||^2, except with probability g + d c(-e)^(s/d), for s rows.

    c(e) = exp(e) / (1+e)^(1+e); rows are drawn by the leverage scores of A, of d columns; ``delta`` is g.

    Letters: x the solutions, x' the computed and x* the best one; e the distortion, a parameter; s the number of rows
    drawn; g the parameter delta; r the residual of x*; d the number of columns of A.
    Hypotheses: 0 < e, g < 1; the target is a least squares problem; A is tall; A has full column rank, beyond rounding.
    """
    require(0 < epsilon < 1 and 0 < delta < 1, "0 < e, g < 1")
    d = _columns(problem)
    s = 16 * d if method.samples is None else method.samples
    # E||U^T S^T S r||^2 <= d ||r||^2 / s for leverage samples, then Markov
    value = d / ((1 - epsilon) ** 2 * s * delta) * least_residual(problem)
    return np.asarray(value), np.full(np.shape(value), delta + chernoff_lower(epsilon, d, s))


meng = Paper(
    "Meng, Saunders & Mahoney 2014",
    method=SketchPreconditioned,
    instances=(
        _many_columns,
        lambda rng: _one_side(rng, SketchPreconditioned(size=100, sketch=Gaussian(), tolerance=0.0, iterations=2)),
    ),
    must_fail=0.01,
    guarantee=WithProbability(),
)


# must fail at less: deviations of three quantities at once, and the constant of the rate; squared
@meng("Theorem 4.4 with the rate of conjugate gradients; re-derived", error=excess_squared)
def preconditioned_ls_rate(method: SketchPreconditioned, problem: Any, *, u: float = 2.0) -> tuple[Values, Values]:
    """||A(x_t - x*)|| <= 2 p^t (sqrt d + u) / (sqrt m (1 - p)) ||r||, with p = (sqrt d + u) / sqrt m, squared.

    It fails with probability at most 3 exp(-u^2 / 2), after t steps with a Gaussian sketch of m rows, one right-hand
    side. For an orthonormal basis U of the range of A, the singular values of S U lie in [1 - p, 1 + p] (Davidson &
    Szarek 2001), and those of A N are their reciprocals: the condition of A N is at most (1 + p) / (1 - p), and a step
    takes the factor p. The initial guess is off by ||(S U)^+ S r||, and S r is independent of S U.

    Letters: x the solutions, x' the computed and x* the best one; d the number of columns of A; u a parameter; r the
    residual of x*; t the number of steps; m the number of rows of the sketch; p the factor of the rate.
    Hypotheses: the sketch is Gaussian; all t steps are made (tolerance 0); the target is a least squares problem; A is
    tall; A has full column rank, beyond rounding; one right-hand side; u > 0 and sqrt d + u < sqrt m.
    """
    require(isinstance(method.sketch, Gaussian), "the sketch is Gaussian")
    require(method.tolerance == 0, "all t steps are made (tolerance 0)")
    d = _columns(problem)
    require(problem.sides.shape[-1] == 1, "one right-hand side")
    m = 4 * d if method.size is None else method.size
    # Davidson & Szarek 2001: s_max(S U) <= 1 + p except with probability exp(-u^2 / 2), likewise s_min >= 1 - p
    p = (d**0.5 + u) / m**0.5
    require(u > 0 and p < 1, "u > 0 and sqrt d + u < sqrt m")
    factor = 2 * p**method.iterations * p / (1 - p)
    value = np.asarray(factor**2 * least_residual(problem))
    return value, np.full(value.shape, 3 * np.exp(-(u**2) / 2))
