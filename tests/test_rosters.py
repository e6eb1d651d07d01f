"""No test, study, report or check holds a list of methods: what a class needs or promises is a trait of the class.

A roster is a literal list, tuple, set or dict with three or more public classes of one kind (attention methods, matrix
methods, decompositions, sketches, column selections), each by its bare name, as a string, or called without arguments.
A new class would have to be entered there by hand. Instances with arguments are data of a test and no roster, and so
is what a test lists of the chapter that it mirrors: in tests/tnattn/randnla/columns, classes of tnattn.randnla.columns.
Not searched: benchmarks, whose tables say what they time, and tests/outside, which pairs our classes with those of
other packages.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tnattn.attention.method import AttentionMethod, KeyMethod
from tnattn.decomposition.base import Decomposition
from tnattn.discovery import subclasses
from tnattn.randnla.base import MatrixMethod
from tnattn.randnla.columns.selection import ColumnSelection
from tnattn.randnla.sketches.base import Sketch

ROOT = Path(__file__).parents[1]
KINDS = (AttentionMethod, MatrixMethod, Decomposition, Sketch, ColumnSelection)
SEARCHED = ("tests", "tnattn/testing", "tnattn/gallery", "theory/studies", "theory/reports", "theory/commands")
NOT_SEARCHED = ("tests/benchmarks", "tests/outside")
LEAST = 3


@cache
def classes() -> tuple[dict[str, type], ...]:
    return tuple(subclasses("tnattn", kind) for kind in KINDS)


def named(node: ast.expr) -> str:
    """Return the name that an entry of a collection stands for, as a class, a string or a call without arguments."""
    if isinstance(node, (ast.Tuple, ast.List)) and node.elts:  # rows of a table begin with what they are about
        return named(node.elts[0])
    if isinstance(node, ast.Call):
        return "" if node.args or node.keywords else named(node.func)
    if isinstance(node, ast.Constant):
        return node.value.partition("(")[0] if isinstance(node.value, str) else ""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def collections(source: str) -> Iterator[tuple[int, set[str]]]:
    """Yield line and names of the entries of every literal collection."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            yield node.lineno, {named(entry) for entry in node.elts}
        elif isinstance(node, ast.Dict):
            yield node.lineno, {named(key) for key in node.keys if key is not None}
            yield node.lineno, {named(value) for value in node.values}


def rosters(source: str, chapter: str = "") -> list[str]:
    """Return the rosters of a file, but for those of the classes of its own chapter."""
    found = []
    for line, names in collections(source):
        for kind in classes():
            members = names & kind.keys()
            own = chapter != "" and all(kind[name].__module__.startswith(f"{chapter}.") for name in members)
            if len(members) >= LEAST and not own:
                found.append(f"line {line}: {', '.join(sorted(members))}")
    return found


def chapter_of(path: Path) -> str:
    """Return the chapter that a test mirrors, three folders deep as tnattn.randnla.columns; "" if none."""
    parts = path.relative_to(ROOT).parts
    return ".".join(parts[1:-1]) if parts[:2] == ("tests", "tnattn") and len(parts) > 4 else ""


FILES = sorted(
    path
    for folder in SEARCHED
    for path in (ROOT / folder).rglob("*.py")
    if not path.is_relative_to(ROOT / NOT_SEARCHED[0]) and not path.is_relative_to(ROOT / NOT_SEARCHED[1])
)


def test_no_file_holds_a_roster():
    assert len(FILES) > 200
    found = {str(path.relative_to(ROOT)): rosters(path.read_text(), chapter_of(path)) for path in FILES}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "from a import b\nALL = [TopK, Exact, Performer]",
        'CONTROLS = ("Exact", "MeanValue", "TopK", "SlidingWindow")',
        '{"HOSVD", "STHOSVD", "TTSVD"} <= set(found)',
        "KINDS = {'tucker': HOSVD(), 'sequential': STHOSVD(), 'train': TTSVD()}",
        'LOOKS = {"MeanValue": 1, "TopK": 2, "Exact": 3}',
        "@pytest.mark.parametrize('cls, count', [(HOSVD, 3), (STHOSVD, 3), (TTSVD, 2)])\ndef test(cls): pass",
        "isinstance(x, (sketches.Gaussian, sketches.CountSketch, sketches.SparseSign))",
        "def f(m):\n    return m in [QRColumns(), UniformColumns(), DEIMColumns()]",
        '["TopK (oracle)", "WeightTensor(TTSVD)", "Causal(Performer)"]'.replace(" (", "("),
    ],
)
def test_a_roster_is_found(source):
    """Negative control."""
    assert len(rosters(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "[TopK(4), SlidingWindow(6, sinks=1), Performer(features=8)]",
        "[TopK, Exact]",
        "[TopK, Gaussian, HOSVD]",
        "[words, that, name, no, method]",
        "[RandomizedSVD(rank=k) for k in (2, 4)]",
    ],
)
def test_cases_and_pairs_are_no_rosters(source):
    assert rosters(source) == []


def traits(kind: type) -> list[str]:
    """Return the class variables that a base class declares."""
    return [name for name, hint in kind.__annotations__.items() if str(hint).startswith("ClassVar")]


def readers() -> str:
    """Return the text of what may read a trait: the kit, studies, tables, and the class that declares it."""
    folders = ("tnattn/testing", "theory/studies", "theory/reports", "theory/commands")
    kit = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    own = [ROOT / f"{kind.__module__.replace('.', '/')}.py" for kind in KINDS]
    return "\n".join(path.read_text() for path in (*kit, *own))


@pytest.mark.parametrize("kind, trait", [(kind, trait) for kind in (*KINDS, KeyMethod) for trait in traits(kind)])
def test_every_trait_is_read(kind, trait):
    """A trait that neither the kit nor a study, a table or the class itself reads would be a promise to nobody."""
    assert f".{trait}" in readers()


def test_traits_are_those_declared():
    assert {"domain", "exact_at_full_rank", "needs_full_rank"} <= set(traits(MatrixMethod))
    assert {"masks", "waives", "role"} <= set(traits(AttentionMethod))
    assert "certifies" in traits(Decomposition)
    assert ".no_such_trait" not in readers()


def test_a_test_may_list_the_classes_of_the_chapter_that_it_mirrors():
    source = "[HOSVD, STHOSVD, HOOI]"
    tucker, columns = (ROOT / f"tests/tnattn/{name}/test_it.py" for name in ("decomposition/tucker", "randnla/columns"))
    assert rosters(source, chapter_of(tucker)) == []
    assert rosters(source, chapter_of(columns)) != []
    assert rosters("[HOSVD, STHOSVD, TTSVD]", chapter_of(tucker)) != []
    assert chapter_of(ROOT / "tests/tnattn/decomposition/test_it.py") == ""
    assert chapter_of(ROOT / "tests/theory/bounds/randnla/test_it.py") == ""
