"""Attention with keys and values of low rank."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import head_values, per_head, values_spectral
from theory.statement import errors
from theory.statement.bound import HypothesisViolated, Instance
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.summary import KeySet
from tnattn.attention.tensor.factored_key_value import FactoredKeyValue


def _one_lossy_value(rng: np.random.Generator) -> Instance:
    """All queries look at the last token, which alone has the value that rank one cannot hold; keys are exact."""
    tokens = np.arange(6.0)
    strong = 10 * np.array([1.0, -1.0, 1.0, -1.0, 0.0, 0.0])
    values = np.stack([strong, tokens == 5], axis=-1)
    return FactoredKeyValue(rank=1), AttentionProblem(np.full((1, 3, 1), 20.0), tokens[None, :, None], values[None])


def _random(rng: np.random.Generator) -> Instance:
    return FactoredKeyValue(rank=14), random_problem(rng, heads=4, groups=2, n_q=12, n_k=16, width=8, size=0.5)


def _changes(method: FactoredKeyValue, problem: AttentionProblem) -> tuple[Values, Values]:
    """Return the errors of the scores (..., H, n_q, n_k) and of the values that every query head sees."""
    try:
        cache = method.summarise(KeySet.of(problem))
    except TypeError as randomized:
        raise HypothesisViolated("the decomposition draws nothing, so that keys and values are known") from randomized
    keys, values = (errors.dense(part.to_dense())[..., None, :, :] for part in (cache.keys, cache.values))
    k, v, q = (errors.dense(part) for part in (problem.keys, problem.values, problem.queries))
    # a difference of keys, not of scores: scores may be large and alike
    scores = problem.score_scale * q @ np.swapaxes(keys - k, -1, -2)
    return per_head(problem, scores, 2), per_head(problem, values - v, 2)


own = Paper(
    "re-derived",
    method=FactoredKeyValue,
    instances=(_one_lossy_value, _random),
    statement="from the softmax of perturbed scores",
)


@own(error=errors.output_rows)
def kv_lowrank_rows(method: FactoredKeyValue, problem: AttentionProblem) -> Values:
    """||o'_i - o_i|| <= tanh(rho_i/4) diam(V) + max_j ||v_j - v'_j||, rho_i the range of the score errors of row i.

    For rho = 0.4, diam(V) = 2 and value errors up to 0.1: 0.2993360. A constant added to a row of scores cancels.

    Hypotheses: the decomposition draws nothing, so that keys and values are known.
    """
    scores, values = _changes(method, problem)
    largest = np.linalg.norm(values, axis=-1).max(axis=-1)[..., None]
    return rows_bound(np.ptp(scores, axis=-1), _diameter(problem), largest)


def rows_bound(spread: Any, diameter: Any, largest: Any) -> Values:
    """Return tanh(rho / 4) diam(V) + the largest error of a value."""
    return np.asarray(np.tanh(np.asarray(spread) / 4) * diameter + largest)


@own(error=errors.output_frobenius)
def kv_lowrank_output(method: FactoredKeyValue, problem: AttentionProblem) -> Values:
    """||O' - O||_F <= ||E||_F ||V|| / 2 + ||P'|| ||V - V'||_F, E the errors of the scores, P' the weights used.

    For ||E||_F = 0.2, ||V|| = 3, ||P'|| = 1 and ||V - V'||_F = 0.1: 0.4.

    Hypotheses: the decomposition draws nothing, so that keys and values are known.
    """
    scores, values = _changes(method, problem)
    perturbed = errors.dense(problem.dense_scores()) + scores
    # a shift of a row cancels in its softmax
    weights = np.exp(perturbed - perturbed.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    spectral = np.linalg.norm(weights, ord=2, axis=(-2, -1))
    lost = np.linalg.norm(values, axis=(-2, -1))
    return frobenius_bound(np.linalg.norm(scores, axis=(-2, -1)), values_spectral(problem), spectral, lost)


def frobenius_bound(scores: Any, values: Any, weights: Any, lost: Any) -> Values:
    """Return ||E||_F ||V|| / 2 + ||P'|| ||V - V'||_F."""
    return np.asarray(np.asarray(scores) * values / 2 + np.asarray(weights) * lost)


def _diameter(problem: AttentionProblem) -> Values:
    """Return the largest distance of two values that a head sees, (..., H, 1)."""
    v = head_values(problem)
    # differences are formed: squares of lengths would cancel for values with an offset
    gaps = np.linalg.norm(v[..., :, None, :] - v[..., None, :, :], axis=-1)
    return np.asarray(gaps.max(axis=(-2, -1))[..., None])
