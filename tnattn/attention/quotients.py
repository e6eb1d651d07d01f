"""Numerators and denominators of a piece of attention, and what follows from them: output, bad rows, log mass."""

from __future__ import annotations

from typing import Any, Self

from tnattn.arrays import Array, array_namespace, broadcast_shape, quiet_overflow
from tnattn.attention.broadcasting import copied
from tnattn.structured import StructuredMatrix


class Quotients:
    """Base class of a piece of attention with ``kernel @ [values | mass]`` in units of exp(shift).

    The fields are those of ``Approximation``. Every property returns arrays of its own, so that a caller may write into
    them.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Approximation
    >>> from tnattn.structured import Dense
    >>> kernel = Dense(np.asarray([[[[1.0, 3.0]]]]))  # one head, one query, two keys
    >>> piece = Approximation(kernel, np.zeros((1, 1, 1)), np.asarray([[[[2.0], [4.0]]]]))
    >>> piece.numerators.item(), piece.denominators.item(), piece.output.item()
    (14.0, 4.0, 3.5)
    """

    kernel: StructuredMatrix
    shift: Array
    values: Array
    mass: Array | None
    normaliser: Array | None
    fallback: Array | None
    dtype: Any

    @property
    def _products(self) -> tuple[Array, Array]:
        """Numerators (..., G, R, n_q, d_v) and denominators (..., G, R, n_q), in units of exp(shift), computed once."""
        # stored by hand: functools.cached_property holds one lock for all instances on Python 3.11
        found: tuple[Array, Array] | None = self.__dict__.get("_kept")
        if found is None:
            found = self.__dict__["_kept"] = self._multiplied()
        return found

    def holding(self, numerators: Array, denominators: Array) -> Self:
        """Keep products that a sweep has computed already, instead of multiplying once more; returns the piece."""
        self.__dict__["_kept"] = (numerators, denominators)
        return self

    def _multiplied(self) -> tuple[Array, Array]:
        xp = array_namespace(self.values)
        if self.normaliser is not None:  # its own denominator saves the column of the mass
            return self.kernel @ self.values, self.normaliser
        mass = self.mass if self.mass is not None else xp.ones_like(self.values[..., 0])
        outer = broadcast_shape(self.values.shape[:-2], mass.shape[:-1])
        width, m = self.values.shape[-1], self.values.shape[-2]
        columns = [xp.broadcast_to(self.values, (*outer, m, width)), xp.broadcast_to(mass[..., None], (*outer, m, 1))]
        product = self.kernel @ xp.concat(columns, axis=-1)  # one pass over the kernel gives both
        return product[..., :width], product[..., width]

    @property
    def numerators(self) -> Array:
        """Sums of kernel times value, (..., G, R, n_q, d_v), in units of exp(shift)."""
        return copied(self._products[0])

    @property
    def denominators(self) -> Array:
        """Row sums of the kernel, (..., G, R, n_q), in units of exp(shift)."""
        return copied(self._products[1])

    @property
    def output(self) -> Array:
        """The approximate output, (..., H, n_q, d_v); bad rows are the fallback or NaN, rows without keys zero."""
        quotients = self._quotients
        if self.fallback is None:
            return ungrouped(quotients)
        xp = array_namespace(quotients)
        bad = ~xp.all(xp.isfinite(quotients), axis=-1, keepdims=True)
        replacement = xp.astype(xp.broadcast_to(self.fallback, quotients.shape), quotients.dtype)
        return ungrouped(xp.where(bad, replacement, quotients))

    @property
    def _quotients(self) -> Array:
        """Numerators over denominators, (..., G, R, n_q, d_v); bad rows are NaN, rows without keys zero."""
        xp = array_namespace(self.values)
        numerators, denominators = self._products
        # one division: by NaN where a row is bad, and by infinity, which gives zero, where it sees no key
        divisors = xp.where(self._usable, denominators, xp.full_like(denominators, float("nan")))
        quotients = numerators / divisors[..., None]
        if self.dtype is not None:
            quotients = xp.astype(quotients, self.dtype, copy=False)
        with quiet_overflow():
            if bool(xp.isfinite(xp.sum(quotients))):  # the usual case, in one pass: no row is bad or empty
                return quotients
        # a sum or a quotient may overflow although the denominator is usable
        finite = xp.all(xp.isfinite(quotients), axis=-1, keepdims=True)
        result = xp.where(finite, quotients, xp.full_like(quotients, float("nan")))
        return xp.where(self._empty[..., None], xp.zeros_like(result), result)

    @property
    def bad_rows(self) -> Array:
        """Number of rows of every head, (..., H), whose quotient is not finite, for whatever reason.

        A fallback changes their output, not their number.
        """
        xp = array_namespace(self.values)
        finite = xp.all(xp.isfinite(ungrouped(self._quotients)), axis=-1)
        return xp.sum(xp.astype(~finite, xp.int64), axis=-1)

    @property
    def _empty(self) -> Array:
        """Rows that see no key, (..., G, R, n_q): those of shift minus infinity, and no others."""
        return self.shift == -float("inf")

    @property
    def _usable(self) -> Array:
        """Rows with a positive, finite denominator in units of a finite exp(shift), (..., G, R, n_q)."""
        xp = array_namespace(self.shift)
        denominators = self._products[1]
        return (denominators > 0) & xp.isfinite(denominators) & xp.isfinite(self.shift)

    @property
    def log_mass(self) -> Array:
        """Logarithm of the estimated row sums of the kernel, (..., G, R, n_q); NaN in bad rows."""
        xp = array_namespace(self.values)
        denominators = self._products[1]
        log = xp.log(xp.where(self._usable, denominators, xp.ones_like(denominators))) + self.shift
        return xp.where(self._usable | self._empty, log, xp.full_like(log, float("nan")))


def ungrouped(array: Array) -> Array:
    """Return (..., G, R, a, b) as (..., H, a, b)."""
    xp = array_namespace(array)
    *batch, groups, ratio, a, b = array.shape
    return xp.reshape(array, (*batch, groups * ratio, a, b))
