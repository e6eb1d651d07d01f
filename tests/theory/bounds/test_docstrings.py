"""Docstrings of theorems: hypotheses as they are checked, letters of the statement, number of the source."""

import ast
import importlib
import inspect
import re
import sys

import numpy as np
import pytest

from theory.comparison import catalogue
from theory.statement.bound import HypothesisViolated, require

BOUNDS = catalogue.bounds()
GREEK = {"alpha", "beta", "gamma", "delta", "epsilon", "eps", "eta", "rho", "tau", "sigma", "mu", "phi", "Phi", "Omega"}
ABBREVIATIONS = {"asr", "diam", "Pi"}
NUMBER = re.compile(r"(Theorems?|Lemmas?|Corollary|Propositions?|Property|Section|Algorithm|equation) \(?\d")


def sentences(text):
    return " ".join(text.split())


def docstring(b):
    return inspect.getdoc(b.function) or ""


def part(b, title):
    """Return what stands after "Hypotheses:" or "Letters:" up to the next of them."""
    found = re.search(rf"{title}: (.*?)(?=Hypotheses: |$)", sentences(docstring(b)))
    return found.group(1) if found else ""


@pytest.fixture
def checked(monkeypatch):
    """Record the hypotheses that theorems require, in their order."""
    seen = []

    def recorded(condition, hypothesis):
        if hypothesis not in seen:
            seen.append(hypothesis)
        require(condition, hypothesis)

    for name, module in list(sys.modules.items()):
        if name.startswith("theory.bounds") and getattr(module, "require", None) is require:
            monkeypatch.setattr(module, "require", recorded)
    return seen


def evaluated(b, instance):
    rng = np.random.default_rng(0)
    method, target = instance(rng)
    result = None
    if b.kind != "prior":
        draws = "rng" in inspect.signature(method).parameters
        result = method(target, rng=rng) if draws else method(target)
    try:
        b.function(*((method, target) if b.kind == "prior" else (method, target, result)))
    except HypothesisViolated:
        pytest.fail(f"{b.name} does not apply to its own instance")


def stated_in_order(hypotheses, text):
    """Return true if all hypotheses stand in a text, one after the other."""
    position = 0
    for hypothesis in hypotheses:
        position = text.find(sentences(hypothesis), position)
        if position < 0:
            return False
        position += len(hypothesis)
    return True


@pytest.mark.parametrize("name", BOUNDS)
def test_every_hypothesis_that_is_checked_is_stated_in_its_order(name, checked):
    b = BOUNDS[name]
    evaluated(b, b.extremal)
    stated = part(b, "Hypotheses")
    assert stated, "no hypotheses are stated; write 'Hypotheses: none' where there are none"
    assert stated_in_order(checked, stated), f"checked: {checked}"


@pytest.mark.parametrize("name", BOUNDS)
def test_hypotheses_of_the_generic_instance_are_stated(name, checked):
    b = BOUNDS[name]
    evaluated(b, b.generic)
    stated = part(b, "Hypotheses")
    assert all(sentences(hypothesis) in stated for hypothesis in checked), checked


def letters(text):
    """Return the letters of a statement: single ones, Greek ones and abbreviations, without index, prime and ^T."""
    found = re.findall(r"(?<![A-Za-z\\_])[A-Za-z]+'?_?(?![0-9])", text.replace("^T", ""))
    words = [word.rstrip("_").rstrip("'") for word in found]
    return {word for word in words if (len(word) == 1 and word != "a") or word in GREEK | ABBREVIATIONS}


def defined(letter, text):
    """Return true if a text has a letter apart from formulas: followed by words, or alone between words."""
    mark = rf"(?<![A-Za-z_\^\\]){re.escape(letter)}(?:_[A-Za-z0-9<>{{}}+]+)?'?(?:\([^)]*\))?(?:\^\d)?"
    return re.search(rf"{mark},? (?:[a-z]+|= |>=)|[a-z]{{3,}},? {mark}(?=[ ,.;:)]|$)", text) is not None


