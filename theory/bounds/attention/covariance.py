"""Error of the output in terms of the covariance of the values, which most keys of a row share little of."""

from __future__ import annotations

import numpy as np

from theory.bounds.attention.perturbed import masked_kernel, random_kernel, two_keys_out_of_balance
from theory.bounds.attention.rows import (
    denominators_over_mass,
    exact_output,
    exact_weights,
    head_values,
    kernel_over_mass,
    require_own_values,
)
from theory.statement import errors
from theory.statement.bound import require
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.attention.approximation import Approximation
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem

own = Paper(
    "re-derived",
    method=AttentionMethod,
    instances=(two_keys_out_of_balance, random_kernel),
    guarantee=Deterministic(condition=8.0),
    statement="by the inequality of Cauchy and Schwarz",
)


@own(error=errors.output_rows)
def chi_square_output(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """||o'_i - o_i|| <= (chi^2(p'_i || p_i) lambda_max(Cov_p_i(v)))^(1/2), attained for every two keys.

    Letters: chi^2(p' || p) = sum_j (p'_j - p_j)^2 / p_j; Cov_p(v) the covariance of the values under the weights p_i,
    sum_j p_ij (v_j - o_i)(v_j - o_i)^T, and lambda_max its largest eigenvalue.
    Hypotheses: the result has weights over the keys; the output is the weights times V; the denominator is the row sum
    of the approximate kernel; every query sees a key; every denominator is positive; the approximate kernel vanishes
    where the exact one does.
    """
    # u . (o' - o) = E_p[(p' / p - 1) u . (v - o)] for every unit vector u, since both weights sum to one
    require_own_values(problem, result)
    p, change = exact_weights(problem), _change_of_weights(problem, result)
    require(bool(np.all(change[p == 0] == 0)), "the approximate kernel vanishes where the exact one does")
    chi_square = np.sum(change**2 / np.where(p > 0, p, 1.0), axis=-1)
    apart = head_values(problem)[..., None, :, :] - exact_output(problem)[..., None, :]  # (..., H, n_q, n_k, d_v)
    roots = np.linalg.svd(np.sqrt(p)[..., None] * apart, compute_uv=False)[..., 0]
    return np.asarray(np.sqrt(chi_square) * roots)


@own(error=errors.output_frobenius)
def centred_mixed_norm(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """||O' - O||_F <= ||P' - P|| ||V - 1 m^T||_F, m the mean of the values: the least of ||V - 1 c^T||_F.

    Letters: c any vector, m^T the mean of the rows of V.
    Hypotheses: the result has weights over the keys; the output is the weights times V; the denominator is the row sum
    of the approximate kernel; every query sees a key; every denominator is positive.
    """
    require_own_values(problem, result)
    values = head_values(problem)
    # (P' - P) 1 = 0, so that any vector may be taken off the values
    centred = np.linalg.norm(values - values.mean(axis=-2, keepdims=True), axis=(-2, -1))
    return np.asarray(np.linalg.norm(_change_of_weights(problem, result), ord=2, axis=(-2, -1)) * centred)


@own(error=errors.output_rows, instances=(two_keys_out_of_balance, masked_kernel))
def row_l2(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """||o'_i - o_i|| <= min_g ||a'_i - g a_i|| ||V - 1 o_i^T|| / d'_i over the keys that either kernel sees.

    Letters: a the exact kernel and a' the approximate one, d' its row sums; g any number, since sum_j a_ij (v_j - o_i)
    is zero.
    Hypotheses: the result has weights over the keys; the output is the weights times V; the denominator is the row sum
    of the approximate kernel; every query sees a key; every denominator is positive.
    """
    require_own_values(problem, result)
    a, kernel = exact_weights(problem), kernel_over_mass(problem, result)
    # the residual of the projection on a; computed as a vector, since its norm cancels where a' is nearly a multiple
    share = np.sum(kernel * a, axis=-1, keepdims=True) / np.sum(a * a, axis=-1, keepdims=True)
    residual = np.linalg.norm(kernel - share * a, axis=-1)
    seen = (a > 0) | (kernel != 0)
    apart = head_values(problem)[..., None, :, :] - exact_output(problem)[..., None, :]
    spread = np.linalg.norm(np.where(seen[..., None], apart, 0.0), ord=2, axis=(-2, -1))
    return np.asarray(residual * spread / denominators_over_mass(problem, result))


def _change_of_weights(problem: AttentionProblem, result: Approximation) -> Values:
    """P' - P, (..., H, n_q, n_k)."""
    normalised = kernel_over_mass(problem, result) / denominators_over_mass(problem, result)[..., None]
    return np.asarray(normalised - exact_weights(problem))
