"""Outlying keys, which low-rank methods treat exactly: their size would cost all other keys their digits."""

from __future__ import annotations

from typing import NamedTuple

from tnattn.arrays import Array, array_namespace, device, to_host
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
    O(n d log n), one synchronisation. Invariant under translation and scaling of all keys.
    """
    xp = array_namespace(keys)
    apart = keys - _median(keys, axis=-2)
    largest = xp.max(xp.abs(apart), axis=(-2, -1), keepdims=True)  # squares might overflow
    unit = apart / xp.where(largest > 0, largest, xp.ones_like(largest))
    distance = xp.sqrt(xp.sum(unit * unit, axis=-1))  # (..., n)
    typical = _median(distance, axis=-1)
    # where most keys are equal, the typical distance is that of the others
    typical = xp.where(typical > 0, typical, xp.mean(distance, axis=-1, keepdims=True))
    # the farthest first, so that a budget smaller than their number keeps those
    order = xp.argsort(-distance, axis=-1)[..., : min(most, keys.shape[-2])]
    far = xp.take_along_axis(distance, order, axis=-1) > _DISTANCE * typical  # true ones first
    count = int(to_host(xp.max(xp.count_nonzero(far, axis=-1)))) if order.shape[-1] else 0
    indices, present = order[..., :count], far[..., :count]
    position = xp.arange(keys.shape[-2], dtype=xp.int64, device=device(keys))
    among = xp.any((indices[..., None] == position) & present[..., None], axis=-2)
    return HeavyKeys(indices, present, among)


def replaced_by_mean(keys: Array, heavy: HeavyKeys) -> Array:
    """Return keys (..., n, d) in which the mean of the light keys replaces every heavy one."""
    xp = array_namespace(keys)
    light = xp.where(heavy.among[..., None], xp.zeros_like(keys), keys)
    count = xp.count_nonzero(~heavy.among, axis=-1)[..., None, None]
    mean = xp.sum(light, axis=-2, keepdims=True) / xp.astype(xp.maximum(count, xp.ones_like(count)), keys.dtype)
    return xp.where(heavy.among[..., None], mean, keys)


def taken(x: Array, heavy: HeavyKeys) -> Array:
    """Return the rows (..., m, c) of x (..., n, c) that belong to the heavy keys."""
    return gather_rows(x, heavy.indices[..., None])[..., 0, :]


def _median(x: Array, *, axis: int) -> Array:
    """Return the upper median along an axis, which is kept."""
    xp = array_namespace(x)
    middle = xp.asarray([x.shape[axis] // 2], dtype=xp.int64, device=device(x))
    return xp.take(xp.sort(x, axis=axis, stable=False), middle, axis=axis)
