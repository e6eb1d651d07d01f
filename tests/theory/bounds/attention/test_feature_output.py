from __future__ import annotations

import math

import numpy as np
import pytest

from theory.bounds.attention.feature_output import balanced_features, row_errors
from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import exact_output, exact_weights, head_values
from theory.bounds.attention.self_normalised_columns import output_by_mass_squared
from theory.statement.bound import HypothesisViolated
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.features import Hyperbolic, Independent
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.wrappers.balanced import Balanced, balanced

PLAIN = Performer(8, directions=Independent(), centre=False)


def test_two_opposite_keys_worked_by_hand() -> None:
    """Query 0, keys 1 and -1, values 1 and -1: sinh(1) / m."""
    pair = np.array([1.0, -1.0])[None, :, None]
    problem = AttentionProblem(np.zeros((1, 1, 1)), pair, pair, scale=1.0)
    assert balanced_features(PLAIN, problem).value.item() == pytest.approx(math.sinh(1) / 8, rel=1e-12)


@pytest.mark.parametrize("centre", [True, False])
def test_the_value_is_the_formula_term_by_term(centre: bool) -> None:
    problem = random_problem(np.random.default_rng(0), heads=2, groups=2, n_q=3, n_k=4, size=0.7)
    root = np.sqrt(problem.score_scale)
    x, y = root * problem.q, root * problem.k
    y = y - y.mean(axis=-2, keepdims=True) if centre else y
    p, u = exact_weights(problem), head_values(problem)[:, None] - exact_output(problem)[:, :, None]
    total = np.zeros(2)
    for h, i, j, m in np.ndindex(2, 3, 4, 4):
        exponent = x[h, i] @ x[h, i] + x[h, i] @ (y[h, j] + y[h, m]) + y[h, j] @ y[h, m]
        total[h] += p[h, i, j] * p[h, i, m] * math.exp(exponent) * (u[h, i, j] @ u[h, i, m]) / 8
    method = Performer(8, directions=Independent(), centre=centre)
    np.testing.assert_allclose(balanced_features(method, problem).value, total, rtol=1e-12)


def test_small_queries_and_keys_cancel_no_digits() -> None:
    """The error is of second order: sums of terms near one would leave no digit of it."""
    problem = random_problem(np.random.default_rng(0))
    errors = []
    for size in (1e-6, 2e-6):
        errors.append(row_errors(PLAIN, AttentionProblem(size * problem.q, size * problem.k, problem.v)))
    # |x + y|^2 grows with the square of the size
    np.testing.assert_allclose(errors[1], 4 * errors[0], rtol=1e-4)
    assert (errors[0] > 0).all()


def test_balanced_coordinates_have_the_error_of_their_problem() -> None:
    """Without a mean of the queries no key has a weight, and the balanced problem is a problem for features alone."""
    problem = random_problem(np.random.default_rng(0), n_q=6)
    q = problem.q - problem.q.mean(axis=(0, 1))
    problem = AttentionProblem(q * [3.0, 1.0, 0.5, 0.2], problem.k / [3.0, 1.0, 0.5, 0.2], problem.v)
    other = balanced(problem)
    without = AttentionProblem(other.q, other.k, other.v, scale=1.0)
    method = Performer(8, directions=Independent())
    stated = balanced_features(Balanced(method), problem).value
    np.testing.assert_allclose(stated, balanced_features(method, without).value, rtol=1e-8)
    assert (stated < balanced_features(method, problem).value).all()


def test_weights_of_keys_cancel() -> None:
    """The mean over draws of balanced features with weights is the statement; without them it is not."""
    rng = np.random.default_rng(0)
    drawn = random_problem(rng, heads=1, groups=1, n_q=3, n_k=4, width=2, size=0.4)
    problem = AttentionProblem(drawn.q + 1.0, drawn.k, drawn.v)
    method = Balanced(Performer(64, directions=Independent()))
    stated = balanced_features(method, problem).value.item()
    found = [output_by_mass_squared(problem, method(problem, rng=rng)).item() for _ in range(400)]
    assert np.mean(found) == pytest.approx(stated, rel=0.2)
    assert np.std(found) / np.sqrt(400) < 0.07 * stated
    plain = balanced_features(Performer(64, directions=Independent()), problem).value.item()
    assert abs(plain / stated - 1) > 0.5  # the control: the test tells the two statements apart


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (Balanced(Exact()), "the balanced method is Performer"),
        (Performer(8, Hyperbolic(), Independent()), "positive features"),
        (Performer(8), "independent directions"),
    ],
    ids=["inner", "kind", "directions"],
)
def test_other_features_have_no_statement(method: Performer | Balanced, message: str) -> None:
    problem = random_problem(np.random.default_rng(0))
    with pytest.raises(HypothesisViolated, match=message):
        row_errors(method, problem)
