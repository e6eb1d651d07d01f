"""Important keys exactly and a sample of the others: the exact mean error in units of the estimated mass."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import (
    denominators_over_mass,
    exact_output,
    exact_weights,
    head_values,
    per_head,
)
from theory.bounds.attention.self_normalised_columns import (
    contribution_spread,
    contributions,
    output_by_mass_squared,
)
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import Deterministic, ExactExpectation, InExpectation
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.heavy_plus_sampled import OptimalHeavyPlusSampled
from tnattn.display import Displayed

_RESOLVED = 1e-6  # relative excess of a sum of squares, of second order in the errors of the probabilities

estimated_mass = Error(
    "estimated over exact row sum of every row",
    denominators_over_mass,
    lambda t: np.zeros(()),
    lambda t: np.ones(()),
)


@dataclass(frozen=True, eq=False, repr=False)
class _Plan(Displayed):
    """Exact keys and the others of every query head.

    Parameters
    ----------
    exact : bool, (..., H, n_k)
    probability : float64, (..., H, n_k)
        Of the keys that are drawn, zero for exact ones.
    samples : float64, (..., H)
    """

    exact: npt.NDArray[np.bool_]
    probability: Values
    samples: Values


def _plan(method: OptimalHeavyPlusSampled, problem: AttentionProblem) -> _Plan:
    require(problem.empty_rows == 0, "every query sees a key")
    made = method.plan(problem)
    order, count = (per_head(problem, part, 1).astype(np.int64) for part in (made.order, made.exact))
    # the inverse permutation: rank of every key by falling importance
    exact = np.argsort(order, axis=-1, kind="stable") < count
    probability = per_head(problem, made.probabilities, 1)
    require(
        bool(np.all(exact | (probability > 0) | (contributions(problem) == 0))), "every key may be drawn or is exact"
    )
    return _Plan(exact, probability, per_head(problem, made.samples, 1)[..., 0])


def _drawn_squares(plan: _Plan, c: Values) -> Values:
    """Return the sum of c_j^2 / pi_j over the keys that are drawn, (..., H)."""
    return np.asarray(
        np.where(plan.exact, 0.0, c**2 / np.where(plan.probability > 0, plan.probability, 1.0)).sum(axis=-1)
    )


def _spread(method: OptimalHeavyPlusSampled, problem: AttentionProblem) -> Values:
    plan = _plan(method, problem)
    return contribution_spread(problem, plan.probability, np.maximum(plan.samples, 1.0))


def _few_heavy(rng: np.random.Generator) -> Instance:
    return OptimalHeavyPlusSampled(9, exact=3), random_problem(rng, heads=4, groups=2, size=1.2)


def _random(rng: np.random.Generator) -> Instance:
    return OptimalHeavyPlusSampled(8), random_problem(rng, heads=4, groups=2, size=1.2)


def _alike(rng: np.random.Generator) -> Instance:
    """Equal weights and values of one length, which sum to zero: no key deserves to be exact."""
    v = np.where(np.arange(14) % 2, 1.0, -1.0)[None, :, None]
    k = rng.standard_normal((1, 14, 2))
    return OptimalHeavyPlusSampled(6), AttentionProblem(np.zeros((1, 5, 2)), k, v)


def _heavy(rng: np.random.Generator) -> Instance:
    """Two keys take nearly all the mass of every query."""
    k = np.concatenate([[8.0, 8.0], rng.uniform(0.0, 1.0, 12)])[None, :, None]
    q = rng.uniform(0.9, 1.1, (1, 6, 1))
    return OptimalHeavyPlusSampled(6, exact=2), AttentionProblem(q, k, rng.standard_normal((1, 14, 2)), scale=1.0)


own = Paper(
    "re-derived",
    method=OptimalHeavyPlusSampled,
    instances=(_few_heavy, _random),
    guarantee=ExactExpectation(spread=_spread),
    statement="without linearising the quotient",
)


@own(error=output_by_mass_squared)
def heavy_plus_sampled(method: OptimalHeavyPlusSampled, problem: AttentionProblem) -> Values:
    """E sum_i d_i^2 ||o'_i - o_i||^2 = (sum_(j in T) c_j^2 / pi_j - sum_i ||t_i||^2) / (m - h).

    For h exact keys and m - h draws from the others with probabilities pi_j. d_i (o'_i - o_i) is -t_i plus the mean of
    the p_ij (v_j - o_i) / pi_j over the draws, of expectation zero. With pi_j proportional to c_j the first sum is
    (sum_(j in T) c_j)^2: for one query, weights (1/2, 1/4, 1/4), values 0, 1, -1 and two draws without exact keys the
    mean is (1/4 + 1/4)^2 / 2 = 1/8. The plain mean of ||o'_i - o_i||^2 has no such bound, for rows without exact keys
    may draw hardly any mass.

    Letters: d_i the estimated over the exact row sum; T the keys that are not exact; c_j the root of the sum of
    p_ij^2 ||v_j - o_i||^2 over i; pi_j the probability of a key; t_i the sum of p_ij (v_j - o_i) over T; m the number
    of keys, exact or drawn; h the number of exact ones.
    Hypotheses: every query sees a key; every key may be drawn or is exact.
    """
    plan, c = _plan(method, problem), contributions(problem)
    tail = np.where(plan.exact[..., None, :], 0.0, exact_weights(problem))
    v, o = head_values(problem), exact_output(problem)
    centre = v.mean(axis=-2, keepdims=True)  # the sum does not change, but cancels less
    missing = tail @ (v - centre) - tail.sum(axis=-1, keepdims=True) * (o - centre)
    variance = _drawn_squares(plan, c) - np.sum(missing**2, axis=(-2, -1))
    # all keys are exact where none is drawn
    return np.asarray(np.maximum(variance, 0.0) / np.maximum(plan.samples, 1.0))


best = replace(own, instances=(_alike, _random), guarantee=InExpectation(spread=_spread))


@best("by the best number of exact keys", error=output_by_mass_squared)
def heavy_plus_sampled_best(method: OptimalHeavyPlusSampled, problem: AttentionProblem) -> Values:
    """E sum_i d_i^2 ||o'_i - o_i||^2 <= min_h (sum_(j > h) c_j)^2 / (m - h), c_j in falling order.

    With exact row sums instead, sampling alone has at best ((sum_j ||P_:j|| ||v_j||)^2 - ||O||_F^2) / m.

    Letters: d_i the estimated over the exact row sum; c_j the root of the sum of p_ij^2 ||v_j - o_i||^2 over i; m the
    number of keys, exact or drawn; h the number of exact ones.
    Hypotheses: the number of exact keys is the best one (exact=None); every query sees a key; every key may be drawn or
    is exact; the method resolves every c_j that counts.
    """
    require(method.exact is None, "the number of exact keys is the best one (exact=None)")
    plan = _plan(method, problem)
    c = -np.sort(-contributions(problem), axis=-1)
    # from the smallest on: the tails are sums, not differences
    tails = np.flip(np.cumsum(np.flip(c, axis=-1), axis=-1), axis=-1)[..., : method.keys]
    left = method.keys - np.arange(tails.shape[-1])
    least = np.where(plan.samples > 0, np.min(tails**2 / left, axis=-1), 0.0)
    # the method finds c_j from squares, to half of the digits of ||P_:j||: smaller ones get too large a share
    drawn = _drawn_squares(plan, contributions(problem)) / np.maximum(plan.samples, 1.0)
    require(bool(np.all(drawn <= (1 + _RESOLVED) * least)), "the method resolves every c_j that counts")
    return least


floor = replace(own, instances=(_heavy, _few_heavy), guarantee=Deterministic(condition=8.0))


@floor("since drawn keys add mass", error=estimated_mass, side="lower")
def heavy_mass_floor(method: OptimalHeavyPlusSampled, problem: AttentionProblem) -> Values:
    """d_i >= h_i, so that ||o'_i - o_i|| <= 2 d_i ||o'_i - o_i|| where h_i >= 1/2.

    Letters: d_i the estimated over the exact row sum; h_i the sum of p_ij over the exact keys.
    Hypotheses: every query sees a key; every key may be drawn or is exact.
    """
    return np.asarray(np.where(_plan(method, problem).exact[..., None, :], exact_weights(problem), 0.0).sum(axis=-1))
