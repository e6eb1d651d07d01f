"""Trace errors of randomly and greedily pivoted partial Cholesky factorisations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from theory.bounds.hypotheses import require_every_step, require_semidefinite
from theory.bounds.randnla.instances import slow_spectrum, with_eigenvalues
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import eigenvalues
from theory.statement.guarantee import InExpectation
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.semidefinite.pivoted_cholesky import GreedyPivotedCholesky, RandomlyPivotedCholesky


def _one_step(rng: np.random.Generator) -> Instance:
    return RandomlyPivotedCholesky(rank=1), with_eigenvalues(rng, [4.0, 2.0, 1.0, *([0.1] * 20)])


def _diffuse(rng: np.random.Generator) -> Instance:
    """Return equal top eigenvalues with a diffuse tail, the worst spectrum of the theorem."""
    return RandomlyPivotedCholesky(rank=12), with_eigenvalues(rng, [10.0, 10.0, *([0.1] * 62)])


def _slow(rng: np.random.Generator) -> Instance:
    return RandomlyPivotedCholesky(rank=8), with_eigenvalues(rng, slow_spectrum(40) ** 2)


def _greedy_flat(rng: np.random.Generator) -> Instance:
    return GreedyPivotedCholesky(rank=1), with_eigenvalues(rng, [1.0, *([0.01] * 7)])


def _greedy_slow(rng: np.random.Generator) -> Instance:
    return GreedyPivotedCholesky(rank=2), with_eigenvalues(rng, 0.1 ** np.arange(10))


def _require_pivots(method: RandomlyPivotedCholesky | GreedyPivotedCholesky, a: Any) -> None:
    require_every_step(method)
    require_semidefinite(a)


chen = Paper("Chen, Epperly, Tropp & Webber 2025", method=RandomlyPivotedCholesky, instances=(_one_step, _slow))


@chen("monotone and concave expected residual, re-derived", error=errors.projection_nuclear, guarantee=InExpectation())
def rpcholesky_phi(method: RandomlyPivotedCholesky, a: Any) -> Values:
    """E tr(K - K') <= tr Phi^k(K) with Phi(M) = M - M^2 / tr M, an equality at k = 1.

    Letters: Phi one expected step; k the number of pivots; M a residual.
    Hypotheses: no tolerance ends the method before its rank; K is square; K is symmetric; K is positive semidefinite.
    """
    _require_pivots(method, a)
    values = eigenvalues(a)
    for _ in range(method.rank):
        total = values.sum(axis=-1, keepdims=True)
        # one expected step: pivot i with probability K_ii / tr K takes away K_:i K_i: / K_ii, in the mean K^2 / tr K
        values = values - values**2 / np.where(total > 0, total, 1.0)
    return np.asarray(values.sum(axis=-1))


def pivots_needed(r: int, epsilon: float, eta: float) -> float:
    """Return the number of pivots at which the theorem promises (1 + epsilon) times the best rank-r error.

    ``eta`` is that best error relative to the trace.
    """
    # starts of the recursion from the trace (first) or from 2^r times the best error (second)
    first = r * np.log(1 / (epsilon * eta)) if eta > 0 else np.inf
    second = r + r * max(0.0, r * np.log(2.0) - np.log(epsilon))
    return float(r / epsilon + min(max(first, 0.0), second))


def _smallest_epsilon(r: int, pivots: int, eta: float) -> float:
    """Return the smallest epsilon, up to rounding upwards, for which the pivots suffice; infinity if none is."""
    # geometric bisection: epsilon ranges over twenty decades, and r / epsilon alone must not exceed the pivots
    low, high = r / pivots, 2.0**60
    if pivots_needed(r, high, eta) > pivots:
        return float("inf")
    # the logarithm of the bracket is halved a hundred times: below rounding
    for _ in range(100):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if pivots_needed(r, middle, eta) <= pivots else (middle, high)
    return high


rpcholesky = replace(chen, instances=(_diffuse, _slow))


@rpcholesky("Theorem 2.3 of the preprint", error=errors.projection_nuclear, guarantee=InExpectation())
def rpcholesky_theorem(method: RandomlyPivotedCholesky, a: Any) -> Values:
    """E tr(K - K') <= (1 + e) sum_{j>r} l_j once k >= r/e + min(r log(1/(e h)), r + r log_+(2^r/e)), the best r and e.

    h is the sum over j > r relative to the trace; r runs through 1, 2, ... and e is the smallest admissible one.

    Letters: r the rank compared with; k the number of pivots.
    Hypotheses: no tolerance ends the method before its rank; K is square; K is symmetric; K is positive semidefinite; K
    is not zero.
    """
    _require_pivots(method, a)
    values = eigenvalues(a)
    require(bool(np.all(values.sum(axis=-1) > 0)), "K is not zero")
    stack = values.reshape(-1, values.shape[-1])
    best = [_best_over_ranks(one, method.rank) for one in stack]
    return np.reshape(best, values.shape[:-1])


def _best_over_ranks(values: Values, pivots: int) -> float:
    best = float("inf")
    for r in range(1, min(pivots, values.size) + 1):
        trace_tail = float(values[r:].sum())
        epsilon = _smallest_epsilon(r, pivots, trace_tail / float(values.sum()))
        if np.isfinite(epsilon):
            best = min(best, (1 + epsilon) * trace_tail)
    return best


harbrecht = Paper(
    "Harbrecht, Peters & Schneider 2012",
    method=GreedyPivotedCholesky,
    instances=(_greedy_flat, _greedy_slow),
    statement="with the triangular inverse of Higham, re-derived",
)


@harbrecht(error=errors.projection_nuclear)
def pivoted_cholesky_greedy(method: GreedyPivotedCholesky, a: Any) -> Values:
    """tr(K - K') <= (n-k) (4^(k+1) + 6k + 5)/9 l_{k+1}.

    Letters: k the number of pivots.
    Hypotheses: no tolerance ends the method before its rank; K is square; K is symmetric; K is positive semidefinite; k
    < n.
    """
    _require_pivots(method, a)
    k, n = method.rank, a.shape[-1]
    require(k < n, "k < n")
    return np.asarray((n - k) * (4.0 ** (k + 1) + 6 * k + 5) / 9 * eigenvalues(a)[..., k])


@harbrecht(error=errors.matrix_maximum)
def pivoted_cholesky_greedy_max(method: GreedyPivotedCholesky, a: Any) -> Values:
    """Max |K - K'| = max_i (K - K')_ii <= (4^(k+1) + 6k + 5)/9 l_{k+1}.

    Of diag(5, 2, 1, 1) after k = 1 pivot: 2 <= 27/9 * 2 = 6.

    Letters: k the number of pivots.
    Hypotheses: no tolerance ends the method before its rank; K is square; K is symmetric; K is positive semidefinite; k
    < n.
    """
    _require_pivots(method, a)
    k = method.rank
    require(k < a.shape[-1], "k < n")
    return np.asarray((4.0 ** (k + 1) + 6 * k + 5) / 9 * eigenvalues(a)[..., k])
