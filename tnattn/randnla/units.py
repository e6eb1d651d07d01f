"""Scaling of matrices by powers of two, by which squares and reciprocals of entries neither overflow nor vanish.

Randomized methods square entries, divide by singular values and multiply matrices repeatedly. Matrices with entries of
about one are safe from overflow and underflow in either precision, and scaling by a power of two is exact in both
directions. It is done once, where a method is called.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any, TypeVar

from tnattn.arrays import Array, array_namespace, device, dtype_name, eps, quiet_overflow
from tnattn.linalg import largest_entries
from tnattn.linalg.scaling import exponent_of, largest_magnitude, power_of_two_below, times_power_of_two
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import LowRank

Result = TypeVar("Result")

_HARMLESS = 30  # entries in 2^-30 ... 2^30 are not scaled: their fourth powers are within float32, 2^-126 ... 2^128


@dataclasses.dataclass(frozen=True, eq=False)
class Unit:
    """A power of two for each matrix of a stack, by which it is divided before a method is applied.

    Parameters
    ----------
    exponent : Array, (...), integers as floating numbers
        Even, so that roots of units are powers of two as well; -1200 to 1200.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Dense
    >>> from tnattn.randnla.units import in_units
    >>> matrix, unit = in_units(Dense(np.full((2, 2), 1e200)))
    >>> print(unit.exponent, 1 <= matrix.array[0, 0] < 4, unit.restored(matrix.array, name="a")[0, 0] == 1e200)
    664.0 True True
    """

    exponent: Array

    def divided(self, x: Array) -> Array:
        """Return ``x`` (..., any axes) over the unit; numbers that leave the range become infinite or zero."""
        return times_power_of_two(x, -self._aligned(x))

    def restored(self, x: Array, *, degree: float = 1.0, name: str) -> Array:
        """Return ``x`` (..., any axes) times the unit to a power.

        Raises
        ------
        ValueError
            If a number that was finite and not zero leaves the range of the dtype.
        """
        xp = array_namespace(x)
        with quiet_overflow():
            made = times_power_of_two(x, degree * self._aligned(x))
        # single entries may underflow, as in any product; a whole array that vanishes is an error
        lost = (xp.isfinite(x) & ~xp.isfinite(made)) | (xp.all(made == 0) & xp.any(x != 0))
        if bool(xp.any(lost)):
            raise ValueError(
                f"{name} of the result leaves the range of {dtype_name(x.dtype)}; scale a to entries of about one: "
                f"what is returned scales with it"
            )
        return made

    def _aligned(self, x: Array) -> Array:
        batch = self.exponent.shape
        return array_namespace(x).reshape(self.exponent, (*batch, *(1,) * (x.ndim - len(batch))))


def in_units(a: StructuredMatrix) -> tuple[StructuredMatrix, Unit | None]:
    """Return matrices with entries of about one and their unit, or the matrices themselves and None.

    Parameters
    ----------
    a : StructuredMatrix, (..., m, n)
        Arrays, sparse and factored matrices are scaled, unless all entries are harmless already. Entries of other
        implicit matrices are not known; ``require_resolved_size`` checks their results instead.

    Notes
    -----
    One pass over an array; two more and a copy where it is scaled. One synchronisation.
    """
    parts = a.linear_parts() or ()
    units = [unit_of(part) if 0 not in part.shape else None for part in parts]
    if all(unit is None for unit in units):
        return a, None
    # one unit for each factor; the unit of the product adds their exponents
    known = [unit or Unit(_zero_exponents(part)) for part, unit in zip(parts, units, strict=True)]
    scaled = a.with_linear_parts(tuple(unit.divided(part) for part, unit in zip(parts, known, strict=True)))
    return scaled, Unit(reduce(add, (unit.exponent for unit in known)))


def columns_in_units(x: Array) -> tuple[Array, Unit | None]:
    """Return matrices (..., m, k) with columns of about one, and a unit (..., k), or the matrices and None."""
    unit = unit_of(x.mT[..., None])
    if unit is None:
        return x, None
    return Unit(unit.exponent[..., None, :]).divided(x), unit


def restored(result: Result, unit: Unit | None) -> Result:
    """Return a result of a matrix in units as that of the matrix itself.

    Its class states in ``degrees`` which fields are proportional to which power of the matrix; ratios, indices and
    orthonormal factors have none. For a factored matrix without ``degrees`` the left factor is scaled and other fields
    are dropped.
    """
    if unit is None:
        return result
    degrees: Mapping[str, float] | None = getattr(type(result), "degrees", None)
    if degrees is not None:
        fields: dict[str, Any] = {}
        for name, degree in degrees.items():
            value = getattr(result, name)
            if isinstance(value, tuple):  # of tensor cores, the last of which carries the scale
                fields[name] = (*value[:-1], unit.restored(value[-1], degree=degree, name=name))
            elif value is not None:
                fields[name] = unit.restored(value, degree=degree, name=name)
        return dataclasses.replace(result, **fields)  # type: ignore[type-var]
    factors = result.thin_factors() if isinstance(result, StructuredMatrix) else None
    if factors is not None:
        return LowRank(unit.restored(factors[0], name="the left factor"), factors[1])  # type: ignore[return-value]
    raise TypeError(
        f"{type(result).__name__} does not state in degrees which fields scale with the matrix; entries of the matrix "
        f"have to be between 2^-{_HARMLESS} and 2^{_HARMLESS}"
    )


def require_resolved_size(result: StructuredMatrix, a: StructuredMatrix) -> None:
    """Raise ValueError if the result for an implicit matrix is not finite, or if squares have overflowed or vanished.

    Parameters
    ----------
    result : StructuredMatrix
        Checked unless ``a`` has linear parts, which were scaled. Zero is accepted if a product of ``a`` with a vector
        is zero too.
    a : StructuredMatrix
        An operator or implicit matrix, none of whose entries was examined.
    """
    if a.linear_parts() is not None:
        return
    factors = result.thin_factors()
    if factors is None:  # the method has formed the matrix
        dense = result.to_dense()
        factors = dense, array_namespace(dense).ones_like(dense)
    left, right = factors
    xp = array_namespace(left)
    # squares must stay above smallest_normal / eps^2, or their rounding vanishes before they do
    limit = math.floor(-math.log2(float(xp.finfo(left.dtype).smallest_normal)) / 2 + math.log2(eps(left)))
    with quiet_overflow():
        sizes = [xp.max(xp.abs(x), axis=(-2, -1)) for x in (left, right)]
        finite = xp.isfinite(sizes[0]) & xp.isfinite(sizes[1])
        exponents = [xp.log2(xp.where(finite & (size > 0), size, xp.ones_like(size))) for size in sizes]
    zero = (sizes[0] == 0) | (sizes[1] == 0)
    # the norm of the product is about the product of the norms: the exponents add up
    bad = ~finite | (xp.abs(exponents[0] + exponents[1]) > limit)
    if bool(xp.any(zero & ~bad)):
        vector = xp.ones((a.shape[-1], 1), dtype=a.dtype, device=device(a.like))
        bad = bad | (zero & (xp.max(xp.abs(a @ vector), axis=(-2, -1)) > 0))
    if bool(xp.any(bad)):
        raise ValueError(
            f"the {a.shape} operator has a norm outside 2^-{limit} ... 2^{limit}, where squares leave the range of "
            f"{dtype_name(left.dtype)}; scale it to a norm of about one: what is returned scales with it"
        )


def resolved_square(a: StructuredMatrix) -> Array:
    """Return ``||A||_F^2`` (...); raise ValueError if it has overflowed or underflowed. One synchronisation."""
    with quiet_overflow():
        square = a.squared_norm()
    xp = array_namespace(square)
    least = float(xp.finfo(square.dtype).smallest_normal) / eps(square) ** 2  # tolerances resolve eps^2 of the square
    lost = ~xp.isfinite(square)
    small = square < least
    if bool(xp.any(small)):
        # implicit matrices have no explicit entries: a square that has vanished is taken for a zero matrix
        entries = a.dense_view() if a.explicit else square[..., None, None]
        lost = lost | (small & (largest_entries(entries) > 0))
    if bool(xp.any(lost)):
        raise ValueError(
            f"the squared Frobenius norm of a matrix of the {a.shape} stack leaves the range of "
            f"{dtype_name(square.dtype)}; scale a to entries of about one, or give a rank"
        )
    return square


def unit_of(x: Array) -> Unit | None:
    """Return the unit of arrays (..., m, n), or None if all their largest entries are harmless or zero."""
    xp = array_namespace(x)
    flat = xp.reshape(x, (*x.shape[:-2], -1))
    with quiet_overflow():
        squares = xp.vecdot(flat, flat)  # one pass settles nearly all cases
    least, most = flat.shape[-1] * 4.0**-_HARMLESS, 4.0**_HARMLESS
    if bool(xp.all((squares >= least) & (squares <= most))):
        return None
    # even exponents, so that the unit has a root that is a power of two
    exponent = 2 * xp.floor(exponent_of(power_of_two_below(largest_magnitude(x, axis=(-2, -1)))) / 2)
    exponent = xp.where(xp.abs(exponent) <= _HARMLESS, xp.zeros_like(exponent), exponent)
    return None if bool(xp.all(exponent == 0)) else Unit(exponent)


def _zero_exponents(x: Array) -> Array:
    xp = array_namespace(x)
    return xp.zeros(tuple(x.shape[:-2]), dtype=x.dtype, device=device(x))
