"""Upper and lower bounds on the error of weights of low rank."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import ive

from theory.bounds.attention.perturbed import PerturbedScores, random_problem
from theory.bounds.attention.rows import exact_scores, exact_singular_values, exact_weights, per_head
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error, dense, tail
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.attention.approximation import Approximation
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.baseline.mean_value import MeanValue
from tnattn.attention.masks import FullMask
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.wrappers.low_rank_weights import LowRankWeights
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
from tnattn.structured import LowRankMatrix

approximate_weights_spectral = Error(
    "spectral norm of the approximate weights",
    lambda t, r: np.linalg.norm(per_head(t, dense(r.weights), 2), ord=2, axis=(-2, -1)),
    lambda t: np.asarray(math.sqrt(t.n_q)),
    lambda t: np.asarray(math.sqrt(t.n_q)),
)


def _best(rank: int) -> LowRankWeights:
    return LowRankWeights(TruncatedSVD(rank), renormalise=False)


def _random_best(rng: np.random.Generator) -> Instance:
    return _best(3), random_problem(rng, size=2.0)


def _permutation(rng: np.random.Generator) -> Instance:
    """Every query attends to a key of its own with score 12; all others have score 0."""
    del rng
    identity = np.eye(16)[None]
    return _best(4), AttentionProblem(12 * identity, identity, identity, scale=1.0)


def _small_scores(rng: np.random.Generator) -> Instance:
    """Two groups of keys whose scores differ a little, and queries on one side each."""
    del rng
    side = np.where(np.arange(12) % 2, 1.0, -1.0)[None, :, None]
    return _best(1), AttentionProblem(0.05 * side, side, np.ones((1, 12, 1)), scale=1.0)


def _one_popular_key(rng: np.random.Generator) -> Instance:
    """All queries attend to the same key: the norm is the root of the number of queries."""
    del rng
    k = np.concatenate([[30.0], np.zeros(7)])[None, :, None]
    return _best(2), AttentionProblem(np.ones((1, 10, 1)), k, np.ones((1, 8, 1)), scale=1.0)


def rank_bound(result: Approximation) -> int:
    """Return a number that the rank of the weights of an approximation cannot exceed."""
    require(result.expand is not None, "the result has weights over the keys")
    return min(_rank(result.kernel), _rank(result.expand))


def _rank(matrix: Any) -> int:
    sizes = min(int(n) for n in matrix.shape[-2:])
    return min(sizes, matrix.rank) if isinstance(matrix, LowRankMatrix) else sizes


eckart = Paper("Eckart & Young 1936; Mirsky 1960", method=AttentionMethod, instances=(_random_best, _random_best))


@eckart("Theorem 2, for the weights", error=errors.weights_frobenius, side="lower")
def weights_rank_floor(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """||P' - P||_F >= (sum_(j > r) s_j(P)^2)^(1/2) for weights P' of rank r.

    Letters: r the rank.
    Hypotheses: the result has weights over the keys; the weights have a rank below min(n_q, n_k).
    """
    rank = rank_bound(result)
    require(rank < min(problem.n_q, problem.n_k), "the weights have a rank below min(n_q, n_k)")
    return tail(exact_singular_values(problem), rank)


own = Paper(
    "re-derived",
    method=AttentionMethod,
    instances=(_permutation, lambda rng: (_best(3), random_problem(rng, size=6.0))),
)


@own("by the inequalities of Weyl and Mirsky", error=errors.weights_frobenius, side="lower")
def low_temperature_floor(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """||P' - P||_F >= tau_r(Pi) - sqrt(2) ||delta||_2 for weights P' of rank r.

    Pi has a one at the largest weight of every row, 1 - delta_i; its squared singular values are its column counts.

    Letters: r the rank; delta the mass beside the largest weight of every row; Pi the matrix with a one at the largest
    weight of every row and zeros elsewhere.
    Hypotheses: the result has weights over the keys; the weights have a rank below min(n_q, n_k).
    """
    rank = rank_bound(result)
    require(rank < min(problem.n_q, problem.n_k), "the weights have a rank below min(n_q, n_k)")
    weights = exact_weights(problem)
    first = np.argmax(weights, axis=-1)[..., None]
    # columns of Pi are orthogonal, so that its squared singular values are the counts of ones
    counts = -np.sort(-np.sum(first == np.arange(problem.n_k), axis=-2), axis=-1)
    others = np.where(first == np.arange(problem.n_k), 0.0, weights).sum(axis=-1)
    # ||P - Pi||_F <= sqrt(2) ||delta||_2: the row loses delta_i at its maximum and spreads it over the others
    least = np.sqrt(counts[..., rank:].sum(axis=-1)) - math.sqrt(2) * np.linalg.norm(others, axis=-1)
    return np.asarray(np.maximum(least, 0.0))


own_small_scores = replace(
    own,
    method=(LowRankWeights, MeanValue),
    instances=(_small_scores, lambda rng: (MeanValue(), random_problem(rng, size=0.3))),
)


@own_small_scores("by the inequalities of Weyl and Mirsky", error=errors.weights_frobenius)
def high_temperature_rank(method: LowRankWeights | MeanValue, problem: AttentionProblem) -> Values:
    """||P_r - P||_F <= sqrt(n / m) (e^rho - 1) for the best P_r of rank r >= 1 to n-by-m weights P.

    rho is the largest range of the scores of a row. The matrix of entries 1 / m obeys the same bound.

    Letters: P_r the best weights of rank r; r the rank; n the number of queries; m the number of keys; e the base of
    natural logarithms.
    Hypotheses: the best approximation of its rank; the weights are not renormalised; every query sees every key.
    """
    if isinstance(method, LowRankWeights):
        _require_best(method)
    scores = exact_scores(problem)
    require(bool(np.all(np.isfinite(scores))), "every query sees every key")
    rho = (scores.max(axis=-1) - scores.min(axis=-1)).max(axis=-1)
    # entries of a row lie between e^-rho / m and e^rho / m, and the constant 1 / m has rank one
    return np.asarray(math.sqrt(problem.n_q / problem.n_k) * np.expm1(rho))


own_polynomial = replace(
    own,
    method=LowRankWeights,
    instances=(_small_scores, lambda rng: (_best(6), random_problem(rng, size=0.3, width=2))),
)


@own_polynomial("after an idea of Alman & Song 2023", error=errors.weights_frobenius)
def softmax_poly_rank(method: LowRankWeights, problem: AttentionProblem) -> Values:
    """||P_r - P||_F <= eps ||P||_F for r >= binomial(d + p, p) and scores in [-B, B].

    eps = min(e^B B^(p+1) / (p+1)!, 2 e^B sum_(j > p) I_j(B)), p the largest degree that the rank affords.

    Letters: P_r the best weights of rank r; r the rank; d the width; B the largest absolute score.
    Hypotheses: the best approximation of its rank; the weights are not renormalised; scores are inner products; every
    query sees every key.
    """
    _require_best(method)
    require(problem.softcap is None, "scores are inner products")
    require(all(isinstance(part, FullMask) for part in problem.mask.conjuncts), "every query sees every key")
    d, p = problem.width, 0
    # monomials of degree at most p in d variables span the truncated kernel
    while math.comb(d + p + 1, p + 1) <= method.method.budget:
        p += 1
    b = np.abs(exact_scores(problem)).max(axis=(-2, -1))
    # relative error of the Taylor polynomial on [-B, B], e^B from the smallest value e^-B of exp
    taylor = np.exp(b) * b ** (p + 1) / math.factorial(p + 1)
    # I_j(B) = e^B times its scaled form, and the terms decay faster than geometrically once j exceeds B
    orders = np.arange(p + 1, p + 60 + 2 * math.ceil(float(b.max())))
    chebyshev = 2 * np.exp(2 * b) * ive(orders, b[..., None]).sum(axis=-1)
    return np.asarray(np.minimum(taylor, chebyshev) * np.linalg.norm(exact_weights(problem), axis=(-2, -1)))


schur = replace(
    own,
    method=(Exact, PerturbedScores),
    instances=(
        lambda rng: (PerturbedScores(np.zeros(())), _one_popular_key(rng)[1]),
        lambda rng: (PerturbedScores(np.zeros(())), random_problem(rng)),
    ),
)


@schur("by the test of Schur", error=approximate_weights_spectral)
def attention_spectral_norm(
    method: Exact | PerturbedScores, problem: AttentionProblem, result: Approximation
) -> Values:
    """||P'|| <= sqrt(max_j sum_i p'_ij) for weights P', which are not negative and have row sums one.

    Hypotheses: every query sees a key.
    """
    require(problem.empty_rows == 0, "every query sees a key")
    weights = per_head(problem, dense(result.weights), 2)
    return np.asarray(np.sqrt(weights.sum(axis=-2).max(axis=-1)))


def _require_best(method: LowRankWeights) -> None:
    require(isinstance(method.method, TruncatedSVD), "the best approximation of its rank")
    require(not method.renormalise, "the weights are not renormalised")
