"""Errors of attention to few keys, bounded by the mass of the dropped ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from theory.bounds.attention.output import output_entries
from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import (
    exact_output,
    exact_scores,
    exact_weights,
    head_values,
    host,
    kernel_over_mass,
    per_head,
)
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error, dense, value_diameter
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.arrays import eps
from tnattn.attention import masks
from tnattn.attention.approximation import Approximation
from tnattn.attention.masks import BiasMask, CausalMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.attention.sparse.top_k import TopK


def _kept(problem: AttentionProblem, result: Approximation) -> npt.NDArray[np.bool_]:
    """Return which keys every query keeps, (..., H, n_q, n_k), checking that it keeps them as they are."""
    kernel, weights = kernel_over_mass(problem, result), exact_weights(problem)
    kept = kernel > 0
    allowance = 64 * problem.n_k * eps(problem.q)
    require(bool(np.all(np.abs(kernel - weights)[kept] <= allowance)), "kept keys have their exact kernel")
    return np.asarray(kept)


def _dropped_mass(problem: AttentionProblem, result: Approximation) -> Values:
    """Exact weight of the keys that a query does not keep, (..., H, n_q): a sum of small terms, not a difference."""
    kept = per_head(problem, dense(result.weights), 2) > 0
    return np.asarray(np.where(kept, 0.0, exact_weights(problem)).sum(axis=-1))


dropped_mass = Error(
    "exact weight of the dropped keys of every row",
    _dropped_mass,
    lambda t: np.ones(()),
    lambda t: np.ones(()),
)


def far_apart(rng: np.random.Generator) -> Instance:
    """Kept and dropped keys have opposite values."""
    del rng
    k, side = np.array([2.0, 2.0, 1.0, 1.0, 1.0, 1.0]), np.array([1.0, 1.0, -1.0, -1.0, -1.0, -1.0])
    return TopK(2), AttentionProblem(np.ones((1, 1, 1)), k[None, :, None], side[None, :, None], scale=1.0)


def _largest_of_random(rng: np.random.Generator) -> Instance:
    return TopK(4), random_problem(rng, size=2.0)


def causal_window(rng: np.random.Generator) -> Instance:
    return SlidingWindow(5, sinks=2), random_problem(rng, mask=CausalMask())


own = Paper(
    "re-derived",
    method=(TopK, SlidingWindow),
    instances=(far_apart, causal_window),
    guarantee=Deterministic(condition=8.0),
    statement="from the mass of the dropped keys",
)


@own(error=output_entries, instances=(_largest_of_random, causal_window))
def topk_identity(
    method: TopK | SlidingWindow, problem: AttentionProblem, result: Approximation
) -> tuple[Values, Values]:
    """o'_i - o_i = delta_i (mean of the values over the kept keys - mean over the dropped keys).

    Means are conditional ones under the exact weights, and delta_i is the weight of the dropped keys.

    Hypotheses: the result has weights over the keys; the denominator is the row sum of the approximate kernel; every
    query sees a key; every denominator is positive; kept keys have their exact kernel.
    """
    kept, weights, v = _kept(problem, result), exact_weights(problem), head_values(problem)
    inside, outside = np.where(kept, weights, 0.0), np.where(kept, 0.0, weights)
    delta = outside.sum(axis=-1, keepdims=True)
    # at least one key is kept, so that its mass is positive
    mean = inside @ v / inside.sum(axis=-1, keepdims=True)
    return host(result.output) - exact_output(problem), delta * mean - outside @ v


@own(error=errors.output_rows)
def topk_error(method: TopK | SlidingWindow, problem: AttentionProblem) -> Values:
    """||o'_i - o_i|| <= delta_i diam(V), delta_i the exact weight of the dropped keys.

    Which keys are kept is no matter of chance: the method itself is asked.

    Letters: delta the exact weight of the dropped keys.
    Hypotheses: every query sees a key.
    """
    require(problem.empty_rows == 0, "every query sees a key")
    delta = _dropped_mass(problem, method(problem))
    return np.asarray(delta * np.repeat(value_diameter(problem), problem.heads // problem.groups, axis=-1)[..., None])


@own(error=errors.output_rows)
def topk_error_furthest(method: TopK | SlidingWindow, problem: AttentionProblem, result: Approximation) -> Values:
    """||o'_i - o_i|| <= delta_i max_j ||v_j - o'_i|| over the dropped keys j that the query sees.

    Letters: delta the exact weight of the dropped keys.
    Hypotheses: the result has weights over the keys; the denominator is the row sum of the approximate kernel; every
    query sees a key; every denominator is positive; kept keys have their exact kernel.
    """
    kept, weights = _kept(problem, result), exact_weights(problem)
    v, o = head_values(problem), host(result.output)
    centre = v.mean(axis=-2, keepdims=True)  # distances do not change, but squares cancel less
    v, o = v - centre, o - centre
    squares = (
        np.sum(o * o, axis=-1)[..., :, None] + np.sum(v * v, axis=-1)[..., None, :] - 2 * o @ np.swapaxes(v, -1, -2)
    )
    outside = np.where(kept, 0.0, weights)
    furthest = np.where(outside > 0, np.maximum(squares, 0.0), 0.0).max(axis=-1)
    return np.asarray(outside.sum(axis=-1) * np.sqrt(furthest))


@own(error=dropped_mass, guarantee=Deterministic(), method=TopK, instances=(far_apart, _largest_of_random))
def topk_mass(method: TopK, problem: AttentionProblem) -> Values:
    """delta_i <= (n - k) e^-g / (k + (n - k) e^-g), g the gap between the k-th and the next score of the row.

    k of the n keys that the query sees are kept.

    Letters: delta the exact weight of the dropped keys; n the number of keys that the query sees; k the number that it
    keeps; e the base of natural logarithms; g the gap.
    Hypotheses: every query sees a key.
    """
    require(problem.empty_rows == 0, "every query sees a key")
    scores = -np.sort(-exact_scores(problem), axis=-1)
    n = np.isfinite(scores).sum(axis=-1)
    k = np.minimum(method.keys, n)
    last = np.take_along_axis(scores, k[..., None] - 1, axis=-1)[..., 0]
    following = np.take_along_axis(scores, np.minimum(k, n - 1)[..., None], axis=-1)[..., 0]
    # dropped keys have at most the next score, kept ones at least the k-th
    x = (n - k) * np.exp(following - last)
    return np.asarray(x / (k + x))


def _alibi(content: Values, slope: float) -> AttentionProblem:
    """One query that sees all keys, with the given scores and the bias -slope * distance."""
    n = len(content)
    bias = -slope * np.arange(n)[::-1][None, :]
    return AttentionProblem(
        np.ones((1, 1, 1)), content[None, :, None], np.ones((1, n, 1)), mask=CausalMask() & BiasMask(bias), scale=1.0
    )


def _content_against_the_window(rng: np.random.Generator) -> Instance:
    del rng
    return SlidingWindow(8), _alibi(np.where(np.arange(20) < 12, 0.5, -0.5), 0.5)


def _long_alibi(rng: np.random.Generator) -> Instance:
    del rng
    return SlidingWindow(4), _alibi(np.zeros(40), 0.5)


def _random_alibi(rng: np.random.Generator) -> Instance:
    i, j = np.arange(10)[:, None], np.arange(14)
    bias = -np.array([0.5, 0.25])[:, None, None] * (i + 4 - j)
    return SlidingWindow(5), random_problem(rng, size=0.5, mask=CausalMask() & BiasMask(bias))


own_alibi = replace(
    own, method=SlidingWindow, instances=(_content_against_the_window, _random_alibi), guarantee=Deterministic()
)


@own_alibi(error=dropped_mass)
def window_alibi_mass(method: SlidingWindow, problem: AttentionProblem) -> Values:
    """Dropped mass <= x / (1 + x), x = e^(2 B) (e^(-m w) - e^(-m n)) / (1 - e^(-m w)).

    A causal row sees n keys and keeps the w nearest; its scores are content in [-B, B] plus the bias -m distance.

    Letters: x the quotient of dropped and kept mass; e the base of natural logarithms; B the largest absolute content
    score; m the slope of the bias; w the width of the window; n the number of keys that the query sees.
    Hypotheses: the mask is causal plus one bias; some query sees two keys; the slope of the bias is positive; the bias
    is -slope times distance.
    """
    bias = [part for part in problem.mask.conjuncts if isinstance(part, BiasMask)]
    causal = [part for part in problem.mask.conjuncts if isinstance(part, CausalMask)]
    require(len(bias) == 1 and len(causal) == len(problem.mask.conjuncts) - 1 >= 1, "the mask is causal plus one bias")
    distance = _distance(problem)
    seen = distance >= 0
    added = np.broadcast_to(host(bias[0].bias), (*problem.batch[:-2], problem.heads, *distance.shape))
    require(bool(np.any(distance == 1)), "some query sees two keys")
    # read off one pair at distance one, and checked on all others below
    slope = -added[..., *np.argwhere(distance == 1)[0]]
    line = np.where(seen, -slope[..., None, None] * distance, 0.0)
    allowance = 64 * problem.n_k * eps(problem.q) * slope[..., None, None]
    require(bool(np.all(slope > 0)), "the slope of the bias is positive")
    require(bool(np.all(np.abs(np.where(seen, added, 0.0) - line) <= allowance)), "the bias is -slope times distance")
    content = np.abs(np.where(seen, exact_scores(problem) - added, 0.0)).max(axis=-1)  # B of every row
    n = seen.sum(axis=-1)
    w = np.minimum(method.width, n)
    m = slope[..., None]
    # two geometric sums, of the dropped over the kept distances; content moves a quotient by e^(2 B) at most
    x = np.exp(2 * content) * (np.exp(-m * w) - np.exp(-m * n)) / (1 - np.exp(-m * w))
    return np.asarray(x / (1 + x))


@own(error=dropped_mass, guarantee=Deterministic(), method=SlidingWindow, instances=(_long_alibi, _random_alibi))
def window_decay_mass(method: SlidingWindow, problem: AttentionProblem, *, decay: float = 0.5) -> Values:
    """Dropped mass <= C e^(-g w) / (1 - e^(-g)) if the weight at distance D is at most C e^(-g D) in a causal row.

    ``decay`` is g, per token; C is the smallest constant for which the hypothesis holds in the row.

    Letters: e the base of natural logarithms; g the rate of decay; w the width of the window; D the distance in tokens.
    Hypotheses: a causal mask; decay > 0.
    """
    require(
        any(isinstance(part, (CausalMask, masks.SlidingWindowMask)) for part in problem.mask.conjuncts), "a causal mask"
    )
    require(decay > 0, "decay > 0")
    distance = _distance(problem)
    require(bool(np.all((distance >= 0) | np.isneginf(exact_scores(problem)))), "a causal mask")
    # the smallest constant C for which the row decays as stated
    grown = exact_weights(problem) * np.exp(decay * np.maximum(distance, 0))
    constant = grown.max(axis=-1)
    mass = constant * np.exp(-decay * method.width) / (1 - np.exp(-decay))
    return np.asarray(np.where((distance >= 0).sum(axis=-1) > method.width, mass, 0.0))


def _distance(problem: AttentionProblem) -> Values:
    """Position of the query minus position of the key, (n_q, n_k)."""
    i, j = np.arange(problem.n_q)[:, None], np.arange(problem.n_k)[None, :]
    return np.asarray(i + (problem.n_k - problem.n_q) - j, dtype=np.float64)
