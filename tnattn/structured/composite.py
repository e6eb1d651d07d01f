"""Sums and products of structured matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

from tnattn.arrays import Array
from tnattn.cached import cached_property
from tnattn.structured.base import StructuredMatrix


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
        return (*common_batch(self.terms), *self.terms[0].shape[-2:])

    @property
    def like(self) -> Array:
        return self.terms[0].like

    @property
    def storage(self) -> int:
        return stored_scalars(self.terms)

    def _matmul(self, x: Array) -> Array:
        return reduce(lambda a, b: a + b, (term._matmul(x) for term in self.terms))

    def _rmatmul(self, y: Array) -> Array:
        return reduce(lambda a, b: a + b, (term._rmatmul(y) for term in self.terms))

    def to_dense(self) -> Array:
        if len(self.terms) == 1:  # no addition makes a copy
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
        return (*common_batch((self.left, self.right)), self.left.shape[-2], self.right.shape[-1])

    @property
    def like(self) -> Array:
        return self.left.like

    @property
    def storage(self) -> int:
        return stored_scalars((self.left, self.right))

    def _matmul(self, x: Array) -> Array:
        # the product of the two matrices is never formed
        return self.left._matmul(self.right._matmul(x))

    def _rmatmul(self, y: Array) -> Array:
        return self.right._rmatmul(self.left._rmatmul(y))

    def to_dense(self) -> Array:
        return self.left._matmul(self.right.dense_view())

    def matmul_flops(self, columns: int) -> int:
        return self.left.matmul_flops(columns) + self.right.matmul_flops(columns)

    # columns of the right factor and rows of the left one are read, the other factor multiplies them

    def columns(self, indices: Array) -> Array:
        return self.left._matmul(self.right.columns(indices))

    def rows(self, indices: Array) -> Array:
        return self.right._rmatmul(self.left.rows(indices).mT).mT


def common_batch(parts: tuple[StructuredMatrix, ...]) -> tuple[int, ...]:
    """Return the batch axes of the largest stack among the parts; smaller ones broadcast against it."""
    return max((part.batch for part in parts), key=lambda batch: (math.prod(batch), len(batch)))


def stored_scalars(parts: tuple[StructuredMatrix, ...]) -> int:
    """Return the number of scalars that the parts store; a part that occurs twice is stored once."""
    return sum({id(part): part.storage for part in parts}.values())  # by identity: parts do not compare
