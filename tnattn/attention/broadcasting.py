"""Concatenation and maximum of arrays after broadcasting, and writable copies."""

from __future__ import annotations

from functools import reduce

from tnattn.arrays import Array, array_namespace, broadcast_shape


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


def copied(array: Array) -> Array:
    """Return a copy of an array."""
    return array_namespace(array).asarray(array, copy=True)
