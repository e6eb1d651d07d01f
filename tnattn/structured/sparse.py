"""Sparse matrices with the same number of stored entries in every row (ELLPACK)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tnattn.arrays import (
    Array,
    array_namespace,
    broadcast_shape,
    device,
    parallel_map,
    require_floating,
    require_integer,
    scatter_products,
    scatter_rows,
    scattered_entries,
)
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.gather import gather_rows, take_rows

_BLOCK = 1 << 22  # gathered scalars held at a time by a product


@dataclass(frozen=True, eq=False, repr=False)
class Sparse(StructuredMatrix):
    """A stack of sparse matrices with w stored entries per row.

    Parameters
    ----------
    values : Array, (..., m, w)
        Unused slots hold zero (and any valid index); repeated indices add up.
    indices : Array, (..., m, w), integer
        Column of every stored entry; broadcasts against ``values``.
    column_count : int

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import Sparse
    >>> matrix = Sparse(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0, 2], [1, 2]]), column_count=3)
    >>> matrix.to_dense()
    array([[1., 0., 2.],
           [0., 3., 4.]])
    >>> matrix.mT @ np.ones(2), matrix.storage
    (array([1., 3., 6.]), 8)
    """

    values: Array
    indices: Array
    column_count: int

    def __post_init__(self) -> None:
        require_floating(self.values, "values")
        require_integer(self.indices, "indices")
        if tuple(self.indices.shape[-2:]) != tuple(self.values.shape[-2:]):
            raise ValueError(
                f"values {tuple(self.values.shape)} and indices {tuple(self.indices.shape)} must share "
                "their last two axes"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.values.shape[:-1], self.column_count)

    @property
    def like(self) -> Array:
        return self.values

    @property
    def storage(self) -> int:
        return int(math.prod(self.values.shape) + math.prod(self.indices.shape))

    def _matmul(self, x: Array) -> Array:
        xp = array_namespace(self.values)
        rows, width = self.values.shape[-2:]
        step = max(1, _BLOCK // max(1, width * x.shape[-1] * self.count))
        parts = [slice(i, min(i + step, rows)) for i in range(0, rows, step)]
        # a product of one row with w gathered rows: no array of all w products is written
        blocks = [
            (self.values[..., part, None, :] @ gather_rows(x, self.indices[..., part, :]))[..., 0, :] for part in parts
        ]
        return xp.concat(blocks, axis=-2)

    def _rmatmul(self, y: Array) -> Array:
        xp = array_namespace(self.values)
        if self.values.ndim == self.indices.ndim == 2:
            return scatter_products(self.values, self.indices, y, self.column_count)
        shape = (*broadcast_shape(self.values.shape[:-2], y.shape[:-2]), *self.values.shape[-2:])
        indices = xp.broadcast_to(self.indices, shape)
        # one slot at a time: (..., m, c) updates instead of (..., m, w, c)
        out = None
        for slot in range(shape[-1]):
            update = scatter_rows(self.values[..., slot, None] * y, indices[..., slot], self.column_count)
            out = update if out is None else out + update
        return out

    def to_dense(self) -> Array:
        return scattered_entries(self.values, self.indices, self.column_count)

    def matmul_flops(self, columns: int) -> int:
        return int(2 * columns * math.prod(self.values.shape))

    def rows(self, indices: Array) -> Array:
        values = take_rows(self.values, indices)
        return Sparse(values, take_rows(self.indices, indices), self.column_count).to_dense()

    def diagonal(self) -> Array:
        xp, size = array_namespace(self.values), min(self.shape[-2:])
        own = self.indices[..., :size, :] == xp.arange(size, device=device(self.values))[:, None]
        values = self.values[..., :size, :]
        return xp.sum(xp.where(own, values, xp.zeros_like(values)), axis=-1)

    # the pattern of stored entries, as BlockSparse has it

    def with_values(self, values: Array) -> Sparse:
        """Return a matrix of the same pattern with other entries, (..., m, w)."""
        return replace(self, values=values)

    def with_product(self, left: StructuredMatrix, right: StructuredMatrix) -> Sparse:
        """Return the entries of ``left @ right`` at the pattern."""
        return self.with_values(self.sampled(left.dense_view(), right.dense_view().mT))

    def per_row(self, x: Array) -> Array:
        """Return one number per row, (..., m), in a shape that broadcasts against the entries."""
        return x[..., None]

    def row_sums(self, entries: Array) -> Array:
        """Return sums of entries, (..., m, w), over the pattern of every row, (..., m)."""
        return array_namespace(entries).sum(entries, axis=-1)

    def kept_per_row(self) -> Array:
        """Return how many entries of every row belong to the pattern, as floats, broadcastable to (..., m)."""
        xp = array_namespace(self.values)
        rows, width = self.values.shape[-2:]
        return xp.full((rows,), float(width), dtype=self.values.dtype, device=device(self.values))

    def sampled(self, left: Array, right: Array) -> Array:
        """Return the entries of ``left @ right^T`` at the pattern, (..., m, w), of left (..., m, c) and right."""
        xp = array_namespace(left)
        rows, width = self.indices.shape[-2:]
        step = max(1, _BLOCK // max(1, width * left.shape[-1] * math.prod(left.shape[:-2])))
        parts = [slice(i, min(i + step, rows)) for i in range(0, rows, step)]

        def work(part: slice) -> Array:
            gathered = gather_rows(right, self.indices[..., part, :])  # (..., rows, w, c)
            return (gathered @ left[..., part, :, None])[..., 0]

        return xp.concat(parallel_map(work, parts, like=left), axis=-2)
