"""No code outside ``tnattn.structured`` asks of which class of the vocabulary a matrix is: it calls its methods.

``isinstance`` and patterns of ``match`` count. A check that validates the kind of an argument may stay, with the
comment ``# kind of argument: reason`` on its line. Statements of theorems (``theory/bounds``) and exact references
(``theory/comparison``) speak about kinds of matrices and are not read.
"""

import ast
from pathlib import Path

import pytest

from tnattn.discovery import subclasses
from tnattn.structured.base import StructuredMatrix

ROOT = Path(__file__).parents[1]
VOCABULARY = {*subclasses("tnattn.structured", StructuredMatrix), "LowRankMatrix"}
EXEMPT = ("tnattn/structured", "theory/bounds", "theory/comparison")
MARK = "# kind of argument: "


def sources():
    paths = [p for package in ("tnattn", "theory") for p in sorted((ROOT / package).rglob("*.py"))]
    names = {str(path.relative_to(ROOT)): path for path in paths}
    return {name: path.read_text() for name, path in names.items() if not name.startswith(EXEMPT)}


def checks(source):
    """Return the lines of a source that ask for a class of the vocabulary, without those that give a reason."""
    lines = source.splitlines()
    found = {node.lineno for node in ast.walk(ast.parse(source)) if asked(node) & VOCABULARY}
    return [lines[i - 1].strip() for i in sorted(found) if len(lines[i - 1].partition(MARK)[2].split()) < 3]


def asked(node):
    """Return the names of the classes that a piece of code asks for."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass") and len(node.args) == 2:
        kinds = node.args[1]
    elif isinstance(node, ast.MatchClass):
        kinds = node.cls
    else:
        return set()
    names = {n.id for n in ast.walk(kinds) if isinstance(n, ast.Name)}
    return names | {n.attr for n in ast.walk(kinds) if isinstance(n, ast.Attribute)}


def test_no_code_asks_for_the_class_of_a_matrix():
    assert {name: found for name, source in sources().items() if (found := checks(source))} == {}


def test_the_vocabulary_is_known():
    assert {"Dense", "Sparse", "LowRank", "LowRankMatrix", "EntriesOperator", "HostOperator"} <= VOCABULARY


@pytest.mark.parametrize(
    "line",
    [
        "if isinstance(a, Dense): pass",
        "if not isinstance(a, (Sparse, BlockSparse)): pass",
        "x = a.array if isinstance(a, LowRank | Dense) else a",
        "if isinstance(a, structured.Dense): pass",
        "match a:\n    case Dense(array): pass",
        "if isinstance(a, Dense): pass  # kind of argument: yes",
        "if issubclass(cls, HostOperator): pass",
    ],
)
def test_a_planted_check_is_found(line):
    """Negative control."""
    assert len(checks(line)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "if isinstance(a, StructuredMatrix): pass",
        "if isinstance(sketch, SparseSign): pass",
        "x = Dense(a)",
        "if isinstance(a, Product): pass  # kind of argument: both factors in one",
    ],
)
def test_what_is_allowed_is_not_reported(line):
    assert checks(line) == []
