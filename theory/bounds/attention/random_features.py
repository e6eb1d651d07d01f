"""Random features of the exponential kernel: exact mean squared errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import hyp1f1

from theory.bounds.attention.feature_pairs import (
    Pairs,
    hyperbolic_errors,
    orthogonal_gain,
    orthogonal_share,
    positive_errors,
    trigonometric_errors,
)
from theory.bounds.attention.perturbed import random_problem
from theory.bounds.attention.rows import distances, exact_weights
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.guarantee import ExactExpectation, InExpectation, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from theory.statistics.moments import (
    cosine_kurtosis,
    hyperbolic_kurtosis,
    lognormal_kurtosis,
    mean_spread,
    orthogonal_pair_spread,
    sum_spread,
)
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.features import (
    Directions,
    FeatureKind,
    Hyperbolic,
    Independent,
    Orthogonal,
    Positive,
    Trigonometric,
)
from tnattn.attention.random_features.performer import Performer


def _instance(
    rng: np.random.Generator, kind: FeatureKind, directions: Directions, *, features: int, size: float, centre: bool
) -> Instance:
    """Queries and keys so short that the squared errors have moments which 200 samples can see."""
    problem = random_problem(rng, heads=2, groups=1, n_q=4, n_k=5, width=4, size=size)
    return Performer(features, kind=kind, directions=directions, centre=centre), problem


def _relative(method: Performer, problem: AttentionProblem) -> Values:
    """Bound the relative variance of ||K' - K||_F^2, (..., H), from the moments of single features.

    Of orthogonal directions, those of two positive features are known.
    """
    pairs, m = Pairs(method, problem), method.kind.directions(method.features)
    match method.kind:
        case Positive():
            means, kurtosis = positive_errors(pairs, m), lognormal_kurtosis(pairs.sum)
        case Hyperbolic():
            means, kurtosis = hyperbolic_errors(pairs, m), hyperbolic_kurtosis(pairs.sum)
        # a cosine depends on x - y, the exponential features on x + y
        case Trigonometric():
            means, kurtosis = trigonometric_errors(pairs, m), cosine_kurtosis(pairs.difference)
        case _:
            raise TypeError(f"no moments are known for {type(method.kind).__name__} features")
    spreads = mean_spread(kurtosis, m)
    if isinstance(method.directions, Orthogonal):
        # fourth moments of more than two orthogonal directions have no closed form: the relative variance is unknown
        two = m == 2 and isinstance(method.kind, Positive) and pairs.width >= 2
        spreads = orthogonal_pair_spread(pairs.sum, pairs.width) if two else np.full_like(means, np.inf)
        means = means - orthogonal_share(m, pairs.width) * orthogonal_gain(pairs) if two else means
    return sum_spread(pairs.gain * means, spreads, (-2, -1))


def _largest(method: Performer, problem: AttentionProblem) -> Values:
    """Return an upper bound on ||K' - K||_F^2 for trigonometric features: every cosine is at least -1."""
    pairs = Pairs(method, problem)
    return pairs.total((np.exp(pairs.dot) + np.exp(pairs.squares / 2)) ** 2)  # (kernel + scale)^2


def _iid(method: Performer, kind: type[FeatureKind]) -> int:
    """Check the method and return its number of directions."""
    require(isinstance(method.kind, kind), f"{kind.__name__.lower()} features")
    require(isinstance(method.directions, Independent), "independent directions")
    return method.kind.directions(method.features)


choromanski = Paper(
    "Choromanski et al. 2021",
    method=Performer,
    instances=(
        lambda rng: _instance(rng, Trigonometric(), Independent(), features=64, size=0.6, centre=False),
        lambda rng: _instance(rng, Trigonometric(), Independent(), features=16, size=0.6, centre=True),
    ),
    guarantee=ExactExpectation(spread=_relative),
)
BOUNDED = ExactExpectation(spread=_relative, ceiling=_largest)


@choromanski("Lemma 2", error=errors.kernel_frobenius_squared, guarantee=BOUNDED)
def favor_trig_mse(method: Performer, problem: AttentionProblem) -> Values:
    """E |K' - K|^2 = e^|x+y|^2 K^-2 (1 - e^-|x-y|^2)^2 / (2 m) for K = e^(x.y) and m directions; summed over pairs.

    Letters: K the exact entry of the kernel and K' the approximate one; e the base of natural logarithms; x the scaled
    query; y the scaled key; m the number of directions.
    Hypotheses: trigonometric features; independent directions; every query sees every key; scores are inner products;
    float64 holds the moments: 4 (|x|^2 + |y|^2) <= 600.
    """
    m = _iid(method, Trigonometric)
    pairs = Pairs(method, problem)
    return pairs.total(trigonometric_errors(pairs, m))


