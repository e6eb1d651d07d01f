"""A user's method passes the laws before it is ranked; a violated law stands beside every number of the method."""

import dataclasses
import json

import pytest

from theory import cli
from theory.commands import writing
from theory.reports.results import read
from theory.reports.sections import ranking
from theory.studies import conformance
from theory.studies.attention import AttentionStudy, Settings, load, run_study
from theory.studies.candidates import Candidate, methods, select
from theory.studies.conformance import broken_laws
from theory.studies.problems import ProblemSource
from theory.studies.summary import lines
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.baseline.mean_value import MeanValue
from tnattn.attention.wrappers.causal import Causal

SOURCE = ProblemSource("gallery", "gauss", n=16, d=4, heads=2)
HEAD = """
from dataclasses import dataclass, replace
from typing import ClassVar
from tnattn.attention import masks
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.method import JointMethod, KeyMethod

"""
TEMPLATE = """
@dataclass(frozen=True)
class {name}(JointMethod):
    masks: ClassVar = (masks.FullMask, masks.CausalMask)

    def approximate(self, problem, *, rng):
        exact = Exact()({problem})
        return type(exact)(kernel=exact.kernel, shift=exact.shift, values={factor} * exact.values)

    def cost(self, problem):
        return Exact().cost(problem)
"""
FILE = HEAD + "".join(
    TEMPLATE.format(name=name, problem=problem, factor=factor)
    for name, problem, factor in (
        ("TwoX", "problem", 2),
        ("Leaks", "replace(problem, mask=masks.FullMask())", 1),
        ("Lawful", "problem", 1),
    )
)


@pytest.fixture
def mine(tmp_path):
    """The path of a file with a method that doubles, one that reads the future, and one that does neither."""
    (tmp_path / "mine.py").write_text(FILE)
    return tmp_path / "mine.py"


def method(mine, name):
    return next(c for c in select([f"{mine}:{name}"]) if c.label == name)


def study(mine, name, *, causal=False, strict=False):
    source = dataclasses.replace(SOURCE, causal=causal)
    chosen = (Candidate(MeanValue(), control=True), method(mine, name))
    return AttentionStudy(Settings(source, chosen, (4,), trials=1, strict=strict))


@pytest.mark.parametrize(("name", "law"), [("TwoX", "P1"), ("Leaks", "P2"), ("Lawful", None)])
@pytest.mark.parametrize("causal", [False, True])
def test_the_violated_law_is_named(mine, name, law, causal):
    found = {broken.law: broken for broken in study(mine, name, causal=causal).broken_laws}
    assert (law in found) if law else not found
    if law:
        assert found[law].method == name
        assert found[law].statement
        assert "gauss" in found[law].detail


def test_methods_inside_a_wrapper_are_checked(mine):
    @dataclasses.dataclass(frozen=True)
    class Outer:
        method: object

    assert conformance.is_foreign(Outer(Exact()))
    assert broken_laws(method(mine, "TwoX").method, "TwoX")


@pytest.mark.parametrize("name", list(methods()))
def test_methods_of_the_package_are_not_checked_again(name, monkeypatch):
    monkeypatch.setattr(conformance, "check_method", lambda *_, **__: pytest.fail("checked"))
    assert broken_laws(methods()[name](), name) == []
    assert broken_laws(Causal(), "Causal") == []


def test_a_method_that_cannot_be_checked_is_no_lawful_one(mine, monkeypatch):
    def fails(*_, **__):
        raise TypeError("no dataclass")

    monkeypatch.setattr(conformance, "check_method", fails)
    (law,) = broken_laws(method(mine, "Lawful").method, "Lawful")
    assert "no dataclass" in law.detail


def test_strict_refuses_before_anything_is_computed(mine):
    with pytest.raises(ValueError, match=r"TwoX violates P1 .*--strict"):
        study(mine, "TwoX", strict=True)
    assert study(mine, "Lawful", strict=True).broken_laws == []


def test_rows_lines_rankings_and_the_report_say_so(mine, tmp_path):
    run_study(study(mine, "TwoX"), tmp_path / "out")
    made = {line.method: line for line in lines(load(tmp_path / "out"))}
    assert any(mark.startswith("violates ") and "P1" in mark for mark in made["TwoX"].marks)
    assert not any(mark.startswith("violates ") for mark in made["MeanValue"].marks)
    results = read(tmp_path / "out")
    assert {law["method"] for law in results.broken_laws} == {"TwoX"}
    _, page = ranking.section(results, "gauss")
    assert "violates P1" in page


@pytest.fixture
def run(mine, monkeypatch, tmp_path):
    """Run a comparison of a method of the file; return its exit status."""

    def blank(folder):
        (folder / "report.html").write_text("")
        return folder / "report.html"

    monkeypatch.setattr(writing, "write_report", blank)

    def compare(name, *words):
        grid = ["gauss", "--n", "16", "--d", "4", "--heads", "2", "--budgets", "4", "--trials", "1", "--workers", "0"]
        with pytest.raises(SystemExit) as left:
            cli.main(["compare", *grid, "--methods", f"{mine}:{name}", "--out", str(tmp_path / "out"), *words])
        return left.value.code

    return compare


def test_the_table_names_method_and_law(run, capsys):
    assert run("TwoX") == 0
    printed = capsys.readouterr().out
    assert "VIOLATED: TwoX: P1, V = 1 gives 1" in printed
    assert "violates P1" in " ".join(printed.split())


def test_a_leak_of_the_future_is_named_under_a_causal_mask(run, capsys):
    assert run("Leaks", "--causal", "--json") == 0
    violated = json.loads(capsys.readouterr().out)["violated"]
    assert {(law["method"], law["law"]) for law in violated} >= {("Leaks", "P2")}


def test_strict_is_a_mistake_in_one_sentence(run, capsys):
    assert run("TwoX", "--strict") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: TwoX violates P1")
    assert said.count("\n") == 1
    assert run("Lawful", "--strict") == 0
