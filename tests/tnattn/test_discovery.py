"""What scanning finds, and what it refuses."""

import sys
import types

import pytest

from theory.bound import Bound
from tnattn import discovery
from tnattn.attention.method import AttentionMethod

PROTOTYPE = """
from tnattn.attention.sparse.top_k import TopK
class Mine(TopK): pass
class Other(TopK): pass
"""


def test_methods_are_found_by_name_and_family():
    found = discovery.subclasses("tnattn.attention", AttentionMethod)
    assert {"Performer", "TopK", "Causal", "HeadTensor"} <= set(found)
    assert discovery.family(found["Performer"]) == "random_features"
    assert "AttentionMethod" not in found


def test_theorems_are_found():
    assert "rrf_fro_expected" in discovery.instances("theory.bounds", Bound)


def test_a_name_defined_twice_is_refused(monkeypatch):
    theorem = discovery.instances("theory.bounds", Bound)["rrf_fro_expected"]

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
    assert theorem.name == "rrf_fro_expected"


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
