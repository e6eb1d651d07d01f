"""Arrays of pieces brought to common shapes, and copies that a caller may write into."""

from __future__ import annotations

from functools import reduce

from tnattn.arrays import Array, array_namespace, broadcast_shape


def concat_broadcast(parts: list[Array], *, axis: int) -> Array:
    """Return arrays concatenated along a negative ``axis`` after broadcasting all other axes."""
    xp = array_namespace(parts[0])
    trimmed = [tuple(1 if a == part.ndim + axis else n for a, n in enumerate(part.shape)) for part in parts]
    shape = broadcast_shape(*trimmed)
    position = len(shape) + axis
    full = [xp.broadcast_to(p, (*shape[:position], p.shape[axis], *shape[position + 1 :])) for p in parts]
    return xp.concat(full, axis=axis)


def largest(parts: list[Array]) -> Array:
    """Return the entrywise maximum of arrays that broadcast against each other; NaN where one is NaN."""
    xp = array_namespace(parts[0])
    shape = broadcast_shape(*(part.shape for part in parts))
    return reduce(xp.maximum, (xp.broadcast_to(part, shape) for part in parts))


def copied(array: Array) -> Array:
    """Return a copy of an array."""
    return array_namespace(array).asarray(array, copy=True)
