"""Keys drawn by the leverage scores of the key matrix: exact variances, and a tail for estimated row sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import (
    denominators_over_mass,
    distances,
    exact_output,
    exact_weights,
    head_values,
    host,
    per_head,
)
from theory.bounds.attention.sampling import output_rows_squared, row_variances
from theory.bounds.randnla.matrix_product import drawn_gram, sampled_variance
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import ExactExpectation, InExpectation, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from theory.statistics.moments import sampled_spread
from tnattn.attention.approximation import Approximation
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.leverage_key_sampling import LeverageKeySampling


def _equal(rng: np.random.Generator) -> AttentionProblem:
    return AttentionProblem(np.zeros((1, 6, 2)), rng.standard_normal((1, 12, 2)), rng.standard_normal((1, 12, 3)))


def _equal_weights(rng: np.random.Generator) -> Instance:
    return LeverageKeySampling(200, normalise=False), _equal(rng)


def _random(rng: np.random.Generator) -> Instance:
    return LeverageKeySampling(200, normalise=False), random_problem(rng, heads=2, groups=2, size=0.7)


def _equal_ratios(rng: np.random.Generator) -> Instance:
    return LeverageKeySampling(200), _equal(rng)


def _uniform_draws(rng: np.random.Generator) -> Instance:
    """Equal weights, uniform samples, and values 1 and -1: the row sums are exact, the error is a mean of signs."""
    values = np.where(np.arange(12) % 4, 1.0, -1.0)[None, :, None]
    return LeverageKeySampling(200, uniform=1.0), AttentionProblem(
        np.zeros((1, 2, 2)), rng.standard_normal((1, 12, 2)), values
    )


def _coordinate_values(rng: np.random.Generator) -> Instance:
    """As with signs, but with values in orthogonal directions: the error is nearly the same in every run."""
    return LeverageKeySampling(200, uniform=1.0), AttentionProblem(
        np.zeros((1, 2, 2)), rng.standard_normal((1, 24, 2)), np.eye(24)[None]
    )


def _random_ratios(rng: np.random.Generator) -> Instance:
    return LeverageKeySampling(200), random_problem(rng, heads=2, groups=2, size=0.7)


def _row_diameter(problem: AttentionProblem) -> Values:
    return errors.output_rows.trivial(problem)


def _rows_times_mass(problem: AttentionProblem, result: Approximation) -> Values:
    # from the sums themselves: a row that saw no mass counts as well
    scale = np.exp(host(result.shift) - host(problem.weights.log_mass))[..., None]
    numerators = per_head(problem, scale * host(result.numerators), 2)
    # d' (o' - o) without a division, which a row of mass zero would not survive
    change = numerators - denominators_over_mass(problem, result)[..., None] * exact_output(problem)
    return np.asarray(np.sum(change**2, axis=-1))


rows_times_mass = Error(
    "squared Euclidean norm of every row of the output, times its squared relative row sum",
    _rows_times_mass,
    lambda t: _row_diameter(t) ** 2,
    lambda t: errors.value_size(t)[..., None] ** 2,
    squared=True,
)


def _ratio_variances(method: LeverageKeySampling, problem: AttentionProblem) -> tuple[Values, Values]:
    """Return the variances of numerators against the exact output and of the relative row sums, (..., H, n_q)."""
    require(method.normalise, "the row sums are estimated (normalise=True)")
    require(problem.softcap is None, "scores are inner products")
    require(problem.empty_rows == 0, "every query sees a key")
    probability = per_head(problem, method.probabilities(problem.keys), 1)[..., None, :]
    weights = exact_weights(problem)
    mass = np.ones(weights.shape[:-1])
    # values are taken about o_i, so that the mean of the sampled vectors is zero
    numerator = sampled_variance(weights * distances(problem), probability, 0 * mass, method.samples)
    return numerator, np.maximum(sampled_variance(weights, probability, mass, method.samples), 0.0)


def _products(method: LeverageKeySampling, problem: AttentionProblem) -> Values:
    """Return the relative variance of ||O' - O||_F^2, (..., H), from the inner products of the P_:j v_j^T / pi_j."""
    probability = per_head(problem, method.probabilities(problem.keys), 1)
    p, v = exact_weights(problem), head_values(problem)
    gram = (np.swapaxes(p, -1, -2) @ p) * (v @ np.swapaxes(v, -1, -2))
    return sampled_spread(drawn_gram(gram, probability), probability, method.samples)


def _changes(method: LeverageKeySampling, problem: AttentionProblem) -> Values:
    """Return the relative variance of the squared rows times mass, (..., H, n_q), from the p_ij (v_j - o_i) / pi_j."""
    probability = per_head(problem, method.probabilities(problem.keys), 1)[..., None, :]
    move = exact_weights(problem)[..., None] * (
        head_values(problem)[..., None, :, :] - exact_output(problem)[..., None, :]
    )
    gram = move @ np.swapaxes(move, -1, -2)  # (..., H, n_q, n_k, n_k)
    return sampled_spread(drawn_gram(gram, probability), probability, method.samples)


drineas = Paper(
    "Drineas, Kannan and Mahoney 2006",
    method=LeverageKeySampling,
    instances=(_equal_weights, _random),
    guarantee=ExactExpectation(spread=_products),
)


