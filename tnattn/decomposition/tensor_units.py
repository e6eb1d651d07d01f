"""Scaling of tensors by powers of two, so that squares of entries neither overflow nor vanish."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, TypeVar

from tnattn.arrays import (
    Array,
    array_namespace,
    check_finite,
    dtype_name,
    is_array,
    owned,
    quiet_overflow,
)
from tnattn.linalg.scaling import (
    exponent_of,
    largest_magnitude,
    power_of_two_below,
    smallest_normal,
    times_power_of_two,
)

SAFE_EXPONENT = 30  # entries between 2^-30 and 2^30 have harmless squares in every floating dtype but float16

Result = TypeVar("Result")


def scaled(tensor: Array, *, order: int, name: str = "tensor") -> tuple[Array, Array]:
    """Return a tensor with harmless squares and the exponents (...) of the powers of two that restore it.

    One exponent for each tensor of the stack, so that no entry is rounded. Tensors whose largest entry has a harmless
    square are left alone: exponent 0. One synchronisation.

    Raises
    ------
    ValueError
        If an entry is not finite, or if all entries of a tensor that is not zero are subnormal: the result, scaled
        back, would have lost its digits.
    """
    xp = array_namespace(tensor)
    with quiet_overflow():
        # one fast pass accepts ordinary tensors; an overflow here only sends the tensor to the checks below
        sums = energy(tensor, order=order)
    count = math.prod(tensor.shape[tensor.ndim - order :])
    # sums in this range imply a largest entry between 2^-30 and 2^30
    low, high = count * 4.0**-SAFE_EXPONENT, 4.0**SAFE_EXPONENT
    if bool(xp.all((sums >= low) & (sums <= high))):  # false for NaN
        return tensor, xp.zeros_like(sums)
    check_finite(tensor, name)
    _require_normal(largest_tensor_entries(tensor, order=order), name)
    exponent = exponents(tensor, order=order)
    exponent = xp.where(xp.abs(exponent) <= SAFE_EXPONENT, xp.zeros_like(exponent), exponent)
    if not bool(xp.any(exponent != 0)):
        return tensor, exponent
    return times_power_of_two(tensor, -exponent, stack=True), exponent


def unit(tensor: Array, *, order: int) -> tuple[Array, Array]:
    """Return a tensor whose largest entry lies in [1, 2), or is 0, and the exponents (...) that restore it."""
    xp = array_namespace(tensor)
    exponent = exponents(tensor, order=order)
    if not bool(xp.any(exponent != 0)):
        return tensor, exponent
    return times_power_of_two(tensor, -exponent, stack=True), exponent


def exponents(tensor: Array, *, order: int) -> Array:
    """Return the exponents (...) of the largest powers of two below the largest entries; 0 where all entries are 0."""
    return exponent_of(power_of_two_below(largest_tensor_entries(tensor, order=order)))


def largest_tensor_entries(tensor: Array, *, order: int) -> Array:
    """Return the largest absolute values (...) of a stack of tensors."""
    return largest_magnitude(tensor, axis=tuple(range(tensor.ndim - order, tensor.ndim)))


def restored_tensor(result: Result, exponent: Array | None) -> Result:
    """Return the result for a stack of tensors, given that for their multiples by 2^-exponent.

    Parameters
    ----------
    result : dataclass
        Its class variable ``degrees`` names the fields that are proportional to a whole power of the tensor, and the
        power: arrays, tuples of arrays of which the last carries the scale, and dataclasses of this kind (power 1).
    exponent : Array, (...), or None
        None copies only.

    Returns
    -------
    dataclass
        Of the same class. Its arrays are writable and share memory with nothing: neither with the tensor, nor among
        each other, nor with what a function has kept.

    Raises
    ------
    ValueError
        If a number that is finite for the scaled tensor is not when it is scaled back.
    """
    degrees = getattr(result, "degrees", {}) if exponent is not None else {}
    changes: dict[str, Any] = {
        f.name: _restored(getattr(result, f.name), exponent * degrees[f.name] if f.name in degrees else None, f.name)
        for f in dataclasses.fields(result)  # type: ignore[arg-type]
        if f.init
    }
    return dataclasses.replace(result, **changes)  # type: ignore[type-var]


def _restored(value: Any, exponent: Array | None, name: str) -> Any:
    if isinstance(value, tuple):  # orthonormal cores keep their scale: the last one carries that of the tensor
        return (*(_restored(v, None, name) for v in value[:-1]), *(_restored(v, exponent, name) for v in value[-1:]))
    if dataclasses.is_dataclass(value):
        return restored_tensor(value, exponent)
    if not is_array(value):
        return value
    if exponent is None:
        return owned(value)
    xp = array_namespace(value)
    found = times_power_of_two(value, exponent, stack=True)
    if not bool(xp.all(xp.isfinite(found) | ~xp.isfinite(value))):
        raise ValueError(
            f"{name} of the result overflows {dtype_name(found.dtype)}: the tensor has entries of about "
            f"2^{int(xp.max(exponent))}; divide it by a power of two, or convert it to float64"
        )
    # NumPy makes scalars, which cannot be written to, of arrays of no axes
    return found if found.ndim else owned(found)


def _require_normal(largest: Array, name: str) -> None:
    """Raise ValueError if the largest entry of a tensor is subnormal."""
    xp, kind, least = array_namespace(largest), dtype_name(largest.dtype), smallest_normal(largest)
    if bool(xp.any((largest > 0) & (largest < least))):
        raise ValueError(
            f"{name} has no entry above 2^{math.log2(least):.0f}, the smallest normal number of {kind}, though it is "
            "not zero: its result would lose its digits; multiply it by a power of two, or convert it to float64"
        )


def energy(tensor: Array, *, order: int) -> Array:
    """Return the squared Frobenius norms (...) of a stack of tensors."""
    xp = array_namespace(tensor)
    flat = xp.reshape(tensor, (*tensor.shape[: tensor.ndim - order], -1))
    return xp.vecdot(flat, flat)


def norm(tensor: Array, *, order: int) -> Array:
    """Return the Frobenius norms (...) of a stack of tensors, without overflow."""
    xp = array_namespace(tensor)
    flat = xp.reshape(tensor, (*tensor.shape[: tensor.ndim - order], -1))
    largest = xp.max(xp.abs(flat), axis=-1, keepdims=True)  # squares of ratios lie between 0 and 1
    largest = xp.where(largest > 0, largest, xp.ones_like(largest))
    return largest[..., 0] * xp.linalg.vector_norm(flat / largest, axis=-1)
