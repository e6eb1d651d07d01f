"""Column norms of the weights times centred values, and the keys that they make exact or sampled."""

from __future__ import annotations

from typing import NamedTuple

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace, device, eps
from tnattn.attention.approximation import Approximation
from tnattn.attention.exponential_piece import exponential_piece
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.draws import draw_by_weight, or_one, sampled_columns, shares
from tnattn.structured.gather import gather_rows

__all__: list[str] = []  # parts of the methods of this chapter

_BLOCK = 1 << 22  # weights held at a time: 16 MB of float32


class KeyPlan(NamedTuple):
    """Keys of every head that are exact, and the probabilities with which the others are drawn.

    Parameters
    ----------
    order : Array, (..., G, R, n_k), int64
        Keys by falling importance.
    exact : Array, (..., G, R, 1), int64
        How many of them are exact.
    probabilities : Array, (..., G, R, n_k)
        Of the other keys, zero for exact ones; in the widest floating dtype of the device.
    samples : Array, (..., G, R, 1), int64
        Number of draws with replacement.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.sampling.centred_columns import key_plan
    >>> plan = key_plan(np.asarray([[1.0, 8.0, 1.0, 2.0]]), 3, exact=1)
    >>> plan.order[0, : plan.exact.item()].tolist(), plan.probabilities.tolist(), plan.samples.item()
    ([1], [[0.25, 0.0, 0.25, 0.5]], 2)
    """

    order: Array
    exact: Array
    probabilities: Array
    samples: Array


