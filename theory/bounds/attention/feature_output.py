"""Output of positive random features: the error in units of the estimated mass has an exact mean square."""

from __future__ import annotations

import numpy as np

from theory.bounds.attention.feature_pairs import Pairs
from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import (
    distances,
    exact_output,
    exact_weights,
    head_values,
    per_head,
)
from theory.bounds.attention.self_normalised_columns import output_by_mass_squared
from theory.statement.bound import Instance, require
from theory.statement.guarantee import ExactExpectation
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from theory.statistics.moments import lognormal_kurtosis, sum_spread
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.features import Independent, Positive
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.wrappers.balanced import Balanced

Method = Performer | Balanced


def _seen(method: Method, problem: AttentionProblem) -> tuple[Performer, AttentionProblem]:
    """Return the features and the queries and keys that they see, without the weights of the keys, which cancel."""
    if isinstance(method, Performer):
        return method, problem
    require(isinstance(method.method, Performer), "the balanced method is Performer")
    assert isinstance(method.method, Performer)
    found = method.coordinates(problem)
    return method.method, AttentionProblem(found.queries, found.keys, problem.v, mask=problem.mask, scale=1.0)


def _hypotheses(method: Method, problem: AttentionProblem) -> tuple[Performer, AttentionProblem, Pairs]:
    features, seen = _seen(method, problem)
    require(isinstance(features.kind, Positive), "positive features")
    require(isinstance(features.directions, Independent), "independent directions")
    return features, seen, Pairs(features, seen)


def row_errors(method: Method, problem: AttentionProblem) -> Values:
    """Return E d_i^2 ||o'_i - o_i||^2 for every query, (..., H, n_q).

    O(n_q n_k (n_k + d_v)) per head. Every factor e^(y . y') is one plus the rest, which is positive semidefinite, so
    that no sum cancels: the p_ij (v_j - o_i) sum to zero, and e^(x . y) may lose its one beside them.
    """
    features, seen, pairs = _hypotheses(method, problem)
    y = np.sqrt(seen.score_scale) * per_head(seen, seen.keys, 2)
    y = y - y.mean(axis=-2, keepdims=True) if features.centre else y
    rest = np.expm1(y @ np.swapaxes(y, -1, -2))  # (..., H, n_k, n_k)
    p, o, v = exact_weights(problem), exact_output(problem), head_values(problem)
    total = np.zeros(p.shape[:-1])
    for column in range(problem.value_width):  # one (n_q, n_k) matrix at a time
        away = p * (v[..., None, :, column] - o[..., column, None])
        tilted = away * np.exp(pairs.dot)
        total += np.sum(tilted @ rest * tilted, axis=-1) + np.sum(away * np.expm1(pairs.dot), axis=-1) ** 2
    # |x|^2 from |x + y|^2 = |x|^2 + |y|^2 + 2 x . y of any key
    lengths = pairs.squares[..., 0] - np.sum(y * y, axis=-1)[..., :1]
    return np.asarray(np.exp(lengths) * total / features.features)


def _spread(method: Method, problem: AttentionProblem) -> Values:
    """Bound the relative variance of the sum over rows, (..., H).

    The row is the mean over m directions of Y = sum_j p_j (r_j - 1) (v_j - o), r_j a lognormal variable of mean one.
    E|Y|^4 <= (sum_j p_j |v_j - o| (E (r_j - 1)^4)^(1/4))^4 by Minkowski's inequality, and a mean of m independent
    copies has E|.|^4 <= (E|Y|^4 + 3 (m - 1) (E|Y|^2)^2) / m^3.
    """
    features, _, pairs = _hypotheses(method, problem)
    m, rows = features.features, row_errors(method, problem)
    fourth = lognormal_kurtosis(pairs.sum) * np.expm1(pairs.sum) ** 2
    length = np.sum(exact_weights(problem) * distances(problem) * fourth**0.25, axis=-1)
    single = m * rows  # E|Y|^2
    kurtosis = np.where(single > 0, length**4 / np.where(single > 0, single, 1.0) ** 2, 0.0)
    return sum_spread(rows, (kurtosis + 3.0 * (m - 1)) / m - 1.0, (-1,))


def _plain(rng: np.random.Generator) -> Instance:
    """Many features, whose mean is nearly normal: its fourth moment, of which a bound is known, is nearly sharp."""
    features = Performer(4096, directions=Independent())
    return features, random_problem(rng, heads=2, groups=1, n_q=4, n_k=2, width=3, size=0.2)


def _balanced(rng: np.random.Generator) -> Instance:
    """Queries with a mean, so that keys have weights, in directions whose sizes differ between queries and keys."""
    problem = random_problem(rng, heads=2, groups=1, n_q=4, n_k=5, width=3, size=0.4)
    sizes = np.array([2.0, 1.0, 0.5])
    moved = AttentionProblem(problem.q * sizes + 0.5, problem.k / sizes, problem.v)
    return Balanced(Performer(32, directions=Independent())), moved


own = Paper(
    "re-derived",
    method=(Performer, Balanced),
    instances=(_plain, _balanced),
    guarantee=ExactExpectation(spread=_spread),
    must_fail=0.2,  # the spread is bounded from above only, so that the mean of 200 runs is known to a factor of three
    statement="from the moments of a lognormal variable",
)


@own(error=output_by_mass_squared)
def balanced_features(method: Method, problem: AttentionProblem) -> Values:
    """E sum_i d_i^2 ||o'_i - o_i||^2 = (1/m) sum_ijl p_ij p_il e^(|x_i|^2 + x_i.(y_j + y_l) + y_j.y_l) <u_ij, u_il>.

    For every number m of directions, without linearising the quotient: d_i (o'_i - o_i) is the mean over the
    directions of the p_ij f(x_i) f(y_j) e^(-x_i.y_j) u_ij, of expectation zero, for the feature f. As m grows, d_i
    tends to one, and the right-hand side is the mean squared error of the output. In balanced coordinates the
    weights of the keys cancel in f(x) f(y) over the kernel; the mean of |x|^2 + |y|^2 is the least that the scores
    admit. One query x = 0, keys y and -y of |y|^2 = 1 and values 1, -1: (1/m) (e - 1/e) / 2 = sinh(1) / m.

    Letters: d_i the estimated over the exact row sum; u_ij the difference v_j - o_i; m the number of directions; l an
    index of keys; e the base of natural logarithms; x the scaled query and y the scaled key, minus the mean key where
    the method subtracts it, or the balanced ones.
    Hypotheses: the balanced method is Performer; positive features; independent directions; every query sees every key;
    scores are inner products; float64 holds the moments: 4 (|x|^2 + |y|^2) <= 600.
    """
    return np.asarray(row_errors(method, problem).sum(axis=-1))
