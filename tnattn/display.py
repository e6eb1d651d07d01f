"""Text and HTML forms of results: at most three lines, and a table for notebooks; nothing is computed for them."""

from __future__ import annotations

import dataclasses
import html
import textwrap
from typing import Any

_WIDTH = 120  # columns of a line, as in the sources
_LINES = 3  # a result takes no more of a terminal or a log
_PROPERTIES = ("shape", "dtype", "width", "nbytes")  # of results that are no dataclasses; none is computed
_PART = 60  # columns of the text of one field that is no number


class Displayed:
    """Base of dataclasses that hold arrays, which are shown by dtype and shape.

    A subclass is declared with ``repr=False``, or the decorator writes all entries.

    Examples
    --------
    >>> import numpy as np
    >>> @dataclasses.dataclass(repr=False)
    ... class Pair(Displayed):
    ...     left: np.ndarray
    ...     scale: float = 1.0
    >>> Pair(np.zeros((2, 3)), 0.5)
    Pair(left=float64 (2, 3), scale=0.5)
    """

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def as_text(value: Any) -> str:
    """Return class name and fields, those that differ from their default, in at most three lines."""
    inner = ", ".join(f"{name}={text}" for name, text in parts(value))
    lines = textwrap.wrap(f"{type(value).__name__}({inner})", _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    if len(lines) <= _LINES:
        return "\n".join(lines)
    return "\n".join([*lines[: _LINES - 1], lines[_LINES - 1][: _WIDTH - 4] + "...)"])


def as_html(value: Any) -> str:
    """Return a table for notebooks: the sizes, then a row for each field that differs from its default."""
    shown = dict(_sizes(value)) | dict(parts(value))
    rows = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in shown.items())
    return f"<table><caption>{html.escape(type(value).__name__)}</caption><tbody>{rows}</tbody></table>"


def parts(value: Any) -> list[tuple[str, str]]:
    """Return names and texts of the fields of a dataclass, or the sizes of another object."""
    if not dataclasses.is_dataclass(value):
        return _sizes(value)
    fields = [f for f in dataclasses.fields(value) if f.repr and hasattr(value, f.name)]
    return [(f.name, _text(getattr(value, f.name))) for f in fields if not _is_default(f, getattr(value, f.name))]


def _sizes(value: Any) -> list[tuple[str, str]]:
    return [(name, _text(getattr(value, name))) for name in _PROPERTIES if hasattr(value, name)]


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    default = field.default
    return value is default or (
        type(value) is type(default) and isinstance(value, (int, float, str)) and value == default
    )


def _text(value: Any) -> str:
    """Return an array as dtype and shape, a number in six digits, anything else by its repr, cut."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, slice):
        return "all" if value == slice(None) else f"{value.start}:{value.stop}"
    if isinstance(value, (tuple, list)):
        inner = ", ".join(map(_text, value))
        return _cut(f"({inner},)" if len(value) == 1 else f"({inner})")
    if shape is not None and dtype is not None and hasattr(value, "device"):  # an array of any library
        return f"{str(dtype).rsplit('.', 1)[-1]} {tuple(shape)}"
    return _cut(" ".join(repr(value).split()))


def _cut(text: str) -> str:
    return text if len(text) <= _PART else text[: _PART - 3] + "..."
