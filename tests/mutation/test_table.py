"""The table of mutants keeps the other modules, and the reasons that were written into it."""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest


@pytest.fixture(scope="module")
def table():
    """The tool lies in no package; its table needs no mutation library."""
    path = Path(__file__).with_name("table.py")
    specification = importlib.util.spec_from_file_location("mutation_table", path)
    made = importlib.util.module_from_spec(specification)
    sys.modules["mutation_table"] = made
    specification.loader.exec_module(made)
    return made


MODULES = ("tnattn/linalg/products.py", "theory/statistics/judge.py")
DIFF = """--- mutation diff ---
--- a/tnattn/linalg.py
+++ b/tnattn/linalg.py
@@ -3,3 +3,3 @@
 def f(a, b):
-    return a | b
+    return a & b
"""


def completed(*verdicts):
    """Sessions as the library gives them: an item with its mutation, and a result."""
    mutation = SimpleNamespace(start_pos=(4, 12), definition_name="f")
    item = SimpleNamespace(mutations=(mutation,))
    return [(item, SimpleNamespace(test_outcome=SimpleNamespace(value=v), diff=DIFF, output="")) for v in verdicts]


def left_out(reason):
    """A mutation that was not tried."""
    return None, SimpleNamespace(test_outcome=None, diff=None, output=reason)


def test_killed_and_surviving_mutants_are_counted_and_skipped_ones_are_not(table):
    made = table.outcome("tnattn/linalg/products.py", ["t.py"], completed("killed", "incompetent", "survived", None))
    assert (made.killed, len(made.survivors)) == (2, 1)
    (survivor,) = made.survivors
    assert survivor.name == ("f", "return a | b", "return a & b")


def test_comments_behind_code_do_not_name_a_mutant(table):
    with_comment = [line + "  # either bit" * line.startswith(("-  ", "+  ")) for line in DIFF.splitlines()]
    assert table._lines("\n".join(with_comment)) == ("return a | b", "return a & b")


def test_a_page_is_read_back(table, tmp_path):
    made = table.outcome("tnattn/linalg/products.py", ["t.py", "u.py"], completed("killed", "survived"))
    table.write(made, MODULES, "a machine", tmp_path / "mutants.md")
    assert "\na machine\n" in (tmp_path / "mutants.md").read_text()
    assert table.read(tmp_path / "mutants.md") == {"tnattn/linalg/products.py": made}


def test_a_sample_is_said_to_be_one(table, tmp_path):
    tried = [*completed("killed", "survived"), left_out("not sampled"), left_out("not chosen")]
    made = table.outcome("tnattn/linalg/products.py", ["t.py"], tried)
    assert (made.tried, made.untried) == ("2 of 3, sampled", 1)
    assert table.outcome("tnattn/linalg/products.py", ["t.py"], tried[:2]).tried == "all 2"
    table.write(made, MODULES, "a machine", tmp_path / "mutants.md")
    assert table.read(tmp_path / "mutants.md") == {"tnattn/linalg/products.py": made}


def test_reasons_and_other_modules_survive_the_next_run(table, tmp_path):
    page = tmp_path / "mutants.md"
    made = table.outcome("tnattn/linalg/products.py", ["t.py"], completed("killed", "survived"))
    with_a_reason(table, made, page)
    table.write(table.outcome("theory/statistics/judge.py", ["v.py"], completed("killed")), MODULES, "a machine", page)
    table.write(made, MODULES, "a machine", page)
    found = table.read(page)
    assert set(found) == {"tnattn/linalg/products.py", "theory/statistics/judge.py"}
    assert found["tnattn/linalg/products.py"].survivors[0].reason == "the same"


def with_a_reason(table, made, page):
    """Write a page, and a reason for its survivor into it."""
    table.write(made, MODULES, "a machine", page)
    page.write_text(page.read_text().replace("`return a & b` |  |", "`return a & b` | the same |"))


def test_a_reason_follows_a_function_into_another_module_and_the_old_module_goes(table, tmp_path):
    page = tmp_path / "mutants.md"
    with_a_reason(table, table.outcome("tnattn/linalg/products.py", ["t.py"], completed("survived")), page)
    moved = table.outcome("theory/statistics/judge.py", ["v.py"], completed("survived"))
    table.write(moved, ["theory/statistics/judge.py"], "a machine", page)
    (found,) = table.read(page).values()
    assert (found.module, found.survivors[0].reason) == ("theory/statistics/judge.py", "the same")


def test_survivors_stand_in_the_order_of_the_module_without_their_lines(table, tmp_path):
    rows = [item_at(line, name) for line, name in ((9, "a"), (2, "z"))]
    made = table.outcome("tnattn/linalg/products.py", ["t.py"], rows)
    assert [survivor.place for survivor in made.survivors] == ["z", "a"]
    table.write(made, MODULES, "a machine", tmp_path / "mutants.md")
    assert table.read(tmp_path / "mutants.md")["tnattn/linalg/products.py"].survivors == made.survivors


def item_at(line, name):
    """A survivor of a session, in a function at a line."""
    mutation = SimpleNamespace(start_pos=(line, 1), definition_name=name)
    result = SimpleNamespace(test_outcome=SimpleNamespace(value="survived"), diff=DIFF, output="")
    return SimpleNamespace(mutations=(mutation,)), result
