"""The code and the versions that a trial depends on."""

import sys
import types
from pathlib import Path

import pytest

from theory.records import keys, sources
from theory.records.sources import environment, package_hash, source_hash
from tnattn import discovery
from tnattn.arrays.threads import blas_kernels
from tnattn.attention.baseline.exact import Exact

SOURCE = "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass A:\n    inner: object = None\n"


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """Stand-ins for the two packages on the disk: hash of what they hold now."""
    for package in ("tnattn", "theory"):
        folder = tmp_path / package / "deep"
        folder.mkdir(parents=True)
        (folder.parent / "__init__.py").write_text("")
        (folder / "module.py").write_text("VALUE = 1\n")
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    return tmp_path, package_hash.__wrapped__


@pytest.mark.parametrize("package", ["tnattn", "theory"])
@pytest.mark.parametrize("change", ["edit", "add", "rename"])
def test_the_packages_count_to_the_last_letter(copies, package, change):
    folder, hashed = copies
    before = hashed()
    file = folder / package / "deep" / "module.py"
    match change:
        case "edit":
            file.write_text("VALUE = 2\n")
        case "add":
            file.with_name("other.py").write_text("")
        case "rename":
            file.rename(file.with_name("other.py"))
    assert hashed() != before


def test_the_place_of_the_packages_does_not_count(copies, tmp_path, monkeypatch):
    folder, hashed = copies
    before = hashed()
    monkeypatch.setattr(sources, "ROOT", folder.rename(tmp_path.with_name(tmp_path.name + "-moved")))
    assert hashed() == before


def test_the_packages_are_read_once(monkeypatch):
    package_hash()
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} is read again"))
    assert len(package_hash()) == 64


def test_methods_of_the_package_have_no_code_outside():
    assert source_hash(Exact()) == source_hash() == source_hash(keys, sources)


@pytest.fixture
def mine(tmp_path):
    """A user's file with a class that imports a constant; returns an instance made from what the disk holds now."""

    def make(value=1, folder=tmp_path):
        (folder / "helper.py").write_text(f"VALUE = {value}\n")
        (folder / "mine.py").write_text("from helper import VALUE\n" + SOURCE)
        return discovery.load_file(folder / "mine.py").A

    return make


def test_a_constant_of_an_imported_file_counts(mine):
    hashes = [source_hash(mine(value)()) for value in (1, 2, 1)]
    assert hashes[0] == hashes[2] != hashes[1]


def test_the_inner_method_of_a_wrapper_counts(mine, tmp_path):
    (tmp_path / "outer").mkdir()
    (tmp_path / "outer" / "outer.py").write_text(SOURCE)
    outer = discovery.load_file(tmp_path / "outer" / "outer.py").A
    before = source_hash(outer(mine(1)()))
    assert before != source_hash(outer())
    assert source_hash(outer(mine(2)())) != before


def test_the_users_folder_does_not_count(mine, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    assert source_hash(mine(1)) == source_hash(mine(1, tmp_path / "elsewhere"))


def test_the_order_of_the_arguments_does_not_count(mine, tmp_path):
    (tmp_path / "outer").mkdir()
    (tmp_path / "outer" / "outer.py").write_text(SOURCE + "# other\n")
    outer, inner = discovery.load_file(tmp_path / "outer" / "outer.py").A, mine(1)
    assert source_hash(outer, inner) == source_hash(inner, outer) != source_hash(outer)


@pytest.mark.parametrize("name", ["typed_at_a_prompt", "__main__"])
def test_code_without_a_file_is_refused(name, monkeypatch):
    module = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(ValueError, match=name):
        source_hash(module)


def test_the_environment_names_versions_and_the_kernels_that_run():
    found = environment()
    assert {"python", "machine", "numpy", "scipy", "array-api-compat", "opt-einsum", "blas"} <= set(found)
    assert found["blas"] == blas_kernels() != []