@pytest.mark.parametrize("name", BOUNDS)
def test_every_letter_of_the_statement_is_defined(name):
    b = BOUNDS[name]
    chapter = importlib.import_module(b.module.rpartition(".")[0]).__doc__ or ""
    notation = chapter.partition("Notation\n")[2]
    known = f"{sentences(docstring(b))} {sentences(notation)}"
    missing = sorted(letter for letter in letters(b.statement) if not defined(letter, known))
    assert not missing


@pytest.mark.parametrize("name", BOUNDS)
def test_a_source_has_a_statement_with_its_number_or_says_that_it_was_derived(name):
    source = BOUNDS[name].source
    assert source.statement
    assert NUMBER.search(source.statement) or "re-derived" in str(source) or "not numbered" in source.statement, source


def test_a_missing_hypothesis_is_found():
    assert stated_in_order(["k >= 2", "p >= 2"], "k >= 2; p >= 2.")
    assert not stated_in_order(["k >= 2", "p >= 2"], "p >= 2; k >= 2.")
    assert not stated_in_order(["k >= 2", "p >= 4"], "k >= 2; p >= 2.")


def test_an_undefined_letter_is_found():
    assert letters("||A - QQ^T A|| <= (1 + t sqrt(k)) tau_k") == {"A", "t", "k", "tau"}
    assert not defined("k", "sqrt(k+p) and s_k^2")
    assert not defined("t", "the test matrix")
    assert defined("k", "Letters: k the target rank.")
    assert defined("s", "for s columns")
    assert defined("c", "c(e) = exp(e)")


RELATION = re.compile(r"<=|>=|[<=>]| equals | the same ")
ABBREVIATED = {"epsilon": "eps", "failure": "failure", "ridge": "r", "markov": "f", "decay": "g"}


def bound_letters(b):
    """Return what stands after "Letters:" up to the hypotheses."""
    found = re.search(r"Letters: (.*?)(?= Hypotheses: |$)", sentences(docstring(b)))
    return found.group(1) if found else ""


def bound_in(letter, text):
    """Say whether a list binds a letter: at its beginning or after a comma, a semicolon or "and", before words."""
    index = r"(?:_[A-Za-z0-9{}+<>]+)?'?(?:\([^)]*\))?"
    return re.search(rf"(?:^|; |, | and ){re.escape(letter)}{index} [a-z0-9(\[]", text) is not None


def explained_in(letter, text):
    """Say whether a sentence gives the meaning of a letter: "k is", "c(e) =", "U a"."""
    index = r"(?:_[A-Za-z0-9{}+<>]+)?'?(?:\([^)]*\))?(?:\^2)?"
    meaning = r"(?:is|are|=|and \S+ (?:is|are)|the|a|an) "
    return re.search(rf"(?<![A-Za-z_^]){re.escape(letter)}{index} {meaning}", text) is not None


@pytest.mark.parametrize("name", BOUNDS)
def test_the_first_line_is_the_relation(name):
    first = docstring(BOUNDS[name]).split("\n\n")[0]
    assert "\n" not in first
    assert RELATION.search(first)


@pytest.mark.parametrize("name", BOUNDS)
def test_letters_and_then_hypotheses_end_the_docstring(name):
    text = docstring(BOUNDS[name])
    assert ordered(text), text


def ordered(text):
    """Say whether a docstring ends with one list of letters, if any, and one of hypotheses."""
    lines = text.split("\n")
    letters_at = [i for i, line in enumerate(lines) if line.startswith("Letters: ")]
    hypotheses_at = [i for i, line in enumerate(lines) if line.startswith("Hypotheses: ")]
    if len(letters_at) > 1 or len(hypotheses_at) != 1 or letters_at > hypotheses_at:
        return False
    return "" not in lines[(letters_at or hypotheses_at)[0] :]


