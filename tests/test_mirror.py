"""Every module has a test where one looks for it, and something of the module is asserted there.

A test asserts something of a module when it contains an assertion and uses a name that comes from the module: itself,
in its decorators, or through the fixtures, constants and functions of its file. An import alone is no test.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from theory.statement.bound import Bound
from tnattn import discovery

ROOT = Path(__file__).parents[1]
# calls that fail where something does not hold
ASSERTING = ("assert", "check_", "raises", "warns", "fail")


def modules(root: Path) -> list[str]:
    """Return the modules that must be mirrored, as paths relative to the root."""
    found = [*(root / "tnattn").rglob("*.py"), *(root / "theory/bounds").rglob("*.py")]
    return sorted(str(path.relative_to(root)) for path in found if path.name != "__init__.py")


def is_mirrored(module: str, root: Path) -> bool:
    """Return true if a test of the module's folder, or the test of the folder as a whole, asserts something of it."""
    path = Path(module)
    folder = root / "tests" / path.parent
    dotted = ".".join(path.with_suffix("").parts)
    whole = folder.parent / f"test_{path.parent.name}.py"
    tests = [*sorted(folder.glob("test_*.py")), *([whole] if whole.is_file() else [])]
    return any(dotted in asserted(test, root) for test in tests)


@cache
def asserted(test: Path, root: Path) -> frozenset[str]:
    """Return the modules of which a test file asserts something."""
    tree = ast.parse(test.read_text())
    origins = origins_of(tree, root)
    uses = {name: used for node in tree.body for name, used in definitions(node)}
    found: set[str] = set()
    for function in functions(tree):
        if not function.name.startswith("test") or not asserts(function, tree):
            continue
        reached, waiting = set[str](), names_in(function)
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting |= uses.get(name, set())
        found.update(module for name in reached for module in _origins(name, origins, root))
    return frozenset(found)


def _origins(name: str, origins: dict[str, set[str]], root: Path) -> set[str]:
    """Return where a name comes from; ``package.name`` comes from the module whose name the package passes on."""
    found = set(origins.get(name, ()))
    head, _, last = name.rpartition(".")
    for package in origins.get(head, ()) if head else ():
        found |= sources_of(package, last, root)
    return found


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Yield the functions of a file and of its classes."""
    for node in tree.body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        yield from (each for each in inner if isinstance(each, ast.FunctionDef))


def definitions(node: ast.stmt) -> Iterator[tuple[str, set[str]]]:
    """Yield what a statement of a file defines, with the names that it uses."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name, names_in(node)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for name in {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}:
            yield name, names_in(node)


