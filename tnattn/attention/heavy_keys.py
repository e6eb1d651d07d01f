"""Outlying keys, which low-rank methods treat exactly: their size would cost all other keys their digits."""

from __future__ import annotations

import math
from typing import NamedTuple

from tnattn.arrays import (
    Array,
    Part,
    accumulator_dtype,
    array_namespace,
    device,
    each_matrix,
    to_host,
    upper_median,
)
from tnattn.structured.gather import gather_rows

_DISTANCE = 5.0  # times the typical distance from the middle; Gaussian keys in 4 dimensions reach it once in 1e10


class HeavyKeys(NamedTuple):
    """Heavy (outlying) keys of every matrix of a stack; m is the largest number among the matrices.

    Parameters
    ----------
    indices : Array, (..., m), integer
    present : Array, (..., m), bool
        True for the first entries, as many as the matrix has heavy keys; other indices are not used.
    among : Array, (..., n), bool
        True for heavy keys.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.heavy_keys import heavy_keys
    >>> keys = np.random.default_rng(0).standard_normal((16, 4))
    >>> keys[7] *= 100
    >>> heavy = heavy_keys(keys, 3)
    >>> heavy.indices.tolist(), heavy.present.tolist()
    ([7], [True])
    """

    indices: Array
    present: Array
    among: Array


def heavy_keys(keys: Array, most: int) -> HeavyKeys:
    """Return keys whose distance from the coordinate-wise median is more than five times the typical one.

    Parameters
    ----------
    keys : Array, (..., n, d), floating
    most : int
        At most this many of every matrix, the farthest ones.

    Notes
    -----
    O(n d) and one synchronisation; O(n log n) more where there are any. Invariant under translation and
    scaling of all keys.
    """
    xp = array_namespace(keys)

    def work(part: Part) -> tuple[Array, Array]:
        distance = _distances(xp.astype(part.of(keys), accumulator_dtype(keys), copy=False))
        typical = upper_median(distance, axis=-1)
        # where most keys are equal, the typical distance is that of the others
        return distance, xp.where(typical > 0, typical, xp.mean(distance, axis=-1, keepdims=True))

    distance, typical = each_matrix(work, tuple(keys.shape[:-2]), like=keys)
    far = distance > _DISTANCE * typical
    count = min(most, int(to_host(xp.max(xp.count_nonzero(far, axis=-1)))) if math.prod(keys.shape[:-2]) else 0)
    if not count:  # the usual case needs no order
        none = xp.zeros((*keys.shape[:-2], 0), dtype=xp.int64, device=device(keys))
        return HeavyKeys(none, none > 0, xp.zeros_like(far))
    # the farthest first, so that a budget smaller than their number keeps those
    indices = xp.argsort(-distance, axis=-1)[..., :count]
    present = xp.take_along_axis(far, indices, axis=-1)  # true ones first
    position = xp.arange(keys.shape[-2], dtype=xp.int64, device=device(keys))
    among = xp.any((indices[..., None] == position) & present[..., None], axis=-2)
    return HeavyKeys(indices, present, among)


def replaced_by_mean(keys: Array, heavy: Array) -> Array:
    """Return keys (..., n, d) in which the mean of the light keys replaces every heavy one, by flags (..., n)."""
    xp = array_namespace(keys)
    light = xp.where(heavy[..., None], xp.zeros_like(keys), keys)
    count = xp.count_nonzero(~heavy, axis=-1)[..., None, None]
    mean = xp.sum(light, axis=-2, keepdims=True) / xp.astype(xp.maximum(count, xp.ones_like(count)), keys.dtype)
    return xp.where(heavy[..., None], mean, keys)


def taken(x: Array, heavy: HeavyKeys) -> Array:
    """Return the rows (..., m, c) of x (..., n, c) that belong to the heavy keys."""
    return gather_rows(x, heavy.indices[..., None])[..., 0, :]


def _distances(keys: Array) -> Array:
    """Return the distances (..., n) of keys (..., n, d) from their median, in units of the largest coordinate."""
    xp = array_namespace(keys)
    apart = keys - upper_median(keys, axis=-2)
    largest = xp.max(xp.abs(apart), axis=(-2, -1), keepdims=True)  # squares might overflow
    apart /= xp.where(largest > 0, largest, xp.ones_like(largest))
    return xp.sqrt(xp.vecdot(apart, apart))
