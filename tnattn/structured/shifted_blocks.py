"""Matrices made of equal blocks side by side, each shifted down to a first row of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, device
from tnattn.scalars import as_integer
from tnattn.structured.base import StructuredMatrix


@dataclass(frozen=True, eq=False, repr=False)
class ShiftedBlocks(StructuredMatrix):
    """Block b of a stack occupies rows ``starts[b], ...`` and the b-th run of columns; zero elsewhere.

    Parameters
    ----------
    blocks : StructuredMatrix, (b, ..., r, c), or (..., r, c) if ``shared``
        The first batch axis counts the blocks.
    starts : tuple of int
        First row of every block, b of them. Rows that fall before the first one are cut off.
    row_count : int
        Rows of the matrix.
    shared : bool
        True if the same block stands in all places.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import Dense, ShiftedBlocks
    >>> stencil = Dense(np.array([[-1.0], [1.0]]))
    >>> difference = ShiftedBlocks(stencil, starts=(0, 1, 2), row_count=4, shared=True)
    >>> difference.to_dense(), difference.storage
    (array([[-1.,  0.,  0.],
           [ 1., -1.,  0.],
           [ 0.,  1., -1.],
           [ 0.,  0.,  1.]]), 2)
    """

    blocks: StructuredMatrix
    starts: tuple[int, ...]
    row_count: int
    shared: bool = False

    def __post_init__(self) -> None:
        height = self.blocks.shape[-2]
        if not self.shared and self.blocks.shape[0] != len(self.starts):
            raise ValueError(f"{len(self.starts)} starts are given for a stack of {self.blocks.shape[0]} blocks")
        if any(not -height < start <= self.row_count - height for start in self.starts):
            raise ValueError(f"blocks of {height} rows at {self.starts} do not lie within {self.row_count} rows")

    @property
    def shape(self) -> tuple[int, ...]:
        batch = self.blocks.batch if self.shared else self.blocks.batch[1:]
        return (*batch, self.row_count, len(self.starts) * self.blocks.shape[-1])

    @property
    def like(self) -> Array:
        return self.blocks.like

    @property
    def storage(self) -> int:
        return self.blocks.storage

    def _places(self) -> Iterator[tuple[slice, slice]]:
        """Yield, for every block, its rows in the matrix and those of its own rows that are not cut off."""
        height = self.blocks.shape[-2]
        for start in self.starts:
            yield slice(max(start, 0), start + height), slice(max(-start, 0), height)

    def _stacked(self, product: Callable[[Array], Array], stack: Array) -> Array:
        """Apply a product of the blocks to a stack (b, ..., r, c), its first axis put where that of the blocks is."""
        xp = array_namespace(stack)
        # batch axes that the stack lacks become ones; the axis of the blocks moves to its place among them
        own = len(self.batch)
        missing = own - (stack.ndim - 3)
        if missing > 0:
            stack = xp.reshape(stack, (stack.shape[0], *(1,) * missing, *stack.shape[1:]))
        return xp.moveaxis(product(xp.moveaxis(stack, 0, -own - 3)), -own - 3, 0)

    def _matmul(self, x: Array) -> Array:
        xp = array_namespace(x)
        product = self._stacked(self.blocks._matmul, to_stack(x, len(self.starts)))  # (b, ..., r, c)
        out = xp.zeros((*product.shape[1:-2], self.row_count, x.shape[-1]), dtype=product.dtype, device=device(x))
        for block, (place, own) in enumerate(self._places()):
            out[..., place, :] += product[block, ..., own, :]  # blocks may overlap
        return out

    def _rmatmul(self, y: Array) -> Array:
        xp = array_namespace(y)
        height = self.blocks.shape[-2]
        stack = xp.zeros((len(self.starts), *y.shape[:-2], height, y.shape[-1]), dtype=y.dtype, device=device(y))
        for block, (place, own) in enumerate(self._places()):
            stack[block, ..., own, :] = y[..., place, :]
        return from_stack(self._stacked(self.blocks._rmatmul, stack))

    def to_dense(self) -> Array:
        xp = array_namespace(self.like)
        dense, width = self.blocks.dense_view(), self.blocks.shape[-1]
        out = xp.zeros(self.shape, dtype=dense.dtype, device=device(dense))
        for block, (place, own) in enumerate(self._places()):
            part = dense if self.shared else dense[block, ...]
            out[..., place, block * width : (block + 1) * width] = part[..., own, :]
        return out

    def matmul_flops(self, columns: int) -> int:
        return self.blocks.matmul_flops(columns) * (len(self.starts) if self.shared else 1)


def to_stack(x: Array, count: int) -> Array:
    """Cut the rows of (..., b r, c) into a stack (b, ..., r, c)."""
    xp, count = array_namespace(x), as_integer(count, "count", least=1)
    *batch, n, c = x.shape
    return xp.moveaxis(xp.reshape(x, (*batch, count, n // count, c)), -3, 0)


def from_stack(x: Array) -> Array:
    """Put the rows of a stack (b, ..., r, c) behind each other, (..., b r, c)."""
    xp = array_namespace(x)
    count, *batch, r, c = x.shape
    return xp.reshape(xp.moveaxis(x, 0, -3), (*batch, count * r, c))
