"""Docstrings of theorems: hypotheses as they are checked, letters of the statement, number of the source."""

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
    """Say whether all hypotheses stand in a text, one after the other."""
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
    """Say whether a text has a letter apart from formulas: followed by words, or alone between words."""
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
