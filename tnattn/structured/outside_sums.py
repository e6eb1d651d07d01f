"""Sums of the rows of arrays outside a band, in which no row of the band takes part."""

from __future__ import annotations

from collections.abc import Callable

from tnattn.arrays import Array, array_namespace, broadcast_shape, clipped, device, quiet_overflow, to_host
from tnattn.structured.band import Band, Run
from tnattn.structured.band_tiling import BandTiling
from tnattn.structured.gather import take_rows
from tnattn.structured.row_tiles import Stack


def outside_band(band: Band, x: Array, *, against: Array | None = None) -> Array:
    """Return the sums over the rows of arrays that rows of a band do not keep, or inner products with them.

    Parameters
    ----------
    band : Band
    x : Array, (..., n, c), floating
    against : Array, (..., m, c), optional
        Every sum is multiplied with a row of its own, and only the inner products are returned.

    Returns
    -------
    Array, (..., m, c), or (..., m, 1) of inner products

    Notes
    -----
    What lies outside the window of a block is summed once for all its rows; what a row does not keep of the window
    lies at its two ends. O(n c + m b c) for blocks of b rows of equal width.
    """
    xp = array_namespace(x)
    others = () if against is None else (against.shape[:-2],)
    stack = Stack(broadcast_shape(band.batch, x.shape[:-2], *others))
    tiling = BandTiling(band, stack, x)
    shared, read = stack.flat(before_and_after(band, x)), tiling.columns(x)
    rows = None if against is None else tiling.rows(against)
    ends = window_ends(band)

    def work(heads: slice) -> Callable[[Run], tuple[Array]]:
        columns, factors = read(heads), None if rows is None else rows(heads)

        def sums(run: Run) -> tuple[Array]:
            total = shared[heads, run.blocks, None, :]
            dropped = xp.astype(~tiling.kept(heads, run)[..., band.fixed :], x.dtype)
            for end in ends:
                total = total + dropped[..., end] @ columns(run)[-1][..., end, :]
            return (total,) if factors is None else (xp.sum(total * factors(run), axis=-1, keepdims=True),)

        return sums

    return tiling.swept(work, (x.shape[-1] if against is None else 1,))[0]


def outside_band_flops(band: Band) -> int:
    """Return the operations of ``outside_band`` for a column of one matrix."""
    ends: int = sum(end.stop - end.start for end in window_ends(band))
    return band.columns + band.blocks * band.size * (2 * ends + 2)


def window_ends(band: Band) -> list[slice]:
    """Return the slots at both ends of the windows that some row of a block does not keep."""
    xp = array_namespace(band.first)
    low, high = band.slots
    lead, trail = (int(end) for end in to_host(xp.stack([xp.max(low), xp.min(high)])))
    ends = (slice(0, lead), slice(max(lead, trail), band.span))
    return [end for end in ends if end.stop > end.start]


def before_and_after(band: Band, x: Array) -> Array:
    """Return the sums of the rows of arrays (..., n, c) outside the slots of every block, (..., p, c).

    Notes
    -----
    The rows are the leaves of a binary tree, and what lies before or after a window is the union of at most one node
    of each level: O(n c + p c log n).
    """
    xp = array_namespace(x)
    sums = x[..., band.fixed :, :]
    before, after = band.begin - band.fixed, band.begin - band.fixed + band.span  # in nodes of the level
    shape = (*broadcast_shape(x.shape[:-2], band.batch), band.blocks, x.shape[-1])
    total = xp.zeros(shape, dtype=x.dtype, device=device(x))
    with quiet_overflow():  # a node that holds a row of the window may overflow, and is not added
        while (n := sums.shape[-2]) > 1:
            for place, free in ((before - 1, before % 2 == 1), (after, (after % 2 == 1) & (after < n))):
                node = take_rows(sums, clipped(place, 0, n - 1))
                total = total + xp.where(free[..., None], node, xp.zeros_like(node))
            sums, before, after = pairs(sums), before // 2, (after + 1) // 2
    return total


def pairs(sums: Array) -> Array:
    """Return the sums of rows 0 and 1, 2 and 3, ..., the last one alone where their number is odd."""
    xp = array_namespace(sums)
    if sums.shape[-2] % 2:
        sums = xp.concat([sums, xp.zeros_like(sums[..., :1, :])], axis=-2)
    return sums[..., ::2, :] + sums[..., 1::2, :]
