"""Products of structures in half precision, computed in float32 and rounded once."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from tnattn.arrays import Array, array_namespace, is_array, is_half, widened


def in_single(value: Any) -> Any:
    """Return a structure, or a part of one, with float32 arrays in place of those in half precision."""
    if is_array(value):
        return widened(value)
    if isinstance(value, tuple):
        return tuple(in_single(part) for part in value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type) or not hasattr(value, "like"):
        return value
    # rebuilt by its constructor: cached properties of the narrow structure must not survive
    fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
    return dataclasses.replace(value, **{name: in_single(part) for name, part in fields.items()})


def product_in_single(compute: Any) -> Any:
    """Wrap a product so that it computes in float32 if the structure or a factor is in half precision."""

    @functools.wraps(compute)
    def call(self: Any, *factors: Array) -> Array:
        if not is_half(self.like) and not any(is_half(x) for x in factors):
            return compute(self, *factors)
        single = in_single(self)
        result = compute(single, *(widened(x) for x in factors))
        # as for arrays, half precision times single is single
        narrow = is_half(self.like) and all(is_half(x) for x in factors)
        return array_namespace(result).astype(result, self.dtype) if narrow else result

    return call


def read_in_single(compute: Any) -> Any:
    """Wrap a read so that it computes half precision in float32; its result has the dtype of the structure."""

    @functools.wraps(compute)
    def call(self: Any, *arguments: Any) -> Array:
        if not is_half(self.like):
            return compute(self, *arguments)
        result = compute(in_single(self), *(in_single(x) for x in arguments))
        return array_namespace(result).astype(result, self.dtype)

    return call


def sum_in_single(compute: Any) -> Any:
    """Wrap a sum over entries so that it is taken in float32 for half precision, and stays in float32."""

    @functools.wraps(compute)
    def call(self: Any) -> Array:
        return compute(in_single(self) if is_half(self.like) else self)

    return call
