"""Tests of every theorem: it holds on its own instances, and a false constant is refuted on them."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from theory.comparison import catalogue
from theory.comparison.compare import Comparison, compare, false_versions
from theory.comparison.rounding import sizes_and_precision
from theory.statement.bound import Bound
from theory.statistics.verdict import Verdict

BOUNDS = catalogue.bounds()
LARGEST = 64  # a wrong constant is visible in small matrices, and many runs of them are cheap
LONGEST = 512  # of one vector, for theorems about transforms that say nothing below


def _judged(b: Bound, instance: str, trials: int) -> list[Comparison]:
    """Return the verdicts on a theorem and its false versions, in their order, from the same runs."""
    make = getattr(b, instance)
    assert make is not None, f"{b.name} names no {instance} instance"
    rng = np.random.default_rng([zlib.crc32(f"{b.name} {instance}".encode())])
    method, target = make(rng)
    return compare(method, target, [b, *false_versions(b)], trials=trials, rng=rng)


@pytest.mark.parametrize("name", BOUNDS)
def test_a_theorem_is_not_refuted_on_its_generic_instance(name: str) -> None:
    comparison = _judged(BOUNDS[name], "generic", trials=50)[0]
    assert comparison.verdict not in (Verdict.REFUTED, Verdict.NOT_APPLICABLE), comparison


@pytest.mark.parametrize("name", BOUNDS)
def test_a_theorem_stands_and_a_false_constant_falls_on_the_extremal_instance(name: str) -> None:
    b = BOUNDS[name]
    true, *false = _judged(b, "extremal", trials=200)
    assert true.verdict not in (Verdict.REFUTED, Verdict.NOT_APPLICABLE), true
    assert len(false) == len(b.controls)
    for comparison in false:
        assert comparison.verdict is Verdict.REFUTED, comparison


@pytest.mark.parametrize("name", [name for name, b in BOUNDS.items() if b.two_sided])
def test_an_equality_has_controls_on_both_sides(name: str) -> None:
    """A right-hand side that is too large violates an equality as much as one that is too small."""
    b = BOUNDS[name]
    assert len(b.controls) == 2
    assert min(b.controls) < 1 < max(b.controls)
    assert b.no_control == ""


@pytest.mark.parametrize("name", BOUNDS)
def test_a_theorem_without_control_gives_the_reason(name: str) -> None:
    b = BOUNDS[name]
    assert (b.must_fail is None) == bool(b.no_control)


@pytest.mark.parametrize("name", BOUNDS)
def test_a_theorem_says_what_it_states_and_where_it_is_found(name: str) -> None:
    b = BOUNDS[name]
    assert b.statement
    assert str(b.source)


@pytest.mark.parametrize("name", BOUNDS)
def test_an_instance_is_small(name: str) -> None:
    _, target = BOUNDS[name].extremal(np.random.default_rng(0))
    (sizes, _) = sizes_and_precision(target)
    assert max(sizes) <= (LONGEST if len(sizes) == 2 and min(sizes) == 1 else LARGEST)


@pytest.mark.parametrize("name", BOUNDS)
def test_the_factor_that_must_fail_makes_the_statement_stronger(name: str) -> None:
    b = BOUNDS[name]
    if b.must_fail is not None:
        assert b.must_fail > 1 if b.side == "lower" else b.must_fail < 1


def test_there_are_theorems_of_every_kind() -> None:
    assert {b.kind for b in BOUNDS.values()} == {"prior", "conditional", "identity"}
    assert {type(b.guarantee).__name__ for b in BOUNDS.values()} >= {
        "Deterministic",
        "InExpectation",
        "ExactExpectation",
        "WithProbability",
    }
