"""Properties computed once for each instance, without a lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class cached_property(Generic[Value]):  # a decorator, named as the one of functools
    """A property whose value is computed at the first access and kept in the instance's dictionary.

    Python 3.11's ``functools.cached_property`` holds one lock per class while it computes, so that two threads with
    two instances wait for each other, and two caches that need each other in opposite order never end. Here two
    threads that ask one instance at once may both compute; the first value to be stored is what both see, and all
    later accesses.

    Examples
    --------
    >>> class Square:
    ...     @cached_property
    ...     def area(self) -> float:
    ...         return 2.0**2
    >>> Square().area
    4.0
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> cached_property[Value]: ...

    @overload
    def __get__(self, instance: object, owner: type | None = None) -> Value: ...

    def __get__(self, instance: object | None, owner: type | None = None) -> cached_property[Value] | Value:
        if instance is None:
            return self
        # not a data descriptor: once stored, the value shadows this one; setdefault is atomic for other threads
        value: Value = instance.__dict__.setdefault(self._name, self._compute(instance))
        return value