@drineas("Lemma 3, for draws by leverage", error=errors.output_frobenius_squared)
def leverage_keys_variance(method: LeverageKeySampling, problem: AttentionProblem) -> Values:
    """E ||O' - O||_F^2 = (sum_j ||P_:j||^2 ||v_j||^2 / pi_j - ||O||_F^2) / c for c keys drawn from pi.

    Letters: c the number of keys drawn.
    Hypotheses: the exact row sums are used (normalise=False); scores are inner products.
    """
    require(not method.normalise, "the exact row sums are used (normalise=False)")
    require(problem.softcap is None, "scores are inner products")
    probability = per_head(problem, method.probabilities(problem.keys), 1)
    return np.asarray(row_variances(problem, probability).sum(axis=-1) / method.samples)


own = Paper(
    "re-derived",
    method=LeverageKeySampling,
    instances=(_equal_ratios, _random_ratios),
    statement="ratio of two sampled sums",
)


@own(error=rows_times_mass, guarantee=ExactExpectation(spread=_changes))
def leverage_keys_ratio_variance(method: LeverageKeySampling, problem: AttentionProblem) -> Values:
    """E (d'_i / d_i)^2 ||o'_i - o_i||^2 = sum_j p_ij^2 ||v_j - o_i||^2 / (c pi_j), c keys from pi, row sums estimated.

    d'_i (o'_i - o_i) / d_i is a mean of c independent draws of p_ij (v_j - o_i) / pi_j, whose expectation is zero.

    Letters: c the number of keys drawn.
    Hypotheses: the row sums are estimated (normalise=True); scores are inner products; every query sees a key.
    """
    return _ratio_variances(method, problem)[0]


@own(error=output_rows_squared, guarantee=InExpectation(), instances=(_uniform_draws, _random_ratios))
def leverage_keys_ratio_mean(method: LeverageKeySampling, problem: AttentionProblem) -> Values:
    """E ||o'_i - o_i||^2 <= min(sqrt(x_i) + D_i sqrt(y_i), D_i)^2 with D_i = max_j ||v_j - o_i||, row sums estimated.

    x_i = sum_j p_ij^2 ||v_j - o_i||^2 / (c pi_j) and y_i = (sum_j p_ij^2 / pi_j - 1) / c are the variances of
    X = d'_i (o'_i - o_i) / d_i and of Y = d'_i / d_i, for c keys drawn from pi and their row sums d'. It follows from
    o'_i - o_i = X + (1 - Y)(o'_i - o_i) and ||o'_i - o_i|| <= D_i, o'_i being a convex combination of values.

    By hand: p = (0.4, 0.6), v = (3, 1), 16 uniform draws: (0.24 + 1.2 0.05)^2 = 0.09.

    Letters: D the distance of the furthest value; y the variance of Y.
    Hypotheses: the row sums are estimated (normalise=True); scores are inner products; every query sees a key.
    """
    x, y = _ratio_variances(method, problem)
    furthest = distances(problem).max(axis=-1)
    # an average of values is at most D_i away, whatever was sampled
    return np.asarray(np.minimum(np.sqrt(x) + furthest * np.sqrt(y), furthest) ** 2)


own_tail = replace(own, instances=(_coordinate_values, _random_ratios))


@own_tail(error=errors.output_rows, guarantee=WithProbability(), sharpest={"delta": 0.8})
def leverage_keys_ratio_tail(
    method: LeverageKeySampling, problem: AttentionProblem, *, delta: float = 0.1
) -> tuple[Values, Values]:
    """P{||o'_i - o_i|| > min(sqrt(x_i) / (sqrt(delta) - sqrt(y_i)), D_i)} <= delta, D_i alone if y_i >= delta.

    x_i, y_i and D_i as in ``leverage_keys_ratio_mean``, X and Y their variables. An error of t or more means
    ||X|| + t (1 - Y) >= t, which by Markov has probability (sqrt(x_i) / t + sqrt(y_i))^2 at most.

    By hand: p = (0.4, 0.6), v = (3, 1), 16 uniform draws, delta = 1/4: o = 1.8, x = 2 (0.16 1.44 + 0.36 0.64) / 16 =
    0.24^2 and y = (2 0.52 - 1) / 16 = 0.05^2, so that 0.24 / 0.45 = 0.533 is exceeded with probability 1/4 at most.

    Letters: x the variance of X; delta the failure probability, a parameter; y the variance of Y; D the distance of the
    furthest value.
    Hypotheses: 0 < delta < 1; the row sums are estimated (normalise=True); scores are inner products; every query sees
    a key.
    """
    require(0 < delta < 1, "0 < delta < 1")
    x, y = _ratio_variances(method, problem)
    # Minkowski: E(||X|| + t (1 - Y))^2 <= (sqrt(x) + t sqrt(y))^2, set equal to delta t^2
    room = np.sqrt(delta) - np.sqrt(y)
    tail = np.where(room > 0, np.sqrt(x) / np.where(room > 0, room, 1.0), np.inf)
    return np.minimum(tail, distances(problem).max(axis=-1)), np.full_like(x, delta)
