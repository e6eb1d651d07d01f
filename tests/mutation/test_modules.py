"""The list of modules to mutate follows the source tree, and the page of results the list."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def load(name):
    spec = importlib.util.spec_from_file_location(f"mutation_{name}", Path(__file__).with_name(f"{name}.py"))
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


modules = load("modules")


@pytest.mark.parametrize("module", modules.MODULES)
def test_modules_and_their_tests_exist(module):
    assert (ROOT / module).is_file()
    assert all((ROOT / test).is_file() for test in modules.tests_of(module, ROOT))


def test_a_module_without_tests_is_refused():
    with pytest.raises(ValueError, match=r"tnattn/nothing.py has no test file tests/tnattn/test_nothing.py"):
        modules.tests_of("tnattn/nothing.py", ROOT)


def test_a_test_that_is_gone_is_refused(monkeypatch):
    monkeypatch.setitem(modules.MODULES, "tnattn/linalg/products.py", ("tests/gone.py",))
    with pytest.raises(ValueError, match=r"tnattn/linalg/products.py: tests/gone.py does not exist"):
        modules.tests_of("tnattn/linalg/products.py", ROOT)


SOURCE = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import x
def f(a: int | None, *, b: int = 1 + 1) -> int | str:
    c: int | None = a or b
    return c * 2
"""


def test_annotations_separators_and_imports_for_the_type_checker_are_no_mutants():
    pytest.importorskip("parso")
    syntax = load("syntax")
    places, lines = syntax.unread(SOURCE), SOURCE.splitlines()

    def unread(text, line):
        start = lines[line - 1].index(text)
        return syntax.is_within((line, start), (line, start + len(text)), places)

    assert unread("TYPE_CHECKING", 3)
    assert unread("int | None", 5)
    assert unread("*", 5)
    assert unread("int | str", 5)
    assert unread("int | None", 6)
    assert not any(unread(text, 5) for text in ("1 + 1", "f"))
    assert not unread("a or b", 6)
    assert not unread("c * 2", 7)


# --- the page of results ---

PAGE = load("table").read()
HARMLESS = ("equivalent", "performance only", "memory only")


def test_the_page_has_a_complete_run_of_every_module_and_of_no_other():
    assert set(PAGE) == set(modules.MODULES)
    assert [module for module, outcome in PAGE.items() if outcome.untried] == []


@pytest.mark.parametrize("module", sorted(PAGE))
def test_nine_tenths_of_the_mutants_are_killed_and_every_survivor_has_its_reason(module):
    killed, survivors = PAGE[module].killed, PAGE[module].survivors
    assert [survivor.name for survivor in survivors if not survivor.reason] == []
    noticeable = [survivor for survivor in survivors if not survivor.reason.startswith(HARMLESS)]
    assert killed >= 0.9 * (killed + len(noticeable))
