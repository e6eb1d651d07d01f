"""Numerators and denominators of attention, to which pieces of some rows are added one after the other."""

from __future__ import annotations

from tnattn.arrays import Array, array_namespace, device


class RunningSums:
    """Sums of pieces in units of exp of the largest shift so far, row by row.

    Memory is that of the sums, whatever the number of pieces; merged pieces give the same to rounding.

    Parameters
    ----------
    batch : tuple of int
        Grouped batch shape, (..., G, R).
    rows, width : int
        Queries, and width of the values.
    like : Array
        Decides on library, device and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.running_sums import RunningSums
    >>> sums = RunningSums((1, 1), 2, 1, like=np.zeros(1))
    >>> one = np.ones((1, 1, 1))
    >>> for shift in (0.0, np.log(3.0)):  # 1 and 3 for the second query; the first one sees nothing
    ...     sums.add(slice(1, 2), one[..., None] * shift, one, one * shift)
    >>> round(float(sums.numerators[0, 0, 1, 0] / sums.denominators[0, 0, 1]), 4), sums.shift[0, 0].round(2).tolist()
    (0.824, [-inf, 1.1])
    """

    def __init__(self, batch: tuple[int, ...], rows: int, width: int, *, like: Array) -> None:
        xp = array_namespace(like)
        kind = {"dtype": like.dtype, "device": device(like)}
        self.numerators = xp.zeros((*batch, rows, width), **kind)
        self.denominators = xp.zeros((*batch, rows), **kind)
        self.shift = xp.full((*batch, rows), -float("inf"), **kind)

    def add(self, rows: slice, numerators: Array, denominators: Array, shift: Array) -> None:
        """Add sums of consecutive rows, (..., G, R, r, d_v) and (..., G, R, r), in units of exp(shift)."""
        xp = array_namespace(numerators)
        before = self.shift[..., rows]
        highest = xp.maximum(before, shift)
        # no factor exceeds one; a row that sees no key has minus infinity in both and stays zero, while a shift of plus
        # infinity or NaN stays and makes its row bad
        unit = xp.where(highest == -float("inf"), xp.zeros_like(highest), highest)
        old, new = xp.exp(before - unit), xp.exp(shift - unit)
        self.numerators[..., rows, :] *= old[..., None]
        self.numerators[..., rows, :] += new[..., None] * numerators
        self.denominators[..., rows] *= old
        self.denominators[..., rows] += new * denominators
        self.shift[..., rows] = highest
