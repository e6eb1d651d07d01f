from __future__ import annotations

import math

import numpy as np
import pytest

from theory.bounds.attention.low_rank import (
    attention_spectral_norm,
    high_temperature_rank,
    low_temperature_floor,
    rank_bound,
    softmax_poly_rank,
    weights_rank_floor,
)
from theory.bounds.attention.perturbed import PerturbedScores, one_dimensional_problem, random_problem
from theory.statement.bound import Bound, HypothesisViolated
from theory.statement.errors import spectrum_of, tail, weights_frobenius
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.baseline.mean_value import MeanValue
from tnattn.attention.masks import CausalMask, ExplicitMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.wrappers.low_rank_weights import LowRankWeights
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD


def _best(rank: int) -> LowRankWeights:
    return LowRankWeights(TruncatedSVD(rank), renormalise=False)


def test_the_floor_of_the_worked_example() -> None:
    """64 queries with margin 12: rank 8 errs by at least sqrt(56) - sqrt(2) 8 delta = 7.478937."""
    identity = np.eye(64)[None]
    problem = AttentionProblem(12 * identity, identity, identity, scale=1.0)
    method = _best(8)
    assert low_temperature_floor(method, problem, method(problem)).value.item() == pytest.approx(7.478937, abs=1e-6)


def test_the_polynomial_rank_of_the_worked_example() -> None:
    """d = 2, p = 4, B = 1: rank 15 errs by at most 0.00160736 ||P||_F."""
    rng = np.random.default_rng(0)
    q, k = (rng.uniform(-1, 1, size=(1, 20, 2)) for _ in range(2))
    q, k = (x / np.linalg.norm(x, axis=-1).max() for x in (q, k))
    k[0, 0] = q[0, np.argmax(np.linalg.norm(q[0], axis=-1))]  # a score of exactly one
    problem = AttentionProblem(q, k, np.ones((1, 20, 1)), scale=1.0)
    size = np.linalg.norm(problem.dense_weights())
    assert softmax_poly_rank(_best(15), problem).value.item() / size == pytest.approx(0.00160736, rel=1e-5)


def test_a_larger_rank_between_two_degrees_gains_nothing() -> None:
    problem = random_problem(np.random.default_rng(0), width=2, size=0.3)
    three, five, six = (softmax_poly_rank(_best(r), problem).value for r in (3, 5, 6))
    np.testing.assert_array_equal(three, five)
    assert np.all(six < five)


def test_mean_weights_worked_by_hand() -> None:
    """Scores 0 and log 3: weights (1/4, 3/4) are off (1/2, 1/2) by sqrt(1/8); the bound is sqrt(1/2) (3 - 1)."""
    problem = one_dimensional_problem(np.log([1.0, 3.0]), np.ones(2))
    assert high_temperature_rank(MeanValue(), problem).value.item() == pytest.approx(math.sqrt(2))
    assert weights_frobenius(problem, MeanValue()(problem)).item() == pytest.approx(math.sqrt(1 / 8))


def test_one_popular_key_attains_the_spectral_norm() -> None:
    k = np.array([50.0, 0.0, 0.0])[None, :, None]
    problem = AttentionProblem(np.ones((1, 9, 1)), k, np.ones((1, 3, 1)), scale=1.0)
    method = PerturbedScores(np.zeros(()))
    assert attention_spectral_norm(method, problem, method(problem)).value.item() == pytest.approx(3.0)


def test_the_rank_floor_is_the_tail_of_the_singular_values() -> None:
    problem = random_problem(np.random.default_rng(0))
    found = weights_rank_floor(_best(3), problem, _best(3)(problem)).value
    np.testing.assert_allclose(found, tail(spectrum_of(problem.dense_weights()), 3), rtol=1e-10)


def test_features_bound_the_rank() -> None:
    problem = random_problem(np.random.default_rng(0))
    assert rank_bound(Performer(6)(problem, rng=np.random.default_rng(1))) == 6


@pytest.mark.parametrize("b", [weights_rank_floor, low_temperature_floor], ids=lambda b: b.name)
def test_weights_of_full_rank_have_no_floor(b: Bound) -> None:
    problem = random_problem(np.random.default_rng(0))
    method = PerturbedScores(np.zeros(()))
    with pytest.raises(HypothesisViolated, match="rank below"):
        b(method, problem, method(problem))


@pytest.mark.parametrize("b", [high_temperature_rank, softmax_poly_rank], ids=lambda b: b.name)
def test_renormalised_weights_are_outside_the_hypotheses(b: Bound) -> None:
    with pytest.raises(HypothesisViolated, match="not renormalised"):
        b(LowRankWeights(TruncatedSVD(3)), random_problem(np.random.default_rng(0)))


@pytest.mark.parametrize("b", [high_temperature_rank, softmax_poly_rank], ids=lambda b: b.name)
def test_masked_weights_are_outside_the_hypotheses(b: Bound) -> None:
    with pytest.raises(HypothesisViolated, match="sees every key"):
        b(_best(3), random_problem(np.random.default_rng(0), mask=CausalMask()))


def test_a_row_without_keys_is_outside_the_schur_test() -> None:
    allowed = np.ones((10, 14), dtype=bool)
    allowed[3] = False
    problem = random_problem(np.random.default_rng(0), mask=ExplicitMask(allowed))
    with pytest.raises(HypothesisViolated, match="sees a key"):
        attention_spectral_norm(Exact(), problem, Exact()(problem))
