"""The check of theorems passes true ones, and catches what is wrong with others, law by law."""

from dataclasses import replace

import numpy as np
import pytest

from theory.comparison import catalogue
from theory.statement.source import Source
from theory.testing import BOUND_LAWS, check_bound
from tnattn.attention.baseline.mean_value import MeanValue
from tnattn.testing import ConformanceError

BOUNDS = catalogue.bounds()
TRUE = BOUNDS["rrf_fro_expected"]


@pytest.mark.parametrize("name", ["rrf_fro_expected", "eckart_young_mirsky_frobenius", "gn_conditional_identity"])
def test_a_true_theorem_passes(name):
    report = check_bound(BOUNDS[name])
    assert [finding.law for finding in report.findings] == list(BOUND_LAWS)
    assert report.of("holds") == report.findings


@pytest.mark.slow
@pytest.mark.parametrize("name", {b.module: name for name, b in BOUNDS.items()}.values())
def test_a_theorem_of_every_module_passes(name):
    check_bound(BOUNDS[name], laws=["statement", "instances", "values"])


def undocumented(method, a):
    return np.ones(a.shape[:-2])


def stack_of_two(method, a):
    """E||A - QQ^T A|| <= something, twice."""
    return np.full((2,), 1e9)


def fragile(method, a):
    """E||A - QQ^T A|| <= 1e9 where the first entry is not zero."""
    if a[0, 0] == 0:
        raise ZeroDivisionError
    return np.asarray(1e9 * np.linalg.norm(a))


BROKEN = {
    "statement": replace(TRUE, function=undocumented),
    "instances": replace(TRUE, method=MeanValue),
    "values": replace(TRUE, function=stack_of_two),
    "not refuted": TRUE.scaled(0.3),
    "control": TRUE.scaled(100.0),
    "variants": replace(TRUE, function=fragile),
}


@pytest.mark.parametrize("law", BOUND_LAWS)
def test_what_breaks_a_law_is_caught(law):
    with pytest.raises(ConformanceError, match=f"  {law} on "):
        check_bound(BROKEN[law], laws=[law])


@pytest.mark.parametrize(
    ("law", "broken", "words"),
    [
        ("statement", replace(TRUE, source=Source("")), "no source"),
        ("instances", replace(TRUE, extremal=None, generic=None), "no instance"),
        ("control", replace(TRUE, must_fail=None), "no reason is given"),
        ("control", replace(TRUE, extremal=None), "no extremal instance"),
    ],
)
def test_what_is_missing_is_named(law, broken, words):
    with pytest.raises(ConformanceError, match=words):
        check_bound(broken, laws=[law])


def test_a_theorem_without_control_gives_its_reason():
    (found,) = check_bound(replace(TRUE, must_fail=None, no_control="none is known"), laws=["control"]).findings
    assert (found.status, found.detail) == ("not applicable", "none is known")


def test_something_else_is_refused():
    with pytest.raises(TypeError, match="made by the decorator"):
        check_bound(undocumented)
    with pytest.raises(ValueError, match="no law other"):
        check_bound(TRUE, laws=["other"])
