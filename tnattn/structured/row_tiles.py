"""Matrices whose entries are evaluated in tiles when they are multiplied, and not kept."""

from __future__ import annotations

import abc
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

from tnattn.arrays import (
    Array,
    array_namespace,
    broadcast_shape,
    device,
    matmul_into,
    parallel_map,
    quiet_overflow,
    runs_on_host,
)
from tnattn.scalars import Parameters, as_integer
from tnattn.structured.base import StructuredMatrix

HOST_TILE = 1 << 18  # entries of a tile on the host: 1 MB of float32, about the second-level cache of a core
DEVICE_TILE = 1 << 23  # entries of a tile on a device, which fills itself with one product for the whole stack

Tile = tuple[slice, slice]  # matrices of a stack with one batch axis, and rows of them


@dataclass(frozen=True)
class Stack(Parameters):
    """The matrices of arrays whose batch axes broadcast against each other, counted along one axis.

    Parameters
    ----------
    batch : tuple of int
        Common batch shape.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured.row_tiles import Stack
    >>> stack = Stack((2, 3))
    >>> stack.count, stack.flat(np.zeros((2, 1, 5, 4))).shape
    (6, (6, 5, 4))
    """

    batch: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of matrices."""
        return math.prod(self.batch)

    def flat(self, x: Array) -> Array:
        """Return (..., a, b) as (count, a, b): a view where no batch axis is repeated."""
        xp = array_namespace(x)
        full = (*self.batch, *x.shape[-2:])
        return xp.reshape(x if tuple(x.shape) == full else xp.broadcast_to(x, full), (self.count, *x.shape[-2:]))

    def restored(self, x: Array) -> Array:
        """Return (count, ...) as (..., ...)."""
        return array_namespace(x).reshape(x, (*self.batch, *x.shape[1:]))


def tiles(count: int, rows: int, columns: int, *, like: Array) -> list[Tile]:
    """Return the tiles in which a stack of matrices is evaluated.

    Parameters
    ----------
    count, rows, columns : int
        Of the stack; a tile has all columns.
    like : Array
        Decides on the size: that of a cache on the host, where threads share the tiles, and as much as memory holds on
        a device. Whole matrices while they fit into a tile, rows of one matrix otherwise on the host; rows of all
        matrices on a device.
    """
    count, rows, columns = (as_integer(x, "size", least=0) for x in (count, rows, columns))
    if not runs_on_host(like):
        step = max(1, DEVICE_TILE // max(1, columns * count))
        return [(slice(0, count), slice(i, min(i + step, rows))) for i in range(0, rows, step)]
    together = max(1, HOST_TILE // max(1, rows * columns))
    step = max(1, min(rows, HOST_TILE // max(1, columns)))
    spans = [slice(i, min(i + step, rows)) for i in range(0, rows, step)]
    heads = [slice(h, min(h + together, count)) for h in range(0, count, together)]
    return list(itertools.product(heads, spans))


def by_matrices(places: list[Tile]) -> list[tuple[slice, list[slice]]]:
    """Return the tiles in groups of the same matrices, with the rows of every group in order."""
    return [
        (heads, [rows for _, rows in group]) for heads, group in itertools.groupby(places, key=lambda tile: tile[0])
    ]


def swept(
    work: Callable[[slice, slice, tuple[Array, ...]], tuple[Array, ...]],
    places: list[Tile],
    shapes: tuple[tuple[int, ...], ...],
    *,
    like: Array,
    operations: float = math.inf,
) -> tuple[Array, ...]:
    """Return arrays (count, n, ...) that are computed tile by tile.

    Parameters
    ----------
    work : callable
        Returns the parts of all arrays at a tile, of its matrices, its rows, and the places of the parts: one that is
        written there, as ``matmul_into`` can, is not copied.
    places : list of tile
        They cover all rows of all matrices.
    shapes : tuple of tuple of int
        Of the arrays.
    like : Array
        Of their dtype.
    operations : float
        Multiplications in all tiles, if known: threads do not share little work.
    """
    xp = array_namespace(like)
    outs = tuple(xp.empty(shape, dtype=like.dtype, device=device(like)) for shape in shapes)

    def fill(tile: Tile) -> None:
        views = tuple(out[(*tile, ...)] for out in outs)
        for out, view, part in zip(outs, views, work(*tile, views), strict=True):
            if part is not view:
                out[(*tile, ...)] = part

    with quiet_overflow():  # the caller examines the results
        parallel_map(fill, places, like=like, work=operations)
    return outs


class RowTiles(StructuredMatrix):
    """Base class of stacks of matrices whose blocks of rows are evaluated in every product, and not kept.

    A subclass gives the entries of some rows of some matrices; products, transpose and dense form follow.
    """

    @abc.abstractmethod
    def blocks(self, stack: Stack) -> Callable[[slice, slice], Array]:
        """Return the function of matrices of a stack and of rows that evaluates the entries (..., rows, n).

        The batch axes of the stack may be more than those of the matrix, which is repeated then.
        """

    def _tiles(self, stack: Stack) -> list[Tile]:
        return tiles(stack.count, *self.shape[-2:], like=self.like)

    def _matmul(self, x: Array) -> Array:
        stack = Stack(broadcast_shape(self.batch, x.shape[:-2]))
        block, factors = self.blocks(stack), stack.flat(x)
        shape = (stack.count, self.shape[-2], x.shape[-1])

        def work(heads: slice, rows: slice, outs: tuple[Array, ...]) -> tuple[Array, ...]:
            return (matmul_into(block(heads, rows), factors[heads, ...], outs[0]),)

        (out,) = swept(work, self._tiles(stack), (shape,), like=x)
        return stack.restored(out)

    def _rmatmul(self, y: Array) -> Array:
        xp = array_namespace(y)
        stack = Stack(broadcast_shape(self.batch, y.shape[:-2]))
        block, factors = self.blocks(stack), stack.flat(y)
        out = xp.zeros((stack.count, self.shape[-1], y.shape[-1]), dtype=y.dtype, device=device(y))

        # rows of one matrix are added by one thread, since they write to the same place
        def work(group: tuple[slice, list[slice]]) -> None:
            heads, spans = group
            for rows in spans:
                out[heads, ...] += block(heads, rows).mT @ factors[heads, rows, :]

        with quiet_overflow():
            parallel_map(work, by_matrices(self._tiles(stack)), like=y)
        return stack.restored(out)

    def to_dense(self) -> Array:
        stack = Stack(self.batch)
        block = self.blocks(stack)
        shape = (stack.count, *self.shape[-2:])
        (out,) = swept(lambda h, rows, _: (block(h, rows),), self._tiles(stack), (shape,), like=self.like)
        return stack.restored(out)
