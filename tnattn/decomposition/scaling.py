"""Scaling of tensors by powers of two, so that squares of entries neither overflow nor vanish."""

from __future__ import annotations

import math

from tnattn.arrays import Array, array_namespace, device, quiet_overflow

SAFE_EXPONENT = 30  # entries between 2^-30 and 2^30 have harmless squares in every floating dtype but float16


def scaled(tensor: Array, *, order: int) -> tuple[Array, Array]:
    """Return a tensor with harmless squares and the factor (..., 1, ..., 1) that restores it.

    The factor is a power of two, one for each tensor of the stack, so no entry is rounded. Tensors whose largest entry
    has a harmless square are left alone. One synchronisation.
    """
    return scaled_with_energy(tensor, order=order)[:2]


def scaled_with_energy(tensor: Array, *, order: int) -> tuple[Array, Array, Array]:
    """Return what ``scaled`` does and the squared Frobenius norms (...) of the scaled tensors, from the same pass."""
    xp = array_namespace(tensor)
    with quiet_overflow():
        sums = energy(tensor, order=order)  # judged alone, in one fast pass: a bad sum is no verdict on a tensor
    count = math.prod(tensor.shape[tensor.ndim - order :])
    low, high = count * 4.0**-SAFE_EXPONENT, 4.0**SAFE_EXPONENT
    if bool(xp.all((sums >= low) & (sums <= high))):
        batch = tuple(tensor.shape[: tensor.ndim - order])
        return tensor, xp.ones((*batch, *(1,) * order), dtype=tensor.dtype, device=device(tensor)), sums
    axes = tuple(range(tensor.ndim - order, tensor.ndim))
    # no array of magnitudes: two passes without memory are three times as fast
    largest = xp.maximum(xp.max(tensor, axis=axes, keepdims=True), -xp.min(tensor, axis=axes, keepdims=True))
    exponent = xp.floor(xp.log2(xp.where(largest > 0, largest, xp.ones_like(largest))))
    harmless = xp.abs(exponent) <= SAFE_EXPONENT
    if bool(xp.all(harmless)):
        return tensor, xp.ones_like(largest), sums
    # in two steps: the factor of a subnormal number can itself overflow
    half = xp.floor(exponent / 2)
    first = xp.where(harmless, xp.ones_like(largest), 2.0**half)
    second = xp.where(harmless, xp.ones_like(largest), 2.0 ** (exponent - half))
    found = tensor / first / second
    return found, first * second, energy(found, order=order)


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
