"""Sampled keys: approximate products of the exact weights and the values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import exact_output, exact_weights, head_values, per_head, values_spectral
from theory.bounds.randnla.matrix_product import bernstein_error, drawn_gram, optimal_variance
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import ExactExpectation, InExpectation, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from theory.statistics.moments import sampled_spread
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.column_sampling import ColumnSampling
from tnattn.attention.sampling.value_sampling import ValueSampling


def _squared_rows(problem: AttentionProblem) -> Values:
    return np.asarray(np.sum(exact_output(problem) ** 2, axis=-1))


output_rows_squared = Error(
    "squared Euclidean norm of every row of the output",
    lambda t, r: errors.output_rows(t, r) ** 2,
    _squared_rows,
    lambda t: errors.value_size(t)[..., None] ** 2,
    squared=True,
)


def _flat_rows(rng: np.random.Generator) -> Instance:
    """All weights are equal, so that drawing by the norms of the values is optimal."""
    v = rng.standard_normal((1, 12, 3))
    return ValueSampling(8, uniform=0.0, normalise=False), AttentionProblem(
        np.zeros((1, 6, 2)), rng.standard_normal((1, 12, 2)), v
    )


def _values_of_one_length(rng: np.random.Generator) -> Instance:
    """Equal weights, and values 1 and -1: the stable ranks are as small as they can be."""
    v = np.where(np.arange(16) % 4, 1.0, -1.0)[None, :, None]
    return ValueSampling(2000, uniform=0.0, normalise=False), AttentionProblem(
        np.zeros((1, 4, 1)), rng.standard_normal((1, 16, 1)), v
    )


def _random(rng: np.random.Generator) -> Instance:
    return ValueSampling(8, normalise=False), random_problem(rng, heads=2, groups=2, size=0.7)


def _optimal(rng: np.random.Generator) -> Instance:
    return ColumnSampling(8), random_problem(rng, heads=2, groups=2, size=0.7)


def _probabilities(method: ValueSampling | ColumnSampling, problem: AttentionProblem) -> Values:
    """Return the probability of every key for every query head, (..., H, n_k)."""
    require(not method.normalise, "the exact row sums are used (normalise=False)")
    require(problem.softcap is None, "scores are inner products")
    require(problem.empty_rows == 0, "every query sees a key")
    drawn = method.probabilities(problem if isinstance(method, ColumnSampling) else problem.values)
    probability = per_head(problem, drawn, 1)
    norms = np.linalg.norm(head_values(problem), axis=-1)
    require(bool(np.all((probability > 0) | (norms == 0))), "keys with non-zero values have positive probability")
    return probability


def _products(method: ValueSampling | ColumnSampling, problem: AttentionProblem) -> Values:
    """Return the relative variance of ||O' - O||_F^2, (..., H), from the inner products of the P_:j v_j^T / pi_j."""
    probability, p, v = _probabilities(method, problem), exact_weights(problem), head_values(problem)
    gram = (np.swapaxes(p, -1, -2) @ p) * (v @ np.swapaxes(v, -1, -2))
    return sampled_spread(drawn_gram(gram, probability), probability, method.samples)


def _row_products(method: ValueSampling | ColumnSampling, problem: AttentionProblem) -> Values:
    """Return the relative variance of ||o'_i - o_i||^2, (..., H, n_q), from the p_ij v_j / pi_j."""
    probability, p, v = _probabilities(method, problem)[..., None, :], exact_weights(problem), head_values(problem)
    gram = p[..., :, None] * p[..., None, :] * (v @ np.swapaxes(v, -1, -2))[..., None, :, :]
    return sampled_spread(drawn_gram(gram, probability), probability, method.samples)


def row_variances(problem: AttentionProblem, probability: Values) -> Values:
    """Return sum_j pi_j ||p_ij v_j / pi_j - o_i||^2, (..., H, n_q), for probabilities pi (..., H, n_k).

    It is sum_j p_ij^2 ||v_j||^2 / pi_j - ||o_i||^2 without the cancellation of values that are nearly equal.
    """
    weights, v = exact_weights(problem), head_values(problem)
    share = weights / np.where(probability > 0, probability, 1.0)[..., None, :]
    drawn = share[..., None] * v[..., None, :, :] - (weights @ v)[..., :, None, :]  # (..., H, n_q, n_k, d_v)
    return np.asarray(np.sum(probability[..., None, :] * np.sum(drawn**2, axis=-1), axis=-1))


drineas = Paper(
    "Drineas, Kannan and Mahoney 2006",
    method=(ValueSampling, ColumnSampling),
    instances=(_flat_rows, _random),
    statement="Lemmas 3 and 4",
)


