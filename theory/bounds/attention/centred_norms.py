"""Error of the output in norms of the weights and of the values minus a common vector."""

from __future__ import annotations

import numpy as np

from theory.bounds.attention.perturbed import (
    PerturbedKernel,
    PerturbedScores,
    masked_kernel,
    random_problem,
    two_keys_out_of_balance,
)
from theory.bounds.attention.rows import (
    denominators_over_mass,
    distances,
    exact_output,
    exact_weights,
    head_values,
    kernel_over_mass,
    once,
    require_own_values,
)
from theory.statement import errors
from theory.statement.bound import Instance
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.attention.approximation import Approximation
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.wrappers.low_rank_weights import LowRankWeights
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD


def _two_keys_of_rank_one(rng: np.random.Generator) -> Instance:
    """Two keys with opposite values: differences of weights that sum to zero are multiples of the values."""
    k = np.array([1.0, -1.0])[None, :, None]
    return LowRankWeights(TruncatedSVD(1)), AttentionProblem(rng.standard_normal((1, 6, 1)), k, k, scale=1.0)


own = Paper(
    "re-derived",
    method=AttentionMethod,
    instances=(two_keys_out_of_balance, masked_kernel),
    guarantee=Deterministic(condition=8.0),
    must_fail=0.9,
    statement="since differences of weights have row sums zero",
)


_DECOMPOSED = (LowRankWeights, PerturbedKernel, PerturbedScores)  # a singular value decomposition per result
_RANKS = (_two_keys_of_rank_one, lambda rng: (LowRankWeights(TruncatedSVD(3)), random_problem(rng, size=0.5)))


@own(error=errors.output_frobenius)
def centred_frobenius(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """||O' - O||_F <= ||P' - P||_F min_c ||V - 1 c^T||, least for the mean of the values.

    Letters: c any vector; 1 the vector of ones.
    Hypotheses: the result has weights over the keys; the output is the weights times V; the denominator is the row sum
    of the approximate kernel; every query sees a key; every denominator is positive.
    """
    require_own_values(problem, result)
    return np.asarray(np.linalg.norm(_change(problem, result), axis=(-2, -1)) * _centred_spectral(problem))


@own(error=errors.output_frobenius, method=_DECOMPOSED, instances=_RANKS)
def centred_mixed_norm(
    method: LowRankWeights | PerturbedKernel | PerturbedScores, problem: AttentionProblem, result: Approximation
) -> Values:
    """||O' - O||_F <= ||P' - P|| min_c ||V - 1 c^T||_F, least for the mean of the values.

    Stated for methods whose weights differ from the exact ones in many directions, of which few are large.

    Letters: c any vector; 1 the vector of ones.
    Hypotheses: the result has weights over the keys; the output is the weights times V; the denominator is the row sum
    of the approximate kernel; every query sees a key; every denominator is positive.
    """
    require_own_values(problem, result)
    v = head_values(problem)
    centred = np.linalg.norm(v - v.mean(axis=-2, keepdims=True), axis=(-2, -1))
    return np.asarray(np.linalg.norm(_change(problem, result), ord=2, axis=(-2, -1)) * centred)


@own("by the inequality of Cauchy and Schwarz", error=errors.output_rows)
def row_l2(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """||o'_i - o_i|| <= min_g ||a'_i - g a_i|| ||V - 1 o_i^T|| / d'_i.

    The norm of the values is that over all keys, or the Frobenius norm over those that either kernel sees, if smaller.

    Letters: a the exact kernel and a' the approximate one; d' the row sums of a'; g any number, since the sum of
    a_ij (v_j - o_i) over j is zero; 1 the vector of ones.
    Hypotheses: the result has weights over the keys; the output is the weights times V; the denominator is the row sum
    of the approximate kernel; every query sees a key; every denominator is positive.
    """
    require_own_values(problem, result)
    a, kernel = exact_weights(problem), kernel_over_mass(problem, result)
    # the residual of the projection on a, as a vector: its norm cancels where a' is nearly a multiple of a
    multiple = np.einsum("...j,...j->...", kernel, a) / np.einsum("...j,...j->...", a, a)
    residual = np.linalg.norm(kernel - multiple[..., None] * a, axis=-1)
    spread = shifted_spectral(problem)
    seen = (a > 0) | (kernel != 0)
    if not seen.all():
        spread = np.minimum(spread, np.linalg.norm(np.where(seen, distances(problem), 0.0), axis=-1))
    return np.asarray(residual * spread / denominators_over_mass(problem, result))


def _change(problem: AttentionProblem, result: Approximation) -> Values:
    """Return P' - P, (..., H, n_q, n_k)."""
    change = kernel_over_mass(problem, result) / denominators_over_mass(problem, result)[..., None]
    change -= exact_weights(problem)
    return np.asarray(change)


@once
def _centred_spectral(problem: AttentionProblem) -> Values:
    """Return ||V - 1 m^T|| for the mean m of the values, (..., H)."""
    v = head_values(problem)
    return np.asarray(np.linalg.norm(v - v.mean(axis=-2, keepdims=True), ord=2, axis=(-2, -1)))


@once
def shifted_spectral(problem: AttentionProblem) -> Values:
    """Return an upper bound on ||V - 1 o_i^T|| of every row, (..., H, n_q), attained for one column of values.

    The squared matrix is A + n_k w w^T for A = (V - 1 m^T)^T (V - 1 m^T) and w = o_i - m. A unit vector is c u + s y
    with u = w / |w| and y orthogonal to it, so that its form is at most that of (c, s) in the 2 x 2 matrix of
    u^T A u + n_k |w|^2, |A u - u u^T A u| and lambda_max(A).
    """
    v = head_values(problem)
    mean = v.mean(axis=-2, keepdims=True)
    v, w = v - mean, exact_output(problem) - mean
    size = np.max(np.abs(v), axis=(-2, -1), initial=0.0, keepdims=True)
    size = np.where(size > 0, size, 1.0)  # units in which squares neither vanish nor overflow
    v, w = v / size, w / size
    gram = np.swapaxes(v, -1, -2) @ v
    top = np.linalg.eigvalsh(gram)[..., -1:]
    length = np.linalg.norm(w, axis=-1)
    u = w / np.where(length > 0, length, 1.0)[..., None]
    moved = u @ gram
    own_part = np.einsum("...d,...d->...", moved, u)
    mixed = np.linalg.norm(moved - own_part[..., None] * u, axis=-1)
    first = own_part + problem.n_k * length**2
    largest = (first + top) / 2 + np.hypot((first - top) / 2, mixed)
    return np.asarray(np.sqrt(largest) * size[..., 0])
