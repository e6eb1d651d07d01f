"""The imports of a source file, at any depth, are read from its text, and nothing else is."""

from importlib.machinery import EXTENSION_SUFFIXES

import pytest

from tnattn import source_files
from tnattn.source_files import fingerprint, imported_files

TREE = {
    "mine.py": "from helper import VALUE\n",
    "helper.py": "import deeper\nVALUE = deeper.VALUE\n",
    "deeper.py": "VALUE = 1\n",
    "unrelated.py": "VALUE = 1\n",
    "package/__init__.py": "",
    "package/part.py": "from . import sibling\nfrom .sibling import VALUE\n",
    "package/sibling.py": "VALUE = 1\n",
    "package/inner/__init__.py": "from ..sibling import VALUE\n",
    "spaces/leaf.py": "VALUE = 1\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from helper import VALUE", {"helper", "deeper"}),
        ("import helper as h", {"helper", "deeper"}),
        ("def f():\n    import helper", {"helper", "deeper"}),
        ("try:\n    import absent\nexcept ImportError:\n    import deeper", {"deeper"}),
        ("import package", {"package"}),
        ("import package.part", {"package", "package.part", "package.sibling"}),
        ("from package import part", {"package", "package.part", "package.sibling"}),
        ("from package.inner import VALUE", {"package", "package.inner", "package.sibling"}),
        ("import spaces.leaf", {"spaces.leaf"}),
        ("import importlib\nimportlib.import_module('deeper')", {"deeper"}),
        ("__import__('deeper')", {"deeper"}),
        ("import numpy, scipy.linalg, math, html", set()),
        ("import tnattn.attention\nfrom theory import compare", set()),
        ("import mine", set()),
        ("this is no Python", set()),
    ],
)
def test_what_a_text_imports_is_found(folder, text, expected):
    (folder / "mine.py").write_text(text)
    assert set(imported_files(folder / "mine.py")) == {"mine", *expected}


@pytest.mark.parametrize("changed", ["mine.py", "helper.py", "deeper.py"])
def test_a_change_at_any_depth_changes_the_fingerprint(folder, changed):
    before = fingerprint(folder / "mine.py")
    (folder / changed).write_text(TREE[changed] + "# changed\n")
    assert fingerprint(folder / "mine.py") != before


@pytest.mark.parametrize("changed", ["unrelated.py", "package/part.py"])
def test_what_is_not_imported_does_not_count(folder, changed):
    """Negative control."""
    before = fingerprint(folder / "mine.py")
    (folder / changed).write_text("VALUE = 2\n")
    assert fingerprint(folder / "mine.py") == before


def test_a_module_that_appears_counts(folder):
    (folder / "mine.py").write_text("try:\n    import later\nexcept ImportError:\n    pass\n")
    before = fingerprint(folder / "mine.py")
    (folder / "later.py").write_text("")
    assert fingerprint(folder / "mine.py") != before


def test_another_folder_on_the_path_is_followed(folder, tmp_path_factory, monkeypatch):
    other = tmp_path_factory.mktemp("other")
    (other / "beside_the_path.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(other)
    (folder / "mine.py").write_text("import beside_the_path\n")
    before = fingerprint(folder / "mine.py")
    assert set(imported_files(folder / "mine.py")) == {"mine", "beside_the_path"}
    (other / "beside_the_path.py").write_text("VALUE = 2\n")
    assert fingerprint(folder / "mine.py") != before


def test_an_installed_package_counts_by_its_version(folder, monkeypatch):
    (folder / "mine.py").write_text("import numpy\n")
    before = fingerprint(folder / "mine.py")
    monkeypatch.setattr(source_files, "_version", lambda package: "other")
    assert fingerprint(folder / "mine.py") != before


def test_compiled_modules_count(folder):
    (folder / "mine.py").write_text("import fast\n")
    compiled = folder / f"fast{EXTENSION_SUFFIXES[0]}"
    compiled.write_bytes(b"\x7fELF one")
    before = fingerprint(folder / "mine.py")
    compiled.write_bytes(b"\x7fELF two")
    assert fingerprint(folder / "mine.py") != before
