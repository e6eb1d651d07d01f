"""Columns, rows, diagonals and norms of implicit matrices from products with blocks of unit vectors.

These are the defaults of ``MatrixReads``. No block of unit vectors or of the matrix holds more than
2^22 entries, unless one column does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from tnattn.arrays import Array, accumulator_dtype, array_namespace, device

_BLOCK = 1 << 22  # entries held at a time: 32 MB of float64


class _Readable(Protocol):
    """The attributes of ``MatrixReads`` that its defaults need; a protocol, since that class imports this module."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def like(self) -> Array: ...
    def rows(self, indices: Array) -> Array: ...
    def columns(self, indices: Array) -> Array: ...


def images_of_units(product: Callable[[Array], Array], indices: Array, size: int, *, like: Array) -> Array:
    """Return the images (..., m, b) of the unit vectors of length ``size`` at indices (..., b) under a product."""
    xp = array_namespace(like)
    place = xp.arange(size, dtype=indices.dtype, device=device(indices))[:, None]
    width = indices.shape[-1]
    matrices = max(1, math.prod(indices.shape[:-1]))
    step = max(1, _BLOCK // (size * matrices))  # unit vectors at a time
    parts = [
        product(xp.astype(place == indices[..., None, start : min(start + step, width)], like.dtype))
        for start in range(0, max(width, 1), step)
    ]
    return parts[0] if len(parts) == 1 else xp.concat(parts, axis=-1)


def diagonal_of_columns(a: _Readable) -> Array:
    """Return the diagonals (..., min(m, n)) of matrices, reading columns block by block."""
    xp = array_namespace(a.like)
    parts = []
    for start, columns in _blocks(a, a.columns, min(a.shape[-2:])):
        own = columns[..., start : start + columns.shape[-1], :]  # the square block on the diagonal
        parts.append(xp.linalg.diagonal(own))
    return xp.concat(parts, axis=-1)


def squared_norm_of_columns(a: _Readable) -> Array:
    """Return squared Frobenius norms (...), reading columns block by block."""
    total: Any = 0.0
    for _, columns in _blocks(a, a.columns, a.shape[-1]):
        total = total + sum_of_squares(columns)
    return total


def squared_norm_of_rows(a: _Readable) -> Array:
    """Return squared Frobenius norms (...), reading rows block by block."""
    total: Any = 0.0
    for _, rows in _blocks(a, a.rows, a.shape[-2]):
        total = total + sum_of_squares(rows)
    return total


def _blocks(a: _Readable, read: Callable[[Array], Array], size: int) -> Iterator[tuple[int, Array]]:
    """Yield the first index and the columns or rows of consecutive blocks that cover the first ``size`` of them."""
    xp = array_namespace(a.like)
    step = max(1, _BLOCK // max(1, max(a.shape[-2:]) * math.prod(a.shape[:-2])))
    for start in range(0, size, step):
        yield start, read(xp.arange(start, min(start + step, size), device=device(a.like)))


def sum_of_squares(x: Array, *, axes: int = 2) -> Array:
    """Return the sums of squares over the last axes of an array, in float64 where the device has it."""
    xp = array_namespace(x)
    wide = xp.astype(x, accumulator_dtype(x), copy=False)
    return xp.sum(wide * wide, axis=tuple(range(-axes, 0)))


def wide_sum(x: Array) -> Array:
    """Return the sums over the last axis of an array, in float64 where the device has it."""
    xp = array_namespace(x)
    return xp.sum(xp.astype(x, accumulator_dtype(x), copy=False), axis=-1)
