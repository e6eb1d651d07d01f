"""Tiles in which stacks of matrices with a band pattern are evaluated, and the rows and columns that a tile reads."""

from __future__ import annotations

from collections.abc import Callable

from tnattn.arrays import (
    Array,
    array_namespace,
    device,
    parallel_map,
    quiet_overflow,
    row_windows,
    runs_on_host,
    to_host,
)
from tnattn.cached import cached_property
from tnattn.structured.band import Band, Run
from tnattn.structured.gather import gather_rows
from tnattn.structured.row_tiles import Stack, tiles

Columns = tuple[Array, ...]  # rows of an array at the fixed slots, where there are any, and at the windows


class BandTiling:
    """Tiles of one or more matrices of a stack times some blocks of rows of a band.

    Parameters
    ----------
    band : Band
    stack : Stack
    like : Array
        Decides on the size of the tiles.
    together : bool
        Let every tile have all matrices of the stack.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured.band import Band
    >>> from tnattn.structured.band_tiling import BandTiling
    >>> from tnattn.structured.row_tiles import Stack
    >>> first = np.arange(8)
    >>> band, x = Band(first, first + 2, size=4, reach=2, columns=9), np.arange(9.0)[None, :, None]
    >>> tiling = BandTiling(band, Stack((1,)), x)
    >>> (heads,), (run,) = tiling.heads, tiling.runs
    >>> tiling.columns(x)(heads)(run)[0][0, :, :, 0].tolist()  # the windows of both blocks
    [[0.0, 1.0, 2.0, 3.0, 4.0], [4.0, 5.0, 6.0, 7.0, 8.0]]
    """

    def __init__(self, band: Band, stack: Stack, like: Array, *, together: bool = False) -> None:
        self.band, self.stack, self.like = band, stack, like
        entries = max(1, band.size * band.width)
        if together:
            grid = tiles(1, band.blocks, stack.count * entries, like=like)
            grid = [(slice(0, stack.count), blocks) for _, blocks in grid]
        else:
            grid = tiles(stack.count, band.blocks, entries, like=like)
        step = max((blocks.stop - blocks.start for _, blocks in grid), default=1)
        self.heads = [slice(*bounds) for bounds in sorted({(heads.start, heads.stop) for heads, _ in grid})]
        self.runs: list[Run] = []
        self._run_of: dict[int, int] = {}  # number of the run of the band that a part belongs to, by its first block
        for number, run in enumerate(band.runs):
            length = run.blocks.stop - run.blocks.start
            parts = [run.part(start, min(start + step, length)) for start in range(0, length, step)]
            self.runs += parts
            self._run_of.update({part.blocks.start: number for part in parts})
        self._kept: dict[int, Array] = {}

    def swept(
        self, work: Callable[[slice], Callable[[Run], tuple[Array, ...]]], widths: tuple[int, ...]
    ) -> tuple[Array, ...]:
        """Return arrays (..., m, c) that are computed tile by tile.

        Parameters
        ----------
        work : callable
            Of matrices of the stack; returns the function of a run of blocks that gives the parts (heads, blocks, b, c)
            of all arrays.
        widths : tuple of int
            Columns of the arrays.
        """
        xp, band, count = array_namespace(self.like), self.band, self.stack.count
        outs = [
            xp.empty((count, band.blocks, band.size, c), dtype=self.like.dtype, device=device(self.like))
            for c in widths
        ]

        def fill(heads: slice) -> None:
            parts = work(heads)

            def place(run: Run) -> None:
                for out, part in zip(outs, parts(run), strict=True):
                    out[heads, run.blocks, ...] = part

            parallel_map(place, self.runs, like=self.like)

        with quiet_overflow():  # the caller examines the results
            parallel_map(fill, self.heads if count else [], like=self.like)
        joined = (xp.reshape(x, (count, band.blocks * band.size, x.shape[-1])) for x in outs)
        return tuple(self.stack.restored(x[:, : band.rows, :]) for x in joined)

    # the pattern

    def kept(self, heads: slice, run: Run) -> Array:
        """Return True for the slots that rows keep, (heads or 1, blocks or 1, b, s)."""
        low, high = self._slots
        if run.begin is None:
            return self.band.kept_of(low[heads, run.blocks, :], high[heads, run.blocks, :])
        number = self._run_of[run.blocks.start]
        if number not in self._kept:  # the blocks of a run keep the same slots
            first = slice(run.blocks.start, run.blocks.start + 1)
            self._kept[number] = self.band.kept_of(low[:1, first, :], high[:1, first, :])
        return self._kept[number]

    @cached_property
    def _slots(self) -> tuple[Array, Array]:
        low, high = (self.stack.flat(x) for x in self.band.slots)
        return low, high

    @cached_property
    def _begin(self) -> Array:
        return self.stack.flat(self.band.begin[..., None])[..., 0]

    # what tiles read

    def rows(self, x: Array) -> Callable[[slice], Callable[[Run], Array]]:
        """Return the function of matrices and blocks that gives rows (heads, blocks, b, c) of arrays (..., m, c)."""
        flat = self.stack.flat(x)
        return lambda heads: lambda run: self.blocks_of(flat[heads, self.places(run), :], run)

    def places(self, run: Run) -> slice:
        """Return the rows of a run."""
        return slice(run.blocks.start * self.band.size, min(run.blocks.stop * self.band.size, self.band.rows))

    def blocks_of(self, rows: Array, run: Run) -> Array:
        """Return the rows of a run, (heads, rows, c), in blocks (heads, blocks, b, c) filled up with zeros."""
        xp, size, blocks = array_namespace(rows), self.band.size, run.blocks.stop - run.blocks.start
        count, given, width = rows.shape
        if given < blocks * size:
            filling = xp.zeros((count, blocks * size - given, width), dtype=rows.dtype, device=device(rows))
            rows = xp.concat([rows, filling], axis=-2)
        return xp.reshape(rows, (count, blocks, size, width))

    def columns(self, x: Array) -> Callable[[slice], Callable[[Run], Columns]]:
        """Return the function of matrices and blocks that gives the rows of arrays (..., n, c) at all slots.

        They come in one or two parts: those of the fixed columns, (heads, 1, fixed, c), and of the windows, (heads,
        blocks or 1, span, c). Windows are views where the library has such views.
        """
        flat, place = self._source(x)
        return lambda heads: self.windows(flat[place(heads), ...], heads)

    def windows(self, flat: Array, heads: slice) -> Callable[[Run], Columns]:
        """Return the function of blocks that gives the rows of some matrices (heads, n, c) at all slots."""
        xp, band = array_namespace(flat), self.band
        fixed, span = flat[:, None, : band.fixed, :], band.span
        views = row_windows(flat, span) if span else None

        def window(run: Run) -> Array:
            if run.begin is not None and run.step == 0:
                return flat[:, None, run.begin : run.begin + span, :]
            if run.begin is not None and views is not None:
                stop = run.begin + run.step * (run.blocks.stop - run.blocks.start - 1) + 1
                return views[:, run.begin : stop : run.step, :, :]
            first = self._begin[heads if run.begin is None else slice(0, 1), run.blocks]
            slots = xp.arange(span, dtype=first.dtype, device=device(first))
            return gather_rows(flat, first[..., None] + slots)

        def read(run: Run) -> Columns:
            parts = (fixed,) if band.fixed else ()
            return (*parts, window(run)) if span else parts

        return read

    def _source(self, x: Array) -> tuple[Array, Callable[[slice], slice]]:
        """Return arrays (..., n, c) along one batch axis, and the function from matrices of the stack to places on it.

        Arrays that several matrices share are not copied where tiles have one matrix each.
        """
        single = runs_on_host(x) and all(heads.stop - heads.start == 1 for heads in self.heads)
        if tuple(x.shape[:-2]) == self.stack.batch or not single:
            return self.stack.flat(x), lambda heads: heads
        xp, own = array_namespace(x), Stack(tuple(x.shape[:-2]))
        numbers = xp.reshape(xp.arange(own.count, dtype=xp.int64, device=device(x)), (*own.batch, 1, 1))
        owner = to_host(self.stack.flat(numbers)[:, 0, 0]).tolist()
        return own.flat(x), lambda heads: slice(owner[heads.start], owner[heads.start] + 1)


def scored(rows: Array, columns: Columns) -> Array:
    """Return the inner products (..., b, s) of rows (..., b, c) with the rows (..., s, c) at all slots of a tile."""
    parts = [rows @ part.mT for part in columns]
    return parts[0] if len(parts) == 1 else array_namespace(rows).concat(parts, axis=-1)


def multiplied(entries: Array, columns: Columns) -> Array:
    """Return the products (..., b, c) of entries (..., b, s) with the rows (..., s, c) at all slots of a tile."""
    if len(columns) == 1:
        return entries @ columns[0]
    fixed, windows = columns
    width = fixed.shape[-2]
    return entries[..., :width] @ fixed + entries[..., width:] @ windows
