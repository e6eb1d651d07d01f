"""Half precision: float16 and bfloat16 arguments are computed in float32, and results are cast back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from tnattn.arrays.dtypes import dtype_name, is_floating
from tnattn.arrays.finiteness import quiet_overflow
from tnattn.arrays.libraries import Array, array_namespace, is_array

Function = TypeVar("Function", bound=Callable[..., Any])

_HALVES = ("float16", "bfloat16")


def is_half(x: Any) -> bool:
    """Return whether an array holds float16 or bfloat16 numbers."""
    # the item size comes first: names of dtypes are slow, and this test runs at every step of every algorithm
    return getattr(getattr(x, "dtype", None), "itemsize", 2) == 2 and is_array(x) and dtype_name(x.dtype) in _HALVES


def widened(x: Array) -> Array:
    """Return a half-precision array as float32, in which its products accumulate, and any other as it is."""
    return array_namespace(x).astype(x, array_namespace(x).float32) if is_half(x) else x


def computed_in_single(function: Function) -> Function:
    """Let a function of arrays compute half-precision arguments in float32 and cast floating results back."""

    @functools.wraps(function)
    def call(*arrays: Any, **options: Any) -> Any:
        # a NumPy scalar (no axes) is a parameter, not data: its dtype does not choose that of the result
        half = next((x for x in (*arrays, *options.values()) if is_half(x) and x.ndim > 0), None)
        if half is None:
            return function(*arrays, **options)
        wide = {name: widened(x) if is_half(x) else x for name, x in options.items()}
        return _narrowed(function(*(widened(x) if is_half(x) else x for x in arrays), **wide), half.dtype)

    return cast(Function, call)


def _narrowed(result: Any, dtype: Any) -> Any:
    """Return floating arrays, also within tuples, in a narrower dtype; integers and other results as they are."""
    if isinstance(result, tuple):
        return tuple(_narrowed(x, dtype) for x in result)
    if not is_array(result) or not is_floating(result):
        return result
    with quiet_overflow():  # a norm may exceed the range of the narrow dtype and is infinite then
        return array_namespace(result).astype(result, dtype)
