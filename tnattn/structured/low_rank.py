"""Matrices given as a product of a tall and a wide factor."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass

from tnattn.arrays import Array, require_floating
from tnattn.structured.base import StructuredMatrix


class Factored(StructuredMatrix):
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
        return left @ (right @ x)

    def _rmatmul(self, y: Array) -> Array:
        left, right = self.factors()
        return right.mT @ (left.mT @ y)

    def to_dense(self) -> Array:
        left, right = self.factors()
        return left @ right

    def matmul_flops(self, columns: int) -> int:
        m, n = self.shape[-2:]
        return 2 * columns * self.rank * (m + n) * self.count


@dataclass(frozen=True, eq=False, repr=False)
class LowRank(Factored):
    """A stack of matrices ``left @ right``.

    Parameters
    ----------
    left : Array, (..., m, r)
    right : Array, (..., r, n)
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
