from __future__ import annotations

import math

import numpy as np
import pytest

from theory.bounds.attention.heads import gqa_mean_pooling, gqa_pooling_output, weights_shared_basis
from theory.bounds.attention.perturbed import random_problem
from theory.statement import errors
from theory.statement.bound import HypothesisViolated
from tnattn.attention.conversion.grouped_queries import GroupedQueries
from tnattn.attention.conversion.pooled_key_value import PooledKeyValue
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.projections import Projections
from tnattn.attention.wrappers.weight_tensor import WeightTensor
from tnattn.decomposition.tucker.st_hosvd import STHOSVD


def test_the_pooled_weights_of_the_worked_example() -> None:
    """Two heads (1, 0) and (0, 1): mean (1/2, 1/2), sum of squares 2 - 2 / 2 = 1; values are alike and add nothing."""
    k = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    projections = Projections(k, k, np.ones((2, 1, 1)))
    prediction = gqa_mean_pooling(GroupedQueries(1), projections, GroupedQueries(1)(projections))
    assert prediction.value.item() == pytest.approx(1.0)
    assert prediction.observed is not None
    assert prediction.observed.item() == pytest.approx(1.0)


def test_pooling_worked_by_hand() -> None:
    """Keys +-1/4 are pooled to 0: the scores of a row move by a range of 1/2, over values at a distance of 2."""
    side = np.array([1.0, -1.0])[:, None]
    problem = AttentionProblem(np.ones((2, 1, 1)), np.stack([side, -side]) / 4, np.stack([side, side]), scale=1.0)
    value = gqa_pooling_output(PooledKeyValue(1), problem).value
    np.testing.assert_allclose(value, 2 * math.tanh(1 / 8))


def test_as_many_groups_as_before_cost_nothing() -> None:
    problem = random_problem(np.random.default_rng(0), heads=4, groups=4)
    assert np.max(gqa_pooling_output(PooledKeyValue(4), problem).value) == 0


def test_groups_that_do_not_divide_are_outside_the_hypotheses() -> None:
    problem = random_problem(np.random.default_rng(0), heads=4, groups=4)
    with pytest.raises(HypothesisViolated, match="multiple of groups"):
        gqa_pooling_output(PooledKeyValue(3), problem)


def _shared(rank: int, heads: int = 3, keys: int = 14) -> WeightTensor:
    return WeightTensor(STHOSVD(ranks=(heads, rank, keys)), rank=None, renormalise=False)


def test_a_common_basis_costs_at_least_what_own_bases_cost() -> None:
    """tau_r of the stacked heads is at least the root of the sum of the squares of tau_r of the heads."""
    problem = random_problem(np.random.default_rng(0), heads=3, size=2.0)
    stacked = weights_shared_basis(_shared(5), problem, _shared(5)(problem)).value
    own = np.sum(errors.tail(errors.spectrum_of(problem.dense_weights()), 5) ** 2)
    assert stacked > own


def test_a_common_basis_of_full_size_costs_nothing() -> None:
    problem = random_problem(np.random.default_rng(0), heads=3)
    assert weights_shared_basis(_shared(10), problem, _shared(10)(problem)).value < 1e-25


def test_a_truncated_mode_of_heads_is_outside_the_hypotheses() -> None:
    problem = random_problem(np.random.default_rng(0), heads=3)
    method = _shared(8, heads=2)
    with pytest.raises(HypothesisViolated, match="only the mode of the queries"):
        weights_shared_basis(method, problem, method(problem))


def test_renormalised_weights_are_outside_the_hypotheses() -> None:
    problem = random_problem(np.random.default_rng(0), heads=3)
    method = WeightTensor(STHOSVD(ranks=(3, 5, 14)), rank=None)
    with pytest.raises(HypothesisViolated, match="not renormalised"):
        weights_shared_basis(method, problem, method(problem))
