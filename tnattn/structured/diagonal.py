"""Diagonal matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, device, require_floating
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.unit_vectors import sum_of_squares


@dataclass(frozen=True, eq=False, repr=False)
class Diagonal(StructuredMatrix):
    """A stack of diagonal matrices.

    Parameters
    ----------
    values : Array, (..., n)

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import Diagonal
    >>> matrix = Diagonal(np.array([1.0, 2.0, 4.0]))
    >>> matrix @ np.ones(3), matrix.storage, float(matrix.trace())
    (array([1., 2., 4.]), 3, 7.0)
    """

    values: Array

    def __post_init__(self) -> None:
        require_floating(self.values, "values")
        if self.values.ndim < 1:
            raise ValueError("values has no axis; give (..., n)")

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.values.shape, self.values.shape[-1])

    @property
    def like(self) -> Array:
        return self.values

    @property
    def storage(self) -> int:
        return math.prod(self.values.shape)

    def _matmul(self, x: Array) -> Array:
        return self.values[..., None] * x

    def _rmatmul(self, y: Array) -> Array:
        return self.values[..., None] * y

    def to_dense(self) -> Array:
        xp = array_namespace(self.values)
        identity = xp.eye(self.shape[-1], dtype=self.values.dtype, device=device(self.values))
        # where, not a product: an infinite entry must not turn the zeros beside it into NaN
        return xp.where(identity > 0, self.values[..., None], xp.zeros_like(identity))

    def matmul_flops(self, columns: int) -> int:
        return columns * self.storage

    @property
    def mT(self) -> Diagonal:
        return self

    @property
    def symmetric(self) -> bool:
        return True

    def columns(self, indices: Array) -> Array:
        xp = array_namespace(self.values)
        # column j is the j-th value in row j: compare rows with the indices, each matrix having its own
        own = xp.arange(self.shape[-1], device=device(self.values))[:, None] == indices[..., None, :]
        return xp.where(own, self.values[..., None], xp.zeros_like(self.values[..., None]))

    def rows(self, indices: Array) -> Array:
        return self.columns(indices).mT

    def diagonal(self) -> Array:
        return array_namespace(self.values).asarray(self.values, copy=True)

    def squared_norm(self) -> Array:
        return sum_of_squares(self.values, axes=1)
