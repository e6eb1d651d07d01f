"""The law that every field of a method has a visible effect, and performance fields none."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tnattn.attention.masks import CausalMask, FullMask, Mask
from tnattn.attention.method import AttentionMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.testing.report import Violation
from tnattn.testing.trial import Trial, difference, tolerance

_NUMPY: dict[type, Any] = {int: np.int64, float: np.float64, bool: np.bool_}
_SCORES = (1.0, 0.25, 6.0)  # a threshold may show at one temperature only


@dataclasses.dataclass(frozen=True)
class Field:
    """A field of a method or of a value inside it: dotted name, ``performance`` mark and other admissible values.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from tnattn.randnla.low_rank.range_finder import RangeFinder
    >>> from tnattn.testing.fields import fields_of
    >>> found = list(fields_of(RangeFinder(rank=4), SimpleNamespace(alternatives={})))
    >>> found[0].name, found[0].values
    ('rank', (5, 8, 3, 2, 12))
    """

    name: str
    performance: bool
    values: tuple[Any, ...]


def fields_matter(trial: Trial) -> None:
    """Every field not marked ``performance`` changes the output on some problem; the others change none."""
    method = trial.fitted(trial.problem())
    masks = [FullMask(), *([CausalMask()] if method.honours(CausalMask()) else [])]
    cases = [trial.problem(mask=mask, scale=scale) for mask in masks for scale in _SCORES]
    for f in fields_of(method, trial):
        if _waived(method, f.name):
            continue
        if not f.values and "." in f.name:
            continue  # the class of the inner value has checks of its own
        if not f.values:
            raise Violation(
                f"no other value of the field {f.name} is known; pass alternatives={{{f.name!r}: (value, ...)}}"
            )
        # some fields act only if an optional one is None: a tolerance beside a budget, for instance
        bases = [method, *_bare(method)]
        changes = [_effect(trial, base, f, value, cases) for base in bases for value in f.values]
        accepted = [change for change in changes if change is not None]
        if not accepted and "." in f.name:
            continue  # the outer value admits no other inner one
        if not accepted:
            raise Violation(
                f"no value of the field {f.name} that was tried ({f.values}) is accepted; pass alternatives"
            )
        if f.performance and max(accepted) > tolerance(cases[0]):
            raise Violation(f"the performance field {f.name} changes the output by {max(accepted):.2g}")
        if not f.performance and not max(accepted) > tolerance(cases[0]):
            raise Violation(
                f"the field {f.name} changes nothing (tried {', '.join(map(repr, f.values))}); use it or remove it"
            )


def scalars_convert(trial: Trial) -> None:
    """Fields and the scale as NumPy scalars give the bits and the dtype that Python numbers give."""
    drawn = trial.problem(dtype="float32")  # a float64 scalar of NumPy would promote it
    method = trial.fitted(drawn)
    given = _with_numpy_scalars(method)
    before = trial.run(drawn, method=method).output
    for said, other, scale in (
        ("a field", given, drawn.scale),
        ("the scale", method, np.float64(drawn.score_scale)),
    ):
        after = trial.run(dataclasses.replace(drawn, scale=scale), method=other).output
        if after.dtype != before.dtype:
            raise Violation(f"{said} as a NumPy scalar makes the output {after.dtype}; convert it to a Python number")
        if not np.array_equal(after, before, equal_nan=True):
            raise Violation(f"{said} as a NumPy scalar changes the output; convert it to a Python number")


def _with_numpy_scalars(value: Any) -> Any:
    """Return a dataclass with all numbers in it, and in the dataclasses that it holds, as NumPy scalars."""
    given = {}
    for f in dataclasses.fields(value):
        held = getattr(value, f.name)
        if not f.init:
            continue
        if type(held) in _NUMPY:
            given[f.name] = _NUMPY[type(held)](held)
        elif dataclasses.is_dataclass(held) and not isinstance(held, type):
            given[f.name] = _with_numpy_scalars(held)
    return dataclasses.replace(value, **given)


class Alternatives(typing.Protocol):
    """Source of further values of fields, by dotted name."""

    @property
    def alternatives(self) -> Mapping[str, tuple[Any, ...]]: ...


def fields_of(value: Any, trial: Alternatives, prefix: str = "", performance: bool = False) -> Iterator[Field]:
    """Yield the fields of a dataclass, and those of the dataclasses that it holds."""
    hints = typing.get_type_hints(type(value))
    for f in dataclasses.fields(value):
        if not f.init:
            continue
        name, held = prefix + f.name, getattr(value, f.name)
        marked = performance or bool(f.metadata.get("performance"))
        given = trial.alternatives.get(name, ())
        nested = dataclasses.is_dataclass(held) and not isinstance(held, type)
        others = tuple(given) or tuple(_others(held, hints.get(f.name, Any)))
        # an inner method or sketch without an alternative shows its effect through its own fields
        if others or not nested:
            yield Field(name, marked, others)
        if nested:
            yield from fields_of(held, trial, f"{name}.", marked)


def _bare(method: AttentionMethod) -> Iterator[AttentionMethod]:
    """Yield the method with one optional field set to None: a budget may hide the effect of other fields."""
    hints = typing.get_type_hints(type(method))
    for f in dataclasses.fields(method):  # type: ignore[arg-type]
        optional = type(None) in typing.get_args(hints.get(f.name, Any))
        if optional and getattr(method, f.name) is not None:
            yield with_field(method, f.name, None)


def with_field(value: Any, name: str, new: Any) -> Any:
    """Return a dataclass with one field, given by dotted name, changed."""
    head, _, rest = name.partition(".")
    return dataclasses.replace(value, **{head: with_field(getattr(value, head), rest, new) if rest else new})


def _effect(trial: Trial, method: AttentionMethod, f: Field, value: Any, cases: list[AttentionProblem]) -> float | None:
    """Return the largest change over the cases until one shows, or None if the value is refused."""
    try:
        other = with_field(method, f.name, value)
    except (ValueError, TypeError):
        return None
    largest = 0.0
    for problem in cases:
        try:
            after = trial.output(problem, method=other)
        except (ValueError, TypeError):
            return None
        largest = max(largest, difference(after, trial.output(problem, method=method)))
        if largest > tolerance(problem) and not f.performance:
            break
    return largest


def _others(value: Any, hint: Any) -> Iterator[Any]:
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    for option in options:
        if typing.get_origin(option) is typing.Literal:
            yield from (choice for choice in typing.get_args(option) if choice != value)
    match value:
        case bool():
            yield not value
        case int():  # a step, a factor two, and a change beyond ties of small integers
            yield from (other for other in (value + 1, 2 * value, value - 1, value // 2, value + 8) if other != value)
        case float():
            yield from (2 * value, value / 2, value + 0.5, 0.8 * value)
        case None if int in options:
            yield from (1, 2, 4)
        case None if float in options:
            yield from (0.5, 0.1, 2.0)
        case None if any(typing.get_origin(option) is tuple for option in options):
            yield from ((2, 1, 0), (1, 0), (2,))
        case tuple() if value and all(isinstance(entry, int) for entry in value):
            yield tuple(entry + 1 for entry in value)
            yield tuple(max(1, entry // 2) for entry in value)
        case _:
            yield from _siblings(value, options)


def _siblings(value: Any, options: tuple[Any, ...]) -> Iterator[Any]:
    """Yield default instances of the other classes that a field may hold, except for inner attention methods."""
    for option in options:
        if not inspect.isclass(option) or issubclass(option, AttentionMethod) or option is Mask:
            continue
        for cls in _descendants(option):
            if cls is type(value) or inspect.isabstract(cls) or not dataclasses.is_dataclass(cls):
                continue
            try:
                yield cls()
            except TypeError:  # it has arguments without defaults
                continue


def _descendants(cls: type) -> Iterator[type]:
    if cls is not type(None):
        yield cls
        home = cls.__module__.partition(".")[0]  # the result must not depend on other packages imported by chance
        children: list[type] = cls.__subclasses__()
        for child in children:
            if child.__module__.partition(".")[0] == home:
                yield from _descendants(child)


def _waived(method: Any, name: str) -> bool:
    """Return whether a method, or a method inside it, waives that its field, by dotted name, matters."""
    outer, _, inner = name.partition(".")
    if f"fields.{name}" in getattr(method, "waives", ()):
        return True
    return bool(inner) and _waived(getattr(method, outer), inner)
