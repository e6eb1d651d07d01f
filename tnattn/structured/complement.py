"""Zero-one matrices with ones outside a sparse pattern."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, broadcast_shape, device, scatter_rows
from tnattn.structured.band_tiles import BandTiles
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.block_sparse import BlockSparse
from tnattn.structured.outside_sums import outside_band, outside_band_flops, pairs
from tnattn.structured.sparse import Sparse

_BLOCK = 1 << 22  # entries of the dense form held at a time
_FEW = 2  # nodes of a level for each index of a row, up to which a dense zero-one product ends the recursion


@dataclass(frozen=True, eq=False, repr=False)
class Complement(StructuredMatrix):
    """The zero-one matrix of the places outside a sparse pattern.

    Parameters
    ----------
    pattern : Sparse, BlockSparse or BandTiles
        Its values are not read. Every slot of a ``Sparse`` matrix belongs to the pattern; the columns of a tile with
        ``kept`` must be distinct.

    Notes
    -----
    A product adds only rows outside the pattern: it is exact to the rounding of its own terms, where the sum of all
    rows less those of the pattern loses what is small against a row that the pattern keeps. O(n c) for sums of runs of
    2^b rows, then O(m w c log(n / w)) for w slots in each of m rows, or for one row of a block and the tiles once more.
    For a band, O(n c + m b c) with blocks of b rows: what a row drops of its window lies at the two ends.
    A product with the transpose forms rows of the matrix in blocks, O(m n c).

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import Sparse
    >>> kept = Sparse(np.ones((2, 1)), np.array([[0], [1]]), 3)
    >>> Complement(kept) @ np.array([[1e17], [1.0], [1.0]])
    array([[2.e+00],
           [1.e+17]])
    """

    pattern: Sparse | BlockSparse | BandTiles

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, (Sparse, BlockSparse, BandTiles)):
            raise TypeError(f"pattern is {self.pattern!r}; a Sparse or BlockSparse matrix or one on a band is needed")

    @property
    def shape(self) -> tuple[int, ...]:
        if isinstance(self.pattern, BandTiles):
            return (*self.pattern.band.batch, *self.pattern.shape[-2:])
        batch = tuple(self.pattern.indices.shape[:-2])
        if isinstance(self.pattern, BlockSparse) and self.pattern.kept is not None:
            batch = broadcast_shape(batch, self.pattern.kept.shape[:-3])
        return (*batch, *self.pattern.shape[-2:])

    @property
    def like(self) -> Array:
        return self.pattern.like

    @property
    def storage(self) -> int:
        if isinstance(self.pattern, BandTiles):
            return self.pattern.band.storage
        kept = self.pattern.kept if isinstance(self.pattern, BlockSparse) else None
        return int(math.prod(self.pattern.indices.shape)) + (0 if kept is None else int(math.prod(kept.shape)))

    def _matmul(self, x: Array) -> Array:
        xp, pattern = array_namespace(x), self.pattern
        if isinstance(pattern, BandTiles):
            return outside_band(pattern.band, x)
        sums = outside_sums(x, pattern.indices)
        if isinstance(pattern, Sparse):
            return sums
        blocks, size, width = pattern.values.shape[-3:]
        shape = (*sums.shape[:-2], blocks, size, sums.shape[-1])
        rows = xp.reshape(xp.broadcast_to(sums[..., None, :], shape), (*shape[:-3], blocks * size, shape[-1]))
        rows = rows[..., : pattern.row_count, :]  # one sum for all rows of a block, since they share the columns
        if pattern.kept is None:
            return xp.asarray(rows, copy=True)
        kept = xp.broadcast_to(pattern.kept, (*pattern.kept.shape[:-3], blocks, size, width))
        # entries of the tiles that are not kept belong to the complement too
        return rows + BlockSparse(
            xp.astype(~kept, x.dtype), pattern.indices, pattern.row_count, pattern.column_count
        )._matmul(x)

    def inner_products(self, left: Array, x: Array) -> Array:
        """Return the inner products (..., m) of rows (..., m, c) with the rows of the product with x, (..., n, c)."""
        if isinstance(self.pattern, BandTiles):
            return outside_band(self.pattern.band, x, against=left)[..., 0]
        product = self._matmul(x)
        return array_namespace(x).vecdot(left, array_namespace(x).broadcast_to(product, left.shape))

    def _rmatmul(self, y: Array) -> Array:
        total = None
        for rows, outside in self._dense_rows(y):
            part = outside.mT @ y[..., rows, :]
            total = part if total is None else total + part
        return total

    def to_dense(self) -> Array:
        return array_namespace(self.like).concat([part for _, part in self._dense_rows(self.like)], axis=-2)

    def matmul_flops(self, columns: int) -> int:
        if isinstance(self.pattern, BandTiles):
            return columns * self.count * outside_band_flops(self.pattern.band)
        blocked = isinstance(self.pattern, BlockSparse)
        (m, n), (rows, width) = self.shape[-2:], self.pattern.indices.shape[-2:]
        per_column = outside_flops(rows, n, width)
        if blocked and self.pattern.kept is not None:  # type: ignore[union-attr]
            per_column += 2 * int(math.prod(self.pattern.values.shape[-3:])) + m
        return int(columns * self.count * per_column)

    def _dense_rows(self, like: Array) -> Iterator[tuple[slice, Array]]:
        """Yield rows of the dense form in blocks, each with their place."""
        xp, pattern = array_namespace(like), self.pattern
        if isinstance(pattern, BandTiles):
            pattern = pattern.places
        m, n = self.shape[-2:]
        if isinstance(pattern, Sparse):
            step = max(1, _BLOCK // max(1, n * self.count))
            for start in range(0, m, step):
                rows = slice(start, min(start + step, m))
                yield rows, xp.astype(_counts(pattern.indices[..., rows, :], n, like) == 0, like.dtype)
            return
        blocks, size, width = pattern.values.shape[-3:]
        kept = xp.ones((1, 1, 1), dtype=xp.bool, device=device(like)) if pattern.kept is None else pattern.kept
        kept = xp.broadcast_to(kept, (*self.batch, blocks, size, width))
        indices = xp.broadcast_to(pattern.indices, (*self.batch, blocks, width))
        step = max(1, _BLOCK // max(1, n * size * self.count))
        for start in range(0, blocks, step):
            part = slice(start, min(start + step, blocks))
            counts = scatter_rows(xp.astype(kept[..., part, :, :], like.dtype).mT, indices[..., part, :], n)
            rows = slice(start * size, min(part.stop * size, m))
            dense = xp.reshape(xp.astype(counts == 0, like.dtype).mT, (*self.batch, -1, n))
            yield rows, dense[..., : rows.stop - rows.start, :]


def outside_sums(x: Array, indices: Array) -> Array:
    """Return the sums of the rows of arrays that are not among given ones.

    Parameters
    ----------
    x : Array, (..., n, c), floating
    indices : Array, (..., m, w), integer
        Row i of the result leaves out the rows ``indices[..., i, :]``, which may repeat; batch axes broadcast.

    Returns
    -------
    Array, (..., m, c)

    Notes
    -----
    The rows are the leaves of a binary tree. What is not left out is the union of the largest subtrees that hold no
    index: each is the sibling of a node that holds one. O(n c + m w c log(n / w)).
    """
    xp = array_namespace(x)
    room = _headroom(x)  # partial sums are over other rows than the result, and must not overflow where it does not
    sums, nodes, total = x / room, xp.sort(indices, axis=-1), None
    while sums.shape[-2] > _FEW * indices.shape[-1]:
        part = _free_siblings(nodes, sums)
        total = part if total is None else total + part
        sums, nodes = pairs(sums), nodes // 2
    part = _free_nodes(nodes, sums)
    return room * (part if total is None else total + part)


def outside_flops(rows: int, n: int, width: int) -> int:
    """Return the operations of ``outside_sums`` for a column, with ``width`` of n indices in each row."""
    total = 0
    while n > _FEW * width:
        total, n = total + 2 * rows * width + n // 2, -(-n // 2)
    return total + 2 * rows * n


def _free_nodes(nodes: Array, sums: Array) -> Array:
    """Sums (..., m, c) over all nodes of one level that are not among given ones (..., m, w)."""
    xp, n, m = array_namespace(sums), sums.shape[-2], nodes.shape[-2]
    step = max(1, _BLOCK // max(1, n * math.prod(nodes.shape[:-2])))
    blocks = [nodes[..., i : min(i + step, m), :] for i in range(0, m, step)]
    return xp.concat([xp.astype(_counts(block, n, sums) == 0, sums.dtype) @ sums for block in blocks], axis=-2)


def _free_siblings(nodes: Array, sums: Array) -> Array:
    """Sums (..., m, c) over the siblings without an index of sorted nodes (..., m, w) of one level, each once."""
    xp, n = array_namespace(sums), sums.shape[-2]
    parents, right = nodes // 2, nodes % 2 == 1
    change = parents[..., 1:] != parents[..., :-1]
    edge = xp.ones((*nodes.shape[:-1], 1), dtype=xp.bool, device=device(nodes))
    first, last = xp.concat([edge, change], axis=-1), xp.concat([change, edge], axis=-1)
    # nodes are sorted: the left sibling is free if the first node below a parent is the right one, and conversely
    free = (first & right) | (last & ~right)
    sibling = xp.where(right, nodes - 1, nodes + 1)
    place = xp.where(free & (sibling < n), sibling, xp.full_like(sibling, n))  # n: a row of zeros
    ones = xp.ones(tuple(place.shape), dtype=sums.dtype, device=device(sums))  # a gather and a sum, in one product
    return Sparse(ones, place, n + 1)._matmul(_with_zero_row(sums))


def _with_zero_row(x: Array) -> Array:
    xp = array_namespace(x)
    return xp.concat([x, xp.zeros_like(x[..., :1, :])], axis=-2)


def _counts(indices: Array, n: int, like: Array) -> Array:
    """Times (..., m, n) that each of 0, ..., n - 1 is among indices (..., m, w)."""
    xp = array_namespace(like)
    ones = xp.ones((*indices.shape, 1), dtype=like.dtype, device=device(like))
    return scatter_rows(ones, indices, n)[..., 0]


def _headroom(x: Array) -> Array:
    """A power of two (..., 1, c) to divide columns by so that no sum of their entries overflows, mostly 1."""
    xp, n = array_namespace(x), x.shape[-2]
    largest = xp.max(xp.abs(x), axis=-2, keepdims=True)
    tight = largest > float(xp.finfo(x.dtype).max) / n
    return xp.where(tight, xp.full_like(largest, 2.0 ** n.bit_length()), xp.ones_like(largest))
