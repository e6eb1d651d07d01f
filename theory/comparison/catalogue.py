"""Catalogue of the theorems, found by scanning."""

from __future__ import annotations

from functools import cache
from typing import Any

from theory.statement.bound import Bound
from tnattn import discovery


@cache
def bounds() -> dict[str, Bound]:
    """Return all theorems in ``theory.bounds``, by name."""
    return discovery.instances("theory.bounds", Bound)


def bounds_about(method: Any) -> list[Bound]:
    """Return the theorems about a method's class."""
    return [b for b in bounds().values() if b.is_about(method)]
