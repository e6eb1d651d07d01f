"""The kernel as a block of a Gaussian one among queries and keys together, approximated at landmarks."""

from __future__ import annotations

import numpy as np

from theory.bounds.attention.lift import condition_of_root
from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import exact_scores, per_head
from theory.bounds.randnla.pivoted_cholesky import rpcholesky_phi
from theory.statement.bound import Instance, require
from theory.statement.errors import Error, dense
from theory.statement.guarantee import Deterministic, InExpectation
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from theory.statistics.intervals import deterministic_slack
from tnattn.arrays import eps
from tnattn.attention.approximation import Approximation
from tnattn.attention.dense_kernels import unshifted_kernel
from tnattn.attention.low_rank.lifted_nystrom import LiftedNystrom
from tnattn.attention.low_rank.lifting import LandmarkFactor
from tnattn.attention.problem import AttentionProblem
from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky


def _difference(problem: AttentionProblem, result: Approximation) -> Values:
    return np.asarray(np.abs(np.exp(exact_scores(problem)) - unshifted_kernel(problem, result)))


kernel_entries = Error(
    "absolute error of every entry of the kernel exp(scores)",
    _difference,
    lambda t: np.exp(exact_scores(t)),
    lambda t: np.exp(exact_scores(t)).max(axis=(-2, -1), keepdims=True),
)


def _outer(method: LiftedNystrom, problem: AttentionProblem) -> tuple[Values, Values]:
    """Return the outer factors of rows and columns, (..., H, n_q) and (..., H, n_k)."""
    _, _, rows, columns = method.points(problem)
    return np.exp(per_head(problem, dense(rows), 1)), np.exp(per_head(problem, dense(columns), 1))


def _same_tokens(rng: np.random.Generator) -> Instance:
    """Queries equal to keys: the error of an entry on the diagonal is that of the token itself."""
    x = 0.8 * rng.standard_normal((1, 12, 3))
    return LiftedNystrom(4), AttentionProblem(x, x, rng.standard_normal((1, 12, 2)))


def _random(rng: np.random.Generator) -> Instance:
    return LiftedNystrom(6), random_problem(rng)


def _residuals(
    method: LiftedNystrom, problem: AttentionProblem, result: Approximation
) -> tuple[Values, Values, Values]:
    """Return a_i b_j (..., H, n_q, n_k), E_ii (..., H, n_q, 1) and E_jj (..., H, 1, n_k), negative rounding cut."""
    require(result.expand is not None, "the kernel is a block of a lifted one")
    rows, columns = _outer(method, problem)
    # the result carries its columns in units of the largest outer factor
    top = columns.max(axis=-1, keepdims=True)
    # the Gaussian kernel has ones on its diagonal
    left = 1 - np.sum(per_head(problem, dense(result.kernel), 2) ** 2, axis=-1)
    lifted = per_head(problem, dense(result.expand), 2) / (columns / top)[..., None, :]
    right = 1 - np.sum(lifted**2, axis=-2)
    return (
        rows[..., :, None] * columns[..., None, :],
        np.maximum(left, 0.0)[..., :, None],
        np.maximum(right, 0.0)[..., None, :],
    )


def _condition(method: LiftedNystrom, problem: AttentionProblem, result: Approximation) -> Values:
    """Return the amplification of the rounding of E_ii and E_jj, in units of the largest entry of the kernel."""
    scale, left, right = _residuals(method, problem, result)
    rounding = deterministic_slack((problem.n_q, problem.n_k), eps(problem.q), np.ones(()))
    largest = np.exp(exact_scores(problem)).max(axis=(-2, -1), keepdims=True)
    return np.asarray(10 * (1 + scale / largest * condition_of_root(left, right, rounding)))


own = Paper("Chen et al. 2021", method=LiftedNystrom, instances=(_same_tokens, _random))


@own("their lifting, constants re-derived", error=kernel_entries, guarantee=Deterministic(condition=_condition))
def lifted_nystrom_entries(method: LiftedNystrom, problem: AttentionProblem, result: Approximation) -> Values:
    """|exp(S_ij) - K'_ij| <= a_i b_j sqrt(E_ii E_jj) with the outer factors a, b and the Gaussian residual E >= 0.

    E_ii is one minus the squared row norm of the factor at query i, E_jj that at key j.

    Letters: K' the approximate kernel; a the outer factors of queries; b the outer factors of keys.
    Hypotheses: scores are inner products; the kernel is a factor, without exact columns and not rescaled; the kernel
    is a block of a lifted one.
    """
    require(problem.softcap is None, "scores are inner products")
    factor = isinstance(result.kernel, LandmarkFactor) and not result.kernel.rescaled
    require(factor, "the kernel is a factor, without exact columns and not rescaled")
    scale, left, right = _residuals(method, problem, result)
    return np.asarray(scale * np.sqrt(left * right))


_METHOD = LiftedNystrom()
gaussian_block = Error(
    "nuclear norm of the error of the Gaussian kernel of queries and keys",
    lambda t, r: _block_sum(t, r),
    lambda t: np.full((*t.batch[:-2], t.heads), float(min(t.n_q, t.n_k))),
    lambda t: np.full((*t.batch[:-2], t.heads), float(t.n_q + t.n_k)),
)


def _block_sum(problem: AttentionProblem, result: Approximation) -> Values:
    """Return the nuclear norm of the block of queries and keys of the Gaussian residual, (..., H)."""
    rows, columns = _outer(_METHOD, problem)
    difference = np.exp(exact_scores(problem)) - unshifted_kernel(problem, result)
    return np.asarray(np.linalg.norm(difference / rows[..., :, None] / columns[..., None, :], ord="nuc", axis=(-2, -1)))


chen = Paper("Chen, Epperly, Tropp & Webber 2025", method=LiftedNystrom, instances=(_same_tokens, _random))


@chen("with the lifting of Chen et al. 2021, re-derived", error=gaussian_block, guarantee=InExpectation())
def lifted_nystrom_trace(method: LiftedNystrom, problem: AttentionProblem) -> Values:
    """E ||E_qk||_* <= tr Phi^r(G) / 2 for the block E_qk of the residual of the lifted Gaussian kernel G, r pivots.

    Phi(M) = M - M^2 / tr M. A block of a semidefinite matrix has at most half of its trace: E_qk = X Y^T with
    ||X||_F^2 + ||Y||_F^2 = tr E.

    Letters: r the number of pivots; G the lifted Gaussian kernel.
    Hypotheses: scores are inner products; points are centred and balanced; no tolerance ends the method before its
    rank; K is square; K is symmetric; K is positive semidefinite.
    """
    require(problem.softcap is None, "scores are inner products")
    require(method.centre and method.balance, "points are centred and balanced")
    x, y, _, _ = method.points(problem)
    tokens = np.concatenate([dense(x), dense(y)], axis=-2)
    square = np.sum(tokens**2, axis=-1)
    # rounding may make a distance of equal tokens negative
    distance = square[..., :, None] + square[..., None, :] - 2 * tokens @ np.swapaxes(tokens, -1, -2)
    kernel = np.exp(-np.maximum(distance, 0.0) / 2)
    rank = min(method.landmarks, tokens.shape[-2])
    # tr E is at most tr Phi^r(G) in the mean, and the block at most half of tr E
    predicted = rpcholesky_phi(RandomlyPivotedCholesky(rank), kernel).value / 2
    return per_head(problem, predicted, 0)
