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
)
from tnattn.structured.base import StructuredMatrix

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
    columns : int
        Number of columns.
    """

    values: Array
    indices: Array
    columns: int

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
        return (*self.values.shape[:-1], self.columns)

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
            return scatter_products(self.values, self.indices, y, self.columns)
        shape = (*broadcast_shape(self.values.shape[:-2], y.shape[:-2]), *self.values.shape[-2:])
        indices = xp.broadcast_to(self.indices, shape)
        # one slot at a time: (..., m, c) updates instead of (..., m, w, c)
        out = None
        for slot in range(shape[-1]):
            update = scatter_rows(self.values[..., slot, None] * y, indices[..., slot], self.columns)
            out = update if out is None else out + update
        return out

    def to_dense(self) -> Array:
        xp = array_namespace(self.values)
        identity = xp.eye(self.columns, dtype=self.values.dtype, device=device(self.values))
        return self._matmul(identity)

    def matmul_flops(self, columns: int) -> int:
        return int(2 * columns * math.prod(self.values.shape))

    # the pattern

    def with_values(self, values: Array) -> Sparse:
        """Return a matrix of the same pattern with other entries, (..., m, w)."""
        return replace(self, values=values)

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


def gather_rows(x: Array, indices: Array) -> Array:
    """Return the rows of a stack at given indices.

    Parameters
    ----------
    x : Array, (..., n, c)
    indices : Array, (..., m, w), integer
        Batch axes broadcast against those of ``x``.

    Returns
    -------
    Array, (..., m, w, c)
    """
    xp = array_namespace(x)
    m, w = indices.shape[-2:]
    if math.prod(indices.shape[:-2]) == 1:
        flat = xp.reshape(indices, (m * w,))
        return xp.reshape(xp.take(x, flat, axis=-2), (*x.shape[:-2], m, w, x.shape[-1]))
    batch = broadcast_shape(indices.shape[:-2], x.shape[:-2])
    count, (n, c) = math.prod(batch), x.shape[-2:]
    # flattened batch: entry (b, j) of the stack is row b * n + j, so that one take serves every matrix
    offset = xp.reshape(xp.arange(count, dtype=indices.dtype, device=device(indices)) * n, (count, 1))
    flat = xp.reshape(xp.broadcast_to(indices, (*batch, m, w)), (count, m * w)) + offset
    stacked = xp.reshape(xp.broadcast_to(x, (*batch, n, c)), (count * n, c))
    return xp.reshape(xp.take(stacked, xp.reshape(flat, (-1,)), axis=0), (*batch, m, w, c))
