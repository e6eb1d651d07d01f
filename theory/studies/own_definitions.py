"""Definitions of a user's file or package: methods of every kind, and theorems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from theory.statement.bound import Bound
from tnattn import discovery
from tnattn.attention.method import AttentionMethod
from tnattn.decomposition.base import Decomposition
from tnattn.randnla.base import MatrixMethod
from tnattn.randnla.columns.selection import ColumnSelection
from tnattn.randnla.sketches.base import Sketch

__all__: list[str] = []  # a part for the lists of the command line

KINDS: dict[str, type[Any]] = {
    "attention method": AttentionMethod,
    "matrix method": MatrixMethod,
    "decomposition": Decomposition,
    "sketch": Sketch,
    "column selection": ColumnSelection,
}
"""Base classes, by the kind of thing that their subclasses are."""


def own_definitions(reference: str) -> Iterator[tuple[str, str, type[Any]]]:
    """Yield kind, name and class of all that a file, a folder or a package defines.

    Parameters
    ----------
    reference : str
        ``PATH.py``, the folder of a package, or the dotted name of one.
    """
    for kind, base in KINDS.items():
        yield from ((kind, name, cls) for name, cls in discovery.subclasses(reference, base).items())


def own_theorems(reference: str) -> dict[str, Bound]:
    """Return the theorems that a file, a folder or a package defines, by name."""
    return discovery.instances(reference, Bound)
