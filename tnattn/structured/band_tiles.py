"""Sparse matrices with a band pattern whose entries are evaluated in every product, and not kept."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, broadcast_shape
from tnattn.structured.band import Band, Run
from tnattn.structured.band_tiling import BandTiling, multiplied, scored
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.block_sparse import BlockSparse, in_blocks
from tnattn.structured.row_tiles import RowTiles, Stack, tiles

Tile = Callable[[slice], Callable[[Run], Array]]


@dataclass(frozen=True, eq=False, repr=False)
class BandTiles(StructuredMatrix):
    """Base class of stacks of matrices on a band, evaluated in tiles that are multiplied at once.

    A subclass gives the entries of a tile; products and the dense form follow. ``as_block_sparse`` keeps all entries.

    Parameters
    ----------
    band : Band
    """

    band: Band

    @abc.abstractmethod
    def tile(self, tiling: BandTiling) -> Tile:
        """Return the function of matrices and blocks that gives entries (heads, blocks, b, s), zero where not kept.

        The batch axes of the tiling's stack may be more than those of the matrix, which is repeated then.
        """

    @property
    @abc.abstractmethod
    def entry_flops(self) -> int:
        """Operations that evaluate one entry of a tile."""

    def tiling(self, stack: Stack) -> BandTiling:
        """Return the tiles in which a stack is evaluated."""
        return BandTiling(self.band, stack, self.like)

    def products(self, times: tuple[Array, ...]) -> tuple[Array, ...]:
        """Return the products (..., m, c) with arrays (..., n, c), for which entries are evaluated once."""
        tiling = self.tiling(Stack(broadcast_shape(self.batch, *(x.shape[:-2] for x in times))))
        entries, reads = self.tile(tiling), [tiling.columns(x) for x in times]

        def work(heads: slice) -> Callable[[Run], tuple[Array, ...]]:
            own, columns = entries(heads), [read(heads) for read in reads]

            def products(run: Run) -> tuple[Array, ...]:
                values = own(run)
                return tuple(multiplied(values, each(run)) for each in columns)

            return products

        return tiling.swept(work, tuple(x.shape[-1] for x in times))

    def combined(
        self, times: tuple[Array, ...], own: Array, *others: tuple[Array, tuple[Array, ...]]
    ) -> tuple[Array, ...]:
        """Return ``own * (self @ x)`` for arrays x (..., n, c), plus factors times totals, formed in one sweep.

        Parameters
        ----------
        times : tuple of Array, (..., n, c)
        own : Array, (..., m, 1)
        *others : tuple
            Of a factor (..., m, 1) and one total (..., m, c) for each of ``times``.
        """
        shapes = [x.shape[:-2] for x in (*times, own)]
        tiling = self.tiling(Stack(broadcast_shape(self.batch, *shapes)))
        entries, reads, mine = self.tile(tiling), [tiling.columns(x) for x in times], tiling.rows(own)
        added = [(tiling.rows(factor), [tiling.rows(x) for x in totals]) for factor, totals in others]

        def work(heads: slice) -> Callable[[Run], tuple[Array, ...]]:
            kernel, unit, columns = entries(heads), mine(heads), [read(heads) for read in reads]
            terms = [(factor(heads), [total(heads) for total in totals]) for factor, totals in added]

            def sums(run: Run) -> tuple[Array, ...]:
                values, found = kernel(run), []
                for place, column in enumerate(columns):
                    total = unit(run) * multiplied(values, column(run))
                    for factor, totals in terms:
                        total += factor(run) * totals[place](run)
                    found.append(total)
                return tuple(found)

            return sums

        return tiling.swept(work, tuple(x.shape[-1] for x in times))

    def _matmul(self, x: Array) -> Array:
        return self.products((x,))[0]

    def _rmatmul(self, y: Array) -> Array:
        return self.as_block_sparse()._rmatmul(y)

    def to_dense(self) -> Array:
        return self.as_block_sparse().to_dense()

    def matmul_flops(self, columns: int) -> int:
        tiles = self.count * self.band.blocks * self.band.size * self.band.width
        return int(tiles * (self.entry_flops + 2 * columns))

    # the pattern, as Sparse and BlockSparse have it

    def as_block_sparse(self) -> BlockSparse:
        """Return the matrix with all entries kept, p b s scalars each."""
        band, tiling = self.band, self.tiling(Stack(self.batch))
        entries = self.tile(tiling)

        def work(heads: slice) -> Callable[[Run], tuple[Array]]:
            own = entries(heads)
            return lambda run: (own(run),)

        (values,) = tiling.swept(work, (band.width,))
        return BlockSparse(in_blocks(values, band.size), band.indices, band.rows, band.columns, band.kept)

    @property
    def places(self) -> BlockSparse:
        """Ones at the places of the pattern, one matrix for each of the band."""
        band, kept = self.band, self.band.kept
        ones = array_namespace(kept).astype(kept, self.dtype)
        return BlockSparse(ones, band.indices, band.rows, band.columns, kept)

    @property
    def values(self) -> Array:
        """All entries in tiles, (..., p, b, s), evaluated on request."""
        return self.as_block_sparse().values

    def with_values(self, values: Array) -> BlockSparse:
        """Return a matrix of the same pattern with other entries, (..., p, b, s); those not kept become zero."""
        band = self.band
        return BlockSparse(values, band.indices, band.rows, band.columns, band.kept).with_values(values)

    def with_product(self, left: StructuredMatrix, right: StructuredMatrix) -> BandProduct:
        """Return the entries of ``left @ right`` at the pattern, evaluated in every product."""
        return BandProduct(self.band, left, right)

    def kept_per_row(self) -> Array:
        """Return how many entries of every row belong to the pattern, as floats, broadcastable to (..., m)."""
        xp, band = array_namespace(self.like), self.band
        low, high = band.slots
        counts = xp.reshape(high - low, (*low.shape[:-2], band.blocks * band.size))[..., : band.rows]
        return xp.astype(counts + band.fixed, self.dtype)


@dataclass(frozen=True, eq=False, repr=False)
class BandProduct(BandTiles):
    """The entries of a product of two matrices at the places of a band, zero elsewhere.

    Parameters
    ----------
    band : Band
    left : StructuredMatrix, (..., m, r)
    right : StructuredMatrix, (..., r, n)

    Notes
    -----
    2 r operations per entry of a tile, in every product. Rows of ``left`` are read tile by tile; ``right`` is read
    matrix by matrix, n r scalars at a time, where its transpose evaluates its rows in tiles, and is made dense
    otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import BandProduct, Dense
    >>> from tnattn.structured.band import Band
    >>> first = np.arange(3)
    >>> band = Band(first, first + 1, size=1, reach=1, columns=3)
    >>> left, right = Dense(np.asarray([[1.0], [2.0], [3.0]])), Dense(np.asarray([[1.0, 10.0, 100.0]]))
    >>> BandProduct(band, left, right).to_dense().tolist()
    [[1.0, 0.0, 0.0], [0.0, 20.0, 0.0], [0.0, 0.0, 300.0]]
    """

    left: StructuredMatrix
    right: StructuredMatrix

    @property
    def shape(self) -> tuple[int, ...]:
        batch = broadcast_shape(self.band.batch, self.left.batch, self.right.batch)
        return (*batch, self.left.shape[-2], self.right.shape[-1])

    @property
    def like(self) -> Array:
        return self.left.like

    @property
    def storage(self) -> int:
        return self.left.storage + self.right.storage + self.band.storage

    @property
    def entry_flops(self) -> int:
        return 2 * self.left.shape[-1]

    def tile(self, tiling: BandTiling) -> Tile:
        xp = array_namespace(self.like)
        left, right = row_reader(self.left, tiling.stack), row_reader(self.right.mT, tiling.stack)

        def of_matrices(heads: slice) -> Callable[[Run], Array]:
            # in parts, whose temporary arrays stay in a cache
            parts = tiles(heads.stop - heads.start, self.band.columns, self.right.shape[-2], like=self.like)
            spans = sorted({(rows.start, rows.stop) for _, rows in parts})
            columns = tiling.windows(xp.concat([right(heads, slice(*span)) for span in spans], axis=-2), heads)

            def of_blocks(run: Run) -> Array:
                rows = tiling.blocks_of(left(heads, tiling.places(run)), run)
                values = scored(rows, columns(run))
                values *= xp.astype(tiling.kept(heads, run), values.dtype)  # faster than a choice
                return values

            return of_blocks

        return of_matrices


def row_reader(matrix: StructuredMatrix, stack: Stack) -> Callable[[slice, slice], Array]:
    """Return the function of matrices of a stack and of rows that gives the entries (matrices, rows, n)."""
    if isinstance(matrix, RowTiles):
        return matrix.blocks(stack)
    flat = stack.flat(matrix.dense_view())
    return lambda heads, rows: flat[heads, rows, :]
