"""Errors of the Nyström approximation at the level of a ridge, and of columns drawn by ridge leverage scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.hypotheses import require_every_step, require_semidefinite
from theory.bounds.randnla.instances import slow_spectrum, with_eigenvalues
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error, dense, eigenvalues
from theory.statement.guarantee import Deterministic, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.columns.ridge_leverage_draws import RidgeLeverageDraws
from tnattn.randnla.semidefinite.column_nystrom import ColumnNystrom, ColumnNystromResult
from tnattn.randnla.semidefinite.recursive_nystrom import RecursiveNystrom, RidgeNystrom

# a small part of the diagonal: the leading eigenvalues of the instances lie above it
RIDGE = 0.05  # of the structural statements, relative to the mean of the diagonal
COLUMN_METHODS = (ColumnNystrom, RecursiveNystrom)


def level(a: Any, ridge: float) -> Values:
    """Return ridges in units of kernels, given relative to the mean of the diagonal."""
    return np.asarray(ridge * np.trace(dense(a), axis1=-2, axis2=-1) / a.shape[-1])


def effective_dimension(values: Values, ridge: Values) -> Values:
    """Return the sums of l / (l + ridge) over eigenvalues l (..., n)."""
    return np.asarray(np.sum(values / (values + ridge[..., None]), axis=-1))


# any columns


def relative_gap(kernel: Values, indices: Values, ridge: Values, weight: float) -> Values:
    """Return t = l_max((C + ridge)^(-1/2) (C - M) (C + ridge)^(-1/2)) with K = B B^T, C = B^T B, M = B^T S S^T B.

    S holds columns of the identity times the root of ``weight``.
    """
    values, vectors = np.linalg.eigh(kernel)
    values = np.maximum(values, 0.0)
    root = vectors * np.sqrt(values)[..., None, :]  # B; then C = diag(values)
    # results are padded with index -1 where fewer columns are taken
    rows = np.take_along_axis(root, np.maximum(indices, 0)[..., None], axis=-2) * (indices >= 0)[..., None]
    scaled = rows / np.sqrt(values + ridge[..., None])[..., None, :]
    scaled_gram = np.eye(kernel.shape[-1]) * (values / (values + ridge[..., None]))[..., None, :]
    return np.asarray(np.linalg.eigvalsh(scaled_gram - weight * np.swapaxes(scaled, -1, -2) @ scaled)[..., -1])


def _gap(a: Any, result: ColumnNystromResult, ridge: float, weight: float) -> tuple[Values, Values]:
    """Return the ridge and ridge / (1 - t)."""
    require(ridge > 0 and weight > 0, "the ridge and the weights are positive")
    require_semidefinite(a)
    absolute = level(a, ridge)
    require(bool(np.all(absolute > 0)), "K is not zero")
    t = relative_gap(dense(a), np.asarray(dense(result.indices), dtype=np.int64), absolute, weight)
    require(bool(np.all(t < 1)), "t < 1")
    return absolute, absolute / (1 - t)


def _slow(rng: np.random.Generator) -> Instance:
    return ColumnNystrom(10), with_eigenvalues(rng, slow_spectrum(40))


def _recursive(rng: np.random.Generator) -> Instance:
    return RecursiveNystrom(10), with_eigenvalues(rng, slow_spectrum(40) ** 2)


def _flat(rng: np.random.Generator) -> Instance:
    return ColumnNystrom(10), np.eye(40)


bach = Paper(
    "Bach 2013; Alaoui & Mahoney 2015",
    method=COLUMN_METHODS,
    instances=(_slow, _recursive),
    guarantee=Deterministic(condition=1e4),
    statement="re-derived",
)


@bach(error=errors.projection_spectral)
def rls_structural(method: Any, a: Any, result: Any, *, ridge: float = RIDGE, weight: float = 1e3) -> Values:
    """||K - K'|| <= r/(1-t) with t = l_max((C+r)^(-1/2) (C - B^T S S^T B) (C+r)^(-1/2)), K = B B^T, C = B^T B.

    Holds for every r > 0 and all weights of the columns S; r is relative to the mean of the diagonal.

    Letters: t the relative gap; C the Gram matrix of a root of K; B a root of K; r the ridge, a parameter; S the chosen
    columns of the identity times the root of the parameter weight.
    Hypotheses: the ridge and the weights are positive; K is square; K is symmetric; K is positive semidefinite; K is
    not zero; t < 1.
    """
    return _gap(a, result, ridge, weight)[1]


@bach(error=errors.projection_nuclear, instances=(_flat, _recursive))
def rls_structural_nuclear(method: Any, a: Any, result: Any, *, ridge: float = RIDGE, weight: float = 1e3) -> Values:
    """||K - K'||_* <= r/(1-t) tr K (K + r)^-1; see ``rls_structural``.

    Letters: r the ridge, relative to the mean of the diagonal of K; t the relative gap; weight the parameter of
    ``rls_structural``.
    Hypotheses: the ridge and the weights are positive; K is square; K is symmetric; K is positive semidefinite; K is
    not zero; t < 1.
    """
    absolute, factor = _gap(a, result, ridge, weight)
    return factor * effective_dimension(eigenvalues(a), absolute)


def _loewner(target: Any, result: Any) -> Values:
    """Return the smallest c with K - K' <= c K (K + r)^-1 in the Loewner order, for definite K."""
    values, vectors = np.linalg.eigh(dense(target))
    ridge = level(target, RIDGE)
    spread = vectors * np.sqrt((values + ridge[..., None]) / values)[..., None, :]
    difference = dense(target) - dense(result)
    return np.asarray(np.linalg.eigvalsh(np.swapaxes(spread, -1, -2) @ difference @ spread)[..., -1])