positive_features = replace(
    choromanski,
    instances=(
        lambda rng: _instance(rng, Positive(), Independent(), features=64, size=0.2, centre=False),
        lambda rng: _instance(rng, Positive(), Independent(), features=16, size=0.4, centre=True),
    ),
)


@positive_features("Lemma 2", error=errors.kernel_frobenius_squared)
def favor_positive_mse(method: Performer, problem: AttentionProblem) -> Values:
    """E |K' - K|^2 = K^2 (e^|x+y|^2 - 1) / m for K = e^(x.y) and m directions; summed over pairs.

    Letters: K the exact entry of the kernel and K' the approximate one; e the base of natural logarithms; x the scaled
    query; y the scaled key; m the number of directions.
    Hypotheses: positive features; independent directions; every query sees every key; scores are inner products;
    float64 holds the moments: 4 (|x|^2 + |y|^2) <= 600.
    """
    m = _iid(method, Positive)
    pairs = Pairs(method, problem)
    return pairs.total(positive_errors(pairs, m))


hyperbolic_features = replace(
    choromanski,
    instances=(
        lambda rng: _instance(rng, Hyperbolic(), Independent(), features=800, size=0.3, centre=False),
        lambda rng: _instance(rng, Hyperbolic(), Independent(), features=32, size=0.4, centre=True),
    ),
)


@hyperbolic_features("Lemma 2", error=errors.kernel_frobenius_squared)
def favor_hyperbolic_mse(method: Performer, problem: AttentionProblem) -> Values:
    """E |K' - K|^2 = (1 - e^-|x+y|^2) K^2 (e^|x+y|^2 - 1) / (2 m) for m directions, 2 m features; summed over pairs.

    Letters: K the exact entry of the kernel and K' the approximate one; e the base of natural logarithms; x the scaled
    query; y the scaled key; m the number of directions.
    Hypotheses: hyperbolic features; independent directions; every query sees every key; scores are inner products;
    float64 holds the moments: 4 (|x|^2 + |y|^2) <= 600.
    """
    m = _iid(method, Hyperbolic)
    pairs = Pairs(method, problem)
    return pairs.total(hyperbolic_errors(pairs, m))


orthogonal_positive = replace(
    choromanski,
    instances=(
        lambda rng: _instance(rng, Positive(), Orthogonal(), features=2, size=0.15, centre=False),
        lambda rng: _instance(rng, Hyperbolic(), Orthogonal(), features=12, size=0.4, centre=True),
    ),
)


@orthogonal_positive("Theorem 2 for the inequality; exact form re-derived", error=errors.kernel_frobenius_squared)
def favor_orthogonal_positive(method: Performer, problem: AttentionProblem) -> Values:
    """E |K' - K|^2 = MSE - (m - 1) / m e^-(|x|^2 + |y|^2) (e^|x+y|^2 - 1F1(d; d/2; |x+y|^2 / 2)).

    MSE is that of m independent directions; the share (m - 1) / m of pairs in one block is adapted to several blocks
    of d directions. The same term serves hyperbolic features, for a block and its mirror images are alike.

    Letters: K the exact entry of the kernel and K' the approximate one; e the base of natural logarithms; x the scaled
    query; y the scaled key; m the number of directions; d the width of queries and keys.
    Hypotheses: positive or hyperbolic features; orthogonal directions; every query sees every key; scores are inner
    products; float64 holds the moments: 4 (|x|^2 + |y|^2) <= 600.
    """
    kind = method.kind
    require(isinstance(kind, (Positive, Hyperbolic)), "positive or hyperbolic features")
    require(isinstance(method.directions, Orthogonal), "orthogonal directions")
    m = kind.directions(method.features)
    pairs = Pairs(method, problem)
    independent = positive_errors(pairs, m) if isinstance(kind, Positive) else hyperbolic_errors(pairs, m)
    return pairs.total(independent - orthogonal_share(m, pairs.width) * orthogonal_gain(pairs))


orthogonal_waves = replace(
    choromanski,
    instances=(
        lambda rng: _instance(rng, Trigonometric(), Orthogonal(), features=4, size=2.0, centre=False),
        lambda rng: _instance(rng, Trigonometric(), Orthogonal(), features=20, size=0.6, centre=True),
    ),
    guarantee=ExactExpectation(ceiling=_largest),
)