def centred_column_norms(problem: AttentionProblem, rows: Array) -> Array:
    """Return c_j = (sum_i p_ij^2 ||v_j - o_i||^2)^(1/2) over given queries, in units of the largest value.

    Parameters
    ----------
    problem : AttentionProblem
    rows : Array, (r,), integer
        Queries i; their exact weights p_ij and outputs o_i are computed.

    Returns
    -------
    Array, (..., G, R, n_k)
        In the widest floating dtype of the device. Exact to about the square root of its unit roundoff, relative to
        ||P_:j||: no key that has a weight has norm zero.

    Notes
    -----
    2 r n_k (d + 2 d_v + 2) operations per head, in blocks of queries.
    """
    xp = array_namespace(problem.q)
    wide = accumulator_dtype(problem.q)  # squares of single-precision weights would vanish below 1e-19
    values = xp.astype(problem.values, wide)
    # norms in units of the largest entry neither overflow nor vanish
    values = values / or_one(xp.max(xp.abs(values), axis=(-2, -1), keepdims=True))
    values = values - xp.mean(values, axis=-2, keepdims=True)  # the expansion of the square loses fewer digits
    norms = xp.vecdot(values, values)  # (..., G, 1, n_k)
    weight = xp.zeros((*problem.batch, problem.n_k), dtype=wide, device=device(problem.q))
    total = xp.zeros_like(weight)
    step = max(1, _BLOCK // (problem.n_k * problem.heads))
    for start in range(0, rows.shape[0], step):
        block = rows[start : min(start + step, rows.shape[0])]
        weights = xp.astype(problem.weights.rows(block), wide)
        if problem.weights.blocks.unsafe:  # a query whose scores overflow has no exact output, and asks for no key
            weights = xp.where(xp.isfinite(weights), weights, xp.zeros_like(weights))
        outputs = weights @ values
        own = xp.vecdot(outputs, outputs)[..., None]
        squares = weights * weights
        sums = squares.mT @ xp.concat([outputs, own, xp.ones_like(own)], axis=-1)  # (..., G, R, n_k, d_v + 2)
        # ||v - o||^2 = ||v||^2 - 2 v . o + ||o||^2, summed over queries before anything of size n_q n_k is formed
        share = sums[..., -1]
        weight = weight + share
        total = total + (norms * share - 2 * xp.vecdot(values, sums[..., :-2]) + sums[..., -2])
        total = total + eps(wide) * (norms * share + sums[..., -2])  # at least what rounding may have taken
    # differences of the values that are rounding leave the norms of the weights
    return xp.sqrt(total + (4 * eps(wide)) ** 2 * weight)


def key_plan(norms: Array, keys: int, *, exact: int | None = None, uniform: float = 0.0) -> KeyPlan:
    """Return the keys of largest norms, and the probabilities of the others, in proportion to theirs.

    Parameters
    ----------
    norms : Array, (..., n_k)
        c_j, non-negative.
    keys : int
        m, of exact and drawn keys together.
    exact : int, optional
        h, the number of exact keys, at most m - 1. By default the one that minimises (sum_(j > h) c_j)^2 / (m - h).
    uniform : float
        Share of the uniform distribution over keys that are not exact, in [0, 1].

    Notes
    -----
    All keys are exact where there are no more than m. O(n_k log n_k), no synchronisation.
    """
    xp = array_namespace(norms)
    n, place = norms.shape[-1], device(norms)
    order = xp.astype(xp.argsort(-norms, axis=-1, stable=True), xp.int64)
    if n <= keys:
        every = xp.full((*norms.shape[:-1], 1), n, dtype=xp.int64, device=place)
        return KeyPlan(order, every, xp.zeros_like(norms), xp.zeros_like(every))
    if exact is None:
        relative = xp.take_along_axis(norms, order, axis=-1)
        relative = relative / or_one(relative[..., :1])
        # summed from the smallest norm on: a difference of sums would lose the small tails
        tails = xp.flip(xp.cumulative_sum(xp.flip(relative, axis=-1), axis=-1), axis=-1)[..., :keys]
        left = keys - xp.arange(keys, dtype=norms.dtype, device=place)
        most = xp.argmin(tails * (tails / left), axis=-1, keepdims=True)
        count = xp.astype(most, xp.int64)
    else:
        count = xp.full((*norms.shape[:-1], 1), min(exact, keys - 1), dtype=xp.int64, device=place)
    rank = xp.argsort(order, axis=-1, stable=True)  # the inverse permutation
    light = xp.astype(rank >= count, norms.dtype)
    even = shares(light)
    tail = norms * light
    # keys without any weight are drawn evenly, to no effect
    by_norm = xp.where(xp.max(tail, axis=-1, keepdims=True) > 0, shares(tail), even)
    return KeyPlan(order, count, uniform * even + (1 - uniform) * by_norm, keys - count)


def planned_piece(problem: AttentionProblem, plan: KeyPlan, keys: int, *, rng: Rng) -> Approximation:
    """Return attention to the exact keys of a plan, and to drawn ones in place of the others.

    Drawn keys have mass 1 / (samples probability), so that numerators and denominators are unbiased.
    """
    xp = array_namespace(problem.q)
    columns = min(keys, problem.n_k)
    indices = plan.order[..., :columns]
    mass = xp.ones_like(plan.probabilities[..., :columns])
    if columns < problem.n_k:
        drawn = draw_by_weight(rng, plan.probabilities, columns)  # the last ones are used: one shape for all heads
        kept = xp.arange(columns, dtype=xp.int64, device=device(mass)) < plan.exact
        probabilities = xp.take_along_axis(plan.probabilities, drawn, axis=-1)
        counts = 1 / (or_one(probabilities) * xp.astype(plan.samples, mass.dtype))
        indices, mass = xp.where(kept, indices, drawn), xp.where(kept, mass, counts)
    mass = xp.astype(mass, problem.q.dtype)
    return exponential_piece(
        problem.queries * problem.score_scale,
        gather_rows(problem.keys, indices[..., None])[..., 0, :],
        mass[..., None] * gather_rows(problem.values, indices[..., None])[..., 0, :],
        mass=mass,
        softcap=problem.softcap,
        expand=sampled_columns(indices, mass, problem.n_k),
    )
