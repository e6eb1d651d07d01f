"""Concatenation, maximum and scaled sums of arrays after broadcasting, and writable copies."""

from __future__ import annotations

import math
from functools import reduce

from tnattn.arrays import Array, array_namespace, broadcast_shape, runs_on_host

_PART = 1 << 18  # scalars added at a time on the host: 1 MB of float32 stays in a cache


def concat_broadcast(parts: list[Array], *, axis: int) -> Array:
    """Return arrays concatenated along a negative ``axis`` after broadcasting all other axes."""
    xp = array_namespace(*parts)
    others = [list(part.shape) for part in parts]
    for shape in others:
        del shape[axis]
    common = broadcast_shape(*(tuple(shape) for shape in others))
    place = len(common) + 1 + axis  # position of the axis, counted from the front
    full = [xp.broadcast_to(p, (*common[:place], p.shape[axis], *common[place:])) for p in parts]
    return xp.concat(full, axis=axis)


def entrywise_maximum(parts: list[Array]) -> Array:
    """Return the entrywise maximum of arrays that broadcast against each other; NaN where one is NaN."""
    xp = array_namespace(*parts)
    shape = broadcast_shape(*(part.shape for part in parts))
    return reduce(xp.maximum, (xp.broadcast_to(part, shape) for part in parts))


def add_scaled(total: Array | None, factor: Array, x: Array) -> Array:
    """Return ``total + factor * x`` for arrays that broadcast, or ``factor * x`` for None.

    The sum is written over ``total`` where that has its shape.
    """
    if total is None:
        return factor * x
    shape = broadcast_shape(factor.shape, x.shape)
    if broadcast_shape(total.shape, shape) != tuple(total.shape):
        return total + factor * x
    if not runs_on_host(x):
        total += factor * x
        return total
    xp = array_namespace(x)
    factor, x = xp.broadcast_to(factor, total.shape), xp.broadcast_to(x, total.shape)
    axis = -2 if total.ndim > 1 else -1
    rows, step = total.shape[axis], max(1, _PART * total.shape[axis] // max(1, math.prod(total.shape)))
    for start in range(0, rows, step):  # no product as large as the sum is written
        part = (..., slice(start, start + step), *(slice(None),) * (-1 - axis))
        total[part] += factor[part] * x[part]
    return total


def copied(array: Array) -> Array:
    """Return a copy of an array."""
    return array_namespace(array).asarray(array, copy=True)