@pytest.mark.parametrize("name", BOUNDS)
def test_every_letter_of_the_statement_is_bound(name):
    b = BOUNDS[name]
    chapter = importlib.import_module(b.module.rpartition(".")[0]).__doc__ or ""
    notation = sentences(chapter.partition("Notation\n")[2])
    body = sentences(docstring(b)).partition("Letters: ")[0].partition("Hypotheses: ")[0]
    unbound = [
        letter
        for letter in sorted(letters(b.statement))
        if not (bound_in(letter, bound_letters(b)) or defined(letter, notation) or explained_in(letter, body))
    ]
    assert unbound == []


def explained_parameter(parameter, text, listed):
    """Say whether a docstring names a parameter of the statement, or binds its letter as a parameter."""
    if re.search(rf"\b{parameter}\b", text):
        return True
    letter = rf"(?:{parameter[0]}|{ABBREVIATED.get(parameter, parameter)})"
    return re.search(rf"(?:^|; ){letter} [^;]*parameter", listed) is not None


@pytest.mark.parametrize("name", BOUNDS)
def test_every_parameter_of_the_statement_is_explained(name):
    b = BOUNDS[name]
    parameters = inspect.signature(b.function).parameters.values()
    own = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    assert [p for p in own if not explained_parameter(p, sentences(docstring(b)), bound_letters(b))] == []


def literal_hypotheses():
    """Return the hypotheses that the sources of the theorems name as literals."""
    found = set()
    for name, module in list(sys.modules.items()):
        if name.startswith("theory.bounds"):
            for node in ast.walk(ast.parse(inspect.getsource(module))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ("require", "HypothesisViolated"):
                    found |= {a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    return found


LITERALS = literal_hypotheses()


def unchecked(stated, known):
    """Return the hypotheses of a list that no check names."""
    rest = stated.strip().rstrip(".")
    for hypothesis in sorted(map(sentences, known), key=len, reverse=True):
        rest = rest.replace(hypothesis, "")
    return [part.strip() for part in rest.split(";") if part.strip()]


@pytest.mark.parametrize("name", BOUNDS)
def test_every_stated_hypothesis_is_checked(name, checked):
    b = BOUNDS[name]
    for instance in (b.extremal, b.generic):
        evaluated(b, instance)
    stated = part(b, "Hypotheses")
    if stated.startswith("none"):
        assert checked == []
    else:
        assert unchecked(stated, [*checked, *LITERALS]) == []


def test_a_line_without_relation_is_found():
    """Negative control."""
    assert RELATION.search("||A - A_k|| <= s_{k+1}.")
    assert not RELATION.search("Error of the truncated decomposition.")


def test_hypotheses_before_letters_are_found():
    """Negative control."""
    assert ordered("x <= y.\n\nLetters: x a number.\nHypotheses: x > 0.")
    assert ordered("x <= y.\n\nHypotheses: none.")
    assert not ordered("x <= y.\n\nHypotheses: x > 0.\nLetters: x a number.")
    assert not ordered("x <= y.\n\nHypotheses: x > 0.\n\nMore words.")
    assert not ordered("x <= y.\n\nLetters: x a number.")


def test_an_unbound_letter_is_found():
    """Negative control."""
    listed = "k the target rank; S_1 the leading singular values and S_2 the others"
    assert bound_in("k", listed)
    assert bound_in("S", listed)
    assert not bound_in("p", listed)
    assert not bound_in("r", listed)
    assert explained_in("c", "where c(e) = exp(e) and m is large")
    assert not explained_in("k", "an orthonormal basis, of dimension k; s rows are drawn")


def test_an_unexplained_parameter_is_found():
    """Negative control."""
    assert explained_parameter("delta", "``delta`` is the probability", "")
    assert explained_parameter("epsilon", "", "e the distortion, a parameter; s rows")
    assert not explained_parameter("epsilon", "", "e the distortion; s rows, a parameter")


def test_an_unchecked_hypothesis_is_found():
    """Negative control."""
    assert unchecked("k >= 2; p >= 2; k + p <= min(m, n).", ["p >= 2", "k >= 2", "k + p <= min(m, n)"]) == []
    assert unchecked("k >= 2; A is symmetric.", ["k >= 2"]) == ["A is symmetric"]
