"""Lists of methods and theorems, and the versions of the libraries."""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np

from theory.commands.console import number, print_json, say, show, table
from theory.commands.options import Json, Own
from theory.comparison import catalogue
from theory.statement.bound import Bound
from theory.studies import candidates
from theory.studies.own_definitions import own_definitions, own_theorems
from tnattn import discovery
from tnattn.arrays import library_info
from tnattn.attention.cost import exact_cost
from tnattn.attention.method import AttentionMethod, KeyMethod
from tnattn.attention.problem import AttentionProblem

METHODS = """
Example: [bold]tnattn methods --json | jq '.[].name'[/bold]
"""
BOUNDS = """
Example: [bold]tnattn bounds[/bold], then [bold]tnattn verify --bounds NAME[/bold]
"""
INFO = ""


def methods(own: Own = None, json: Json = False) -> None:
    """Print the methods, or all that a user's files define."""
    packaged = [("attention method", name, cls) for name, cls in candidates.methods().items()]
    found = [each for reference in own for each in own_definitions(reference)] if own else packaged
    entries = [_method(name, cls) for kind, name, cls in found if kind == "attention method"]
    entries.sort(key=lambda entry: (entry["family"], entry["name"]))
    others = [
        {"kind": kind, "name": name, "default": repr(cls())} for kind, name, cls in found if kind != "attention method"
    ]
    if json:
        print_json([*entries, *others])
        return
    if others:
        show(table("Definitions", ("kind", "name", "default"), [tuple(entry.values()) for entry in others]))
    if entries:
        _show_methods(entries)


def _definition(kind: str, name: str, cls: type[Any]) -> dict[str, Any]:
    return {"kind": kind, "name": name, "default": repr(cls())}


def _show_methods(entries: list[dict[str, Any]]) -> None:
    columns = ("family", "name", "budget", "cost", "flops / exact", "guarantee", "kind", "source")
    rows = [
        (
            e["family"],
            e["name"],
            e["budget_field"],
            e["cost"],
            e["relative_flops"],
            e["guarantee"],
            ", ".join(word for word, holds in (("oracle", e["oracle"]), ("key method", e["key_method"])) if holds),
            e["source"],
        )
        for e in entries
    ]
    show(
        table("Methods", columns, rows, caption="flops / exact: default parameters, 12 heads of 4096 tokens, width 64")
    )
    waived = [(e["name"], law, reason) for e in entries for law, reason in e["waives"].items()]
    if waived:
        show(table("Laws that do not hold by definition", ("method", "law", "reason"), waived))


def _method(name: str, cls: type[AttentionMethod]) -> dict[str, Any]:
    method = cls()
    return {
        "family": discovery.family(cls),
        "name": name,
        "default": repr(method),
        "budget_field": method.budget_field,
        "budget": method.budget,
        "cost": _cost_phrase(cls),
        "relative_flops": _relative_flops(method),
        "guarantee": cls.guarantee,
        "oracle": candidates.Candidate(method).oracle,
        "key_method": isinstance(method, KeyMethod),
        "masks": [mask.__name__ for mask in cls.masks],
        "waives": dict(cls.waives),
        "source": cls.source,
    }


def _cost_phrase(cls: type) -> str | None:
    """Return the first O(...) of the docstring, brackets balanced."""
    text = " ".join((cls.__doc__ or "").split())
    start = re.search(r"\bO\(", text)
    if start is None:
        return None
    depth = 0
    # costs contain brackets, which a regular expression does not balance
    for index in range(start.start() + 1, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return text[start.start() : index + 1]
    return None


def _relative_flops(method: AttentionMethod) -> float | None:
    # costs depend on shapes alone: no memory is spent on 12 heads of 4096 tokens
    empty = np.broadcast_to(np.zeros((), dtype=np.float32), (12, 4096, 64))
    problem = AttentionProblem(empty, empty, empty, check_finite=False)
    try:
        return method.cost(problem).flops / exact_cost(problem).flops
    except ValueError:
        return None


def bounds(own: Own = None, json: Json = False) -> None:
    """Print the theorems, those of the package or of a user's files."""
    known = [own_theorems(reference) for reference in own] if own else [catalogue.bounds()]
    entries = [_bound(b) for found in known for b in found.values()]
    if json:
        print_json(entries)
        return
    columns = ("about", "name", "statement", "guarantee", "norm", "source", "extremal instance")
    rows = [
        tuple(e[name] for name in ("about", "name", "statement", "guarantee", "norm", "source", "extremal"))
        for e in entries
    ]
    show(table("Theorems", columns, rows, caption=f"{len(entries)} theorems"))


def _bound(b: Bound) -> dict[str, Any]:
    about = b.method if isinstance(b.method, tuple) else (b.method,)
    return {
        "name": b.name,
        "about": ", ".join(cls.__name__ for cls in about),
        "statement": b.statement,
        "side": b.side,
        "kind": b.kind,
        "guarantee": str(b.guarantee),
        "norm": b.error.name,
        "source": str(b.source),
        "extremal": "none known" if b.extremal is None else "yes",
        "must_fail": b.must_fail,
    }


def info(json: Json = False) -> None:
    """Print versions, BLAS, threads and devices."""
    _touch_devices()
    entries = library_info()
    if json:
        print_json(entries)
        return
    for name, value in entries.items():
        say(f"{name:>18}  {number(value)}")


def _touch_devices() -> None:
    """Import the libraries that may have a device, so that it is listed."""
    for name in ("torch", "cupy"):
        if name not in sys.modules:
            try:
                __import__(name)
            except Exception:  # not installed, or installed without a driver: listed as it is
                continue
