"""Patterns of consecutive columns in every row, whose blocks of rows share one window of columns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from tnattn.arrays import Array, array_namespace, broadcast_shape, clipped, device, to_host
from tnattn.cached import cached_property
from tnattn.scalars import Parameters, as_integer


class Run(NamedTuple):
    """Consecutive blocks whose windows begin ``step`` columns apart and whose rows keep the same slots of them.

    ``begin`` is None where the windows differ from matrix to matrix.

    Examples
    --------
    >>> from tnattn.structured.band import Run
    >>> Run(slice(2, 7), begin=0, step=4).part(1, 3)
    Run(blocks=slice(3, 5, None), begin=4, step=4)
    """

    blocks: slice
    begin: int | None
    step: int

    def part(self, start: int, stop: int) -> Run:
        """Return the run of some of its blocks, counted from its first one."""
        begin = None if self.begin is None else self.begin + start * self.step
        return Run(slice(self.blocks.start + start, self.blocks.start + stop), begin, self.step)


@dataclass(frozen=True, eq=False, repr=False)
class Band(Parameters):
    """The places (i, j) with first_i <= j < stop_i, and the first columns, which all rows keep besides.

    Parameters
    ----------
    first, stop : Array, (..., m), integer
        Neither may fall nor grow by more than one from row to row. A row with ``stop <= first`` keeps no column.
    size : int
        Rows of a block, b.
    reach : int
        Largest number of columns of a row.
    columns : int
        All columns, n.
    fixed : int
        First columns that every row keeps.

    Notes
    -----
    A block has ``width`` slots: the fixed columns, and ``span`` consecutive ones that hold the columns of its rows. The
    span is at most ``reach + size - 1``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured.band import Band
    >>> first = np.asarray([0, 0, 1, 2])
    >>> band = Band(first, first + 2, size=2, reach=2, columns=4)
    >>> band.indices.tolist(), band.kept[1].tolist()
    ([[0, 1, 2], [1, 2, 3]], [[True, True, False], [False, True, True]])
    """

    first: Array
    stop: Array
    size: int
    reach: int
    columns: int
    fixed: int = 0

    def __post_init__(self) -> None:
        if self.size < 1 or self.reach < 0 or not 0 <= self.fixed <= self.columns:
            raise ValueError(
                f"blocks of {self.size} rows, {self.reach} columns of a row and {self.fixed} fixed ones of "
                f"{self.columns} are no band; size >= 1, reach >= 0 and 0 <= fixed <= columns are needed"
            )

    # sizes

    @property
    def batch(self) -> tuple[int, ...]:
        """Batch axes of the bounds."""
        return broadcast_shape(self.first.shape[:-1], self.stop.shape[:-1])

    @property
    def rows(self) -> int:
        """Number of rows m."""
        return int(self.first.shape[-1])

    @property
    def blocks(self) -> int:
        """Number of blocks p, the last of which may be filled up with repetitions of the last row."""
        return math.ceil(self.rows / self.size)

    @property
    def span(self) -> int:
        """Consecutive columns that the rows of a block share."""
        return min(self.reach + self.size - 1, self.columns - self.fixed)

    @property
    def width(self) -> int:
        """Slots of a block, s."""
        return self.fixed + self.span

    @property
    def storage(self) -> int:
        """Stored scalars: the bounds of all rows."""
        return int(math.prod(self.first.shape) + math.prod(self.stop.shape))

    # windows

    @cached_property
    def begin(self) -> Array:
        """First column of the window of every block, (..., p)."""
        # near the last column a block starts earlier than its first row asks for, so that all blocks have one width
        return clipped(self.first[..., :: self.size], self.fixed, self.columns - self.span)

    @cached_property
    def slots(self) -> tuple[Array, Array]:
        """First slot of the window, and one past the last, that every row keeps, (..., p, b) each."""
        xp = array_namespace(self.first)
        # rows of padding repeat the last row, so that their columns exist
        last = xp.arange(self.blocks * self.size, dtype=xp.int64, device=device(self.first))
        places = clipped(last, 0, self.rows - 1)
        low, high = (
            xp.reshape(xp.take(x, places, axis=-1), (*x.shape[:-1], self.blocks, self.size)) - self.begin[..., None]
            for x in (self.first, self.stop)
        )
        low = clipped(low, 0, self.span)
        return low, clipped(xp.maximum(high, low), 0, self.span)

    @property
    def indices(self) -> Array:
        """Columns of every block, (..., p, s), distinct within a block."""
        xp = array_namespace(self.first)
        slots = xp.arange(self.width, dtype=xp.int64, device=device(self.first))
        return xp.where(slots < self.fixed, slots, self.begin[..., None] + (slots - self.fixed))

    @property
    def kept(self) -> Array:
        """True for the slots that a row keeps, (..., p, b, s)."""
        return self.kept_of(*self.slots)

    def kept_of(self, low: Array, high: Array) -> Array:
        """Return True for the slots (..., s) that rows with given bounds (...) keep."""
        xp = array_namespace(low)
        slots = xp.arange(self.width, dtype=xp.int64, device=device(low)) - self.fixed
        return ((slots >= low[..., None]) & (slots < high[..., None])) | (slots < 0)

    @cached_property
    def runs(self) -> list[Run]:
        """All blocks, in runs with equidistant windows; one comparison on the host."""
        if math.prod(self.batch) != 1:
            return [Run(slice(0, self.blocks), None, 0)]
        xp = array_namespace(self.first)
        low, high = (xp.reshape(x, (self.blocks, self.size)) for x in self.slots)
        same = xp.all((low[1:, :] == low[:-1, :]) & (high[1:, :] == high[:-1, :]), axis=-1)
        begin = xp.reshape(self.begin, (-1,))
        told = to_host(xp.concat([begin, xp.astype(same, begin.dtype)])).tolist()  # one transfer
        begins, alike = told[: self.blocks], [True, *told[self.blocks :]]
        runs, start, step = [], 0, 0
        for j in range(1, self.blocks + 1):
            if j < self.blocks and alike[j] and (j == start + 1 or begins[j] - begins[j - 1] == step):
                step = begins[j] - begins[j - 1]
            else:
                runs.append(Run(slice(start, j), begins[start], step if j > start + 1 else 0))
                start, step = j, 0
        return runs


def band_entries(rows: int, columns: int, *, size: int, reach: int, fixed: int = 0) -> int:
    """Return the number of entries of all tiles of a band, those that no row keeps included.

    Parameters
    ----------
    rows, columns, size, reach, fixed : int
        As for ``Band``.
    """
    rows, columns, size = as_integer(rows, "rows"), as_integer(columns, "columns"), as_integer(size, "size", least=1)
    reach, fixed = as_integer(reach, "reach"), as_integer(fixed, "fixed")
    return math.ceil(rows / size) * size * (fixed + min(reach + size - 1, columns - fixed))
