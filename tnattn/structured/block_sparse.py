"""Sparse matrices whose rows share their columns block by block."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tnattn.arrays import (
    Array,
    array_namespace,
    broadcast_shape,
    clipped,
    device,
    parallel_map,
    prefers_host_tiles,
    require_floating,
    require_integer,
    scatter_rows,
)
from tnattn.scalars import as_integer
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.gather import gather_rows

_HOST = 1 << 18  # scalars held at a time by a thread: they stay in a core's cache
_DEVICE = 1 << 24  # scalars held at a time where one product serves the whole stack


@dataclass(frozen=True, eq=False, repr=False)
class BlockSparse(StructuredMatrix):
    """A stack of sparse matrices cut into blocks of b rows, each a dense tile over s columns of its own.

    Parameters
    ----------
    values : Array, (..., p, b, s)
        Row i lies in block i // b; rows behind the last are padding. Zero where an entry is not kept.
    indices : Array, (..., p, s), integer
        Columns of every tile, broadcastable to the stack; repeated indices add up.
    row_count, column_count : int
    kept : Array, bool, broadcastable to ``values``, optional
        Entries that belong to the pattern; all by default.

    Notes
    -----
    A product is one matrix product per tile, O(p b s c), with s columns gathered once for b rows.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import BlockSparse
    >>> tiles = np.arange(1.0, 9.0).reshape(2, 2, 2)  # two blocks of two rows over two columns each
    >>> matrix = BlockSparse(tiles, np.array([[0, 1], [1, 3]]), row_count=4, column_count=4)
    >>> matrix.to_dense()
    array([[1., 2., 0., 0.],
           [3., 4., 0., 0.],
           [0., 5., 0., 6.],
           [0., 7., 0., 8.]])
    >>> matrix.storage, matrix.matmul_flops(1)
    (12, 16)
    """

    values: Array
    indices: Array
    row_count: int
    column_count: int
    kept: Array | None = None

    def __post_init__(self) -> None:
        require_floating(self.values, "values")
        require_integer(self.indices, "indices")
        blocks, size, width = self.values.shape[-3:]
        if tuple(self.indices.shape[-2:]) != (blocks, width):
            raise ValueError(
                f"values {tuple(self.values.shape)} need indices (..., {blocks}, {width}); "
                f"got {tuple(self.indices.shape)}"
            )
        if not (blocks - 1) * size < self.row_count <= blocks * size:
            raise ValueError(f"{blocks} blocks of {size} rows cannot make up {self.row_count} rows")

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.values.shape[:-3], self.row_count, self.column_count)

    @property
    def like(self) -> Array:
        return self.values

    @property
    def storage(self) -> int:
        parts = [self.values, self.indices] + ([] if self.kept is None else [self.kept])
        return sum(math.prod(part.shape) for part in parts)

    def _matmul(self, x: Array) -> Array:
        xp = array_namespace(self.values)
        c = x.shape[-1]
        batch = broadcast_shape(self.values.shape[:-3], x.shape[:-2])
        blocks, size, width = self.values.shape[-3:]
        out = xp.empty((*batch, blocks, size, c), dtype=x.dtype, device=device(x))

        # blocks of rows are independent: threads share them, and no gathered array exceeds the cache
        def work(part: slice) -> None:
            gathered = gather_rows(x, self.indices[..., part, :])
            out[..., part, :, :] = self.values[..., part, :, :] @ gathered

        parallel_map(work, block_parts(blocks, math.prod(batch) * width * (size + c), like=x), like=x)
        return _joined(out, self.row_count)

    def _rmatmul(self, y: Array) -> Array:
        xp = array_namespace(self.values)
        update = self.values.mT @ in_blocks(y, self.values.shape[-2])  # (..., p, s, c)
        batch = tuple(update.shape[:-3])
        flat = xp.broadcast_to(self.indices, (*batch, *self.indices.shape[-2:]))
        count = math.prod(self.indices.shape[-2:])  # spelled out, for -1 has no meaning in an empty stack
        rows = xp.reshape(update, (*batch, count, y.shape[-1]))
        return scatter_rows(rows, xp.reshape(flat, (*batch, count)), self.column_count)

    def to_dense(self) -> Array:
        xp = array_namespace(self.values)
        return self._matmul(xp.eye(self.column_count, dtype=self.values.dtype, device=device(self.values)))

    def matmul_flops(self, columns: int) -> int:
        return int(2 * columns * math.prod(self.values.shape))

    # the pattern of stored entries, as Sparse has it

    def with_values(self, values: Array) -> BlockSparse:
        """Return a matrix of the same pattern with other entries, (..., p, b, s); those not kept become zero."""
        xp = array_namespace(values)
        return replace(self, values=values if self.kept is None else xp.where(self.kept, values, xp.zeros_like(values)))

    def per_row(self, x: Array) -> Array:
        """Return one number per row, (..., rows), in a shape that broadcasts against the entries."""
        return in_blocks(x[..., None], self.values.shape[-2])

    def row_sums(self, entries: Array) -> Array:
        """Return sums of entries, (..., p, b, s), over the pattern of every row, (..., rows)."""
        xp = array_namespace(entries)
        chosen = self.with_values(entries).values
        return _joined(xp.sum(chosen, axis=-1, keepdims=True), self.row_count)[..., 0]

    def kept_per_row(self) -> Array:
        """Return how many entries of every row belong to the pattern, as floats, broadcastable to (..., rows)."""
        xp = array_namespace(self.values)
        shape = self.values.shape[-3:] if self.kept is None else self.kept.shape
        ones = xp.ones(shape, dtype=self.values.dtype, device=device(self.values))
        return self.row_sums(ones)

    def sampled(self, left: Array, right: Array) -> Array:
        """Return the entries of ``left @ right^T`` at the tiles, (..., p, b, s), of left (..., rows, c) and right."""
        return sampled_tiles(left, right, self.indices, self.values.shape[-2])


def sampled_tiles(left: Array, right: Array, indices: Array, size: int) -> Array:
    """Return the tiles of ``left @ right^T`` in blocks of rows with columns of their own.

    Parameters
    ----------
    left : Array, (..., m, c)
    right : Array, (..., n, c)
    indices : Array, (..., p, s), integer
    size : int
        Rows of a block, b.

    Returns
    -------
    Array, (..., p, b, s)
        Zero in rows of padding. O(p b s c).
    """
    xp, size = array_namespace(left), as_integer(size, "size", least=1)
    left = in_blocks(left, size)
    blocks, width = indices.shape[-2:]
    batch = broadcast_shape(left.shape[:-3], right.shape[:-2], indices.shape[:-2])
    out = xp.empty((*batch, blocks, size, width), dtype=left.dtype, device=device(left))

    def work(part: slice) -> None:
        out[..., part, :, :] = left[..., part, :, :] @ gather_rows(right, indices[..., part, :]).mT

    weight = math.prod(batch) * width * (size + right.shape[-1])
    parallel_map(work, block_parts(blocks, weight, like=left), like=left)
    return out


def band_pattern(
    first: Array, stop: Array, *, size: int, reach: int, columns: int, fixed: int = 0
) -> tuple[Array, Array]:
    """Return the columns of every block of rows and the entries to keep, for consecutive columns in every row.

    Parameters
    ----------
    first, stop : Array, (..., m), integer
        Row i keeps columns first_i, ..., stop_i - 1 as far as they exist; neither may fall nor grow by more than one
        from row to row.
    size : int
        Rows of a block, b.
    reach : int
        Largest number of columns of a row.
    columns : int
        All columns, n.
    fixed : int
        First columns that every row keeps besides.

    Returns
    -------
    indices : Array, (..., p, s), int64
        Distinct within a block; s is ``fixed`` and at most ``reach + b - 1`` more.
    kept : Array, (..., p, b, s), bool
    """
    xp = array_namespace(first)
    size, reach, columns = as_integer(size, "size", least=1), as_integer(reach, "reach"), as_integer(columns, "columns")
    fixed = as_integer(fixed, "fixed", least=0)
    m = first.shape[-1]
    span = min(reach + size - 1, columns - fixed)
    blocks = math.ceil(m / size)
    # rows of padding repeat the last row, so that their columns exist
    places = clipped(xp.arange(blocks * size, dtype=xp.int64, device=device(first)), 0, m - 1)
    first, stop = (
        xp.reshape(xp.take(bound, places, axis=-1), (*bound.shape[:-1], blocks, size, 1)) for bound in (first, stop)
    )
    # near the last column a block starts earlier than its first row asks for, so that all blocks have one width
    begin = clipped(first[..., 0, :], fixed, columns - span)  # (..., p, 1)
    slots = xp.arange(fixed + span, dtype=xp.int64, device=device(first))
    indices = xp.where(slots < fixed, slots, begin + (slots - fixed))
    wide = indices[..., None, :]
    return indices, ((wide >= first) & (wide < stop)) | (slots < fixed)


def block_parts(blocks: int, weight: int, *, like: Array) -> list[slice]:
    """Return runs of blocks to be worked on together, of ``weight`` scalars each block."""
    blocks, weight = as_integer(blocks, "blocks", least=0), as_integer(weight, "weight", least=0)
    step = max(1, (_HOST if prefers_host_tiles(like) else _DEVICE) // max(1, weight))
    return [slice(start, min(start + step, blocks)) for start in range(0, blocks, step)]


def in_blocks(x: Array, size: int) -> Array:
    """Return rows (..., m, c) as blocks (..., p, size, c), the last one filled up with zeros."""
    xp, size = array_namespace(x), as_integer(size, "size", least=1)
    *batch, m, c = x.shape
    blocks = math.ceil(m / size)
    if blocks * size > m:
        filling = xp.zeros((*batch, blocks * size - m, c), dtype=x.dtype, device=device(x))
        x = xp.concat([x, filling], axis=-2)
    return xp.reshape(x, (*batch, blocks, size, c))


def _joined(x: Array, rows: int) -> Array:
    """Return blocks of rows (..., p, b, c) as rows (..., m, c), without those of padding."""
    xp = array_namespace(x)
    *batch, blocks, size, c = x.shape
    return xp.reshape(x, (*batch, blocks * size, c))[..., :rows, :]
