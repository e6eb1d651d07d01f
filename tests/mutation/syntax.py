"""Places of a file that running it never reads: annotations, separators of parameters, imports for the type checker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import parso

Place = tuple[int, int]


def unread(source: str) -> list[tuple[Place, Place]]:
    """Return the places, first character and the one behind the last; their mutants would be the same program.

    Under ``from __future__ import annotations`` no annotation is evaluated; the fields of ``Parameters``, whose
    annotations are read, are scanned by tests/tnattn/test_scalars.py. A separator ``*`` or ``/`` is no product.
    """
    return list(_unread(parso.parse(source)))


def _unread(node: Any) -> Iterator[tuple[Place, Place]]:
    children = getattr(node, "children", [])
    if node.type in ("parameters", "lambdef", "typedargslist"):
        for child in children:
            if child.type == "operator" and child.value in ("*", "/"):
                yield child.start_pos, child.end_pos
    if node.type in ("tfpdef", "annassign"):
        colon = next(i for i, child in enumerate(children) if getattr(child, "value", "") == ":")
        yield children[colon + 1].start_pos, children[colon + 1].end_pos
    if node.type == "funcdef" and node.annotation is not None:
        yield node.annotation.start_pos, node.annotation.end_pos
    if node.type == "if_stmt" and getattr(children[1], "value", "") == "TYPE_CHECKING":
        yield children[0].start_pos, children[3].end_pos
    for child in children:
        yield from _unread(child)


def is_within(start: Place, end: Place, places: list[tuple[Place, Place]]) -> bool:
    """Return true if a stretch of a file lies in one of the places."""
    return any(first <= start and end <= last for first, last in places)