def _largest(target: Any) -> Values:
    return np.asarray(eigenvalues(target)[..., 0] + level(target, RIDGE))


loewner_factor = Error("smallest c with K - K' <= c K (K + r)^-1 in the Loewner order", _loewner, _largest, _largest)


@bach(error=loewner_factor)
def rls_structural_loewner(method: Any, a: Any, result: Any, *, weight: float = 1e3) -> Values:
    """0 <= K - K' <= r/(1-t) K (K + r)^-1 in the Loewner order, for definite K; see ``rls_structural``.

    Letters: r the ridge, relative to the mean of the diagonal of K; t the relative gap; weight the parameter of
    ``rls_structural``.
    Hypotheses: K is definite; K - K' >= 0 beyond rounding; the ridge and the weights are positive; K is square; K is
    symmetric; K is positive semidefinite; K is not zero; t < 1.
    """
    values = eigenvalues(a)
    # half of the digits: the factor divides by the root of the smallest eigenvalue
    require(bool(np.all(values[..., -1] > 1e-8 * values[..., 0])), "K is definite")
    difference = dense(a) - dense(result)
    smallest = np.linalg.eigvalsh((difference + np.swapaxes(difference, -1, -2)) / 2)[..., 0]
    require(bool(np.all(smallest >= -1e-10 * values[..., 0])), "K - K' >= 0 beyond rounding")
    return _gap(a, result, RIDGE, weight)[1]


# columns by ridge leverage


def _rare_columns(rng: np.random.Generator) -> Instance:
    """A flat block and a few weak columns of their own, which are often missed."""
    kernel = np.zeros((64, 64))
    kernel[:60, :60] = 1.0
    kernel[range(60, 64), range(60, 64)] = 0.1
    return ColumnNystrom(24, RidgeLeverageDraws(64 / 60.4)), kernel


def _two_levels(rng: np.random.Generator) -> Instance:
    return ColumnNystrom(40, RidgeLeverageDraws(2.0)), with_eigenvalues(rng, [20.0, 10.0, *([0.05] * 46)])


def bernstein_failure(dimension: Values, ridge_share: Values, draws: int, t: Values) -> Values:
    """Return 4 d (1 + ridge / l_1) exp(-s t^2/2 / (d + t/3))."""
    # matrix Bernstein with intrinsic dimension, each sample of norm at most d
    exponent = -draws * t**2 / 2 / (dimension + t / 3)
    return np.asarray(4 * dimension * (1 + ridge_share) * np.exp(exponent))


tropp = Paper(
    "Tropp 2015",
    method=ColumnNystrom,
    instances=(_rare_columns, _two_levels),
    must_fail=0.018,
    guarantee=WithProbability(),
)


# must fail at less: the guarantee is at the level of the ridge, the error below it
@tropp("Theorem 7.7.1, re-derived for ridge leverage", error=errors.projection_spectral)
def rls_bernstein(method: ColumnNystrom, a: Any, *, t: float = 0.8) -> tuple[Values, Values]:
    """||K - K'|| <= r/(1-t), except with probability 4 d (1 + r/l_1) exp(-s t^2/2 / (d + t/3)), d = tr K (K + r)^-1.

    s columns are drawn by their ridge leverage scores at r; sqrt(d/s) + 1/(3s) <= t < 1.

    Letters: r the ridge, relative to the mean of the diagonal of K; t the relative gap; d the effective dimension tr K
    (K + r)^-1; s the number of columns drawn.
    Hypotheses: columns are drawn by ridge leverage scores; no tolerance ends the method before its rank; K is square; K
    is symmetric; K is positive semidefinite; K is not zero; sqrt(d/s) + 1/(3s) <= t < 1.
    """
    rule = method.selection
    require(isinstance(rule, RidgeLeverageDraws), "columns are drawn by ridge leverage scores")
    assert isinstance(rule, RidgeLeverageDraws)
    require_every_step(method)
    require_semidefinite(a)
    values, ridge, s = eigenvalues(a), level(a, rule.ridge), method.rank
    require(bool(np.all(ridge > 0)), "K is not zero")
    dimension = effective_dimension(values, ridge)
    require(t < 1 and bool(np.all(t >= np.sqrt(dimension / s) + 1 / (3 * s))), "sqrt(d/s) + 1/(3s) <= t < 1")
    return ridge / (1 - t), bernstein_failure(dimension, ridge / values[..., 0], s, np.asarray(t))


