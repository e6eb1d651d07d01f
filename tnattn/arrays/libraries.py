"""Array libraries: the namespace common to some arrays, the library and the device of one.

NumPy, PyTorch, CuPy and any other library of the array API standard are recognised by array-api-compat. CuPy and
PyTorch are never imported: whoever passes an array of theirs has done so already.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

import array_api_compat
import numpy as np

Array: TypeAlias = Any
Shape: TypeAlias = Sequence[int]

# subclasses of numpy.ndarray in which entries or products have another meaning
_REFUSED = (np.ma.MaskedArray, np.matrix)
_CURES = ("whose mask would be ignored; fill it with x.filled(...)", "whose * is @; convert it with numpy.asarray(...)")
_HOST: Any = array_api_compat.array_namespace(np.empty(0))
_TENSORS: dict[type, Any] = {}  # namespace of PyTorch by the type of its tensors: a look-up takes 15 microseconds less


def array_namespace(*arrays: Any) -> Any:
    """Return the array API namespace common to the arrays given; None and Python scalars are ignored.

    Raises
    ------
    TypeError
        If an argument is no array (a list, say), if none is, or if they belong to different libraries.
    """
    if arrays and all(type(x) is np.ndarray for x in arrays):
        return _HOST  # the common case, at every step of every algorithm
    types = {type(x) for x in arrays}
    if len(types) == 1 and (known := _TENSORS.get(next(iter(types)))) is not None:
        return known
    for x in arrays:
        if isinstance(x, _REFUSED):
            raise TypeError(f"expected an array, got {type_name(x)}, {_CURES[type(x) is np.matrix]}")
    try:
        xp = array_api_compat.array_namespace(*arrays)
        if len(types) == 1 and array_api_compat.is_torch_namespace(xp):
            _TENSORS[next(iter(types))] = xp
        return xp
    except TypeError:
        pass
    for x in arrays:
        if x is not None and not isinstance(x, (bool, int, float, complex)) and not is_array(x):
            raise TypeError(f"expected an array, got {type_name(x)}; convert it with numpy.asarray(...)")
    kinds = sorted({type_name(x) for x in arrays if is_array(x)})
    if not kinds:
        raise TypeError("expected at least one array, got none; convert an argument with numpy.asarray(...)")
    raise TypeError(
        f"arrays of different libraries cannot be mixed: {', '.join(kinds)}; move them to one library first"
    )


def is_array(x: Any) -> bool:
    """Return whether ``x`` is an array of a supported library."""
    return not isinstance(x, type) and bool(array_api_compat.is_array_api_obj(x))


def device(x: Array) -> Any:
    """Return the device on which an array lives."""
    return array_api_compat.device(x)


def type_name(x: Any) -> str:
    """Return the name of the type of an object, as an error message shows it."""
    return f"{type(x).__module__}.{type(x).__qualname__}".removeprefix("builtins.")


def is_strict(xp: Any) -> bool:
    """Return whether a namespace is that of array-api-strict, whose transfers need its own device."""
    return str(operator.attrgetter("__name__")(xp)) == "array_api_strict"
