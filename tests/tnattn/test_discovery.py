"""Discovery by scanning: the classes found, and refusals."""

import sys
import types

import pytest

from tnattn import discovery
from tnattn.attention.method import AttentionMethod

PROTOTYPE = """
from tnattn.attention.sparse.top_k import TopK
class Mine(TopK): pass
class Other(TopK): pass
"""


def test_methods_are_found_by_name_and_family():
    found = discovery.subclasses("tnattn.attention", AttentionMethod)
    assert {"Performer", "Causal"} <= set(found)
    assert discovery.family(found["Performer"]) == "random_features"
    assert "AttentionMethod" not in found


def test_a_name_defined_twice_is_refused(monkeypatch):
    def module(name):
        made = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    first, second = module("doubled.a"), module("doubled.b")
    for made in (first, second):
        made.same = types.SimpleNamespace(module=made.__name__)
    monkeypatch.setattr(discovery, "modules", lambda package: [first, second])
    with pytest.raises(ValueError, match="same is defined twice in doubled, again in doubled.b"):
        discovery.instances("doubled", types.SimpleNamespace)


def test_a_folder_is_a_package_and_a_file_a_module(tmp_path):
    folder = tmp_path / "package_of_a_user"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "inner/__init__.py").write_text("")
    (folder / "inner/mine.py").write_text(PROTOTYPE)
    assert set(discovery.subclasses(str(folder), AttentionMethod)) == {"Mine", "Other"}
    assert set(discovery.subclasses("package_of_a_user", AttentionMethod)) == {"Mine", "Other"}
    assert set(discovery.subclasses(str(folder / "inner/mine.py"), AttentionMethod)) == {"Mine", "Other"}


@pytest.mark.parametrize("reference", ["no_such_package", "/no/such/folder", "", ".relative"])
def test_what_is_no_package_is_named(reference):
    with pytest.raises(ValueError, match="is no package"):
        discovery.subclasses(reference, AttentionMethod)


def test_a_class_is_loaded_from_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PROTOTYPE)
    assert discovery.from_file(f"{path}:Mine", AttentionMethod).__name__ == "Mine"


@pytest.mark.parametrize(
    ("text", "reference", "message"),
    [
        (PROTOTYPE, "mine.py:Third", "defines no AttentionMethod 'Third'; it defines Mine, Other"),
        ("1 / 0", "mine.py:Mine", "fails to import: ZeroDivisionError"),
        (PROTOTYPE, "absent.py:Mine", "is not a Python file"),
        (PROTOTYPE, "mine.txt:Mine", "is not a Python file"),
    ],
)
def test_a_bad_reference_is_said(tmp_path, text, reference, message):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        discovery.from_file(str(tmp_path / reference), AttentionMethod)


@pytest.fixture
def pair(tmp_path):
    """Write a file and the helper that it imports; return the value that the file sees."""

    def load(value, folder="a", text="from helper import VALUE\n"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "helper.py").write_text(f"VALUE = {value}\n")
        (tmp_path / folder / "mine.py").write_text(text)
        return discovery.load_file(tmp_path / folder / "mine.py")

    return load


def test_a_file_is_imported_again_when_its_helper_changes(pair):
    """All within one second and of one size, which compiled files would not notice."""
    assert [pair(value).VALUE for value in (1, 2, 3)] == [1, 2, 3]


def test_a_file_that_stays_the_same_is_imported_once(pair):
    assert pair(1) is pair(1)


def test_helpers_of_one_name_in_two_folders_are_kept_apart(pair):
    text = "from helper import VALUE\ndef late():\n    import helper\n    return helper.VALUE\n"
    first, second = pair(1, "a", text), pair(2, "b", text)
    assert (first.VALUE, second.VALUE, second.late()) == (1, 2, 2)
    assert pair(1, "a", text).late() == 1


def test_a_file_that_fails_after_a_change_leaves_the_former_module(pair, tmp_path):
    first = pair(1)
    with pytest.raises(ValueError, match="fails to import"):
        pair(2, text="1 / 0\n")
    assert sys.modules[first.__name__] is first
