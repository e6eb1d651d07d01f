"""Shape, class and memory layout of arrays: broadcasting, plain arrays, copies that share no memory."""

from __future__ import annotations

import sys

import array_api_compat
import numpy as np

from tnattn.arrays.libraries import Array, Shape, array_namespace


def plain_array(x: Array, name: str) -> Array:
    """Return an array of the plain class of its library, in the byte order of the machine; no copy where it is one.

    Raises
    ------
    TypeError
        If it is a masked array, whose mask no algorithm would see.
    """
    # the type itself, not isinstance: a subclass may have products of its own
    if type(x) is np.ndarray and x.dtype.isnative:
        return x
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be lost; fill it first, x.filled(0.0) say")
    if array_api_compat.is_numpy_array(x):
        host = np.asarray(x)
        return host.astype(host.dtype.newbyteorder("="), copy=False)
    return x


def owned(x: Array) -> Array:
    """Return a copy of an array, contiguous and writable, that shares memory with nothing."""
    if array_api_compat.is_numpy_array(x):
        return np.array(x, order="C")
    if array_api_compat.is_torch_array(x):
        return x.clone(memory_format=sys.modules["torch"].contiguous_format)  # clone alone keeps strides
    return array_namespace(x).asarray(x, copy=True)


def broadcast_shape(*shapes: Shape) -> tuple[int, ...]:
    """Return the shape to which all shapes broadcast."""
    first = tuple(shapes[0]) if shapes else ()
    if all(tuple(shape) == first for shape in shapes):  # the usual case, in the loops over tiles
        return first
    return tuple(int(n) for n in np.broadcast_shapes(*(tuple(shape) for shape in shapes)))


def expanded(x: Array, shape: Shape) -> Array:
    """Return a fresh array broadcast to a shape, or the array itself if it has that shape: writable in both cases."""
    xp = array_namespace(x)
    # a broadcast view is read-only or has zero strides: writing to it would write to several entries
    return x if tuple(x.shape) == tuple(shape) else xp.asarray(xp.broadcast_to(x, tuple(shape)), copy=True)


def row_windows(x: Array, size: int) -> Array | None:
    """Return all runs of consecutive rows of arrays as a view, without a copy of any row.

    Parameters
    ----------
    x : Array, (..., n, c)
    size : int
        Rows of a run, from one to n.

    Returns
    -------
    Array, (..., n - size + 1, size, c), or None
        For reading only: entry i holds the rows i, ..., i + size - 1. None where the library has no such views.
    """
    if array_api_compat.is_numpy_array(x):
        return np.swapaxes(np.lib.stride_tricks.sliding_window_view(x, size, axis=-2), -2, -1)
    if array_api_compat.is_torch_array(x):
        return x.unfold(-2, size, 1).mT
    return None