@orthogonal_waves("Theorem 2 for the inequality; exact form re-derived", error=errors.kernel_frobenius_squared)
def favor_orthogonal_trig(method: Performer, problem: AttentionProblem) -> Values:
    """E |K' - K|^2 = MSE + (m - 1) / m e^(|x|^2 + |y|^2) (1F1(d; d/2; -|x-y|^2 / 2) - e^-|x-y|^2).

    MSE is that of m independent directions; the share (m - 1) / m of pairs in one block is adapted to several blocks
    of d directions.

    Letters: K the exact entry of the kernel and K' the approximate one; e the base of natural logarithms; x the scaled
    query; y the scaled key; m the number of directions; d the width of queries and keys.
    Hypotheses: trigonometric features; orthogonal directions; every query sees every key; scores are inner products;
    float64 holds the moments: 4 (|x|^2 + |y|^2) <= 600.
    """
    require(isinstance(method.kind, Trigonometric), "trigonometric features")
    require(isinstance(method.directions, Orthogonal), "orthogonal directions")
    m = method.kind.directions(method.features)
    pairs = Pairs(method, problem)
    d, z = pairs.width, pairs.difference
    cross = np.exp(pairs.squares) * (hyp1f1(d, d / 2, -z / 2) - np.exp(-z))
    return pairs.total(trigonometric_errors(pairs, m) + orthogonal_share(m, d) * cross)


orthogonal_gap = replace(
    choromanski,
    instances=(
        lambda rng: _instance(rng, Positive(), Orthogonal(), features=4, size=0.3, centre=False),
        lambda rng: _instance(rng, Positive(), Orthogonal(), features=3, size=0.4, centre=True),
    ),
)


@orthogonal_gap("Theorem 2", error=errors.kernel_frobenius_squared, guarantee=InExpectation())
def favor_orthogonal_gap(method: Performer, problem: AttentionProblem) -> Values:
    """E |K' - K|^2 <= MSE - 2 (m - 1) / (m (d + 2)) (K - e^-(|x|^2 + |y|^2)/2)^2 for m <= d orthogonal directions.

    Letters: K the exact entry of the kernel and K' the approximate one; m the number of directions; d the width; x the
    scaled query; y the scaled key; e the base of natural logarithms.
    Hypotheses: positive features; orthogonal directions; m <= d; every query sees every key; scores are inner products;
    float64 holds the moments: 4 (|x|^2 + |y|^2) <= 600.
    """
    require(isinstance(method.kind, Positive), "positive features")
    require(isinstance(method.directions, Orthogonal), "orthogonal directions")
    m, d = method.features, problem.width
    require(m <= d, "m <= d")
    pairs = Pairs(method, problem)
    # a lower bound on the gain of orthogonality in place of its closed form, hence an inequality
    gap = (np.exp(pairs.dot) - np.exp(-pairs.squares / 2)) ** 2
    return pairs.total(positive_errors(pairs, m) - 2 * (m - 1) / (m * (d + 2)) * gap)


own = Paper(
    "re-derived",
    method=Performer,
    instances=(
        lambda rng: _instance(rng, Positive(), Independent(), features=2000, size=0.3, centre=False),
        lambda rng: _instance(rng, Positive(), Orthogonal(), features=400, size=0.2, centre=True),
    ),
    must_fail=0.005,
    guarantee=WithProbability(),
)


@own("by the inequalities of Cauchy-Schwarz and Markov", error=errors.output_rows)
def favor_output_markov(method: Performer, problem: AttentionProblem, *, delta: float = 0.2) -> tuple[Values, Values]:
    """||o'_i - o_i|| <= eta / (1 - eta) max_j ||v_j - o_i||, eta = sum_j p_ij sqrt((e^|x_i+y_j|^2 - 1) / m) / delta.

    It fails with probability at most ``delta`` in every row; rows with eta >= 1 are left without a bound. Orthogonal
    directions have smaller errors of every entry than independent ones, so that it holds for them too.

    Letters: eta the expected relative error of a row over delta; e the base of natural logarithms; x the scaled query;
    y the scaled key; m the number of directions; delta the failure probability, a parameter.
    Hypotheses: positive features; independent or orthogonal directions; 0 < delta < 1; every query sees every key;
    scores are inner products; float64 holds the moments: 4 (|x|^2 + |y|^2) <= 600; eta < 1 in some row.
    """
    require(isinstance(method.kind, Positive), "positive features")
    require(isinstance(method.directions, (Independent, Orthogonal)), "independent or orthogonal directions")
    require(0 < delta < 1, "0 < delta < 1")
    pairs = Pairs(method, problem)
    # (E|K' - K|^2)^(1/2) / K bounds the mean relative error of an entry
    relative = np.sqrt(np.expm1(pairs.sum) / method.features)
    eta = np.sum(exact_weights(problem) * relative, axis=-1) / delta
    require(bool(np.any(eta < 1)), "eta < 1 in some row")
    furthest = distances(problem).max(axis=-1)
    # o' is a quotient whose denominator is off by at most eta
    rhs = np.where(eta < 1, eta / np.where(eta < 1, 1 - eta, 1.0) * furthest, np.inf)
    return rhs, np.full_like(rhs, delta)
