"""Embeddings and column subsets drawn by leverage scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.hypotheses import has_rank, require_full_column_rank
from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_singular_values
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error, spectrum_of, tail
from theory.statement.guarantee import WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.columns.leverage_columns import LeverageColumns
from tnattn.randnla.scores.leverage import LeverageSampling


def _distortion(target: Any, result: Any) -> Values:
    u = np.linalg.svd(errors.dense(target), full_matrices=False)[0]
    sampled = errors.dense(result) @ u
    gram = np.swapaxes(sampled, -1, -2) @ sampled
    return np.asarray(np.linalg.norm(gram - np.eye(u.shape[-1]), ord=2, axis=(-2, -1)))


def _one(target: Any) -> Values:
    return np.ones(target.shape[:-2])


embedding_distortion = Error(
    "largest distance from 1 of a squared singular value of the sampled orthonormal basis", _distortion, _one, _one
)


def _tall(rng: np.random.Generator) -> Instance:
    return LeverageSampling(size=60), rng.standard_normal((64, 3))


def _spiky(rng: np.random.Generator) -> Instance:
    a = rng.standard_normal((64, 3))
    a[0] *= 100.0
    return LeverageSampling(size=60), a


def _flat_tail(rng: np.random.Generator) -> Instance:
    return LeverageColumns(size=30, subspace=2), with_singular_values(rng, gap_spectrum(2, 64), 64, 64)


def _one_direction(rng: np.random.Generator) -> Instance:
    return LeverageColumns(size=16, subspace=1), with_singular_values(rng, gap_spectrum(1, 64), 64, 64)


def _slow(rng: np.random.Generator) -> Instance:
    return LeverageColumns(size=24, subspace=2), with_singular_values(rng, slow_spectrum(40), 48, 40)


def chernoff_lower(epsilon: float, k: int, draws: float) -> float:
    """Return the bound on the chance that the smallest eigenvalue is at most 1 - epsilon."""
    return float(k * (np.exp(-epsilon) / (1 - epsilon) ** (1 - epsilon)) ** (draws / k))


def chernoff_upper(epsilon: float, k: int, draws: float) -> float:
    """Return the bound on the chance that the largest eigenvalue is at least 1 + epsilon."""
    return float(k * (np.exp(epsilon) / (1 + epsilon) ** (1 + epsilon)) ** (draws / k))


tropp = Paper("Tropp 2015", method=LeverageSampling, instances=(_tall, _spiky))


@tropp("Theorem 5.1.1", error=embedding_distortion, guarantee=WithProbability())
def leverage_embedding_chernoff(method: LeverageSampling, a: Any, *, epsilon: float = 0.7) -> tuple[Values, Values]:
    """||U^T S^T S U - I|| < e, except with probability k c(-e)^(s/k) + k c(e)^(s/k), c(e) = exp(e) / (1+e)^(1+e).

    U is an orthonormal basis of the range of A, of dimension k; s rows are drawn.

    Letters: S the sampling or sketching matrix; e the distortion, a parameter; c the function stated; s the number
    drawn; k the number of columns of A.
    Hypotheses: 0 < e < 1; A is tall; A has full column rank, beyond rounding.
    """
    require(0 < epsilon < 1, "0 < e < 1")
    s, k = require_full_column_rank(a)
    chance = chernoff_lower(epsilon, k, method.size) + chernoff_upper(epsilon, k, method.size)
    return np.full(s.shape[:-1], epsilon), np.full(s.shape[:-1], chance)


drineas = Paper(
    "Drineas, Mahoney & Muthukrishnan 2008",
    method=LeverageColumns,
    instances=(_one_direction, _slow),
    guarantee=WithProbability(),
)


@drineas("re-derived with explicit constants", error=errors.projection_frobenius_squared, sharpest={"delta": 0.8})
def leverage_css_fro(
    method: LeverageColumns, a: Any, *, epsilon: float = 0.5, delta: float = 0.5
) -> tuple[Values, Values]:
    """||A - C C^+ A||_F^2 <= (1 + k/((1-e)^2 s d)) sum_{j>k} s_j^2, except with probability d + k c(-e)^(s/k).

    c(e) = exp(e) / (1+e)^(1+e); s columns C are drawn by the leverage scores of the leading k right singular vectors.

    Letters: k the number of leading right singular vectors; C the columns drawn; e the distortion, a parameter; s the
    number drawn; d the parameter delta.
    Hypotheses: 0 < e, d < 1; rank A >= k, beyond rounding.
    """
    require(0 < epsilon < 1 and 0 < delta < 1, "0 < e, d < 1")
    k, draws, s = method.subspace, method.size, spectrum_of(a)
    require(has_rank(a, k, s), "rank A >= k, beyond rounding")
    # the part of A beyond rank k, seen through the sampled leading space: Markov for its norm, Chernoff for the space
    value = (1 + k / ((1 - epsilon) ** 2 * draws * delta)) * tail(s, k) ** 2
    return np.asarray(value), np.full(s.shape[:-1], delta + chernoff_lower(epsilon, k, draws))
