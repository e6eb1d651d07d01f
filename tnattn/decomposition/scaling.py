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
    from_host,
    is_array,
    owned,
    quiet_overflow,
    to_host,
)

SAFE_EXPONENT = 30  # entries between 2^-30 and 2^30 have harmless squares in every floating dtype but float16
SMALLEST_NORMAL = {"float32": -126, "float64": -1022}  # exponents; numbers below have fewer digits
# twice this is beyond the range of the dtype on either side, and a factor of this size is within it
HALF_RANGE = {"float32": 120, "float64": 1000}

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
        sums = energy(tensor, order=order)  # judged alone, in one fast pass: a bad sum is no verdict on a tensor
    count = math.prod(tensor.shape[tensor.ndim - order :])
    low, high = count * 4.0**-SAFE_EXPONENT, 4.0**SAFE_EXPONENT
    if bool(xp.all((sums >= low) & (sums <= high))):  # false for NaN
        return tensor, xp.zeros_like(sums)
    check_finite(tensor, name)
    _require_normal(largest_entries(tensor, order=order), name)
    exponent = exponents(tensor, order=order)
    exponent = xp.where(xp.abs(exponent) <= SAFE_EXPONENT, xp.zeros_like(exponent), exponent)
    if not bool(xp.any(exponent != 0)):
        return tensor, exponent
    return times_power(tensor, -exponent), exponent


def unit(tensor: Array, *, order: int) -> tuple[Array, Array]:
    """Return a tensor whose largest entry lies in [1, 2), or is 0, and the exponents (...) that restore it."""
    xp = array_namespace(tensor)
    exponent = exponents(tensor, order=order)
    return (times_power(tensor, -exponent), exponent) if bool(xp.any(exponent != 0)) else (tensor, exponent)


def exponents(tensor: Array, *, order: int) -> Array:
    """Return the whole logarithms (...) to base 2 of the largest entries of a stack, 0 where all entries are."""
    xp, largest = array_namespace(tensor), largest_entries(tensor, order=order)
    return xp.floor(xp.log2(xp.where(largest > 0, largest, xp.ones_like(largest))))


def largest_entries(tensor: Array, *, order: int) -> Array:
    """Return the largest absolute values (...) of a stack of tensors."""
    xp, axes = array_namespace(tensor), tuple(range(tensor.ndim - order, tensor.ndim))
    # no array of magnitudes: two passes without memory are three times as fast
    return xp.maximum(xp.max(tensor, axis=axes), -xp.min(tensor, axis=axes))


def times_power(x: Array, exponent: Array) -> Array:
    """Return arrays (..., k, l, ...) times powers of two, one exponent (...) for each array of the stack; a copy.

    Raises
    ------
    ValueError
        If the batch axes of the two differ.
    """
    xp = array_namespace(x)
    batch = tuple(exponent.shape)
    if tuple(x.shape[: len(batch)]) != batch:
        raise ValueError(f"an array of shape {tuple(x.shape)} lacks the batch axes {batch} of its exponents; add them")
    most = HALF_RANGE[dtype_name(x.dtype)]
    host = to_host(xp.clip(exponent, -2 * most, 2 * most))
    hp = array_namespace(host)
    powers = hp.astype(hp.reshape(host, (*batch, *(1,) * (x.ndim - len(batch)))), hp.int64)
    half = powers // 2  # in two steps: the factor of a subnormal number can itself overflow
    with quiet_overflow():
        for step in (half, powers - half):  # by ldexp on the host: powers by pow are not exact on every device
            x = x * from_host(hp.asarray(hp.ldexp(1.0, step)), like=x, dtype=x.dtype)
    return x


def restored(result: Result, exponent: Array | None) -> Result:
    """Return the result for a stack of tensors, given that for their multiples by 2^-exponent.

    Parameters
    ----------
    result : dataclass
        Its class variable ``degrees`` names the fields that scale with the tensor and the powers: arrays, tuples of
        arrays of which the last scales, and dataclasses of this kind.
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
    if isinstance(value, tuple):
        return (*(_restored(v, None, name) for v in value[:-1]), *(_restored(v, exponent, name) for v in value[-1:]))
    if dataclasses.is_dataclass(value):
        return restored(value, exponent)
    if not is_array(value):
        return value
    if exponent is None:
        return owned(value)
    xp = array_namespace(value)
    found = times_power(value, exponent)
    if not bool(xp.all(xp.isfinite(found) | ~xp.isfinite(value))):
        raise ValueError(
            f"{name} of the result overflows {dtype_name(found.dtype)}: the tensor has entries of about "
            f"2^{int(xp.max(exponent))}; divide it by a power of two, or convert it to float64"
        )
    return (
        found if found.ndim else owned(found)
    )  # NumPy makes scalars, which cannot be written to, of arrays of no axes


def _require_normal(largest: Array, name: str) -> None:
    """Raise ValueError if the largest entry of a tensor is subnormal."""
    xp, kind = array_namespace(largest), dtype_name(largest.dtype)
    if bool(xp.any((largest > 0) & (largest < 2.0 ** SMALLEST_NORMAL[kind]))):
        raise ValueError(
            f"{name} has no entry above 2^{SMALLEST_NORMAL[kind]}, the smallest normal number of {kind}, though it is "
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
    largest = xp.max(xp.abs(flat), axis=-1, keepdims=True)
    largest = xp.where(largest > 0, largest, xp.ones_like(largest))
    return largest[..., 0] * xp.linalg.vector_norm(flat / largest, axis=-1)
