from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.special import hyp1f1

from theory.bounds.attention import random_features as theorems
from theory.bounds.attention.perturbed import random_problem
from theory.statement.bound import Bound, HypothesisViolated
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.features import (
    Hyperbolic,
    Independent,
    Orthogonal,
    Positive,
    Trigonometric,
)
from tnattn.attention.random_features.performer import Performer


def _pair(x: list[float], y: list[float]) -> AttentionProblem:
    """One query x and one key y at scale 1."""
    return AttentionProblem(np.array([[x]]), np.array([[y]]), np.ones((1, 1, 1)), scale=1.0)


def _value(b: Bound, problem: AttentionProblem, features: int, kind: Any, directions: Any) -> float:
    return float(b(Performer(features, kind, directions, centre=False), problem).value.item())


PAIR = _pair([0.6, 0.2, 0.0, 0.1], [0.3, -0.4, 0.5, 0.0])
DOT, SUM, DIFFERENCE = 0.1, 1.11, 0.71  # x.y, |x + y|^2, |x - y|^2: |x|^2 = 0.41, |y|^2 = 0.5


def test_positive_features_worked_by_hand() -> None:
    expected = math.exp(2 * DOT) * (math.exp(SUM) - 1) / 8
    assert _value(theorems.favor_positive_mse, PAIR, 8, Positive(), Independent()) == pytest.approx(expected)


def test_trigonometric_features_worked_by_hand() -> None:
    """Eight features are four directions."""
    expected = math.exp(SUM - 2 * DOT) * (1 - math.exp(-DIFFERENCE)) ** 2 / 8
    assert _value(theorems.favor_trig_mse, PAIR, 8, Trigonometric(), Independent()) == pytest.approx(expected)


def test_hyperbolic_features_worked_by_hand() -> None:
    expected = (1 - math.exp(-SUM)) / 2 * math.exp(2 * DOT) * (math.exp(SUM) - 1) / 4
    assert _value(theorems.favor_hyperbolic_mse, PAIR, 8, Hyperbolic(), Independent()) == pytest.approx(expected)


def test_the_cross_moment_of_the_worked_example() -> None:
    """d = 4, |x + y|^2 = 1: it drops from e to 1F1(4; 2; 1/2) = 2.5417786."""
    problem = _pair([1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0])
    independent = _value(theorems.favor_positive_mse, problem, 4, Positive(), Independent())
    orthogonal = _value(theorems.favor_orthogonal_positive, problem, 4, Positive(), Orthogonal())
    gained = (independent - orthogonal) / (3 / 4 * math.exp(-1))
    assert math.e - gained == pytest.approx(2.5417786, abs=1e-6)


def test_the_published_gap_of_the_worked_example() -> None:
    """d = 4, |x + y|^2 = 1: the paper allows e - (2 / 6) (e^1/2 - 1)^2 = 2.5780021 for the cross moment."""
    problem = _pair([1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0])
    independent = _value(theorems.favor_positive_mse, problem, 4, Positive(), Independent())
    published = _value(theorems.favor_orthogonal_gap, problem, 4, Positive(), Orthogonal())
    gained = (independent - published) / (3 / 4 * math.exp(-1))
    assert math.e - gained == pytest.approx(2.5780021, abs=1e-6)


def test_orthogonal_trigonometric_features_worked_by_hand() -> None:
    """Four directions in d = 4: one block, three of four pairs in it."""
    independent = _value(theorems.favor_trig_mse, PAIR, 8, Trigonometric(), Independent())
    cross = 0.75 * math.exp(0.91) * (hyp1f1(4, 2, -DIFFERENCE / 2) - math.exp(-DIFFERENCE))
    found = _value(theorems.favor_orthogonal_trig, PAIR, 8, Trigonometric(), Orthogonal())
    assert found == pytest.approx(independent + cross)


def test_the_exact_gain_is_at_least_the_published_one() -> None:
    problem = random_problem(np.random.default_rng(0), size=0.6)
    method = Performer(4, Positive(), Orthogonal(), centre=False)
    exact, published = (
        b(method, problem).value for b in (theorems.favor_orthogonal_positive, theorems.favor_orthogonal_gap)
    )
    assert np.all(exact <= published)


@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_only_pairs_within_a_block_gain(blocks: int) -> None:
    independent = _value(theorems.favor_positive_mse, PAIR, 4 * blocks, Positive(), Independent())
    orthogonal = _value(theorems.favor_orthogonal_positive, PAIR, 4 * blocks, Positive(), Orthogonal())
    one = _value(theorems.favor_positive_mse, PAIR, 4, Positive(), Independent())
    first = _value(theorems.favor_orthogonal_positive, PAIR, 4, Positive(), Orthogonal())
    assert independent - orthogonal == pytest.approx((one - first) / blocks)


def test_the_markov_bound_of_the_worked_example() -> None:
    """p = (1/2, 1/2), |x + y|^2 = 1, m = 4000, delta = 0.2: eta = 0.10363, factor eta / (1 - eta) = 0.115611."""
    problem = AttentionProblem(np.zeros((1, 1, 1)), np.array([[[1.0], [-1.0]]]), np.array([[[1.0], [-1.0]]]), scale=1.0)
    prediction = theorems.favor_output_markov(Performer(4000, Positive(), Independent(), centre=False), problem)
    assert prediction.value.item() == pytest.approx(0.115611, abs=1e-6)
    assert prediction.failure.item() == 0.2


def test_centring_a_problem_whose_keys_are_centred_changes_nothing() -> None:
    problem = random_problem(np.random.default_rng(0), size=0.5)
    centred = AttentionProblem(problem.q, problem.k - problem.k.mean(axis=-2, keepdims=True), problem.v)
    values = [
        theorems.favor_positive_mse(Performer(8, Positive(), Independent(), centre=centre), centred).value
        for centre in (True, False)
    ]
    np.testing.assert_allclose(*values, rtol=1e-10)


@pytest.mark.parametrize(
    "b, method, words",
    [
        (theorems.favor_trig_mse, Performer(8, Positive(), Independent()), "trigonometric features"),
        (theorems.favor_positive_mse, Performer(8, Positive(), Orthogonal()), "independent directions"),
        (theorems.favor_hyperbolic_mse, Performer(8, Trigonometric(), Independent()), "hyperbolic features"),
        (theorems.favor_orthogonal_positive, Performer(8, Positive(), Independent()), "orthogonal directions"),
        (theorems.favor_orthogonal_trig, Performer(8, Positive(), Orthogonal()), "trigonometric features"),
        (theorems.favor_orthogonal_gap, Performer(8, Positive(), Orthogonal()), "m <= d"),
        (theorems.favor_output_markov, Performer(2, Positive(), Orthogonal()), "eta < 1 in some row"),
    ],
    ids=lambda x: x.name if isinstance(x, Bound) else "",
)
def test_violated_hypotheses_are_named(b: Bound, method: Performer, words: str) -> None:
    with pytest.raises(HypothesisViolated, match=words):
        b(method, random_problem(np.random.default_rng(0)))


def test_a_softcap_is_outside_the_hypotheses() -> None:
    p = random_problem(np.random.default_rng(0))
    with pytest.raises(HypothesisViolated, match="inner products"):
        theorems.favor_positive_mse(
            Performer(8, Positive(), Independent()), AttentionProblem(p.q, p.k, p.v, softcap=5.0)
        )
