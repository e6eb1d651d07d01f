"""Errors of heads that share one basis, or one key head for several."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import exact_scores, exact_weights, head_values, host, per_head
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error, dense
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.attention.approximation import Approximation
from tnattn.attention.conversion.grouped_queries import GroupedQueries
from tnattn.attention.conversion.pooled_key_value import PooledKeyValue
from tnattn.attention.conversion.substituted import mean_pooled
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.projections import Projections
from tnattn.attention.wrappers.weight_tensor import WeightTensor
from tnattn.decomposition.tucker.st_hosvd import STHOSVD


def _total(problem: AttentionProblem) -> Values:
    return np.asarray(np.sum(exact_weights(problem) ** 2))


all_weights_squared = Error(
    "squared Frobenius norm of the weights of all heads",
    lambda t, r: np.asarray(np.sum(errors.weights_frobenius(t, r) ** 2)),
    _total,
    _total,
)


def _shared_basis(rng: np.random.Generator) -> Instance:
    problem = random_problem(rng, heads=4, groups=2, n_q=12, n_k=10, size=2.0)
    return WeightTensor(STHOSVD(ranks=(4, 3, 10)), rank=None, renormalise=False), problem


eckart = Paper("Eckart & Young 1936", method=WeightTensor, instances=(_shared_basis, _shared_basis))


@eckart("for the stacked weights, re-derived", error=all_weights_squared, guarantee=Deterministic(condition=8.0))
def weights_shared_basis(
    method: WeightTensor, problem: AttentionProblem, result: Approximation
) -> tuple[Values, Values]:
    """sum_h ||W_h - U U^T W_h||_F^2 = tau_r([W_1 ... W_H])^2 for the best common basis U of r columns.

    The heads share a basis of queries, and nothing else is truncated.

    Letters: h an index of heads; W the weights of the heads; U the common basis; r its number of columns; H the number
    of heads.
    Hypotheses: the weights are not renormalised; one problem, without batch axes; the decomposition is a truncated one
    with orthonormal factors; only the mode of the queries is truncated.
    """
    require(not method.renormalise, "the weights are not renormalised")
    require(problem.q.ndim == 3, "one problem, without batch axes")
    decomposition = method.fitted(problem)
    require(isinstance(decomposition, STHOSVD), "the decomposition is a truncated one with orthonormal factors")
    assert isinstance(decomposition, STHOSVD)
    ranks, (h, n_q, n_k) = decomposition.ranks, (problem.heads, problem.n_q, problem.n_k)
    require(isinstance(ranks, tuple) and ranks[0] == h and ranks[2] == n_k, "only the mode of the queries is truncated")
    assert isinstance(ranks, tuple)
    # (H, n_q, n_k) to (n_q, H n_k), [W_1 ... W_H]
    stacked = np.moveaxis(exact_weights(problem), 0, 1).reshape(n_q, h * n_k)
    tail = errors.tail(errors.spectrum_of(stacked), ranks[1])
    return all_weights_squared(problem, result), np.asarray(tail**2)


def _weights_size(projections: Projections) -> Values:
    return np.asarray(np.sum(dense(projections.w_k) ** 2) + np.sum(dense(projections.w_v) ** 2))


pooled_weights_squared = Error(
    "squared distance of the key and value weights of every group from the pooled ones",
    lambda t, r: _distance_to_pooled(t, r),
    _weights_size,
    _weights_size,
)


def _groups(weights: Any, groups: int) -> Values:
    """Split the heads of weights (G, width, d) into groups, (g, G / g, width, d)."""
    w = dense(weights)
    return w.reshape(groups, w.shape[0] // groups, *w.shape[1:])


def _distance_to_pooled(target: Projections, result: Projections) -> Values:
    total = np.zeros(result.groups)
    for before, after in ((target.w_k, result.w_k), (target.w_v, result.w_v)):
        difference = _groups(before, result.groups) - dense(after)[:, None]
        total += np.sum(difference**2, axis=(1, 2, 3))
    return total


def _random_weights(rng: np.random.Generator) -> Instance:
    w_q, w_k, w_v = (rng.standard_normal((heads, 8, 3)) for heads in (8, 4, 4))
    return GroupedQueries(2), Projections(w_q, w_k, w_v)


own = Paper(
    "re-derived",
    method=GroupedQueries,
    instances=(_random_weights, _random_weights),
    guarantee=Deterministic(condition=8.0),
)


@own("by least squares", error=pooled_weights_squared)
def gqa_mean_pooling(method: GroupedQueries, projections: Projections, result: Projections) -> tuple[Values, Values]:
    """sum_h ||W_h - W||_F^2 = sum_h ||W_h||_F^2 - g ||mean of W_h||_F^2, the minimum over W, for g heads of a group.

    Letters: h an index of heads; W the weights of the heads; g the number of heads of a group.
    Hypotheses: the number of key heads is a multiple of groups.
    """
    require(projections.groups % method.groups == 0, "the number of key heads is a multiple of groups")
    right = np.zeros(method.groups)
    for weights in (projections.w_k, projections.w_v):
        heads = _groups(weights, method.groups)
        # the mean is the least-squares fit, and its remainder orthogonal to it
        right += np.sum(heads**2, axis=(1, 2, 3)) - heads.shape[1] * np.sum(heads.mean(axis=1) ** 2, axis=(1, 2))
    return pooled_weights_squared(projections, result), right


def _opposite_heads(rng: np.random.Generator) -> Instance:
    """Two key heads with opposite scores of two keys, which pooling cancels; values are alike in both heads."""
    del rng
    side = np.array([1.0, -1.0])[:, None]
    k = 0.25 * np.stack([side, -side])
    problem = AttentionProblem(np.ones((2, 1, 1)), k, np.stack([side, side]), scale=1.0)
    return PooledKeyValue(1), problem


own_pooled = replace(
    own,
    method=PooledKeyValue,
    instances=(_opposite_heads, lambda rng: (PooledKeyValue(2), random_problem(rng, heads=4, groups=4, size=0.6))),
)


@own_pooled("as for keys and values of low rank", error=errors.output_rows)
def gqa_pooling_output(method: PooledKeyValue, problem: AttentionProblem) -> Values:
    """||o'_i - o_i|| <= tanh(rho_i / 4) diam(V) + max_j ||v_j - v'_j||, rho_i the range of q_i . (k'_j - k_j) over j.

    k' and v' are the means over the key heads of a group.

    Hypotheses: scores are inner products; the number of key heads is a multiple of groups; every query sees a key.
    """
    require(problem.softcap is None, "scores are inner products")
    require(problem.groups % method.groups == 0, "the number of key heads is a multiple of groups")
    # key heads of the problem for each pooled one
    ratio = problem.groups // method.groups
    k, v = (np.repeat(host(mean_pooled(x, method.groups, axis=-3)), ratio, axis=-3) for x in (problem.k, problem.v))
    q = problem.score_scale * host(problem.q)
    change = q @ np.swapaxes(per_head(problem, (k - host(problem.k))[..., None, :, :], 2), -1, -2)
    seen = np.isfinite(exact_scores(problem))
    require(bool(np.all(seen.any(axis=-1))), "every query sees a key")
    # keys that the mask hides do not enter the range
    high, low = (np.where(seen, change, sign * -np.inf) for sign in (1.0, -1.0))
    rho = high.max(axis=-1) - low.min(axis=-1)
    diameter = np.repeat(errors.value_diameter(problem), problem.heads // problem.groups, axis=-1)[..., None]
    moved = head_values(problem) - per_head(problem, v[..., None, :, :], 2)
    return np.asarray(np.tanh(rho / 4) * diameter + np.linalg.norm(moved, axis=-1).max(axis=-1)[..., None])
