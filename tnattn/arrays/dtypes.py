"""Dtypes of arrays: their names, kinds, rounding units and the dtype in which sums are accumulated."""

from __future__ import annotations

from typing import Any

import numpy as np

from tnattn.arrays.libraries import Array, array_namespace, device, is_array

# binary digits after the point of a significand; bfloat16 has no numpy.finfo
_DIGITS = {"bfloat16": 7, "float16": 10, "float32": 23, "float64": 52}


def dtype_name(dtype: Any) -> str:
    """Return the bare name of a dtype of any library, such as ``float32``."""
    # NumPy has many spellings of one dtype; other libraries print it as ``torch.float32``
    if isinstance(dtype, (type, np.dtype, str)):
        return np.dtype(dtype).name
    return str(dtype).rsplit(".", 1)[-1]


def eps(x_or_dtype: Any) -> float:
    """Return the distance from 1 to the next number of a floating dtype, or of the dtype of an array."""
    name = dtype_name(x_or_dtype.dtype if is_array(x_or_dtype) else x_or_dtype)
    if name not in _DIGITS:
        raise TypeError(f"dtype {name} has no rounding unit here; one of {', '.join(_DIGITS)} is needed")
    return 2.0 ** -_DIGITS[name]


def is_floating(x: Array) -> bool:
    """Return whether an array holds real floating-point numbers."""
    return bool(array_namespace(x).isdtype(x.dtype, "real floating"))


def require_floating(x: Array, name: str) -> None:
    """Raise TypeError unless an array holds float16, bfloat16, float32 or float64 numbers.

    NumPy's long double is refused: no other library and no BLAS has it.
    """
    array_namespace(x)
    problem = _refusal(x.dtype)
    if problem is not None:
        raise TypeError(f"{name} has dtype {problem}")


def require_integer(x: Array, name: str) -> None:
    """Raise TypeError unless an array holds integers, as indices are."""
    if not array_namespace(x).isdtype(x.dtype, "integral"):
        raise TypeError(f"{name} has dtype {dtype_name(x.dtype)}, but an integer dtype is needed")


def _refusal(dtype: Any) -> str | None:
    """Return the reason for which no floating-point computation takes a dtype, with the cure; None if it is taken."""
    name = dtype_name(dtype)
    if name not in _DIGITS:
        return f"{name}, but a real floating dtype is needed; convert with x.astype(numpy.float32) or the like"
    return None


def accumulator_dtype(x: Array) -> Any:
    """Return the dtype in which sums are accumulated: float64 where the device of ``x`` has it, else that of ``x``."""
    xp = array_namespace(x)
    # only newer namespaces list the dtypes of a device; those without the list (CuPy, NumPy) all have float64
    if hasattr(xp, "__array_namespace_info__"):
        return xp.__array_namespace_info__().dtypes(device=device(x), kind="real floating").get("float64", x.dtype)
    return xp.float64
