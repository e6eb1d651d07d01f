"""Sampled keys with estimated row sums: the error in units of the estimated mass has an exact mean square."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import (
    denominators_over_mass,
    exact_output,
    exact_weights,
    head_values,
    host,
    once,
    per_head,
)
from theory.bounds.randnla.matrix_product import drawn_gram
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import ExactExpectation, InExpectation
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from theory.statistics.moments import sampled_spread
from tnattn.attention.approximation import Approximation
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.column_sampling import ColumnSampling
from tnattn.attention.sampling.value_sampling import ValueSampling

_RESOLVED = 1e-6  # of a squared length: beyond it the Gram matrix has lost the digits that a variance needs


def _squared_by_mass(problem: AttentionProblem, result: Approximation) -> Values:
    mass = denominators_over_mass(problem, result)[..., None]
    # a row whose sample has no mass has a zero numerator too: its quotient is undefined, its product with the mass zero
    moved = np.where(mass > 0, mass * (host(result.output) - exact_output(problem)), 0.0)
    return np.asarray(np.sum(moved**2, axis=(-2, -1)))


output_by_mass_squared = Error(
    "squared Frobenius norm of the output, rows times their estimated over their exact mass",
    _squared_by_mass,
    errors.output_frobenius_squared.trivial,
    errors.output_frobenius_squared.norm,
    squared=True,
)


@once
def contributions(problem: AttentionProblem) -> Values:
    """Return c_j, the root of the sum of p_ij^2 ||v_j - o_i||^2 over i, (..., H, n_k).

    O(n_q n_k d_v) per head. Differences are formed before they are squared: a key that takes all the mass of a row is
    near the output, and products would cancel.
    """
    p, v, o = exact_weights(problem), head_values(problem), exact_output(problem)
    found = np.empty((*p.shape[:-2], problem.n_k))
    for head in np.ndindex(*p.shape[:-2]):
        squares = np.zeros(p.shape[-2:])
        for column in range(problem.value_width):  # one (n_q, n_k) matrix at a time
            squares += (p[head] * (v[head][:, column] - o[head][:, column, None])) ** 2
        found[head] = np.sqrt(squares.sum(axis=-2))
    return found


@once
def contribution_gram(problem: AttentionProblem) -> Values:
    """Return the inner products of the matrices with rows p_ij (v_j - o_i), (..., H, n_k, n_k); three products."""
    p, v, o = exact_weights(problem), head_values(problem), exact_output(problem)
    centre = v.mean(axis=-2, keepdims=True)
    v, o = v - centre, o - centre
    transposed = np.swapaxes(p, -1, -2)
    mixed = np.swapaxes(p * (o @ np.swapaxes(v, -1, -2)), -1, -2) @ p
    own = transposed @ (p * np.sum(o * o, axis=-1)[..., None])
    return np.asarray((transposed @ p) * (v @ np.swapaxes(v, -1, -2)) - mixed - np.swapaxes(mixed, -1, -2) + own)


def contribution_spread(problem: AttentionProblem, probability: Values, samples: int | Values) -> Values:
    """Return the relative variance of the squared error of a mean of samples, (..., H), infinite where it cancels.

    Keys of probability zero, (..., H, n_k), are not drawn.
    """
    gram, c = contribution_gram(problem), contributions(problem)
    off = np.abs(np.diagonal(gram, axis1=-2, axis2=-1) - c**2)
    # the Gram matrix comes from differences of products, the contributions do not
    lost = np.any((probability > 0) & (off > _RESOLVED * c**2), axis=-1)
    return np.where(lost, np.inf, sampled_spread(drawn_gram(gram, probability), probability, samples))


def _random(rng: np.random.Generator) -> Instance:
    return ValueSampling(8), random_problem(rng, heads=2, groups=2, size=0.7)


def _of_columns(rng: np.random.Generator) -> Instance:
    return ColumnSampling(8, normalise=True), random_problem(rng, heads=2, groups=2, size=0.7)


def _balanced_values(rng: np.random.Generator) -> Instance:
    """Equal weights and values that come in opposite pairs: the output is zero, and no draw beats that by norms."""
    v = rng.standard_normal((1, 6, 3))
    k = rng.standard_normal((1, 12, 2))
    return ValueSampling(8, uniform=0.0), AttentionProblem(np.zeros((1, 5, 2)), k, np.concatenate([v, -v], axis=-2))


def _probabilities(method: ValueSampling | ColumnSampling, problem: AttentionProblem) -> Values:
    """Return the probability of every key for every query head, (..., H, n_k)."""
    require(method.normalise, "the row sums are estimated (normalise=True)")
    require(problem.empty_rows == 0, "every query sees a key")
    drawn = method.probabilities(problem if isinstance(method, ColumnSampling) else problem.values)
    probability = per_head(problem, drawn, 1)
    require(bool(np.all((probability > 0) | (contributions(problem) == 0))), "every key with c_j > 0 may be drawn")
    return probability


def _spread(method: ValueSampling | ColumnSampling, problem: AttentionProblem) -> Values:
    return contribution_spread(problem, _probabilities(method, problem), method.samples)


own = Paper(
    "re-derived",
    method=(ValueSampling, ColumnSampling),
    instances=(_random, _of_columns),
    guarantee=ExactExpectation(spread=_spread),
    statement="without linearising the quotient",
)


@own(error=output_by_mass_squared)
def self_normalised_columns(method: ValueSampling | ColumnSampling, problem: AttentionProblem) -> Values:
    """E sum_i d_i^2 ||o'_i - o_i||^2 = sum_j c_j^2 / (m pi_j), where c_j^2 = sum_i p_ij^2 ||v_j - o_i||^2.

    For m draws with probabilities pi_j. d_i (o'_i - o_i) is the mean of the p_ij (v_j - o_i) / pi_j over the draws,
    whose expectation is zero, so that nothing is linearised. Two keys of weight 1/2 and values 1, -1, one query, one
    draw with equal probabilities: 2 (1/4 + 1/4) = 1.

    Letters: d_i the estimated over the exact row sum; m the number of draws; pi_j the probability of a key.
    Hypotheses: the row sums are estimated (normalise=True); every query sees a key; every key with c_j > 0 may be
    drawn.
    """
    probability, c = _probabilities(method, problem), contributions(problem)
    return np.asarray(np.sum(c**2 / np.where(probability > 0, probability, 1.0), axis=-1) / method.samples)


optimal = replace(own, instances=(_balanced_values, _random), guarantee=InExpectation(spread=_spread))


@optimal("by the inequality of Cauchy and Schwarz", error=output_by_mass_squared, side="lower")
def self_normalised_optimal(method: ValueSampling | ColumnSampling, problem: AttentionProblem) -> Values:
    """E sum_i d_i^2 ||o'_i - o_i||^2 >= (sum_j c_j)^2 / m, where c_j^2 = sum_i p_ij^2 ||v_j - o_i||^2.

    Whatever the probabilities are, with equality for those proportional to c_j; with exact row sums the best ones are
    proportional to ||P_:j|| ||v_j||.

    Letters: d_i the estimated over the exact row sum; m the number of draws.
    Hypotheses: the row sums are estimated (normalise=True); every query sees a key; every key with c_j > 0 may be
    drawn.
    """
    _probabilities(method, problem)
    return np.asarray(contributions(problem).sum(axis=-1) ** 2 / method.samples)
