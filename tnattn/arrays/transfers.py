"""Transfers between host and device, and waiting for a device.

``to_host`` is the only transfer from a device, ``from_host`` the only one to it; the tests count both.
"""

from __future__ import annotations

import sys
from typing import Any

import array_api_compat
import numpy as np

from tnattn.arrays.dtypes import dtype_name, is_floating
from tnattn.arrays.libraries import Array, array_namespace, device, is_strict


def to_host(x: Array) -> np.ndarray:
    """Return an array as a NumPy array: the one transfer from a device to the host.

    NumPy arrays pass through uncopied; bfloat16, which NumPy lacks, becomes float32.
    """
    if array_api_compat.is_numpy_array(x):
        return np.asarray(x)
    if array_api_compat.is_torch_array(x):
        detached = x.detach()  # NumPy refuses tensors that require gradients
        return np.asarray((detached.float() if dtype_name(x.dtype) == "bfloat16" else detached).cpu().numpy())
    if array_api_compat.is_cupy_array(x):
        return np.asarray(x.get())
    xp = array_namespace(x)
    if is_strict(xp):
        return np.asarray(x.to_device(xp.Device("CPU_DEVICE")))
    return np.asarray(x)


def from_host(x: np.ndarray, *, like: Array, dtype: Any = None) -> Array:
    """Return a NumPy array as an array of the library and on the device of another.

    Parameters
    ----------
    x : numpy.ndarray
        Of any shape.
    like : Array
        Of the library and device of the result, and of its dtype if both are floating.
    dtype : dtype of any library, optional
        Of the result instead. Integers and booleans keep theirs by default.
    """
    xp = array_namespace(like)
    x = np.asarray(x)
    if dtype is None and x.dtype.kind == "f" and is_floating(like):
        dtype = like.dtype
    name = x.dtype.name if dtype is None else dtype_name(dtype)
    # cast on the host, before the transfer: half the bytes, and devices without float64 refuse its arrays
    host = x.astype(np.float32 if name == "bfloat16" else name, copy=False)
    if array_api_compat.is_numpy_array(like):
        return host
    if array_api_compat.is_torch_array(like):  # shares memory with the host array, which must be plain and writable
        host = np.require(host, requirements=["C", "W"])
        moved = xp.asarray(host, device=device(like))
        return moved.bfloat16() if name == "bfloat16" else moved
    return xp.asarray(host, device=device(like))


def synchronize(x: Array) -> None:
    """Wait until the device of an array has done its work; a timer must call it before it reads the clock."""
    if array_api_compat.is_cupy_array(x):
        x.device.synchronize()
    elif array_api_compat.is_torch_array(x) and x.device.type == "cuda":
        sys.modules["torch"].cuda.synchronize(x.device)
