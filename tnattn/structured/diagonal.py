"""Diagonal matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, device, require_floating
from tnattn.structured.base import StructuredMatrix


@dataclass(frozen=True, eq=False, repr=False)
class Diagonal(StructuredMatrix):
    """A stack of diagonal matrices.

    Parameters
    ----------
    diagonal : Array, (..., n)
    """

    diagonal: Array

    def __post_init__(self) -> None:
        require_floating(self.diagonal, "diagonal")
        if self.diagonal.ndim < 1:
            raise ValueError("diagonal has no axis; give (..., n)")

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.diagonal.shape, self.diagonal.shape[-1])

    @property
    def like(self) -> Array:
        return self.diagonal

    @property
    def storage(self) -> int:
        return math.prod(self.diagonal.shape)

    def _matmul(self, x: Array) -> Array:
        return self.diagonal[..., None] * x

    def _rmatmul(self, y: Array) -> Array:
        return self.diagonal[..., None] * y

    def to_dense(self) -> Array:
        xp = array_namespace(self.diagonal)
        identity = xp.eye(self.shape[-1], dtype=self.diagonal.dtype, device=device(self.diagonal))
        # where, not a product: an infinite entry must not turn the zeros beside it into NaN
        return xp.where(identity > 0, self.diagonal[..., None], xp.zeros_like(identity))

    def matmul_flops(self, columns: int) -> int:
        return columns * self.storage
