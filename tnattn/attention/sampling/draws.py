"""Draws of keys, one distribution per matrix of a stack."""

from __future__ import annotations

import math

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace, device, eps, uniform
from tnattn.structured import Sparse


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
    xp = array_namespace(weights)
    *batch, n = weights.shape
    count = math.prod(batch)
    dtype = accumulator_dtype(weights)
    cumulative = xp.cumulative_sum(xp.astype(xp.reshape(weights, (count, n)), dtype), axis=-1)
    cumulative = cumulative / cumulative[:, -1:]
    row = xp.astype(xp.arange(count, device=device(weights)), dtype)[:, None]
    draws = uniform(rng, (count, size), like=cumulative)
    # a draw that rounds to one would land in the next row
    draws = xp.minimum(draws, xp.full_like(draws, 1 - 2 * count * eps(dtype)))
    flat = xp.searchsorted(xp.reshape(cumulative + row, (-1,)), xp.reshape(draws + row, (-1,)), side="right")
    own = xp.astype(xp.reshape(flat, (count, size)), xp.int64) - xp.arange(count, device=device(weights))[:, None] * n
    return xp.reshape(xp.clip(own, 0, n - 1), (*batch, size))


def sampled_columns(indices: Array, weights: Array, n: int) -> Sparse:
    """Return the matrices (..., m, n) whose row t holds ``weights[..., t]`` at column ``indices[..., t]``."""
    return Sparse(weights[..., None], indices[..., None], n)
