"""Block matrices: structured matrices side by side, on top of each other, and along the diagonal."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, broadcast_shape
from tnattn.cached import cached_property
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.composite import common_batch, stored_scalars


@dataclass(frozen=True, eq=False, repr=False)
class _Blocks(StructuredMatrix):
    """Base of the matrices that consist of blocks: one representative array, and the storage of all."""

    blocks: tuple[StructuredMatrix, ...]

    @property
    def like(self) -> Array:
        return self.blocks[0].like

    @property
    def storage(self) -> int:
        return stored_scalars(self.blocks)

    def _dense_blocks(self) -> list[Array]:
        """Return the blocks as arrays with the batch axes of the whole."""
        xp, batch = array_namespace(self.like), self.batch
        return [xp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (block.dense_view() for block in self.blocks)]


@dataclass(frozen=True, eq=False, repr=False)
class Columns(_Blocks):
    """Matrices side by side: ``[A_1 A_2 ...]``, all with the same rows.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import Columns, Dense, Diagonal
    >>> matrix = Columns((Diagonal(np.array([1.0, 2.0])), Dense(np.array([[5.0], [6.0]]))))
    >>> matrix.to_dense()
    array([[1., 0., 5.],
           [0., 2., 6.]])
    """

    def __post_init__(self) -> None:
        if len({block.shape[-2] for block in self.blocks}) != 1:
            raise ValueError(f"blocks must have the same number of rows; got {[block.shape for block in self.blocks]}")

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return (*common_batch(self.blocks), self.blocks[0].shape[-2], sum(block.shape[-1] for block in self.blocks))

    def _matmul(self, x: Array) -> Array:
        # [A_1 A_2 ...] x = A_1 x_1 + A_2 x_2 + ...
        total, start = None, 0
        for block in self.blocks:
            stop = start + block.shape[-1]
            part = block._matmul(x[..., start:stop, :])
            total, start = part if total is None else total + part, stop
        return total

    def _rmatmul(self, y: Array) -> Array:
        return _stacked([block._rmatmul(y) for block in self.blocks])

    def to_dense(self) -> Array:
        return array_namespace(self.like).concat(self._dense_blocks(), axis=-1)

    def matmul_flops(self, columns: int) -> int:
        # the products of the blocks are added up
        added = (len(self.blocks) - 1) * columns * self.shape[-2] * self.count
        return sum(block.matmul_flops(columns) for block in self.blocks) + added


@dataclass(frozen=True, eq=False, repr=False)
class Rows(_Blocks):
    """Matrices on top of each other, all with the same columns.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import Dense, Diagonal, Rows
    >>> Rows((Diagonal(np.array([1.0, 2.0])), Dense(np.array([[5.0, 6.0]])))) @ np.array([1.0, 1.0])
    array([ 1.,  2., 11.])
    """

    def __post_init__(self) -> None:
        if len({block.shape[-1] for block in self.blocks}) != 1:
            raise ValueError(f"blocks must have the same number of columns; got {[b.shape for b in self.blocks]}")

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return (*common_batch(self.blocks), sum(block.shape[-2] for block in self.blocks), self.blocks[0].shape[-1])

    def _matmul(self, x: Array) -> Array:
        return _stacked([block._matmul(x) for block in self.blocks])

    def _rmatmul(self, y: Array) -> Array:
        return Columns(tuple(block.mT for block in self.blocks))._matmul(y)  # transposes share the storage

    def to_dense(self) -> Array:
        return array_namespace(self.like).concat(self._dense_blocks(), axis=-2)

    def matmul_flops(self, columns: int) -> int:
        return sum(block.matmul_flops(columns) for block in self.blocks)


@dataclass(frozen=True, eq=False, repr=False)
class BlockDiagonal(_Blocks):
    """Matrices along the diagonal, zero elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import BlockDiagonal, Dense
    >>> matrix = BlockDiagonal((Dense(np.array([[2.0]])), Dense(np.array([[3.0, 4.0]]))))
    >>> matrix.to_dense()
    array([[2., 0., 0.],
           [0., 3., 4.]])
    """

    @cached_property
    def shape(self) -> tuple[int, ...]:
        rows, columns = (sum(block.shape[axis] for block in self.blocks) for axis in (-2, -1))
        return (*common_batch(self.blocks), rows, columns)

    def _matmul(self, x: Array) -> Array:
        parts, start = [], 0
        for block in self.blocks:
            stop = start + block.shape[-1]
            parts.append(block._matmul(x[..., start:stop, :]))
            start = stop
        return _stacked(parts)

    def _rmatmul(self, y: Array) -> Array:
        return BlockDiagonal(tuple(block.mT for block in self.blocks))._matmul(y)  # transposes share the storage

    def to_dense(self) -> Array:
        xp = array_namespace(self.like)
        # zeros before and after a block make its rows complete
        columns, rows, start = self.shape[-1], [], 0
        for part in self._dense_blocks():
            zeros = xp.zeros_like(part[..., :1])
            before = xp.broadcast_to(zeros, (*part.shape[:-1], start))
            after = xp.broadcast_to(zeros, (*part.shape[:-1], columns - start - part.shape[-1]))
            rows.append(xp.concat([before, part, after], axis=-1))
            start += part.shape[-1]
        return xp.concat(rows, axis=-2)

    def matmul_flops(self, columns: int) -> int:
        return sum(block.matmul_flops(columns) for block in self.blocks)


def _stacked(products: list[Array]) -> Array:
    """Put products (..., m_i, c) on top of each other; those of a part that all matrices share lack batch axes."""
    xp = array_namespace(*products)
    batch = broadcast_shape(*(product.shape[:-2] for product in products))
    return xp.concat([xp.broadcast_to(product, (*batch, *product.shape[-2:])) for product in products], axis=-2)