def _one_block(rng: np.random.Generator) -> Instance:
    return RidgeNystrom(ridge=16.0), np.ones((64, 64)) + 0.01 * np.eye(64)


def _two_blocks(rng: np.random.Generator) -> Instance:
    return RidgeNystrom(ridge=8.0), np.kron(np.eye(2), np.ones((32, 32))) + 0.01 * np.eye(64)


musco = Paper("Musco & Musco 2017", method=RidgeNystrom, instances=(_one_block, _two_blocks), statement="Theorem 3")


# must fail at less: one column of a block is enough; the error is the rest, the bound the ridge
@musco(error=errors.projection_spectral, guarantee=WithProbability(), must_fail=1e-4)
def rls_musco_musco(method: RidgeNystrom, a: Any) -> tuple[Values, Values]:
    """||K - K'|| <= r, except with probability d, for columns taken with probability min(1, 16 l_i log(sum l / d)).

    Letters: r the ridge, relative to the mean of the diagonal of K; d the failure probability; l the ridge leverage
    scores.
    Hypotheses: d < 1/8; K is square; K is symmetric; K is positive semidefinite; K is not zero; log(sum l / d) >= 1,
    below which more columns are taken.
    """
    return level(a, method.ridge), _failure(method, a)


def _count(target: Any, result: ColumnNystromResult) -> Values:
    return np.asarray(np.sum(dense(result.indices) >= 0, axis=-1), dtype=np.float64)


def _all_columns(target: Any) -> Values:
    return np.full(target.shape[:-2], float(target.shape[-1]))


columns_taken = Error("number of columns taken", _count, _all_columns, _all_columns, _all_columns)


@musco(error=columns_taken, guarantee=WithProbability())
def rls_musco_musco_columns(method: RidgeNystrom, a: Any) -> tuple[Values, Values]:
    """At most 2 sum_i p_i columns are taken, p_i = min(1, 16 l_i log(sum l / d)), except with probability d.

    By Chernoff's inequality for the columns with p_i < 1, whose p_i have the sum S: more than t = 2 sum_i p_i minus the
    number of the others are taken with probability e^(t - S) (S / t)^t at most, which has to be no more than d. Where
    no p_i is cut to one this is (e/4)^S, and sum l >= 1 with d < 1/8 suffices. Without it the statement is false: for
    the unit matrix of order 64, sum l = 0.03 and d = 0.01, one run in nine takes more.

    Letters: l the ridge leverage scores; d the failure probability; p the probabilities.
    Hypotheses: d < 1/8; K is square; K is symmetric; K is positive semidefinite; K is not zero; log(sum l / d) >= 1,
    below which more columns are taken; e^(t - S) (S / t)^t <= d.
    """
    failure = _failure(method, a)
    taken = method.probabilities(dense(a))
    log_chance = _chernoff(np.asarray(taken, dtype=np.float64))
    require(bool(np.all(log_chance <= np.log(method.failure))), "e^(t - S) (S / t)^t <= d")
    return 2 * np.sum(taken, axis=-1), failure


def _chernoff(p: Values) -> Values:
    """Return t - S + t log(S / t), (...), for probabilities p (..., n); minus infinity where all or none are one."""
    drawn = np.sum(np.where(p < 1, p, 0.0), axis=-1)
    # columns with p_i = 1 are always taken; only the others fluctuate
    t = 2 * np.sum(p, axis=-1) - np.sum(p >= 1, axis=-1)
    known = drawn > 0
    ratio = np.where(known, drawn, 1.0) / np.where(known, t, 1.0)
    return np.where(known, t - drawn + t * np.log(ratio), -np.inf)


def _failure(method: RidgeNystrom, a: Any) -> Values:
    require(method.failure < 1 / 8, "d < 1/8")
    require_semidefinite(a)
    ridge = level(a, method.ridge)
    require(bool(np.all(ridge > 0)), "K is not zero")
    dimension = effective_dimension(eigenvalues(a), ridge)
    require(bool(np.all(dimension >= np.e * method.failure)), "log(sum l / d) >= 1, below which more columns are taken")
    return np.full(a.shape[:-2], method.failure)
