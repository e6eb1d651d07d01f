"""A stack of matrices held as one array."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, require_floating, stacked_matmul
from tnattn.linalg import product_with_rows, transposed_product
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.gather import take_columns, take_rows
from tnattn.structured.reads import MatrixReads, array_of, is_structured
from tnattn.structured.unit_vectors import sum_of_squares


@dataclass(frozen=True, eq=False, repr=False)
class Dense(StructuredMatrix):
    """A stack of matrices held as one array.

    Parameters
    ----------
    array : Array, (..., m, n)

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import Dense
    >>> stack = Dense(np.stack([np.eye(2), np.ones((2, 2))]))
    >>> stack.shape, stack.trace(), stack.squared_norm()
    ((2, 2, 2), array([2., 2.]), array([2., 4.]))
    """

    array: Array

    def __post_init__(self) -> None:
        require_floating(self.array, "array")
        if self.array.ndim < 2:
            raise ValueError(f"array must have at least two axes; got shape {tuple(self.array.shape)}")

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def like(self) -> Array:
        return self.array

    @property
    def storage(self) -> int:
        return math.prod(self.shape)

    def _matmul(self, x: Array) -> Array:
        return stacked_matmul(self.array, x)

    def _rmatmul(self, y: Array) -> Array:
        return transposed_product(self.array, y)  # (y^T A)^T walks along the rows of A

    def to_dense(self) -> Array:
        return array_namespace(self.array).asarray(self.array, copy=True)

    def dense_view(self) -> Array:
        return self.array  # not to be written to

    def matmul_flops(self, columns: int) -> int:
        return 2 * columns * self.storage

    @property
    def explicit(self) -> bool:
        return True

    def columns(self, indices: Array) -> Array:
        return take_columns(self.array, indices)

    def rows(self, indices: Array) -> Array:
        return take_rows(self.array, indices)

    def diagonal(self) -> Array:
        xp = array_namespace(self.array)
        return xp.asarray(xp.linalg.diagonal(self.array), copy=True)

    def squared_norm(self) -> Array:
        return sum_of_squares(self.array)

    def sketch(self, test_matrix: MatrixReads | Array) -> Array:
        if is_structured(test_matrix):
            return (test_matrix.mT @ self.array.mT).mT
        return product_with_rows(self.array, array_of(test_matrix).mT)  # fastest if a column lies in one piece

    def sketch_rows(self, test_matrix: MatrixReads | Array) -> Array:
        if is_structured(test_matrix):  # multiplies faster in its own form than as an array
            return test_matrix.mT @ self.array
        return transposed_product(self.array, array_of(test_matrix)).mT

    def linear_parts(self) -> tuple[Array, ...]:
        return (self.array,)

    def with_linear_parts(self, parts: tuple[Array, ...]) -> Dense:
        return Dense(*parts)