def names_in(node: ast.AST) -> set[str]:
    """Return the names that a piece of code uses, fixtures among them; ``a.b.c`` counts as a, a.b and a.b.c."""
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    found |= {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
    found |= {ast.unparse(n) for n in ast.walk(node) if isinstance(n, ast.Attribute) and dotted_name(n)}
    # fixtures by name, as in usefixtures or getfixturevalue
    return found | {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def dotted_name(node: ast.AST) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def asserts(function: ast.FunctionDef, tree: ast.Module) -> bool:
    """Return true if a function can fail a test: by itself, or by a function of its file that it calls."""
    helpers = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    seen, waiting = set[str](), [function]
    while waiting:
        node = waiting.pop()
        for part in ast.walk(node):
            if isinstance(part, ast.Assert):
                return True
            if isinstance(part, ast.Call):
                called = ast.unparse(part.func).rpartition(".")[2]
                if called.startswith(ASSERTING):
                    return True
                if called in helpers and called not in seen:
                    seen.add(called)
                    waiting.append(helpers[called])
    return False


def origins_of(tree: ast.Module, root: Path) -> dict[str, set[str]]:
    """Return the modules that every imported name may come from, looking through the packages that pass names on."""
    origins: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                origins.setdefault(alias.asname or alias.name, set()).add(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names = {f"{node.module}.{alias.name}", *sources_of(node.module, alias.name, root)}
                origins.setdefault(alias.asname or alias.name, set()).update(names)
    return origins


def sources_of(module: str, name: str, root: Path) -> set[str]:
    """Return a module and those from which it, and in turn they, import a name to pass it on."""
    found = {module}
    place = root / Path(*module.split("."))
    for file in (place / "__init__.py", place.with_suffix(".py")):
        source = passed_on(file).get(name) if file.is_file() else None
        if source is not None and source not in found:
            found |= sources_of(source, name, root)
    return found


@cache
def passed_on(file: Path) -> dict[str, str]:
    """Return the module that every name comes from which a file imports."""
    nodes = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in nodes for alias in node.names}


def holds_a_theorem(module: str) -> bool:
    """Return true if tests/theory/bounds/test_all.py finds a theorem of the module, and so asserts something of it."""
    dotted = ".".join(Path(module).with_suffix("").parts)
    return any(theorem.module == dotted for theorem in discovery.instances("theory.bounds", Bound).values())


@pytest.mark.parametrize("module", modules(ROOT))
def test_something_of_every_module_is_asserted(module):
    assert is_mirrored(module, ROOT) or (module.startswith("theory/bounds/") and holds_a_theorem(module)), (
        f"assert something of it in tests/{Path(module).parent}/test_{Path(module).stem}.py"
    )


@pytest.fixture
def tree(tmp_path):
    """A module a/b.py of a package without tests."""
    (tmp_path / "tnattn/a").mkdir(parents=True)
    (tmp_path / "theory/bounds").mkdir(parents=True)
    (tmp_path / "tests/tnattn/a").mkdir(parents=True)
    (tmp_path / "tnattn/a/b.py").write_text("")
    (tmp_path / "tnattn/a/__init__.py").write_text("from tnattn.a.b import passed")
    return tmp_path


def mirrored(tree, text, name="test_b.py"):
    asserted.cache_clear()
    passed_on.cache_clear()
    (tree / "tests/tnattn/a" / name).write_text(text)
    return is_mirrored("tnattn/a/b.py", tree)


def test_a_module_without_test_is_found(tree):
    assert modules(tree) == ["tnattn/a/b.py"]
    assert not is_mirrored("tnattn/a/b.py", tree)


IMPORT = "import pytest\nfrom tnattn.a.b import x\nfrom tnattn.a.c import y\n"
NO_TEST = {
    "nothing": "",
    "an import": IMPORT,
    "an import and an assertion about something else": IMPORT + "def test_it():\n    assert y() == 3\n",
    "a use that is not asserted": IMPORT + "def test_it():\n    x()\n",
    "an assertion outside a test": IMPORT + "def helper():\n    assert x() == 3\ndef test_it():\n    assert y()\n",
    "another module that the package passes on": "from tnattn.a import other\ndef test_it():\n    assert other()\n",
    "a fixture that nobody asks for": IMPORT
    + "@pytest.fixture\ndef f():\n    return x()\ndef test_it():\n    assert y()\n",
}
TEST = {
    "an assertion": IMPORT + "def test_it():\n    assert x() == 3\n",
    "a method of a class": IMPORT + "class TestIt:\n    def test_it(self):\n        assert x() == 3\n",
    "a refusal": IMPORT + "def test_it():\n    with pytest.raises(ValueError):\n        x()\n",
    "an asserting call": IMPORT + "def test_it():\n    np.testing.assert_allclose(x(), 3)\n",
    "a helper that asserts": IMPORT + "def agree(a):\n    assert a\ndef test_it():\n    agree(x())\n",
    "a constant": IMPORT + "MADE = x()\ndef test_it():\n    assert MADE == 3\n",
    "a fixture": IMPORT + "@pytest.fixture\ndef made():\n    return x()\ndef test_it(made):\n    assert made == 3\n",
    "a parameter": IMPORT + "@pytest.mark.parametrize('f', [x])\ndef test_it(f):\n    assert f() == 3\n",
    "the module's attribute": "from tnattn.a import b\ndef test_it():\n    assert b.x() == 3\n",
    "the module in full": "import tnattn.a.b\ndef test_it():\n    assert tnattn.a.b.x() == 3\n",
    "an attribute of the package": "from tnattn import a\ndef test_it():\n    assert a.passed() == 3\n",
    "a name that the package passes on": "from tnattn.a import passed\ndef test_it():\n    assert passed() == 3\n",
}


@pytest.mark.parametrize("name", NO_TEST)
def test_what_is_no_test_is_not_taken_for_one(tree, name):
    """Negative control."""
    assert not mirrored(tree, NO_TEST[name])


@pytest.mark.parametrize("name", TEST)
def test_what_is_a_test_is_recognised(tree, name):
    assert mirrored(tree, TEST[name])


def test_names_are_followed_through_modules_that_pass_them_on(tree):
    (tree / "tnattn/a/d.py").write_text("from tnattn.a.e import x\n")
    (tree / "tnattn/a/e.py").write_text("from tnattn.a.b import x\n")
    assert mirrored(tree, "from tnattn.a.d import x\ndef test_it():\n    assert x() == 3\n")
    assert not mirrored(tree, "from tnattn.a.d import y\ndef test_it():\n    assert y() == 3\n")


def test_the_test_of_a_folder_as_a_whole_counts(tree):
    asserted.cache_clear()
    (tree / "tests/tnattn/test_a.py").write_text(TEST["an assertion"])
    assert is_mirrored("tnattn/a/b.py", tree)


def test_a_test_elsewhere_does_not_count(tree):
    asserted.cache_clear()
    (tree / "tests/tnattn/test_other.py").write_text(TEST["an assertion"])
    assert not is_mirrored("tnattn/a/b.py", tree)
