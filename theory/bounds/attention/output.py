"""Error of the normalised output in terms of the error of a kernel."""

from __future__ import annotations

import numpy as np

from theory.bounds.attention.perturbed import (
    masked_kernel,
    random_kernel,
    two_keys_out_of_balance,
)
from theory.bounds.attention.rows import (
    denominators_over_mass,
    distances,
    exact_output,
    exact_weights,
    head_values,
    host,
    kernel_over_mass,
    require_own_values,
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


def _diameter(problem: AttentionProblem) -> Values:
    return np.repeat(errors.value_diameter(problem), problem.heads // problem.groups, axis=-1)


output_entries = Error(
    "entries of the difference of the outputs",
    lambda t, r: host(r.output) - exact_output(t),
    lambda t: _diameter(t)[..., None, None],
    lambda t: errors.value_size(t)[..., None, None],
)


own = Paper(
    "re-derived",
    method=AttentionMethod,
    instances=(two_keys_out_of_balance, masked_kernel),
    guarantee=Deterministic(condition=8.0),
    statement="as a difference of two quotients",
)


@own(error=output_entries)
def kernel_normalisation_identity(
    method: AttentionMethod, problem: AttentionProblem, result: Approximation
) -> tuple[Values, Values]:
    """o'_i - o_i = sum_j (a'_ij - a_ij) (v_j - o_i) / d'_i.

    Here a and a' are the exact and the approximate kernel, and d' the row sums of a'.

    Hypotheses: the result has weights over the keys; the output is the weights times V; the denominator is the row sum
    of the approximate kernel; every query sees a key; every denominator is positive; no denominator is so small that
    rounding shows.
    """
    require_own_values(problem, result)
    kernel, d = kernel_over_mass(problem, result), denominators_over_mass(problem, result)
    # the sum cancels, and a small denominator then amplifies its rounding
    require(bool(np.all(np.abs(kernel).sum(axis=-1) + 1 <= 100 * d)), "no denominator is so small that rounding shows")
    # rows in units of their exact mass: exact row sums are one
    change = kernel - exact_weights(problem)
    o = exact_output(problem)
    moved = change @ head_values(problem) - change.sum(axis=-1, keepdims=True) * o
    return host(result.output) - o, moved / d[..., None]


@own(error=errors.output_rows)
def kernel_normalisation_row(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """||o'_i - o_i|| <= ||a'_i - a_i||_1 / d'_i max_j ||v_j - o_i||, over the keys that either kernel sees.

    Letters: a the exact kernel and a' the approximate one; d the row sums of the exact kernel, and d' those of the
    approximate one.
    Hypotheses: the result has weights over the keys; the output is the weights times V; the denominator is the row sum
    of the approximate kernel; every query sees a key; every denominator is positive.
    """
    require_own_values(problem, result)
    weights, kernel = exact_weights(problem), kernel_over_mass(problem, result)
    seen = (weights > 0) | (kernel != 0)
    # a key that neither kernel sees moves nothing, however far its value is
    furthest = np.where(seen, distances(problem), 0.0).max(axis=-1)
    return np.asarray(np.abs(kernel - weights).sum(axis=-1) / denominators_over_mass(problem, result) * furthest)


@own(error=errors.output_frobenius, instances=(two_keys_out_of_balance, random_kernel))
def kernel_normalisation_fro(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """||O' - O||_F <= (||A' - A||_F ||V|| + (sum_i (d'_i - d_i)^2 ||o_i||^2)^(1/2)) / min_i d'_i.

    Evaluated with every row of A and A' divided by the exact row sum d_i, which changes neither output.

    Letters: A the exact kernel and A' the approximate one; d the row sums of the exact kernel, and d' those of the
    approximate one.
    Hypotheses: the result has weights over the keys; the output is the weights times V; the denominator is the row sum
    of the approximate kernel; every query sees a key; every denominator is positive.
    """
    require_own_values(problem, result)
    change = kernel_over_mass(problem, result) - exact_weights(problem)
    d = denominators_over_mass(problem, result)
    moved = np.linalg.norm(change, axis=(-2, -1)) * values_spectral(problem)
    # |d' - d| / d of every row times its output
    rescaled = np.linalg.norm((d - 1)[..., None] * exact_output(problem), axis=(-2, -1))
    return np.asarray((moved + rescaled) / d.min(axis=-1))


@own(error=errors.output_rows, instances=(two_keys_out_of_balance, random_kernel))
def relative_entry_propagation(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """||o'_i - o_i|| <= eta_i / (1 + sqrt(1 - eta_i^2)) diam(V) if |a'_ij - a_ij| <= eta_i a_ij, eta_i < 1.

    Letters: eta the largest relative error of an entry of the row; a the exact kernel and a' the approximate one.
    Hypotheses: the result has weights over the keys; the output is the weights times V; the denominator is the row sum
    of the approximate kernel; every query sees a key; every denominator is positive; the approximate kernel vanishes
    where the exact one does; every entry of the kernel has relative error eta < 1.
    """
    require_own_values(problem, result)
    weights, kernel = exact_weights(problem), kernel_over_mass(problem, result)
    require(bool(np.all(kernel[weights == 0] == 0)), "the approximate kernel vanishes where the exact one does")
    ratio = np.where(weights > 0, kernel, 1.0) / np.where(weights > 0, weights, 1.0)
    # over the keys with mass; both kernels vanish at the others
    eta = np.abs(ratio - 1).max(axis=-1)
    require(bool(np.all(eta < 1)), "every entry of the kernel has relative error eta < 1")
    # the total variation distance of two laws with likelihood ratio in [1 - eta, 1 + eta] before normalisation
    return np.asarray(eta / (1 + np.sqrt(1 - eta**2)) * _diameter(problem)[..., None])
