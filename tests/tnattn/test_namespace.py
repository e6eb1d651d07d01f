"""Everything that is typed first is importable from the package, lazily, and what is missing is reported helpfully."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tnattn
from tnattn import discovery, namespace
from tnattn.attention.mask import Mask
from tnattn.attention.method import AttentionMethod
from tnattn.attention.projections import ProjectionConversion
from tnattn.decomposition.base import Decomposition
from tnattn.randnla.base import MatrixMethod
from tnattn.randnla.columns.selection import ColumnSelection
from tnattn.randnla.sketches.base import Sketch

KINDS = [AttentionMethod, Mask, ProjectionConversion, MatrixMethod, Sketch, Decomposition, ColumnSelection]


CLASSES = {
    name
    for module in discovery.modules("tnattn")
    for name, value in vars(module).items()
    if isinstance(value, type) and value.__module__ == module.__name__ and not name.startswith("_")
}


def python(code: str) -> str:
    """The output of a fresh interpreter."""
    root = Path(tnattn.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def typed_names() -> dict[str, str]:
    """The imports for type checkers: name and module."""
    tree = ast.parse(Path(tnattn.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {alias.asname: node.module for node in block.body for alias in node.names if alias.asname == alias.name}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_concrete_class_of_an_open_kind_is_importable_from_the_package(kind):
    found = discovery.subclasses("tnattn", kind)
    assert found
    assert {name: cls for name, cls in found.items() if getattr(tnattn, name, None) is not cls} == {}


def test_the_control_a_class_that_is_not_listed_is_noticed(monkeypatch):
    monkeypatch.delitem(namespace.HOME, "Performer")
    monkeypatch.delattr(tnattn, "Performer", raising=False)
    with pytest.raises(AssertionError):
        test_every_concrete_class_of_an_open_kind_is_importable_from_the_package(AttentionMethod)


@pytest.mark.parametrize("name", namespace.HOME)
def test_a_name_is_imported_from_the_module_that_defines_it(name):
    value = getattr(tnattn, name)
    assert value is getattr(importlib.import_module(namespace.HOME[name]), name)
    assert value.__module__ == namespace.HOME[name]


def test_type_checkers_see_the_names_that_are_found():
    assert typed_names() == namespace.HOME


def test_the_contents_of_attention_are_importable_from_the_package():
    home = {name for name, module in namespace.HOME.items() if module.rpartition(".")[0] == "tnattn.attention"}
    assert set(tnattn.attention.__all__) == home


def test_completion_offers_names_and_chapters():
    assert set(namespace.HOME) | {"attention", "randnla", "gallery", "testing"} <= set(dir(tnattn))
    assert tnattn.__all__ == sorted(namespace.HOME)


def test_the_package_loads_no_array_library_before_a_name_is_asked_for():
    assert python("import sys, tnattn; print('numpy' in sys.modules, 'tnattn.arrays' in sys.modules)") == "False False"
    assert python("import sys, tnattn; tnattn.attend; print('numpy' in sys.modules)") == "True"


def test_chapters_are_attributes_without_an_import_of_their_own():
    assert (
        python("import tnattn; print(tnattn.gallery.__name__, tnattn.linalg.__name__)")
        == "tnattn.gallery tnattn.linalg"
    )


@pytest.mark.parametrize(
    ("attempt", "line"),
    [
        ("from tnattn import Performr", "from tnattn import Performer"),
        ("from tnattn import Full", "from tnattn import FullMask"),
        ("import tnattn; tnattn.nystromformer", "from tnattn import Nystromformer"),
        ("import tnattn; tnattn.RandomisedSVD", "from tnattn import RandomizedSVD"),
        ("from tnattn.attention import Performer", "from tnattn import Performer"),
        ("from tnattn.randnla.gaussian import Gaussian", "from tnattn import Gaussian"),
        ("import tnattn.hosvd", "from tnattn import HOSVD"),
        ("import tnattn; tnattn.validation", "import tnattn.attention.validation"),
    ],
)
def test_a_wrong_name_or_an_old_path_is_answered_with_a_line_that_works(attempt, line):
    with pytest.raises((ImportError, AttributeError), match=f"write {line}") as refused:
        exec(attempt, {})
    for advised in str(refused.value).partition("; write ")[2].split(" or "):
        exec(advised, {})


def messages(source: str) -> str:
    """The texts of the errors that a module raises."""
    raised = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Raise)]
    parts = (part.value for node in raised for part in ast.walk(node) if isinstance(part, ast.Constant))
    return "\n".join(part for part in parts if isinstance(part, str))


@pytest.mark.parametrize("name", [m.__name__ for m in discovery.modules("tnattn") if ".testing" not in m.__name__])
def test_classes_that_an_error_names_are_importable_from_the_package(name):
    """Whoever reads ``use RandomizedSVD`` may write ``from tnattn import RandomizedSVD``; and lines in texts work."""
    text = messages(Path(importlib.import_module(name).__file__).read_text(encoding="utf-8"))
    named = set(re.findall(r"\b[A-Z]\w+", text)) & CLASSES
    assert named <= set(namespace.HOME)
    for line in re.findall(r"from tnattn import [\w, ]*\w", text):
        exec(line, {})


def test_the_control_a_text_that_names_a_class_is_read():
    assert messages("def f():\n    raise ValueError(f'use {1} Performer')\n") == "use \n Performer"
    assert "RandomizedSVD" in CLASSES


def test_a_name_like_no_other_is_refused_without_a_guess():
    with pytest.raises(AttributeError, match=r"no attribute 'qqqqqqqq'; see dir\(tnattn\)"):
        _ = tnattn.qqqqqqqq
    assert not hasattr(tnattn, "_private")


def test_the_signpost_says_nothing_of_modules_that_exist():
    (finder,) = [finder for finder in sys.meta_path if isinstance(finder, namespace.Signpost)]
    assert finder.find_spec("tnattn.attention", None) is None
    assert finder.find_spec("tnattn.attention.problem", ["anywhere"]) is None
    assert finder.find_spec("tnattn._private", None) is None
    with pytest.raises(ModuleNotFoundError, match="neither a name nor a module 'nowhere'"):
        finder.find_spec("tnattn.nowhere", None)


def test_modules_of_other_packages_are_left_alone():
    with pytest.raises(ModuleNotFoundError, match="^No module named 'nowhere'$"):
        importlib.import_module("nowhere")
