"""Error of the output in terms of the covariance of the values, of which heavy keys have little."""

from __future__ import annotations

import numpy as np

from theory.bounds.attention.perturbed import masked_kernel, two_keys_out_of_balance
from theory.bounds.attention.rows import (
    denominators_over_mass,
    exact_output,
    exact_weights,
    head_values,
    kernel_over_mass,
    once,
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
    instances=(two_keys_out_of_balance, masked_kernel),
    guarantee=Deterministic(condition=8.0),
    must_fail=0.9,
    statement="by the inequality of Cauchy and Schwarz",
)


@own(error=errors.output_rows)
def chi_square_output(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """||o'_i - o_i|| <= (chi^2(p'_i, p_i) lambda_max(Cov_i))^(1/2), with equality for two keys.

    For weights (1/2, 1/4, 1/4), approximately (1/4, 1/4, 1/2), and values 1, 0, -1: (3/8 * 11/16)^(1/2) = 0.508, where
    the error is 0.5. Unlike the diameter of the values, their covariance counts far values by their weights.

    Letters: chi^2(p'_i, p_i) the sum of (p'_ij - p_ij)^2 / p_ij over j; Cov_i the covariance of the values under the
    weights p_i, and lambda_max its largest eigenvalue.
    Hypotheses: the result has weights over the keys; the output is the weights times V; the denominator is the row sum
    of the approximate kernel; every query sees a key; every denominator is positive; the approximate kernel vanishes
    where the exact one does.
    """
    # u . (o' - o) = E_p[(p' / p - 1) u . (v - o)] for every unit vector u, since both weights sum to one
    require_own_values(problem, result)
    p, kernel = exact_weights(problem), kernel_over_mass(problem, result)
    require(not np.any((p == 0) & (kernel != 0)), "the approximate kernel vanishes where the exact one does")
    change = kernel / denominators_over_mass(problem, result)[..., None]
    change -= p
    # divided before squaring, so that tiny weights do not underflow
    change /= np.sqrt(np.where(p > 0, p, 1.0))
    spread = np.sqrt(largest_variance(problem))
    # equal values have no error, however large chi^2 is
    return np.where(spread > 0, np.linalg.norm(change, axis=-1) * spread, 0.0)


@once
def largest_variance(problem: AttentionProblem) -> Values:
    """Return the largest eigenvalue of the covariance of the values under every row of weights, (..., H, n_q).

    O(n_q n_k d_v^2) per head, one product for all rows, and n_q eigenvalue problems of size d_v; it depends on the
    problem alone, so that all results share it. What rounding may have taken away is added again.
    """
    p, v, o = exact_weights(problem), head_values(problem), exact_output(problem)
    largest = np.empty(o.shape[:-1])
    for head in np.ndindex(*largest.shape[:-1]):  # one head at a time: n_q d_v^2 numbers
        largest[head] = _largest_eigenvalues(p[head], v[head], o[head])
    return largest


def _largest_eigenvalues(p: Values, v: Values, o: Values) -> Values:
    centre = v.mean(axis=-2)  # the covariance does not change, but squares cancel less
    v, o = v - centre, o - centre
    size = np.max(np.abs(v), initial=0.0) or 1.0
    v, o = v / size, o / size
    low = np.tril_indices(v.shape[-1])  # eigvalsh reads the lower triangle only
    covariance = np.zeros((*o.shape, v.shape[-1]))
    covariance[..., low[0], low[1]] = p @ (v[:, low[0]] * v[:, low[1]]) - o[:, low[0]] * o[:, low[1]]
    largest = np.linalg.eigvalsh(covariance)[..., -1]
    # E |v|^2 - |o|^2 in units of the largest value; 16 eps: n_k-term sums by pairs, and two squares
    lost = 16 * np.finfo(np.float64).eps * np.max(np.sum(v * v, axis=-1), initial=0.0)
    return np.asarray((np.maximum(largest, 0.0) + lost) * size**2)
