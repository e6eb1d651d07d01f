"""Matrices composed of others: sums, products, rows and columns side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

from tnattn.arrays import Array, array_namespace, broadcast_shape
from tnattn.cached import cached_property
from tnattn.structured.base import StructuredMatrix


def _common_batch(parts: tuple[StructuredMatrix, ...]) -> tuple[int, ...]:
    return max((part.batch for part in parts), key=lambda batch: (math.prod(batch), len(batch)))


def _stored(parts: tuple[StructuredMatrix, ...]) -> int:
    """Scalars that the parts store; a part that occurs twice is stored once."""
    return sum({id(part): part.storage for part in parts}.values())


def _stacked(products: list[Array]) -> Array:
    """Put products (..., m_i, c) on top of each other, whose stacks differ where a part is shared by all matrices."""
    xp = array_namespace(*products)
    batch = broadcast_shape(*(product.shape[:-2] for product in products))
    return xp.concat([xp.broadcast_to(product, (*batch, *product.shape[-2:])) for product in products], axis=-2)


@dataclass(frozen=True, eq=False, repr=False)
class Sum(StructuredMatrix):
    """The sum of matrices of one shape.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import Diagonal, LowRank, Sum
    >>> matrix = Sum((Diagonal(np.array([1.0, 2.0])), LowRank(np.ones((2, 1)), np.ones((1, 2)))))
    >>> matrix @ np.array([1.0, 1.0]), matrix.storage
    (array([3., 4.]), 6)
    """

    terms: tuple[StructuredMatrix, ...]

    def __post_init__(self) -> None:
        if len({term.shape[-2:] for term in self.terms}) != 1:
            raise ValueError(f"terms must have one shape; got {[term.shape for term in self.terms]}")

    @cached_property  # nested structures ask each part several times
    def shape(self) -> tuple[int, ...]:
        return (*_common_batch(self.terms), *self.terms[0].shape[-2:])

    @property
    def like(self) -> Array:
        return self.terms[0].like

    @property
    def storage(self) -> int:
        return _stored(self.terms)

    def _matmul(self, x: Array) -> Array:
        return reduce(lambda a, b: a + b, (term._matmul(x) for term in self.terms))

    def _rmatmul(self, y: Array) -> Array:
        return reduce(lambda a, b: a + b, (term._rmatmul(y) for term in self.terms))

    def to_dense(self) -> Array:
        if len(self.terms) == 1:
            return self.terms[0].to_dense()
        return reduce(lambda a, b: a + b, (term.dense_view() for term in self.terms))

    def matmul_flops(self, columns: int) -> int:
        return sum(term.matmul_flops(columns) for term in self.terms) + (len(self.terms) - 1) * columns * (
            self.shape[-2] * self.count
        )

    def columns(self, indices: Array) -> Array:
        return reduce(lambda a, b: a + b, (term.columns(indices) for term in self.terms))

    def rows(self, indices: Array) -> Array:
        return reduce(lambda a, b: a + b, (term.rows(indices) for term in self.terms))

    def diagonal(self) -> Array:
        return reduce(lambda a, b: a + b, (term.diagonal() for term in self.terms))

    @property
    def explicit_diagonal(self) -> bool:
        return all(term.explicit_diagonal for term in self.terms)

    @property
    def symmetric(self) -> bool:
        return all(term.symmetric for term in self.terms)


@dataclass(frozen=True, eq=False, repr=False)
class Product(StructuredMatrix):
    """The product of two matrices, applied from the right to the left.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import Dense, Diagonal, Product
    >>> matrix = Product(Diagonal(np.array([1.0, 10.0])), Dense(np.array([[1.0, 2.0], [3.0, 4.0]])))
    >>> matrix @ np.array([1.0, 1.0])
    array([ 3., 70.])
    """

    left: StructuredMatrix
    right: StructuredMatrix

    def __post_init__(self) -> None:
        if self.left.shape[-1] != self.right.shape[-2]:
            raise ValueError(f"shapes {self.left.shape} and {self.right.shape} cannot be multiplied")

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return (*_common_batch((self.left, self.right)), self.left.shape[-2], self.right.shape[-1])

    @property
    def like(self) -> Array:
        return self.left.like

    @property
    def storage(self) -> int:
        return _stored((self.left, self.right))

    def _matmul(self, x: Array) -> Array:
        return self.left._matmul(self.right._matmul(x))

    def _rmatmul(self, y: Array) -> Array:
        return self.right._rmatmul(self.left._rmatmul(y))

    def to_dense(self) -> Array:
        return self.left._matmul(self.right.dense_view())

    def matmul_flops(self, columns: int) -> int:
        return self.left.matmul_flops(columns) + self.right.matmul_flops(columns)

    def columns(self, indices: Array) -> Array:
        return self.left._matmul(self.right.columns(indices))

    def rows(self, indices: Array) -> Array:
        return self.right._rmatmul(self.left.rows(indices).mT).mT


@dataclass(frozen=True, eq=False, repr=False)
class Columns(StructuredMatrix):
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

    blocks: tuple[StructuredMatrix, ...]

    def __post_init__(self) -> None:
        if len({block.shape[-2] for block in self.blocks}) != 1:
            raise ValueError(f"blocks must have the same number of rows; got {[block.shape for block in self.blocks]}")

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return (*_common_batch(self.blocks), self.blocks[0].shape[-2], sum(block.shape[-1] for block in self.blocks))

    @property
    def like(self) -> Array:
        return self.blocks[0].like

    @property
    def storage(self) -> int:
        return _stored(self.blocks)

    def _matmul(self, x: Array) -> Array:
        total, start = None, 0
        for block in self.blocks:
            stop = start + block.shape[-1]
            part = block._matmul(x[..., start:stop, :])
            total, start = part if total is None else total + part, stop
        return total

    def _rmatmul(self, y: Array) -> Array:
        return _stacked([block._rmatmul(y) for block in self.blocks])

    def to_dense(self) -> Array:
        xp = array_namespace(self.like)
        batch = self.batch
        parts = [block.dense_view() for block in self.blocks]
        return xp.concat([xp.broadcast_to(p, (*batch, *p.shape[-2:])) for p in parts], axis=-1)

    def matmul_flops(self, columns: int) -> int:
        added = (len(self.blocks) - 1) * columns * self.shape[-2] * self.count
        return sum(block.matmul_flops(columns) for block in self.blocks) + added


@dataclass(frozen=True, eq=False, repr=False)
class Rows(StructuredMatrix):
    """Matrices on top of each other, all with the same columns.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import Dense, Diagonal, Rows
    >>> Rows((Diagonal(np.array([1.0, 2.0])), Dense(np.array([[5.0, 6.0]])))) @ np.array([1.0, 1.0])
    array([ 1.,  2., 11.])
    """

    blocks: tuple[StructuredMatrix, ...]

    def __post_init__(self) -> None:
        if len({block.shape[-1] for block in self.blocks}) != 1:
            raise ValueError(f"blocks must have the same number of columns; got {[b.shape for b in self.blocks]}")

    @cached_property
    def shape(self) -> tuple[int, ...]:
        return (*_common_batch(self.blocks), sum(block.shape[-2] for block in self.blocks), self.blocks[0].shape[-1])

    @property
    def like(self) -> Array:
        return self.blocks[0].like

    @property
    def storage(self) -> int:
        return _stored(self.blocks)

    def _matmul(self, x: Array) -> Array:
        return _stacked([block._matmul(x) for block in self.blocks])

    def _rmatmul(self, y: Array) -> Array:
        total, start = None, 0
        for block in self.blocks:
            stop = start + block.shape[-2]
            part = block._rmatmul(y[..., start:stop, :])
            total, start = part if total is None else total + part, stop
        return total

    def to_dense(self) -> Array:
        xp = array_namespace(self.like)
        batch = self.batch
        parts = [block.dense_view() for block in self.blocks]
        return xp.concat([xp.broadcast_to(p, (*batch, *p.shape[-2:])) for p in parts], axis=-2)

    def matmul_flops(self, columns: int) -> int:
        return sum(block.matmul_flops(columns) for block in self.blocks)


@dataclass(frozen=True, eq=False, repr=False)
class BlockDiagonal(StructuredMatrix):
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

    blocks: tuple[StructuredMatrix, ...]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        rows, columns = (sum(block.shape[axis] for block in self.blocks) for axis in (-2, -1))
        return (*_common_batch(self.blocks), rows, columns)

    @property
    def like(self) -> Array:
        return self.blocks[0].like

    @property
    def storage(self) -> int:
        return _stored(self.blocks)

    def _matmul(self, x: Array) -> Array:
        parts, start = [], 0
        for block in self.blocks:
            stop = start + block.shape[-1]
            parts.append(block._matmul(x[..., start:stop, :]))
            start = stop
        return _stacked(parts)

    def _rmatmul(self, y: Array) -> Array:
        return BlockDiagonal(tuple(block.mT for block in self.blocks))._matmul(y)

    def to_dense(self) -> Array:
        xp = array_namespace(self.like)
        batch, columns, rows, start = self.batch, self.shape[-1], [], 0
        for block in self.blocks:
            part = block.dense_view()
            part = xp.broadcast_to(part, (*batch, *part.shape[-2:]))
            zeros = xp.zeros_like(part[..., :1])
            before = xp.broadcast_to(zeros, (*part.shape[:-1], start))
            after = xp.broadcast_to(zeros, (*part.shape[:-1], columns - start - part.shape[-1]))
            rows.append(xp.concat([before, part, after], axis=-1))
            start += block.shape[-1]
        return xp.concat(rows, axis=-2)

    def matmul_flops(self, columns: int) -> int:
        return sum(block.matmul_flops(columns) for block in self.blocks)
