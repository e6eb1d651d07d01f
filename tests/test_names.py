"""One name, one thing: no two classes, functions or modules of the packages share a name with different meanings.

Classes
    A public class has a name of its own over both packages.
Functions
    A public function has a name of its own over both packages. Three kinds are judged more closely to home, because
    their name is said with that of their module: theorems within the folder of their subject (``theory.bounds.*``);
    what every module of an open folder defines under one name (``command``, ``draw``, ``section``, the laws of the
    conformance kits) within the module; and the LAPACK variants of functions of ``tnattn.linalg`` that call them.
Modules
    A module has a name of its own within its package, also beside the chapters; two chapters may be about one thing
    (``low_rank`` of matrices and of attention), and a chapter may have the name of its main module. ``base`` is the
    contract of the chapter it lies in; a format in ``tnattn.structured`` bears the name of the factorisation that gives
    it; a theorem's module that of the algorithm; a command, a section and a figure that of the study they present.
"""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("tnattn", "theory")
BY_FOLDER = ("theory.bounds.",)
BY_MODULE = (
    *("theory.commands.", "theory.reports.figures.", "theory.reports.sections.", "tnattn.testing."),
    "tnattn.linalg.lapack",
)
NAMED_AFTER_ANOTHER = (
    *("tnattn.structured.", "theory.bounds."),
    *("theory.commands.", "theory.reports.figures.", "theory.reports.sections."),
)


def sources(root: Path) -> dict[str, str]:
    """The modules of both packages by dotted name; a chapter's ``__init__`` ends in a dot."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            found[name.removesuffix("__init__")] = path.read_text(encoding="utf-8")
    return found


def scope(module: str) -> str:
    """The part of the packages within which the functions of a module are compared."""
    if module.startswith(BY_MODULE):
        return module
    return module.rpartition(".")[0] if module.startswith(BY_FOLDER) else ""


def twice(places: dict[tuple[str, str], list[str]]) -> list[str]:
    """Return the names with more than one place, one line each."""
    return [f"{name}: {', '.join(homes)}" for (_, name), homes in sorted(places.items()) if len(homes) > 1]


def shared_definitions(modules: dict[str, str]) -> list[str]:
    """Return the public classes and functions that are defined more than once, with their modules."""
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for module, source in modules.items():
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                within = "" if isinstance(node, ast.ClassDef) else scope(module)
                places[within, node.name].append(module)
    return twice(places)


def shared_modules(modules: dict[str, str]) -> list[str]:
    """Return the names that two modules or chapters of a package have, with their places."""
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for module in modules:
        name = module.rstrip(".")
        stem = name.rpartition(".")[2]
        main = name.split(".")[-2:] == [stem, stem]
        if name in PACKAGES or stem == "base" or main or module.startswith(NAMED_AFTER_ANOTHER):
            continue
        places[name.partition(".")[0], stem].append(module)
    mixed = {key: homes for key, homes in places.items() if not all(home.endswith(".") for home in homes)}
    return twice(mixed)


def test_no_two_classes_or_functions_share_a_name():
    assert shared_definitions(sources(ROOT)) == []


def test_no_two_modules_share_a_name():
    assert shared_modules(sources(ROOT)) == []


C = "theory.bounds.c"
CLASS, FUNCTION = "class Causal:\n    pass\n", "def causal():\n    pass\n"


@pytest.mark.parametrize(
    ("modules", "found"),
    [
        ({"tnattn.a": CLASS, "theory.b": CLASS}, ["Causal: tnattn.a, theory.b"]),
        ({"tnattn.a": FUNCTION, "theory.b": FUNCTION}, ["causal: tnattn.a, theory.b"]),
        ({"tnattn.a": FUNCTION, "theory.bounds.c.b": FUNCTION}, []),
        (
            {"theory.bounds.c.a": FUNCTION, "theory.bounds.c.b": FUNCTION},
            ["causal: theory.bounds.c.a, theory.bounds.c.b"],
        ),
        ({"theory.bounds.c.a": FUNCTION, "theory.bounds.d.b": FUNCTION}, []),
        ({"theory.bounds.c.a": CLASS, "tnattn.b": CLASS}, ["Causal: theory.bounds.c.a, tnattn.b"]),
        ({"theory.commands.a": FUNCTION, "theory.commands.b": FUNCTION}, []),
        ({"tnattn.a": CLASS, "tnattn.": "from tnattn.a import Causal\n"}, []),
        ({"tnattn.a": "class _Causal:\n    pass\n", "tnattn.b": "class _Causal:\n    pass\n"}, []),
    ],
)
def test_the_control_a_name_with_two_meanings_is_found(modules, found):
    assert shared_definitions(modules) == found


@pytest.mark.parametrize(
    ("modules", "found"),
    [
        (["tnattn.a.scaling", "tnattn.b.scaling"], ["scaling: tnattn.a.scaling, tnattn.b.scaling"]),
        (["tnattn.attention.", "tnattn.gallery.attention"], ["attention: tnattn.attention., tnattn.gallery.attention"]),
        (["tnattn.a.base", "tnattn.b.base"], []),
        (["tnattn.a.low_rank.", "tnattn.b.low_rank."], []),
        (["tnattn.a.low_rank.", "tnattn.b.low_rank"], ["low_rank: tnattn.a.low_rank., tnattn.b.low_rank"]),
        (["theory.comparison.", "theory.comparison.comparison"], []),
        (["tnattn.structured.cp", "tnattn.decomposition.cp."], []),
        (["theory.bounds.a.cur", "theory.a.cur", "tnattn.b.cur"], []),
    ],
)
def test_the_control_a_module_name_with_two_meanings_is_found(modules, found):
    assert shared_modules(dict.fromkeys(modules, "")) == found
