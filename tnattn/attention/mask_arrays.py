"""Mask arrays: validation against the problem, grouped layout and gathering of entries."""

from __future__ import annotations

from typing import Any

from tnattn.arrays import Array, array_namespace, broadcast_shape, device, dtype_name, is_array, plain_array


def as_mask_array(array: Any, name: str, kind: str) -> Array:
    """Return an array of a mask in native byte order.

    Parameters
    ----------
    array : Array
    name : str
        Of the field, for messages.
    kind : {"bool", "integral", "real floating"}

    Raises
    ------
    TypeError
        If it is no array, a masked array, or of another kind.
    """
    if not is_array(array):
        raise TypeError(f"{name} is a {type(array).__name__}; an array is needed: convert it with numpy.asarray(...)")
    array = plain_array(array, name)
    if not array_namespace(array).isdtype(array.dtype, kind):
        words = {"bool": "boolean", "integral": "integers", "real floating": "floating"}[kind]
        advice = "; for additive scores use BiasMask" if kind == "bool" else ""
        raise TypeError(f"{name} must be {words}; got {dtype_name(array.dtype)}{advice}")
    return array


def require_same_place(name: str, array: Array, like: Array) -> None:
    """Raise TypeError unless an array of a mask belongs to the library and device of the queries."""
    try:
        array_namespace(array, like)
    except TypeError as error:
        raise TypeError(f"{name} of the mask and q belong to different libraries: {error}") from None
    if device(array) != device(like):
        raise TypeError(f"{name} of the mask is on {device(array)} and q on {device(like)}; move one to the other")


def require_broadcastable(name: str, array: Array, batch: tuple[int, ...], heads: int, n_q: int, n_k: int) -> None:
    """Raise ValueError unless an array has two axes or more and broadcasts to (..., H, n_q, n_k)."""
    full = (*batch, heads, n_q, n_k)
    given = tuple(array.shape)
    fits = len(given) <= len(full) and all(a in (1, b) for a, b in zip(reversed(given), reversed(full), strict=False))
    if not fits or array.ndim < 2:
        raise ValueError(f"{name} has shape {given}, which does not broadcast to (..., H, n_q, n_k) = {full}")


def barrier(allowed: Array, like: Array) -> Array:
    """Return 0 where ``allowed`` holds and minus infinity elsewhere, in the dtype of ``like``."""
    xp = array_namespace(like)
    zero = xp.zeros((), dtype=like.dtype, device=device(like))
    return xp.where(allowed, zero, xp.full_like(zero, -float("inf")))


def split_heads(array: Array, groups: int) -> Array:
    """Split the head axis of (..., H, n_q, n_k) into (..., G, R, n_q, n_k)."""
    if array.ndim < 3:  # no head axis: it broadcasts over all heads
        return array
    xp = array_namespace(array)
    heads = array.shape[-3]
    # a head axis of length one broadcasts before and after the split
    split = (1, 1) if heads == 1 else (groups, heads // groups)
    return xp.reshape(array, (*array.shape[:-3], *split, *array.shape[-2:]))


def pick(array: Array, i: Array, j: Array) -> Array:
    """Return array[..., i, j] for broadcastable integer i, j, honouring axes of length one."""
    xp = array_namespace(array)
    n_q, n_k = array.shape[-2:]
    i = i if n_q > 1 else xp.zeros_like(i)
    j = j if n_k > 1 else xp.zeros_like(j)
    # a block: two gathers, without an index per entry
    if i.ndim == 2 and j.ndim == 2 and i.shape[-1] == 1 and j.shape[-2] == 1:
        return xp.take(xp.take(array, i[:, 0], axis=-2), j[0, :], axis=-1)
    flat = i * n_k + j  # (..., query, slot)
    batch = broadcast_shape(array.shape[:-2], flat.shape[:-2])
    source = xp.reshape(xp.broadcast_to(array, (*batch, n_q, n_k)), (*batch, n_q * n_k))
    rows, slots = flat.shape[-2:]
    index = xp.reshape(xp.broadcast_to(flat, (*batch, rows, slots)), (*batch, rows * slots))
    return xp.reshape(xp.take_along_axis(source, index, axis=-1), (*batch, rows, slots))


def some_heads(array: Array, heads: slice) -> Array:
    """Return the part of an array, broadcastable to (..., H, n_q, n_k), that belongs to some heads; a view."""
    if array.ndim < 3 or array.shape[-3] == 1:  # the same for all heads
        return array
    return array[..., heads, :, :]
