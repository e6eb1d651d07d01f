"""Conversion of a caller's scalars to Python numbers, once, at construction or function entry.

A NumPy scalar decides the dtype of an expression (a float64 scale makes float32 scores float64), has no place in a key
or a file, and is no ``int`` to ``isinstance``. Classes whose fields are parameters derive from :class:`Parameters`;
functions call :func:`as_integer` and :func:`as_real`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import operator
import re
from typing import Any

import numpy as np


def as_integer(value: Any, name: str, *, least: int | None = None, most: int | None = None, cure: str = "") -> int:
    """Return an integer of any library as a Python ``int``.

    Parameters
    ----------
    value : int, NumPy integer or 0-d integer array
    name : str
        Of the argument, for the message.
    least, most : int, optional
        Admissible range.
    cure : str
        Advice at the end of the message.

    Raises
    ------
    TypeError
        If ``value`` is no integer; booleans and integral floats are none.
    ValueError
        If it is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> as_integer(np.int64(3), "rank", least=1)
    3
    """
    advice = f"; {cure}" if cure else ""
    try:
        # operator.index would take True for 1; arrays of other libraries carry their kind in the dtype only
        if isinstance(value, (bool, np.bool_)) or "bool" in str(getattr(value, "dtype", "")):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; an integer is needed{advice}") from None
    if (least is not None and number < least) or (most is not None and number > most):
        raise ValueError(f"{name} is {number}; {_range(name, least, most)} is needed{advice}")
    return number


def require_count(value: int, name: str, *, least: int) -> None:
    """Raise unless a parameter is an integer of at least the given size."""
    as_integer(value, name, least=least)


def as_real(value: Any, name: str) -> float:
    """Return a real number of any library as a Python ``float``.

    Raises
    ------
    TypeError
        If ``value`` is no real number; booleans, strings, complex numbers and arrays with axes are none.

    Examples
    --------
    >>> import numpy as np
    >>> as_real(np.float32(0.5), "scale")
    0.5
    """
    kind = str(getattr(value, "dtype", type(value).__name__))
    scalar = getattr(value, "ndim", 0) == 0 and not isinstance(value, (str, bytes))
    if not scalar or "bool" in kind or "complex" in kind or not hasattr(value, "__float__"):
        raise TypeError(f"{name} is {value!r}; a real number is needed")
    try:
        return float(value)
    except OverflowError:  # an int beyond the range of float64: infinite, as its range check will report
        return math.inf if value > 0 else -math.inf


def as_boolean(value: Any, name: str) -> bool:
    """Return a truth value as a Python ``bool``; raise TypeError for anything else, numbers included."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is {value!r}; True or False is needed")
    return bool(value)


class Parameters:
    """Base of frozen dataclasses whose scalar fields hold Python numbers, whichever library's scalars are given.

    The annotation decides: ``int``, ``float``, ``bool``, tuples of ``int``, and unions of them with ``None``. A union
    with another kind (``int | Array``) converts NumPy scalars and leaves the rest to the class. The conversion runs
    before ``__post_init__`` of the subclass, which therefore checks ranges only.

    Examples
    --------
    >>> import dataclasses
    >>> import numpy as np
    >>> @dataclasses.dataclass(frozen=True)
    ... class Window(Parameters):
    ...     width: int
    >>> Window(width=np.int64(64))
    Window(width=64)
    >>> Window(width=64.0)
    Traceback (most recent call last):
        ...
    TypeError: width is 64.0; an integer is needed
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # wrapped here, so that a subclass cannot forget to call the conversion
        check = cls.__dict__.get("__post_init__")
        if check is None:
            return

        @functools.wraps(check)
        def converted(self: Any, *arguments: Any) -> None:
            convert_fields(self)
            check(self, *arguments)

        cls.__post_init__ = converted  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        convert_fields(self)


def convert_fields(value: Any) -> None:
    """Convert the scalar fields of a dataclass in place; see :class:`Parameters`."""
    for name, kinds in _plan(type(value)):  # type: ignore[arg-type]  # a class with slots is hashable too
        given = getattr(value, name)
        changed = _converted(given, name, kinds)
        if changed is not given:
            object.__setattr__(value, name, changed)  # the dataclass is frozen


_INTEGERS = frozenset({"tuple[int, ...]", "Sequence[int]"})
_SCALARS = _INTEGERS | {"int", "float", "bool"}


@functools.cache
def _plan(cls: Any) -> tuple[tuple[str, frozenset[str]], ...]:
    """Return the scalar fields of a class, each with the members of its annotation."""
    plan = []
    for f in dataclasses.fields(cls):
        text = f.type if isinstance(f.type, str) else inspect.formatannotation(f.type)
        kinds = frozenset(part.strip() for part in re.split(r"\|(?![^\[]*\])", text))  # bars outside brackets
        if kinds & _SCALARS:
            plan.append((f.name, kinds))
    return tuple(plan)


def _converted(value: Any, name: str, kinds: frozenset[str]) -> Any:
    if value is None and "None" in kinds:
        return None
    numbers = kinds - {"None"}
    if numbers & _INTEGERS and numbers <= _INTEGERS | {"int"} and not isinstance(value, (str, bytes)):
        if isinstance(value, (tuple, list)) or getattr(value, "ndim", 0) == 1:
            return tuple(as_integer(entry, name) for entry in value)
        if "int" not in numbers:
            raise TypeError(f"{name} is {value!r}; a tuple of integers is needed")
    if numbers <= _INTEGERS | {"int"}:
        return as_integer(value, name)
    if numbers and numbers <= {"int", "float"}:
        return as_real(value, name)
    if numbers == {"bool"}:
        return as_boolean(value, name)
    # a union with another kind: NumPy scalars are converted, arrays and objects are the class's own matter
    return value.item() if isinstance(value, np.generic) else value


def _range(name: str, least: int | None, most: int | None) -> str:
    if least is None or most is None:
        return f"{name} >= {least}" if most is None else f"{name} <= {most}"
    return f"{least} <= {name} <= {most}"
