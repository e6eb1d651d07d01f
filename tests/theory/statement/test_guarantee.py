"""Guarantees: what their theorems are about, when they are decided, and what follows from them by Jensen."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from theory.statement.evidence import Evidence
from theory.statement.guarantee import (
    Asymptotic,
    Deterministic,
    ExactExpectation,
    Guarantee,
    InExpectation,
    WithProbability,
)

TRAITS = ("always", "averaged", "equality", "chance", "growth")


def moment(*_: Any) -> float:
    return 3.0


@pytest.mark.parametrize(
    ("guarantee", "traits", "words"),
    [
        (Deterministic(), ("always",), "always"),
        (InExpectation(), ("averaged",), "in expectation"),
        (ExactExpectation(), ("averaged", "equality"), "exact expectation"),
        (WithProbability(), ("chance",), "with probability"),
        (Asymptotic(-0.5), ("growth",), "rate -0.5"),
    ],
    ids=str,
)
def test_every_guarantee_states_its_sense(guarantee: Guarantee, traits: tuple[str, ...], words: str) -> None:
    assert {name for name in TRAITS if getattr(guarantee, name)} == set(traits)
    assert str(guarantee) == words
    assert (guarantee.condition, guarantee.subtraction, guarantee.ceiling, guarantee.spread) == (1.0, False, None, None)


def test_a_guarantee_of_its_own_class_has_no_trait_unless_it_says_so() -> None:
    assert not any(getattr(Guarantee, name) for name in TRAITS)
    with pytest.raises(TypeError, match="abstract"):
        Guarantee()  # type: ignore[abstract]


@pytest.mark.parametrize("guarantee", [Deterministic(), InExpectation(), WithProbability(), Asymptotic(1.0)], ids=str)
def test_guarantees_are_values(guarantee: Guarantee) -> None:
    same = dataclasses.replace(guarantee)  # type: ignore[type-var]
    assert same == guarantee
    assert hash(same) == hash(guarantee)
    with pytest.raises(dataclasses.FrozenInstanceError):
        guarantee.condition = 2.0


def test_an_exact_expectation_is_reported_within_a_tenth() -> None:
    assert ExactExpectation().margin == 0.1


def test_only_a_mean_with_a_ceiling_is_decided_early() -> None:
    assert not InExpectation().decides_early(None)
    assert InExpectation().decides_early(3.0)
    assert InExpectation(ceiling=moment).decides_early(None)
    for other in (Deterministic(), ExactExpectation(ceiling=moment), WithProbability(), Asymptotic(1.0)):
        assert not other.decides_early(3.0)


def test_a_bound_that_follows_keeps_the_guarantee_or_holds_in_expectation() -> None:
    for kept in (Deterministic(condition=2.0), WithProbability(), Asymptotic(1.0)):
        assert kept.of_a_bound() is kept
    for mean in (InExpectation(moment, moment, 2.0), ExactExpectation(0.2, moment, moment, 2.0)):
        assert mean.of_a_bound() == InExpectation()


def evidence_of(left: float, right: float, kind: Any, side: Any = "upper") -> Evidence:
    """Evidence of one trial and one entry, without rounding."""
    return Evidence(
        np.array([[left]]), np.array([[right]]), np.zeros((1, 1)), np.zeros(1), None, None, 0, side=side, kind=kind
    )


@pytest.mark.parametrize(
    ("left", "right", "side", "kind", "refuted"),
    [
        (1.0, 2.0, "upper", "prior", False),
        (2.0, 1.0, "upper", "prior", True),
        (1.0, 2.0, "lower", "prior", True),
        (2.0, 1.0, "lower", "prior", False),
        (1.0, 2.0, "upper", "identity", True),
        (2.0, 1.0, "upper", "identity", True),
        (-2.0, -2.0, "upper", "identity", False),
        (2.0, -2.0, "upper", "identity", True),
    ],
)
def test_an_identity_is_violated_on_both_sides(left: float, right: float, side: str, kind: str, refuted: bool) -> None:
    judged = Deterministic().judge(evidence_of(left, right, kind, side), 1e-3)
    assert (judged.verdict == "refuted") is refuted
