"""Matrices given as a product of a tall and a wide factor."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from typing import final

from tnattn.arrays import Array, array_namespace, require_floating
from tnattn.linalg import orthonormalise_with_factor
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.gather import take_columns, take_rows
from tnattn.structured.reads import MatrixReads, is_structured
from tnattn.structured.unit_vectors import sum_of_squares


class LowRankMatrix(StructuredMatrix):
    """A stack of matrices ``left @ right``; the results of the randomized factorisations are of this kind."""

    @abc.abstractmethod
    def factors(self) -> tuple[Array, Array]:
        """Tall factor, (..., m, r), and wide factor, (..., r, n)."""

    @property
    def rank(self) -> int:
        """Number of columns of the tall factor: the largest rank in the stack."""
        return int(self.factors()[0].shape[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        left, right = (factor.shape for factor in self.factors())
        batch = left[:-2] if math.prod(left[:-2]) >= math.prod(right[:-2]) else right[:-2]
        return (*batch, left[-2], right[-1])

    @property
    def like(self) -> Array:
        return self.factors()[0]

    @property
    def storage(self) -> int:
        return sum(math.prod(factor.shape) for factor in self.factors())

    def _matmul(self, x: Array) -> Array:
        left, right = self.factors()
        return left @ (right @ x)  # never (left @ right) @ x, which costs m n r

    def _rmatmul(self, y: Array) -> Array:
        left, right = self.factors()
        return right.mT @ (left.mT @ y)

    def to_dense(self) -> Array:
        left, right = self.factors()
        return left @ right

    def matmul_flops(self, columns: int) -> int:
        m, n = self.shape[-2:]
        return 2 * columns * self.rank * (m + n) * self.count

    @final
    def thin_factors(self) -> tuple[Array, Array]:
        return self.factors()

    def columns(self, indices: Array) -> Array:
        left, right = self.factors()
        return left @ take_columns(right, indices)

    def rows(self, indices: Array) -> Array:
        left, right = self.factors()
        return take_rows(left, indices) @ right

    def diagonal(self) -> Array:
        left, right = self.factors()
        size = min(self.shape[-2:])
        return array_namespace(left, right).sum(left[..., :size, :] * right[..., :size].mT, axis=-1)

    @property
    def explicit_diagonal(self) -> bool:
        return False  # each entry is an inner product

    @property
    def explicit_trace(self) -> bool:
        return True

    def squared_norm(self) -> Array:
        if self.rank > min(self.shape[-2:]):  # no thin factor to orthonormalise
            return super().squared_norm()
        left, right = self.factors()
        _, r = orthonormalise_with_factor(left)  # a QR factorisation: the Gram matrices would square the condition
        return sum_of_squares(r @ right)

    def sketch(self, test_matrix: MatrixReads | Array) -> Array:
        if not is_structured(test_matrix):
            return super().sketch(test_matrix)
        left, right = self.factors()
        return left @ (test_matrix.mT @ right.mT).mT  # the test matrix meets r rows instead of m

    def sketch_rows(self, test_matrix: MatrixReads | Array) -> Array:
        if not is_structured(test_matrix):
            return super().sketch_rows(test_matrix)
        left, right = self.factors()
        return (test_matrix.mT @ left) @ right

    def linear_parts(self) -> tuple[Array, ...]:
        return self.factors()

    def with_linear_parts(self, parts: tuple[Array, ...]) -> LowRank:
        return LowRank(*parts)


@dataclass(frozen=True, eq=False, repr=False)
class LowRank(LowRankMatrix):
    """A stack of matrices ``left @ right``.

    Parameters
    ----------
    left : Array, (..., m, r)
    right : Array, (..., r, n)

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import LowRank
    >>> matrix = LowRank(np.ones((1000, 1)), np.ones((1, 500)))
    >>> matrix.rank, matrix.storage, float(matrix.squared_norm())
    (1, 1500, 500000.0)
    >>> (matrix @ np.ones(500))[:2]
    array([500., 500.])
    """

    left: Array
    right: Array

    def __post_init__(self) -> None:
        require_floating(self.left, "left")
        require_floating(self.right, "right")
        if self.left.shape[-1] != self.right.shape[-2]:
            raise ValueError(
                f"left has {self.left.shape[-1]} columns and right has {self.right.shape[-2]} rows; they must agree"
            )

    def factors(self) -> tuple[Array, Array]:
        return self.left, self.right
