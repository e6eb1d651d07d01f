"""Sampling of keys with replacement, one distribution per matrix of a stack."""

from __future__ import annotations

import math

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace, clipped, device, each_matrix, eps, uniform
from tnattn.scalars import as_integer
from tnattn.structured import Sparse

__all__: list[str] = []  # parts of the methods of this chapter


def relative_norms(x: Array) -> Array:
    """Return the norms of the rows of arrays (..., n, c) in units of their largest entry, (..., n).

    In the widest floating dtype of the device; between 0 and sqrt(c). On the host one matrix is widened at a time. No
    norm overflows or underflows.
    """
    return each_matrix(lambda part: (_relative_norms(part.of(x)),), tuple(x.shape[:-2]), like=x)[0]


def _relative_norms(x: Array) -> Array:
    xp = array_namespace(x)
    wide = xp.astype(x, accumulator_dtype(x), copy=False)
    if wide.dtype != x.dtype:  # squares of float32 lie within the range of float64
        norms = xp.sqrt(xp.vecdot(wide, wide))
        top = xp.maximum(xp.max(x, axis=(-2, -1)), -xp.min(x, axis=(-2, -1)))  # without an array of moduli
        return norms / or_one(xp.astype(top, norms.dtype)[..., None])
    # rows are divided by their own largest entry before they are squared
    tops = xp.max(xp.abs(wide), axis=-1)
    unit = wide / or_one(tops)[..., None]
    return tops / or_one(xp.max(tops, axis=-1, keepdims=True)) * xp.sqrt(xp.vecdot(unit, unit))


def shares(weights: Array) -> Array:
    """Return non-negative weights (..., n) divided by their sum; equal shares where all are zero."""
    xp = array_namespace(weights)
    relative = weights / or_one(xp.max(weights, axis=-1, keepdims=True))  # or the sum might overflow, or vanish
    total = xp.sum(relative, axis=-1, keepdims=True)
    even = xp.full_like(relative, 1.0 / weights.shape[-1])
    return xp.where(total > 0, relative / or_one(total), even)


def or_one(x: Array) -> Array:
    """Return positive entries as they are, and one for the others."""
    xp = array_namespace(x)
    return xp.where(x > 0, x, xp.ones_like(x))


def draw_by_weight(rng: Rng, weights: Array, size: int) -> Array:
    """Draw positions with replacement, with probabilities proportional to weights.

    Parameters
    ----------
    rng : numpy.random.Generator or DeviceDraws
    weights : Array, (..., n), floating
        Non-negative, not all zero in any row.
    size : int

    Returns
    -------
    Array, (..., size), int64

    Notes
    -----
    O(n + size log n) per row by inversion. All rows share one search: row b is moved to [b, b + 1], which costs as many
    digits as there are rows; probabilities are exact to ``rows * eps`` of the widest floating dtype of the device.
    """
    size = as_integer(size, "size", least=1)
    like = array_namespace(weights).astype(weights[..., :0], accumulator_dtype(weights))
    return drawn_positions(weights, uniform(rng, (*weights.shape[:-1], size), like=like))


def drawn_positions(weights: Array, draws: Array) -> Array:
    """Return the positions (..., size) that numbers uniform on [0, 1) draw from weights; see ``draw_by_weight``."""
    xp = array_namespace(weights)
    *batch, n = weights.shape
    count, size = math.prod(batch), draws.shape[-1]
    dtype = accumulator_dtype(weights)
    cumulative = xp.cumulative_sum(xp.astype(xp.reshape(weights, (count, n)), dtype), axis=-1)
    cumulative = cumulative / cumulative[:, -1:]
    row = xp.astype(xp.arange(count, device=device(weights)), dtype)[:, None]
    draws = xp.astype(xp.reshape(draws, (count, size)), dtype)
    # a draw that rounds to one would land in the next row
    draws = xp.minimum(draws, xp.full_like(draws, 1 - 2 * count * eps(dtype)))
    flat = xp.searchsorted(xp.reshape(cumulative + row, (-1,)), xp.reshape(draws + row, (-1,)), side="right")
    own = xp.astype(xp.reshape(flat, (count, size)), xp.int64) - xp.arange(count, device=device(weights))[:, None] * n
    return xp.reshape(clipped(own, 0, n - 1), (*batch, size))


def sampled_columns(indices: Array, weights: Array, n: int) -> Sparse:
    """Return the matrices (..., m, n) whose row t holds ``weights[..., t]`` at column ``indices[..., t]``."""
    return Sparse(weights[..., None], indices[..., None], n)
