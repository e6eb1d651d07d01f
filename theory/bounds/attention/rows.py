"""Quantities that theorems about attention share: float64 on the host, per head, every row in units of its mass."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from theory.statement import errors
from theory.statement.bound import HypothesisViolated, require
from theory.statement.errors import dense
from theory.statement.prediction import Values
from tnattn.arrays import eps, to_host
from tnattn.attention.approximation import Approximation
from tnattn.attention.problem import AttentionProblem


def once(function: Callable[[AttentionProblem], Values]) -> Callable[[AttentionProblem], Values]:
    """Cache the value of a function for every problem in use; problems are immutable."""
    known: WeakKeyDictionary[AttentionProblem, Values] = WeakKeyDictionary()

    @wraps(function)
    def remembered(problem: AttentionProblem) -> Values:
        if problem not in known:
            known[problem] = function(problem)
            known[problem].flags.writeable = False
        return known[problem]

    return remembered


def once_for_result(
    function: Callable[[AttentionProblem, Approximation], Values],
) -> Callable[[AttentionProblem, Approximation], Values]:
    """Cache the value of a function for every problem and result in use, or the hypothesis that fails.

    One result serves many theorems, and what a failed hypothesis took to find would be computed again for each.
    """
    known: WeakKeyDictionary[Approximation, WeakKeyDictionary[AttentionProblem, Values | str]] = WeakKeyDictionary()

    @wraps(function)
    def remembered(problem: AttentionProblem, result: Approximation) -> Values:
        found = known.setdefault(result, WeakKeyDictionary())
        if problem not in found:
            try:
                value = function(problem, result)
                value.flags.writeable = False
                found[problem] = value
            except HypothesisViolated as violated:
                found[problem] = str(violated)  # not the exception, whose frames would keep the arrays
        answer = found[problem]
        if isinstance(answer, str):  # a failed hypothesis: values are arrays
            raise HypothesisViolated(answer)
        return answer

    return remembered


def host(array: Any) -> Values:
    """Return an array as float64 on the host."""
    return np.asarray(to_host(array), dtype=np.float64)


def per_head(problem: AttentionProblem, grouped: Any, axes: int) -> Values:
    """Merge the axes (G, R) of an array in grouped layout, which has ``axes`` axes after them: (..., H, ...)."""
    array = host(grouped)
    own = array.shape[array.ndim - axes :]
    # grouped layout: one array may serve all query heads of a group
    array = np.broadcast_to(array, (*problem.batch, *own))
    return np.asarray(array.reshape(*problem.batch[:-2], problem.heads, *own))


@once
def head_values(problem: AttentionProblem) -> Values:
    """Return the values that every query head sees, (..., H, n_k, d_v)."""
    return per_head(problem, problem.values, 2)


@once
def values_spectral(problem: AttentionProblem) -> Values:
    """Return the spectral norm of the values of every head, (..., H)."""
    return np.asarray(np.linalg.norm(head_values(problem), ord=2, axis=(-2, -1)))


@once
def exact_weights(problem: AttentionProblem) -> Values:
    """Return the exact weights, (..., H, n_q, n_k)."""
    return errors.exact_weights(problem)


@once
def exact_output(problem: AttentionProblem) -> Values:
    """Return the exact output, (..., H, n_q, d_v)."""
    return errors.exact_output(problem)


@once
def exact_singular_values(problem: AttentionProblem) -> Values:
    """Return the singular values of the exact weights of every head, (..., H, min(n_q, n_k)), descending."""
    return errors.spectrum_of(exact_weights(problem))


@once
def exact_scores(problem: AttentionProblem) -> Values:
    """Return the masked scores, (..., H, n_q, n_k)."""
    return host(problem.dense_scores())


@once_for_result
def kernel_over_mass(problem: AttentionProblem, result: Approximation) -> Values:
    """Return the approximate kernel over the exact row sums, (..., H, n_q, n_k); the exact kernel gives the weights.

    The hypotheses of theorems about approximate kernels come first: the result has a kernel over the keys, its own row
    sums as denominators, and every denominator is positive.
    """
    expand = result.expand
    require(expand is not None, "the result has weights over the keys")
    require(result.normaliser is None, "the denominator is the row sum of the approximate kernel")
    require(problem.empty_rows == 0, "every query sees a key")
    assert expand is not None
    scale = np.exp(host(result.shift) - host(problem.weights.log_mass))[..., None]
    kernel = per_head(problem, scale * (dense(result.kernel) @ dense(expand)), 2)
    own = denominators_over_mass(problem, result)
    require(bool(np.all(own > 0)), "every denominator is positive")
    error = np.abs(kernel.sum(axis=-1) - own)
    # 64: products of three factors, each with its own rounding, over n_k terms
    allowance = 64 * problem.n_k * eps(problem.q) * (np.abs(kernel).sum(axis=-1) + own)
    require(bool(np.all(error <= allowance)), "the denominator is the row sum of the approximate kernel")
    return kernel


def require_own_values(problem: AttentionProblem, result: Approximation) -> None:
    """Require that the result combines the values of the problem: its output is its weights times V."""
    _own_values(problem, result)


@once_for_result
def _own_values(problem: AttentionProblem, result: Approximation) -> Values:
    """Return the product of the weights and V that the values of the result are, up to rounding."""
    require(result.expand is not None, "the result has weights over the keys")
    expand, v = dense(result.expand), host(problem.values)
    product = np.asarray(expand @ v)
    allowance = 64 * problem.n_k * eps(problem.q) * (np.abs(expand) @ np.abs(v))
    require(bool(np.all(np.abs(host(result.values) - product) <= allowance)), "the output is the weights times V")
    return product


def denominators_over_mass(problem: AttentionProblem, result: Approximation) -> Values:
    """Return the approximate over the exact row sums of the kernel, (..., H, n_q)."""
    scale = np.exp(host(result.shift) - host(problem.weights.log_mass))
    return per_head(problem, scale * host(result.denominators), 1)


@once
def distances(problem: AttentionProblem) -> Values:
    """Return the distance of every value from every exact output, (..., H, n_q, n_k)."""
    v, o = head_values(problem), exact_output(problem)
    centre = v.mean(axis=-2, keepdims=True)  # distances do not change, but squares cancel less
    v, o = v - centre, o - centre
    squares = np.sum(o * o, axis=-1)[..., :, None] + np.sum(v * v, axis=-1)[..., None, :]
    return np.asarray(np.sqrt(np.maximum(squares - 2 * o @ np.swapaxes(v, -1, -2), 0.0)))


@once_for_result
def score_errors(problem: AttentionProblem, result: Approximation) -> Values:
    """Return the error of the scores that a positive approximate kernel stands for, minus its middle in every row.

    A shift of a row does not change softmax, so scores are compared up to one; keys that a mask excludes have error 0.

    Returns
    -------
    Values, (..., H, n_q, n_k)
        Every row lies in [-range / 2, range / 2] and touches both ends.
    """
    weights, kernel = exact_weights(problem), kernel_over_mass(problem, result)
    seen = np.isfinite(exact_scores(problem))
    require(bool(np.all((weights > 0) == seen)), "no exact weight underflows")
    require(bool(np.all((kernel > 0) == seen)), "the approximate kernel is positive where the exact one is, else zero")
    # a difference of logarithms: the quotient of tiny weights may overflow
    ratio = np.log(np.where(seen, kernel, 1.0)) - np.log(np.where(seen, weights, 1.0))
    low = np.where(seen, ratio, np.inf).min(axis=-1, keepdims=True)
    high = np.where(seen, ratio, -np.inf).max(axis=-1, keepdims=True)
    # the middle of the range is the shift with the smallest largest error
    return np.where(seen, ratio - (low + high) / 2, 0.0)
