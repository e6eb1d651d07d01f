"""Medians by partial sorts, which the array API standard lacks."""

from __future__ import annotations

import array_api_compat
import numpy as np

from tnattn.arrays.libraries import Array, array_namespace, device


def upper_median(x: Array, *, axis: int) -> Array:
    """Return the upper median along an axis, which is kept: entry ``n // 2`` in ascending order.

    O(n) on NumPy, CuPy and PyTorch; others sort. NaN, which a library may sort anywhere, is not checked.
    """
    xp, place = array_namespace(x), x.shape[axis] // 2
    if array_api_compat.is_torch_array(x):
        return x.kthvalue(place + 1, dim=axis, keepdim=True).values
    middle = xp.asarray([place], dtype=xp.int64, device=device(x))
    if array_api_compat.is_numpy_array(x):
        along = np.array(np.moveaxis(x, axis, -1), order="C")  # selection jumps: strided entries would miss the cache
        along.partition(place, axis=-1)
        return np.moveaxis(along[..., place : place + 1], -1, axis)
    if array_api_compat.is_cupy_array(x):
        return xp.take(xp.partition(x, place, axis=axis), middle, axis=axis)
    return xp.take(xp.sort(x, axis=axis, stable=False), middle, axis=axis)
