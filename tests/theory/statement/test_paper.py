"""A paper gives defaults to its theorems, and a theorem may differ."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import theory.bounds
from theory.statement import errors
from theory.statement.bound import Bound, Instance
from theory.statement.guarantee import Deterministic, InExpectation
from theory.statement.paper import Paper
from theory.statement.source import Source

LONGEST = 3
"""Lines of the decoration of a theorem."""


class Method:
    """A method of which nothing but its class matters."""


class Other:
    """Another one."""


def _sharp(rng: np.random.Generator) -> Instance:
    return Method(), np.eye(2)


def _plain(rng: np.random.Generator) -> Instance:
    return Method(), np.eye(3)


PAPER = Paper(
    "Somebody 1999", Method, instances=(_sharp, _plain), must_fail=0.1, guarantee=InExpectation(), statement="Theorem 1"
)


def function(method: Any, a: Any) -> Any:
    """The error is at most one."""
    return 1.0


def fields(b: Bound) -> tuple[Any, ...]:
    return b.method, b.error, b.guarantee, b.source, b.side, b.extremal, b.generic, b.must_fail, b.sharpest


def test_what_is_not_given_is_the_papers() -> None:
    made = PAPER(error=errors.matrix_frobenius)(function)
    source = Source("Somebody 1999", "Theorem 1")
    assert fields(made) == (
        Method, errors.matrix_frobenius, InExpectation(), source, "upper", _sharp, _plain, 0.1, {}
    )  # fmt: skip


def test_what_is_given_is_the_theorems() -> None:
    made = PAPER(
        "Lemma 2",
        error=errors.matrix_spectral,
        guarantee=Deterministic(),
        side="lower",
        method=Other,
        instances=(_plain, None),
        must_fail=0.5,
        sharpest={"t": 2.0},
    )(function)
    source = Source("Somebody 1999", "Lemma 2")
    assert fields(made) == (
        Other, errors.matrix_spectral, Deterministic(), source, "lower", _plain, None, 2.0, {"t": 2.0}
    )  # fmt: skip


def test_a_reason_takes_the_control_away() -> None:
    assert PAPER(error=errors.matrix_frobenius, no_control="dull")(function).must_fail is None


def test_a_theorem_without_method_is_refused() -> None:
    with pytest.raises(TypeError, match=r"a theorem of Nobody has no method; pass method= to it or to its paper"):
        Paper("Nobody")(error=errors.matrix_frobenius)


def decorations() -> list[tuple[str, int]]:
    """Return the functions of theory.bounds that have decorators, with the number of lines of these."""
    found = []
    for path in sorted(Path(theory.bounds.__path__[0]).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.decorator_list:
                first, last = node.decorator_list[0], node.decorator_list[-1]
                found.append((f"{path.stem}.{node.name}", (last.end_lineno or 0) - first.lineno + 1))
    return found


def test_the_decoration_of_a_theorem_is_short() -> None:
    found = decorations()
    assert len(found) > 200
    assert [name for name, lines in found if lines > LONGEST] == []
