"""The error of a normalised output in terms of distances from the output itself, which are known."""

from __future__ import annotations

import numpy as np

from theory.bounds.attention.output import output_entries
from theory.bounds.attention.perturbed import masked_kernel, random_kernel, two_keys_out_of_balance
from theory.bounds.attention.rows import (
    denominators_over_mass,
    exact_output,
    exact_weights,
    head_values,
    host,
    kernel_over_mass,
    require_own_values,
)
from theory.bounds.certificate.value_ball import ANY_OUTPUT, distance_of_rows
from theory.statement.bound import require
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.attention.approximation import Approximation
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem

own = Paper(
    "re-derived",
    method=ANY_OUTPUT,
    instances=(two_keys_out_of_balance, masked_kernel),
    guarantee=Deterministic(condition=16.0),
    statement="as a difference of two quotients, with the roles exchanged",
)


@own(error=output_entries)
def mirrored_normalisation_identity(
    method: AttentionMethod, problem: AttentionProblem, result: Approximation
) -> tuple[Values, Values]:
    """o'_i - o_i = sum_j (a'_ij - a_ij) (v_j - o'_i) / d_i.

    Here a and a' are the exact and the approximate kernel, and d the row sums of a: sum_j a'_ij (v_j - o'_i) = 0.

    Hypotheses: the result has weights over the keys; the output is the weights times V; the denominator is the row sum
    of the approximate kernel; every query sees a key; every denominator is positive; no denominator is so small that
    rounding shows.
    """
    require_own_values(problem, result)
    kernel, d = kernel_over_mass(problem, result), denominators_over_mass(problem, result)
    # the sum cancels, and a small denominator amplifies the rounding of the output
    small = np.abs(kernel).sum(axis=-1) + 1 <= 100 * np.minimum(d, 1.0)
    require(bool(np.all(small)), "no denominator is so small that rounding shows")
    change, output = kernel - exact_weights(problem), host(result.output)
    # rows in units of their exact mass: d is one
    moved = change @ head_values(problem) - change.sum(axis=-1, keepdims=True) * output
    return output - exact_output(problem), moved


@own(error=distance_of_rows, instances=(two_keys_out_of_balance, random_kernel))
def mirrored_kernel_error(method: AttentionMethod, problem: AttentionProblem, result: Approximation) -> Values:
    """||o'_i - o_i|| <= sum_j E_ij ||v_j - o'_i|| / sum_j max(a'_ij - E_ij, 0), infinite where nothing is left.

    Everything on the right is known where |a - a'| <= E is; here E is |a - a'| itself.

    Letters: E the bound on the error of every entry of the kernel; a the exact kernel and a' the approximate one.
    Hypotheses: the result has weights over the keys; the output is the weights times V; the denominator is the row sum
    of the approximate kernel; every query sees a key; every denominator is positive.
    """
    require_own_values(problem, result)
    kernel = kernel_over_mass(problem, result)
    error = np.abs(kernel - exact_weights(problem))
    least = np.maximum(kernel - error, 0.0).sum(axis=-1)
    moved = np.sum(error * value_distances(problem, host(result.output)), axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(least > 0, moved / least, np.inf))


def value_distances(problem: AttentionProblem, output: Values) -> Values:
    """Return the distance of every value from every row of an output, (..., H, n_q, n_k)."""
    v = head_values(problem)
    centre = v.mean(axis=-2, keepdims=True)  # distances do not change, but squares cancel less
    v, o = v - centre, output - centre
    squares = np.sum(o * o, axis=-1)[..., :, None] + np.sum(v * v, axis=-1)[..., None, :]
    return np.asarray(np.sqrt(np.maximum(squares - 2 * o @ np.swapaxes(v, -1, -2), 0.0)))
