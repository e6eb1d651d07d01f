"""Selection matrices: every row picks one column."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tnattn.arrays import (
    Array,
    array_namespace,
    broadcast_shape,
    device,
    require_floating,
    require_integer,
    scatter_rows,
)
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.gather import gather_rows


@dataclass(frozen=True, eq=False, repr=False)
class Selection(StructuredMatrix):
    """A stack of m-by-n matrices whose row i is the unit vector of ``indices[..., i]``.

    Parameters
    ----------
    indices : Array, (..., m), integer
    column_count : int
        n.
    prototype : Array
        Any array of the library, device and floating dtype in which the matrix is to act.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import Selection
    >>> landmarks = Selection(np.array([2, 0]), 4, np.zeros(1))
    >>> landmarks @ np.array([10.0, 11.0, 12.0, 13.0])
    array([12., 10.])
    >>> landmarks.mT @ np.array([1.0, 5.0])
    array([5., 0., 1., 0.])
    """

    indices: Array
    column_count: int
    prototype: Array

    def __post_init__(self) -> None:
        require_floating(self.prototype, "prototype")
        require_integer(self.indices, "indices")

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.indices.shape, self.column_count)

    @property
    def like(self) -> Array:
        return self.prototype

    @property
    def storage(self) -> int:
        return math.prod(self.indices.shape)

    def _matmul(self, x: Array) -> Array:
        return gather_rows(x, self.indices[..., None])[..., 0, :]

    def _rmatmul(self, y: Array) -> Array:
        xp = array_namespace(y)
        # rows of y are added up at their indices: a column may be chosen several times
        batch = broadcast_shape(self.indices.shape[:-1], y.shape[:-2])
        rows = self.shape[-2]
        y = xp.broadcast_to(y, (*batch, rows, y.shape[-1]))
        return scatter_rows(y, xp.broadcast_to(self.indices, (*batch, rows)), self.column_count)

    def to_dense(self) -> Array:
        xp = array_namespace(self.prototype)
        columns = xp.arange(self.column_count, dtype=self.indices.dtype, device=device(self.indices))
        return xp.astype(self.indices[..., None] == columns, self.prototype.dtype)

    def matmul_flops(self, columns: int) -> int:
        return 0  # a gather: nothing is multiplied or added
