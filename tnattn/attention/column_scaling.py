"""Scaling of the columns of a factor by powers of two, so that a product of it stays in the range of the dtype."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, quiet_overflow, widened
from tnattn.display import Displayed
from tnattn.linalg.scaling import exponent_of, largest_magnitude, power_of_two_below, times_power_of_two


@dataclass(frozen=True, eq=False, repr=False)
class ColumnScaling(Displayed):
    """A factor x with its columns scaled by powers of two, which are exact, and the inverse scaling.

    Parameters
    ----------
    scaled : Array, (..., n, c)
    exponents : Array, (..., 1, c), whole numbers
        x = scaled * 2^exponents.
    largest : Array, (..., 1, c)
        Largest magnitude of every column of x.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.column_scaling import column_scaling
    >>> x = np.asarray([[1.5e308, 1.0], [1.5e308, 2.0]])  # the sum of the first column overflows
    >>> scaling = column_scaling(x, growth=2.0)
    >>> sums = np.ones((1, 2)) @ scaling.scaled
    >>> (scaling.undo(sums / 2) / [1e308, 1.0]).tolist()
    [[1.5, 1.5]]
    """

    scaled: Array
    exponents: Array
    largest: Array

    def undo(self, product: Array) -> Array:
        """Return convex combinations of the rows of x from those of the scaled factor.

        A combination that rounding carries beyond the largest entry is set back to it, since it may exceed the range
        of the dtype.
        """
        xp = array_namespace(product)
        with quiet_overflow():
            product = times_power_of_two(product, self.exponents)
        largest = xp.astype(self.largest, product.dtype)
        return xp.minimum(xp.maximum(product, -largest), largest)


def column_scaling(x: Array, *, growth: float) -> ColumnScaling | None:
    """Return the scaling that a product with kernels of row sums up to ``growth`` needs; None, in the usual case.

    Parameters
    ----------
    x : Array, (..., n, c), floating
        Half precision is widened.
    growth : float
        Largest factor, up or down, between an entry of x and a partial sum.

    Notes
    -----
    One pass over x and one synchronisation where the sum of its squares shows that no scaling is needed. Otherwise
    columns are scaled one by one, so that a small column keeps its digits beside a large one.
    """
    x = widened(x)
    xp = array_namespace(x)
    limits = xp.finfo(x.dtype)
    high = float(limits.max) / (2 * growth)  # sums stay finite; the factor 2 absorbs their rounding
    # entries down to one rounding unit of the largest one keep all their digits
    low = float(limits.smallest_normal) / float(limits.eps) * growth
    with quiet_overflow():
        norm = math.sqrt(float(xp.sum(xp.vecdot(x, x))))
    # the norm bounds the largest entry from above, and norm / sqrt(size) from below
    if low * math.sqrt(math.prod(x.shape)) <= norm <= high:
        return None
    largest = largest_magnitude(x, axis=-2, keepdims=True)
    regular = xp.isfinite(largest) & (largest > 0)  # columns of zeros, NaN or infinity stay as they are
    # every column is brought to the binade below the largest power of two under the limit
    exponents = exponent_of(power_of_two_below(largest)) - (math.frexp(high)[1] - 2)
    exponents = xp.where(regular, exponents, xp.zeros_like(exponents))
    if not bool(xp.any(exponents != 0)):
        return None
    return ColumnScaling(times_power_of_two(x, -exponents), exponents, largest)


def keeps_digits(product: Array, x: Array, *, terms: int) -> bool:
    """Return whether convex combinations of the rows of x, computed without a scaling, are right to rounding.

    Parameters
    ----------
    product : Array, (..., m, c), floating
        Judged by itself: an overflow leaves infinity or NaN, an underflow a column without a large entry.
    x : Array, (..., n, c)
        Read only where that is doubtful, for its columns of zeros.
    terms : int
        Number of terms of every sum.
    """
    xp = array_namespace(product)
    limits = xp.finfo(product.dtype)
    largest = xp.max(xp.abs(product), axis=-2)  # NaN fails every comparison
    finite = largest <= float(limits.max)
    # a term loses at most the smallest subnormal number, which is eps times the smallest normal one
    large = largest >= terms * float(limits.smallest_normal)
    if bool(xp.all(finite & large)):
        return True
    return bool(xp.all(finite & (large | xp.all(x == 0, axis=-2))))
