"""Reads of a structured matrix, with defaults by products, and the properties that algorithms ask for before they read.

A subclass that reads its columns, rows, diagonal or norm in another way overrides that read, and every algorithm gains.
"""

from __future__ import annotations

import abc
from typing import TypeGuard

from tnattn.arrays import Array, array_namespace
from tnattn.structured.unit_vectors import (
    diagonal_of_columns,
    images_of_units,
    squared_norm_of_columns,
    squared_norm_of_rows,
    wide_sum,
)


class MatrixReads(abc.ABC):
    """The reads of a stack of matrices that multiplies; ``StructuredMatrix`` is its only direct subclass."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Batch axes followed by rows and columns."""

    @property
    @abc.abstractmethod
    def like(self) -> Array:
        """One of the arrays that represent it, for its library, device and dtype."""

    @property
    @abc.abstractmethod
    def mT(self) -> MatrixReads:
        """The transpose."""

    @abc.abstractmethod
    def __matmul__(self, x: Array) -> Array:
        """Multiply with an array of shape (..., n, c) or (n,)."""

    @abc.abstractmethod
    def dense_view(self) -> Array:
        """Return the stack as one array, (..., m, n), for reading: it may be an array of the structure itself."""

    def columns(self, indices: Array) -> Array:
        """Return the columns (..., m, b) at integer indices (..., b), which broadcast against the stack."""
        return images_of_units(self.__matmul__, indices, self.shape[-1], like=self.like)

    def rows(self, indices: Array) -> Array:
        """Return the rows (..., b, n) at integer indices (..., b), which broadcast against the stack."""
        return images_of_units(self.mT.__matmul__, indices, self.shape[-2], like=self.like).mT

    def entries(self, rows: Array, columns: Array) -> Array:
        """Return the submatrices (..., r, c) of the rows (r,) and columns (c,) of given integer indices."""
        return array_namespace(self.like).take(self.columns(columns), rows, axis=-2)

    def diagonal(self) -> Array:
        """Return the diagonals, (..., min(m, n))."""
        return diagonal_of_columns(self)

    def trace(self) -> Array:
        """Return the traces (...) of square matrices, summed in float64 where the device has it."""
        if self.shape[-1] != self.shape[-2]:
            raise ValueError(f"a {self.shape} {type(self).__name__} has no trace; a square matrix is needed")
        return wide_sum(self.diagonal())

    def squared_norm(self) -> Array:
        """Return the squared Frobenius norms (...), summed in float64 where the device has it.

        Squares are not scaled: they overflow for entries beyond the square root of the range of the dtype.
        """
        # by the read that the class has made cheap
        by_rows = overrides(self, "rows") and not overrides(self, "columns")
        return squared_norm_of_rows(self) if by_rows else squared_norm_of_columns(self)

    def sketch(self, test_matrix: MatrixReads | Array) -> Array:
        """Return the product (..., m, size) with a test matrix (..., n, size), in the layout that is fastest.

        Dense matrices and thin factors multiply with a structured test matrix as it is: a sparse one costs m n times
        its stored entries per row, a transform O(m n log n). Otherwise the test matrix is made dense, which takes no
        more memory than the result for m = n.
        """
        return self @ array_of(test_matrix)

    def sketch_rows(self, test_matrix: MatrixReads | Array) -> Array:
        """Return ``test_matrix^T @ self``, (..., size, n), for a test matrix (..., m, size); see ``sketch``."""
        return (self.mT @ array_of(test_matrix)).mT

    # properties that algorithms ask for before they read

    @property
    def explicit(self) -> bool:
        """True if the stack is held as one array, which ``dense_view`` returns."""
        return False

    @property
    def symmetric(self) -> bool:
        """True if the matrices are symmetric by construction, so that no algorithm has to check it."""
        return False

    @property
    def explicit_diagonal(self) -> bool:
        """True if ``diagonal`` reads entries that are stored or known, O(n)."""
        return overrides(self, "diagonal")

    @property
    def explicit_trace(self) -> bool:
        """True if ``trace`` costs no products."""
        return self.explicit_diagonal or overrides(self, "trace")

    def entry_accuracy(self) -> Array | float:
        """Return bounds (...) of the errors of entries beyond rounding, relative to the largest diagonal entry."""
        return 0.0

    def principal(self, indices: Array) -> Array | None:
        """Return the entries (..., b, b) among indices (..., b), or None if they cost as much as the columns."""
        return None


def is_structured(matrix: MatrixReads | Array) -> TypeGuard[MatrixReads]:
    """Return whether a test matrix multiplies faster in its own form than as an array."""
    return isinstance(matrix, MatrixReads) and not matrix.explicit


def array_of(matrix: MatrixReads | Array) -> Array:
    """Return a matrix as an array for reading."""
    return matrix.dense_view() if isinstance(matrix, MatrixReads) else matrix


def overrides(matrix: MatrixReads, name: str) -> bool:
    """Return whether the class of a matrix has its own version of a read of ``MatrixReads``."""
    return getattr(type(matrix), name) is not getattr(MatrixReads, name)
