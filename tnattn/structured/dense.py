"""A stack of matrices held as one array."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, require_floating, stacked_matmul
from tnattn.linalg import transposed_product
from tnattn.structured.base import StructuredMatrix


@dataclass(frozen=True, eq=False, repr=False)
class Dense(StructuredMatrix):
    """A stack of matrices held as one array.

    Parameters
    ----------
    array : Array, (..., m, n)
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
        return transposed_product(self.array, y)

    def to_dense(self) -> Array:
        return array_namespace(self.array).asarray(self.array, copy=True)

    def dense_view(self) -> Array:
        return self.array

    def matmul_flops(self, columns: int) -> int:
        return 2 * columns * self.storage
