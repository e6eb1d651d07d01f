"""Controls in figures: those methods of the package that stand in every comparison."""

from __future__ import annotations

from functools import cache

from tnattn import discovery
from tnattn.attention.method import AttentionMethod

__all__: list[str] = []  # a part for the other figures


@cache
def control_methods() -> dict[str, type[AttentionMethod]]:
    """Return the methods whose role is control, by name, in the order of their families."""
    found = discovery.subclasses("tnattn.attention", AttentionMethod)  # type: ignore[type-abstract]
    return {name: cls for name, cls in found.items() if cls.role == "control"}
