"""Every module has a test where one looks for it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# modules that no test file of their folder imports, and why that is enough
EXCEPTIONS = {
    "tnattn/attention/cost.py": "every method's cost is tested with the method",
    "tnattn/attention/method.py": "a contract: test_conformance.py holds every method to it",
    "tnattn/attention/softmax.py": "a problem's weights: test_problem.py",
    "tnattn/attention/sparse/support.py": "what window and top-k share: test_sliding_window.py, test_top_k.py",
    "tnattn/attention/summary.py": "a contract: tested with the methods that summarise",
    "tnattn/decomposition/truncated.py": "what truncations return: test_truncations.py",
    "tnattn/structured/tensor.py": "a contract: test_tensors.py holds every tensor to it",
}
# folders whose modules one test finds by scanning
SCANNED = {"theory/bounds": "tests/theory/bounds/test_all.py"}


def modules(root: Path) -> list[str]:
    """Return the modules that must be mirrored, as paths relative to the root."""
    found = [*(root / "tnattn").rglob("*.py"), *(root / "theory/bounds").rglob("*.py")]
    return sorted(str(path.relative_to(root)) for path in found if path.name != "__init__.py")


def is_mirrored(module: str, root: Path) -> bool:
    """Say whether a test of the module's name, of its folder importing it, or of its package as a whole exists."""
    path = Path(module)
    folder = root / "tests" / path.parent
    if any(module.startswith(f"{area}/") and (root / test).is_file() for area, test in SCANNED.items()):
        return True
    if (folder / f"test_{path.stem}.py").is_file():
        return True
    if (folder.parent / f"test_{path.parent.name}.py").is_file():
        return True
    dotted = ".".join(path.with_suffix("").parts)
    return any(dotted in imported(test, root) for test in folder.glob("test_*.py"))


def imported(test: Path, root: Path) -> set[str]:
    """Return the modules that a test imports from, looking through the packages that pass names on."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(test.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            origins = passed_on(root / Path(*node.module.split(".")) / "__init__.py")
            names.add(node.module)
            for alias in node.names:
                names.update((f"{node.module}.{alias.name}", origins.get(alias.name, "")))
    return names


def passed_on(package: Path) -> dict[str, str]:
    """Return the module that every name comes from which a package imports."""
    if not package.is_file():
        return {}
    nodes = [node for node in ast.parse(package.read_text()).body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in nodes for alias in node.names}


@pytest.mark.parametrize("module", [module for module in modules(ROOT) if module not in EXCEPTIONS])
def test_a_module_has_its_test(module):
    assert is_mirrored(module, ROOT), f"write tests/{Path(module).parent}/test_{Path(module).stem}.py"


@pytest.mark.parametrize("module", EXCEPTIONS)
def test_an_exception_is_needed(module):
    assert (ROOT / module).is_file()
    assert not is_mirrored(module, ROOT)


@pytest.fixture
def tree(tmp_path):
    """A module a/b.py of a package without tests."""
    (tmp_path / "tnattn/a").mkdir(parents=True)
    (tmp_path / "theory/bounds").mkdir(parents=True)
    (tmp_path / "tests/tnattn/a").mkdir(parents=True)
    (tmp_path / "tnattn/a/b.py").write_text("")
    return tmp_path


def test_a_module_without_test_is_found(tree):
    assert modules(tree) == ["tnattn/a/b.py"]
    (tree / "tests/tnattn/a/test_c.py").write_text("from tnattn.a.c import x")
    assert not is_mirrored("tnattn/a/b.py", tree)


def test_names_are_followed_through_a_package(tree):
    (tree / "tnattn/a/__init__.py").write_text("from tnattn.a.b import x")
    (tree / "tests/tnattn/a/test_all.py").write_text("from tnattn.a import y")
    assert not is_mirrored("tnattn/a/b.py", tree)
    (tree / "tests/tnattn/a/test_all.py").write_text("from tnattn.a import x")
    assert is_mirrored("tnattn/a/b.py", tree)


@pytest.mark.parametrize(
    ("test", "text"),
    [("a/test_b.py", ""), ("a/test_all.py", "from tnattn.a.b import x"), ("a/test_all.py", "from tnattn.a import b"),
     ("test_a.py", "")],
)  # fmt: skip
def test_a_module_with_a_test_is_accepted(tree, test, text):
    (tree / "tests/tnattn" / test).write_text(text)
    assert is_mirrored("tnattn/a/b.py", tree)
