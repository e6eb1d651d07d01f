from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import exact_output, exact_weights, head_values
from theory.bounds.attention.self_normalised_columns import (
    contribution_gram,
    contribution_spread,
    contributions,
    output_by_mass_squared,
    self_normalised_columns,
    self_normalised_optimal,
)
from theory.statement.bound import HypothesisViolated
from tnattn.attention.masks import CausalMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.column_sampling import ColumnSampling
from tnattn.attention.sampling.value_sampling import ValueSampling


def _two_keys() -> AttentionProblem:
    """One query, weights 1/2, values 1 and -1."""
    return AttentionProblem(np.ones((1, 1, 1)), np.zeros((1, 2, 1)), np.array([1.0, -1.0])[None, :, None])


def test_one_draw_of_two_keys_worked_by_hand() -> None:
    """The output is the drawn value, which is one away; its mass is exact."""
    problem, method = _two_keys(), ValueSampling(1)
    assert self_normalised_columns(method, problem).value.item() == pytest.approx(1.0, rel=1e-12)
    assert self_normalised_optimal(method, problem).value.item() == pytest.approx(1.0, rel=1e-12)
    for seed in range(4):
        result = method(problem, rng=np.random.default_rng(seed))
        assert output_by_mass_squared(problem, result).item() == pytest.approx(1.0, rel=1e-12)


def test_the_mean_over_all_pairs_of_draws_is_the_statement() -> None:
    """Two draws from five keys: the 25 pairs with their probabilities, without a sample."""
    problem = random_problem(np.random.default_rng(0), heads=1, n_q=3, n_k=5)
    method = ValueSampling(2, uniform=0.3)
    p, v, o = exact_weights(problem)[0], head_values(problem)[0], exact_output(problem)[0]
    probability = np.asarray(method.probabilities(problem.values)).reshape(5)
    total = 0.0
    for pair in itertools.product(range(5), repeat=2):
        share = p[:, pair] / (2 * probability[list(pair)])
        mass = share.sum(axis=-1, keepdims=True)
        moved = mass * (share @ v[list(pair)] / mass - o)
        total += probability[pair[0]] * probability[pair[1]] * np.sum(moved**2)
    assert self_normalised_columns(method, problem).value.item() == pytest.approx(total, rel=1e-12)


def test_contributions_are_the_diagonal_of_their_gram_matrix() -> None:
    problem = random_problem(np.random.default_rng(0), heads=4, groups=2, mask=CausalMask())
    gram, c = contribution_gram(problem), contributions(problem)
    np.testing.assert_allclose(np.diagonal(gram, axis1=-2, axis2=-1), c**2, rtol=1e-10, atol=1e-14)
    # the sum of p_ij (v_j - o_i) over j is zero
    np.testing.assert_allclose(gram.sum(axis=-1), 0.0, atol=1e-13 * np.max(gram))


def test_a_contribution_that_cancels_in_products_has_no_spread() -> None:
    """Every query takes one key, whose value is its output to rounding."""
    identity = np.eye(6)[None]
    problem = AttentionProblem(40 * identity, identity, np.random.default_rng(0).standard_normal((1, 6, 2)), scale=1.0)
    even = np.full((1, 6), 1 / 6)
    assert np.all(contributions(problem) < 1e-15)
    assert np.all(np.isinf(contribution_spread(problem, even, 3)))


def test_no_probabilities_beat_those_in_proportion_to_the_contributions() -> None:
    problem = random_problem(np.random.default_rng(0), heads=4, groups=2)
    for method in (ValueSampling(7), ColumnSampling(7, normalise=True)):
        stated, least = (b(method, problem).value for b in (self_normalised_columns, self_normalised_optimal))
        assert np.all(stated >= least * (1 - 1e-12))
        assert np.all(stated <= 4 * least)


def test_a_row_without_mass_counts_nothing() -> None:
    """The first query of a causal problem sees one key, which is not drawn: its quotient is undefined."""
    problem = random_problem(np.random.default_rng(0), heads=1, n_q=14, mask=CausalMask())
    first = np.arange(14)[:, None] == 0
    problem = dataclasses.replace(problem, v=np.where(first, 0.0, problem.v))
    result = ColumnSampling(1, normalise=True)(problem, rng=np.random.default_rng(0))
    assert not np.all(np.isfinite(result.output))
    assert np.all(np.isfinite(output_by_mass_squared(problem, result)))


def test_exact_row_sums_are_outside_the_hypotheses() -> None:
    with pytest.raises(HypothesisViolated, match="row sums are estimated"):
        self_normalised_columns(ValueSampling(4, normalise=False), random_problem(np.random.default_rng(0)))
