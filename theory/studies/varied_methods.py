"""Variants of the method of a theorem: every field at other values, and the other classes that the theorem is about."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from theory.statement.bound import Bound
from tnattn import discovery
from tnattn.attention.method import AttentionMethod
from tnattn.randnla.base import MatrixMethod
from tnattn.testing.fields import Field, fields_of, with_field

__all__ = ["varied_methods"]

_SIZES = ("rank", "ranks", "size")  # carried over from one class to another, so that the results are comparable


@dataclass(frozen=True)
class _Alternatives:
    """Values of fields of which no other is known from the type alone, by dotted name."""

    alternatives: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


def varied_methods(b: Bound, method: Any, *, own: bool = False) -> Iterator[tuple[str, Any]]:
    """Yield methods that differ from one in a single field, and methods of the other classes of the theorem.

    A tolerance is varied at other ranks too.

    Parameters
    ----------
    b : Bound
    method : dataclass
        The method of an instance of the theorem.
    own : bool
        The class of the method only.

    Yields
    ------
    name : str
        "field=value", or the name of the class.
    method : dataclass
        Values that a constructor refuses are left out.
    """
    yield from _by_field(method)
    for cls in () if own else _classes(b):
        if cls is type(method):
            continue
        other = _default(cls, method)
        if other is not None:
            yield cls.__name__, other
            yield from ((f"{cls.__name__}, {name}", changed) for name, changed in _by_field(other))


def _by_field(method: Any) -> Iterator[tuple[str, Any]]:
    if not dataclasses.is_dataclass(method):
        return
    known = list(fields_of(method, _Alternatives({**_arrays(method), **_tolerances(method)})))
    sizes = [f for f in known if f.name in _SIZES]
    for f in known:
        yield from _with(method, "", f)
        if f.name == "rtol":  # the effect of stopping early shows at large ranks
            for name, larger in (pair for size in sizes for pair in _with(method, "", size)):
                yield from _with(larger, f"{name}, ", f)


def _with(method: Any, before: str, f: Field) -> Iterator[tuple[str, Any]]:
    for value in f.values:
        try:
            changed = with_field(method, f.name, value)
        except (ValueError, TypeError):
            continue
        yield f"{before}{f.name}={_short(value)}", changed


def _tolerances(method: Any) -> dict[str, tuple[Any, ...]]:
    # coarse, medium, and so loose that a method may stop at once
    return {f.name: (0.1, 0.5, 0.95) for f in dataclasses.fields(method) if f.name == "rtol"}


def _arrays(method: Any) -> dict[str, tuple[Any, ...]]:
    """Return other values of fields that hold arrays: zero, ten times as large, and one for all entries."""
    found = {}
    for f in dataclasses.fields(method):
        value = getattr(method, f.name)
        if isinstance(value, np.ndarray):
            found[f.name] = (0 * value, 10 * value, np.full_like(value, value.flat[0]))
    return found


def _short(value: Any) -> str:
    return f"array of {np.asarray(value).flat[0]:g}, ..." if isinstance(value, np.ndarray) else repr(value)


def _classes(b: Bound) -> tuple[type, ...]:
    named = b.method if isinstance(b.method, tuple) else (b.method,)
    return tuple(cls for base in named for cls in (_below(base) if inspect.isabstract(base) else (base,)))


@cache
def _below(base: type) -> tuple[type, ...]:
    package = "tnattn.attention" if issubclass(base, AttentionMethod) else "tnattn.randnla"
    assert issubclass(base, (AttentionMethod, MatrixMethod))
    return tuple(discovery.subclasses(package, base).values())


def _default(cls: type, like: Any) -> Any:
    """Return a method of a class at the size of another one; None where it has no default or refuses the size."""
    try:
        made: Any = cls()
        if isinstance(made, AttentionMethod):
            return made if made.budget is None else made.with_budget(8)
        known = {f.name for f in dataclasses.fields(made) if f.init}
        sizes = {
            name: getattr(like, name) for name in _SIZES if name in known and getattr(like, name, None) is not None
        }
        return dataclasses.replace(made, **sizes)
    except (ValueError, TypeError):
        return None