@drineas(error=output_rows_squared, guarantee=ExactExpectation(spread=_row_products))
def value_sampling_mse(method: ValueSampling | ColumnSampling, problem: AttentionProblem) -> Values:
    """E ||o'_i - o_i||^2 = (sum_j p_ij^2 ||v_j||^2 / pi_j - ||o_i||^2) / m for m keys drawn from pi.

    Letters: m the number of keys drawn.
    Hypotheses: the exact row sums are used (normalise=False); scores are inner products; every query sees a key; keys
    with non-zero values have positive probability.
    """
    return row_variances(problem, _probabilities(method, problem)) / method.samples


@drineas(error=errors.output_frobenius_squared, guarantee=ExactExpectation(spread=_products))
def amm_variance(method: ValueSampling | ColumnSampling, problem: AttentionProblem) -> Values:
    """E ||O' - O||_F^2 = (sum_j ||P_:j||^2 ||v_j||^2 / pi_j - ||O||_F^2) / c for c keys drawn from pi.

    Letters: c the number of keys drawn.
    Hypotheses: the exact row sums are used (normalise=False); scores are inner products; every query sees a key; keys
    with non-zero values have positive probability.
    """
    return np.asarray(row_variances(problem, _probabilities(method, problem)).sum(axis=-1) / method.samples)


drineas_optimal = replace(drineas, instances=(_optimal, _random), guarantee=InExpectation(spread=_products))


@drineas_optimal(error=errors.output_frobenius_squared, side="lower")
def amm_optimal(method: ValueSampling | ColumnSampling, problem: AttentionProblem) -> Values:
    """E ||O' - O||_F^2 >= ((sum_j ||P_:j|| ||v_j||)^2 - ||O||_F^2) / c whatever the probabilities are.

    Letters: c the number of keys drawn.
    Hypotheses: the exact row sums are used (normalise=False); scores are inner products; every query sees a key; keys
    with non-zero values have positive probability.
    """
    _probabilities(method, problem)
    # Cauchy and Schwarz: no probabilities make the sum of quotients smaller
    product = np.linalg.norm(exact_weights(problem), axis=-2) * np.linalg.norm(head_values(problem), axis=-1)
    return optimal_variance(product, _squared_rows(problem).sum(axis=-1), method.samples)


tropp = Paper(
    "Tropp 2015", method=(ValueSampling, ColumnSampling), instances=(_values_of_one_length, _random), must_fail=0.01
)


@tropp("Corollary 6.2.1; constants re-derived", error=errors.output_spectral, guarantee=WithProbability())
def attention_amm_spectral(
    method: ValueSampling | ColumnSampling, problem: AttentionProblem, *, delta: float = 0.1
) -> tuple[Values, Values]:
    """P{||O' - O|| >= eps ||P|| ||V||} <= (n_q + d_v) exp(-b c eps^2 / (4 asr (1 + eps / 3))).

    c keys are drawn; asr is the mean of the stable ranks of P and V; b is the share of the ideal probabilities,
    proportional to ||P_:j||^2 / ||P||^2 + ||v_j||^2 / ||V||^2, that every key has at least. ``delta`` is the failure
    probability, for which the inequality is solved for eps.

    Letters: eps the relative error; n_q the number of queries; d_v the width of the values; c the number of keys drawn.
    Hypotheses: 0 < delta < 1; the exact row sums are used (normalise=False); scores are inner products; every query
    sees a key; keys with non-zero values have positive probability; V is not zero; every key that matters has positive
    probability.
    """
    require(0 < delta < 1, "0 < delta < 1")
    probability = _probabilities(method, problem)
    require(bool(np.all(values_spectral(problem) > 0)), "V is not zero")
    p_norm, v_norm = np.linalg.norm(exact_weights(problem), ord=2, axis=(-2, -1)), values_spectral(problem)
    require(bool(np.all(v_norm > 0)), "V is not zero")
    # squared column norms of P and row norms of V in units of ||P||^2 and ||V||^2, the optimal probabilities
    columns = np.sum(exact_weights(problem) ** 2, axis=-2) / p_norm[..., None] ** 2
    rows = np.sum(head_values(problem) ** 2, axis=-1) / v_norm[..., None] ** 2
    asr = (columns + rows).sum(axis=-1) / 2
    ideal = (columns + rows) / (2 * asr[..., None])
    # keys of no weight and no value do not count
    b = np.where(ideal > 0, probability / np.where(ideal > 0, ideal, 1.0), np.inf).min(axis=-1)
    require(bool(np.all(b > 0)), "every key that matters has positive probability")
    epsilon = bernstein_error(asr, problem.n_q + problem.value_width, method.samples, delta, share=b)
    return epsilon * p_norm * v_norm, np.full_like(epsilon, delta)
