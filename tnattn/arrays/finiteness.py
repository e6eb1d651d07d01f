"""Finiteness of entries: the check of inputs, and arithmetic whose overflow is judged by its result."""

from __future__ import annotations

import contextlib
from typing import Any

import array_api_compat
import numpy as np

from tnattn.arrays.dtypes import dtype_name
from tnattn.arrays.libraries import Array, array_namespace
from tnattn.arrays.transfers import to_host


def quiet_overflow() -> contextlib.AbstractContextManager[Any]:
    """Return a context without NumPy's warnings of overflow and invalid operations; the caller examines the result."""
    return np.errstate(over="ignore", invalid="ignore")


def check_finite(x: Array, name: str) -> None:
    """Raise ValueError if a floating array holds NaN or infinity; one synchronisation if it does not."""
    xp = array_namespace(x)
    if dtype_name(x.dtype) in ("float32", "float64"):
        # in the order of the memory: a transposed array would be copied
        flat = x.ravel(order="K") if array_api_compat.is_numpy_array(x) else xp.reshape(x, (-1,))
        with quiet_overflow():
            square = xp.vecdot(flat, flat)  # one pass, without a boolean array of the size of x
        if bool(xp.isfinite(square)):
            return
    # a sum of squares overflows for finite entries too, beyond the square root of the range: look at each entry
    finite = xp.isfinite(x)
    if bool(xp.all(finite)):
        return
    # the error is raised in any case: transfers no longer matter
    bad = ~to_host(finite)
    nan = int(np.count_nonzero(to_host(xp.isnan(x))))
    first = tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))
    raise ValueError(
        f"{name} holds {nan} NaN and {int(bad.sum()) - nan} infinite entries, the first at index {first}; "
        f"all entries must be finite"
    )
