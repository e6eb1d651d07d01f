"""The softmax Lipschitz chain: from the error of scores to the error of weights and output.

The theorems are about every method whose kernel over the keys is positive: then its logarithm is a score.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from theory.bounds.attention.perturbed import random_scores, two_groups_of_scores
from theory.bounds.attention.rows import (
    exact_scores,
    exact_weights,
    kernel_over_mass,
    require_own_values,
    score_errors,
    values_spectral,
)
from theory.statement import errors
from theory.statement.bound import require
from theory.statement.errors import Error
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.attention.approximation import Approximation
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem

LOGARITHMS = Deterministic(condition=16.0)  # the scores are read off the kernel through a logarithm


def _range(problem: AttentionProblem, result: Approximation) -> Values:
    """Largest minus smallest error of the scores of every row, (..., H, n_q)."""
    # score errors are centred in their range
    return np.asarray(2 * score_errors(problem, result).max(axis=-1))


def _log_ratio(problem: AttentionProblem, result: Approximation) -> Values:
    """Largest |log(p' / p)| of every row, (..., H, n_q)."""
    weights, kernel = exact_weights(problem), kernel_over_mass(problem, result)
    # normalised by its own mass: p' sums to one
    approximate = kernel / kernel.sum(axis=-1, keepdims=True)
    seen = np.isfinite(exact_scores(problem)) & (weights > 0) & (approximate > 0)
    ratio = np.log(np.where(seen, approximate, 1.0)) - np.log(np.where(seen, weights, 1.0))
    return np.asarray(np.abs(ratio).max(axis=-1))


weights_log_ratio = Error(
    "largest |log(p' / p)| of every row of the weights",
    _log_ratio,
    lambda t: np.asarray(np.inf),
    lambda t: np.maximum(1.0, np.abs(np.where(np.isfinite(s := exact_scores(t)), s, 0.0)).max(axis=-1)),
)


own = Paper(
    "re-derived",
    method=AttentionMethod,
    instances=(two_groups_of_scores, random_scores),
    statement="by the ratio of likelihoods, largest for two groups of keys",
)


@own(error=errors.weights_rows_l1, guarantee=LOGARITHMS)
def softmax_l1_lipschitz(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """||p' - p||_1 <= 2 tanh(rho / 4), rho the range of the error of the scores of a row.

    Letters: rho the range of the score errors.
    Hypotheses: the result has weights over the keys; the denominator is the row sum of the approximate kernel; every
    query sees a key; every denominator is positive; no exact weight underflows; the approximate kernel is positive
    where the exact one is, else zero.
    """
    # attained by two groups of keys of equal mass whose scores move in opposite directions
    return np.asarray(2 * np.tanh(_range(problem, result) / 4))


@own(error=errors.weights_rows_max, guarantee=LOGARITHMS)
def softmax_linf_lipschitz(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """max_j |p'_j - p_j| <= tanh(rho / 4), rho the range of the error of the scores of a row.

    Letters: rho the range of the score errors.
    Hypotheses: the result has weights over the keys; the denominator is the row sum of the approximate kernel; every
    query sees a key; every denominator is positive; no exact weight underflows; the approximate kernel is positive
    where the exact one is, else zero.
    """
    return np.asarray(np.tanh(_range(problem, result) / 4))


jacobian = replace(
    own, instances=(lambda rng: two_groups_of_scores(rng, distance=0.05), random_scores), guarantee=LOGARITHMS
)


@jacobian("by the norm of the Jacobian; Gao & Pavel 2017 have the constant 1", error=errors.weights_rows_l2)
def softmax_l2_lipschitz(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """||p' - p||_2 <= ||s' - s||_2 / 2, scores compared up to a shift of the row.

    Letters: s the scores and s' those that the approximate kernel stands for.
    Hypotheses: the result has weights over the keys; the denominator is the row sum of the approximate kernel; every
    query sees a key; every denominator is positive; no exact weight underflows; the approximate kernel is positive
    where the exact one is, else zero.
    """
    # the Jacobian diag(p) - p p^T has spectral norm at most 1/2
    return np.asarray(np.linalg.norm(_centred(problem, result), axis=-1) / 2)


own_relative = replace(
    own, instances=(lambda rng: two_groups_of_scores(rng, distance=4.0), random_scores), guarantee=LOGARITHMS
)


@own_relative(error=weights_log_ratio)
def softmax_relative(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """exp(-rho) <= p'_j / p_j <= exp(rho), rho the range of the error of the scores of a row.

    Letters: rho the range of the score errors.
    Hypotheses: the result has weights over the keys; the denominator is the row sum of the approximate kernel; every
    query sees a key; every denominator is positive; no exact weight underflows; the approximate kernel is positive
    where the exact one is, else zero.
    """
    return _range(problem, result)


@own(error=errors.output_rows, guarantee=LOGARITHMS)
def attention_row_from_logits(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """||o'_i - o_i|| <= tanh(rho_i / 4) diam(V), rho_i the range of the error of the scores of row i.

    Letters: rho the range of the score errors.
    Hypotheses: the result has weights over the keys; the output is the weights times V; the denominator is the row sum
    of the approximate kernel; every query sees a key; every denominator is positive; no exact weight underflows; the
    approximate kernel is positive where the exact one is, else zero.
    """
    require_own_values(problem, result)
    diameter = np.repeat(errors.value_diameter(problem), problem.heads // problem.groups, axis=-1)
    return np.asarray(np.tanh(_range(problem, result) / 4) * diameter[..., None])


own_frobenius = replace(
    own, instances=(lambda rng: two_groups_of_scores(rng, distance=0.05), random_scores), guarantee=LOGARITHMS
)


@own_frobenius(error=errors.output_frobenius)
def attention_fro_from_logits(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """||O' - O||_F <= ||S' - S||_F ||V|| / 2, scores compared up to a shift of every row.

    Hypotheses: the result has weights over the keys; the output is the weights times V; the denominator is the row sum
    of the approximate kernel; every query sees a key; every denominator is positive; no exact weight underflows; the
    approximate kernel is positive where the exact one is, else zero.
    """
    require_own_values(problem, result)
    error = np.linalg.norm(_centred(problem, result), axis=(-2, -1))
    return np.asarray(error * values_spectral(problem) / 2)


def _centred(problem: AttentionProblem, result: Approximation) -> Values:
    """Errors of the scores minus their mean over the keys that a row sees: the shift with the smallest norm."""
    error = score_errors(problem, result)
    seen = np.isfinite(exact_scores(problem))
    count = seen.sum(axis=-1, keepdims=True)
    require(bool(np.all(count > 0)), "every query sees a key")
    return np.where(seen, error - error.sum(axis=-1, keepdims=True) / count, 0.0)
