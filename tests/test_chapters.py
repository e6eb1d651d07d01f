"""The ``__init__`` of a chapter is its table of contents: it exports what its modules define, no less and no more.

A chapter is a folder of modules whose ``__init__`` has ``__all__``. Public names of a module are the classes and
functions at its top level whose names have no leading underscore; a module that holds parts for the rest of the
package states those for users in an ``__all__`` of its own, which may be empty. The chapters of
``theory``, some of which export modules, are held to a rule of their own.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("tnattn/randnla", "tnattn/decomposition", "tnattn/attention")


def all_of(tree):
    """Return the names in the ``__all__`` of a module, None if it has none."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if hasattr(node, "target") else []
        if any(ast.unparse(target) == "__all__" for target in targets):
            return list(ast.literal_eval(node.value))
    return None


def public(tree):
    """Return the public names of a module."""
    stated = all_of(tree)
    if stated is not None:
        return set(stated)
    defined = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, defined) and not node.name.startswith("_")}


def imported(tree):
    """Return the modules that a file imports names from, by name."""
    nodes = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: node.module for node in nodes for alias in node.names}


def faults(folder, dotted):
    """Return what is wrong with the table of contents of a chapter, one sentence each; nothing if it has none."""
    init = ast.parse((folder / "__init__.py").read_text())
    stated = all_of(init)
    if stated is None:
        return []
    modules = {path.stem: ast.parse(path.read_text()) for path in folder.glob("*.py") if path.stem != "__init__"}
    home = {name: f"{dotted}.{stem}" for stem, tree in modules.items() for name in public(tree)}
    found, sources, text = [], imported(init), ast.get_docstring(init) or ""
    found += [f"{name} of {home[name]} is missing" for name in sorted(home.keys() - set(stated))]
    found += [f"{name} is no public name of a module" for name in sorted(set(stated) - home.keys())]
    found += [f"{name} is not imported from {home[name]}" for name in stated if sources.get(name) != home.get(name)]
    found += [f"{name} is not in the docstring" for name in stated if f"``{name}``" not in text]
    return found


def chapters():
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("__init__.py")}
    roots = {ROOT / package for package in PACKAGES}
    return sorted(".".join(folder.relative_to(ROOT).parts) for folder in folders - roots)


@pytest.mark.parametrize("chapter", chapters())
def test_a_chapter_exports_what_its_modules_define(chapter):
    assert faults(ROOT / chapter.replace(".", "/"), chapter) == []


def opened(module, root=ROOT):
    """Return the modules of its package that one opens to read a module: it, and all that these import in turn."""
    package, found, waiting = ".".join(module.split(".")[:2]) + ".", set(), {module}
    while waiting:
        name = waiting.pop()
        file = (root / name.replace(".", "/")).with_suffix(".py")
        path = file if file.is_file() else root / name.replace(".", "/") / "__init__.py"
        found.add(name)
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        waiting |= {node.module for node in nodes if (node.module or "").startswith(package)} - found
    return found


@pytest.mark.parametrize(
    ("module", "most"), [("tnattn.randnla.low_rank.randomized_svd", 8), ("tnattn.randnla.columns.cur", 14)]
)
def test_a_method_is_read_in_few_files(module, most):
    assert len(opened(module)) <= most, sorted(opened(module))


def test_files_are_counted_through_imports(tmp_path):
    (tmp_path / "p/q").mkdir(parents=True)
    for name, text in (("a", "from p.q.b import x"), ("b", "from p.q.c import x\nimport os"), ("c", ""), ("d", "")):
        (tmp_path / "p/q" / f"{name}.py").write_text(text)
    assert opened("p.q.a", tmp_path) == {"p.q.a", "p.q.b", "p.q.c"}


CONTENTS = '"""A chapter.\n\n``Method``\n    A method.\n``solve``\n    A function.\n"""\n\n'
IMPORTS = "from p.c.a import Method\nfrom p.c.b import solve\n"
ALL = '__all__ = ["Method", "solve"]\n'
COMPLETE = CONTENTS + IMPORTS + ALL


@pytest.fixture
def folder(tmp_path):
    """A chapter p.c with two modules."""
    (tmp_path / "a.py").write_text("class Method:\n    pass\n\n\ndef _inner():\n    pass\n")
    (tmp_path / "b.py").write_text('__all__ = ["solve"]\n\n\ndef solve():\n    pass\n\n\ndef part():\n    pass\n')
    return tmp_path


@pytest.mark.parametrize("init", [COMPLETE, CONTENTS])
def test_a_complete_chapter_and_one_without_contents_pass(folder, init):
    (folder / "__init__.py").write_text(init)
    assert faults(folder, "p.c") == []


@pytest.mark.parametrize(
    ("init", "complaint"),
    [
        (COMPLETE.replace('"Method", ', ""), "Method of p.c.a is missing"),
        (COMPLETE.replace('"solve"', '"part", "solve"'), "part is no public name of a module"),
        (COMPLETE.replace('"solve"', '"missing", "solve"'), "missing is no public name of a module"),
        (COMPLETE.replace("from p.c.b import", "from p.d import"), "solve is not imported from p.c.b"),
        (COMPLETE.replace("``solve``", "solve"), "solve is not in the docstring"),
    ],
)
def test_a_false_table_of_contents_is_found(folder, init, complaint):
    (folder / "__init__.py").write_text(init)
    assert complaint in faults(folder, "p.c")


def test_a_new_class_is_missing_until_it_is_exported(folder):
    (folder / "__init__.py").write_text(COMPLETE)
    (folder / "new.py").write_text("class New:\n    pass\n")
    assert "New of p.c.new is missing" in faults(folder, "p.c")
