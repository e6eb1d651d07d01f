"""Errors of the Nyström approximation from columns: given ones, uniform ones, by leverage, by volume."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from theory.bounds.hypotheses import has_rank, require_every_step, require_semidefinite
from theory.bounds.randnla.columns import elementary_ratio
from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_eigenvalues
from theory.bounds.randnla.leverage import chernoff_lower
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import dense, eigenvalues
from theory.statement.guarantee import ExactExpectation, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.columns.leverage_draws import LeverageDraws
from tnattn.randnla.columns.selection import UniformColumns
from tnattn.randnla.columns.volume_sampling import VolumeColumns
from tnattn.randnla.semidefinite.column_nystrom import ColumnNystrom

Counts = npt.NDArray[np.int64]


def flat_direction(n: int, *, level: float = 1e6) -> Values:
    """Return I + level 1 1^T / n: the residual of the flat direction is spread evenly over the other columns."""
    return np.asarray(np.eye(n) + level / n)


# uniform columns


def subspace_coherence(a: Any, k: int) -> Values:
    """Return n/k times the largest squared row norm of the leading k eigenvectors, per matrix."""
    # eigh sorts ascending
    vectors = np.linalg.eigh(dense(a))[1][..., ::-1][..., :k]
    return np.asarray(a.shape[-1] / k * np.sum(vectors**2, axis=-1).max(axis=-1))


def _uniform(method: ColumnNystrom, a: Any, epsilon: float, delta: float) -> tuple[Counts, Values]:
    """Return, per matrix, the largest k that uniform columns capture but for a chance of delta, and that chance."""
    require(isinstance(method.selection, UniformColumns), "columns are drawn uniformly without replacement")
    require(0 < epsilon < 1 and 0 < delta < 1, "0 < e, d < 1")
    require_every_step(method)
    require_semidefinite(a)
    best = np.zeros(a.shape[:-2], dtype=np.int64)
    chance = np.zeros(a.shape[:-2])
    for k in range(1, min(method.rank, a.shape[-1] - 1) + 1):
        draws = method.rank / subspace_coherence(a, k)
        failure = np.reshape([chernoff_lower(epsilon, k, d) for d in draws.ravel()], draws.shape)
        admissible = failure <= delta
        # a larger k has a smaller tail, so that the largest admissible one gives the smallest bound
        best, chance = np.where(admissible, k, best), np.where(admissible, failure, chance)
    require(bool(np.all(best >= 1)), "enough columns for the coherence of some leading eigenvectors")
    return best, chance


def _rest_from(a: Any, k: Counts, *, single: bool) -> Values:
    values = eigenvalues(a)
    # summed from the small end, so that a small tail keeps its digits
    sums = values if single else np.cumsum(values[..., ::-1], axis=-1)[..., ::-1]
    return np.asarray(np.take_along_axis(sums, k[..., None], axis=-1)[..., 0])


def _uniform_extremal(rng: np.random.Generator) -> Instance:
    return ColumnNystrom(16), flat_direction(64)


def _uniform_generic(rng: np.random.Generator) -> Instance:
    return ColumnNystrom(24), flat_direction(48, level=100.0) + with_eigenvalues(rng, slow_spectrum(48))


gittens = Paper(
    "Gittens 2011; Gittens & Mahoney 2016",
    method=ColumnNystrom,
    instances=(_uniform_extremal, _uniform_generic),
    guarantee=WithProbability(),
)


@gittens(
    "uniform sampling theorem, re-derived", error=errors.projection_spectral, sharpest={"epsilon": 0.4, "delta": 0.3}
)
def nystrom_uniform_spec(
    method: ColumnNystrom, a: Any, *, epsilon: float = 0.5, delta: float = 0.2
) -> tuple[Values, Values]:
    """||K - K'|| <= (1 + n/((1-e) s)) l_{k+1}, except with probability k c(-e)^(s/(mu k)) <= d, for s uniform columns.

    c(e) = exp(e) / (1+e)^(1+e); mu is the coherence of the leading k eigenvectors, and k the largest admissible one.

    Letters: e a parameter; s the number of columns drawn; d the parameter delta.
    Hypotheses: columns are drawn uniformly without replacement; 0 < e, d < 1; no tolerance ends the method before its
    rank; K is square; K is symmetric; K is positive semidefinite; enough columns for the coherence of some leading
    eigenvectors.
    """
    k, chance = _uniform(method, a, epsilon, delta)
    return spectral_factor(a.shape[-1], method.rank, epsilon) * _rest_from(a, k, single=True), chance


gittens_2016 = Paper(
    "Gittens & Mahoney 2016", method=ColumnNystrom, instances=(_uniform_extremal, _uniform_generic), must_fail=0.1
)


# must fail at less: Markov's inequality is loose
@gittens_2016("with Markov's inequality, re-derived", error=errors.projection_nuclear, guarantee=WithProbability())
def nystrom_uniform_nuclear(
    method: ColumnNystrom, a: Any, *, epsilon: float = 0.5, delta: float = 0.2, markov: float = 0.5
) -> tuple[Values, Values]:
    """||K - K'||_* <= (1 + 1/((1-e) f)) sum_{j>k} l_j, except with probability f + k c(-e)^(s/(mu k)).

    See ``nystrom_uniform_spec``; f is the parameter ``markov``.

    Letters: e a parameter; k the dimension of the leading eigenspace; c the function c(e) = exp(e) / (1+e)^(1+e); s the
    number of columns drawn; mu the coherence of the leading k eigenvectors; d the parameter delta, at most which the
    second part of the probability is.
    Hypotheses: 0 < f < 1; columns are drawn uniformly without replacement; 0 < e, d < 1; no tolerance ends the method
    before its rank; K is square; K is symmetric; K is positive semidefinite; enough columns for the coherence of some
    leading eigenvectors.
    """
    require(0 < markov < 1, "0 < f < 1")
    k, chance = _uniform(method, a, epsilon, delta)
    return nuclear_factor(epsilon, markov) * _rest_from(a, k, single=False), chance + markov


def spectral_factor(n: int, columns: int, epsilon: float) -> float:
    """Return 1 + n / ((1 - epsilon) columns)."""
    return 1 + n / ((1 - epsilon) * columns)


def nuclear_factor(epsilon: float, markov: float) -> float:
    """Return 1 + 1 / ((1 - epsilon) markov)."""
    # E sum over the columns of the tail is the tail itself; Markov's inequality costs 1 / f
    return 1 + 1 / ((1 - epsilon) * markov)


# columns by leverage and by volume


def _leverage_flat(rng: np.random.Generator) -> Instance:
    return ColumnNystrom(30, LeverageDraws(subspace=2)), with_eigenvalues(rng, gap_spectrum(2, 64))


def _leverage_one(rng: np.random.Generator) -> Instance:
    return ColumnNystrom(16, LeverageDraws(subspace=1)), with_eigenvalues(rng, gap_spectrum(1, 64))


def _leverage_slow(rng: np.random.Generator) -> Instance:
    return ColumnNystrom(24, LeverageDraws(subspace=2)), with_eigenvalues(rng, slow_spectrum(40) ** 2)


drineas = Paper(
    "Drineas, Mahoney & Muthukrishnan 2008; Gittens & Mahoney 2016",
    method=ColumnNystrom,
    instances=(_leverage_one, _leverage_slow),
    guarantee=WithProbability(),
)


@drineas("re-derived with explicit constants", error=errors.projection_nuclear, sharpest={"delta": 0.8})
def nystrom_leverage_nuclear(
    method: ColumnNystrom, a: Any, *, epsilon: float = 0.5, delta: float = 0.5
) -> tuple[Values, Values]:
    """||K - K'||_* <= (1 + k/((1-e)^2 s d)) sum_{j>k} l_j, except with probability d + k c(-e)^(s/k).

    s columns are drawn by the leverage scores of the leading k eigenvectors; c(e) = exp(e) / (1+e)^(1+e).

    Letters: k the dimension of the leading eigenspace; e a parameter; s the number of columns drawn; d the parameter
    delta.
    Hypotheses: columns are drawn by leverage scores; 0 < e, d < 1; no tolerance ends the method before its rank; K is
    square; K is symmetric; K is positive semidefinite; rank K >= k, beyond rounding.
    """
    rule = method.selection
    require(isinstance(rule, LeverageDraws), "columns are drawn by leverage scores")
    assert isinstance(rule, LeverageDraws)
    require(0 < epsilon < 1 and 0 < delta < 1, "0 < e, d < 1")
    require_every_step(method)
    require_semidefinite(a)
    k, draws, values = rule.dimension(method.rank), method.rank, eigenvalues(a)
    require(has_rank(a, k, values), "rank K >= k, beyond rounding")
    value = (1 + k / ((1 - epsilon) ** 2 * draws * delta)) * values[..., k:].sum(axis=-1)
    return np.asarray(value), np.full(values.shape[:-1], delta + chernoff_lower(epsilon, k, draws))


def _determinantal(rng: np.random.Generator) -> Instance:
    return ColumnNystrom(3, VolumeColumns(semidefinite=True)), with_eigenvalues(rng, slow_spectrum(12))


def _determinantal_generic(rng: np.random.Generator) -> Instance:
    return ColumnNystrom(2, VolumeColumns(semidefinite=True)), with_eigenvalues(rng, 0.5 ** np.arange(9))


guruswami = Paper("Guruswami & Sinop 2012", method=ColumnNystrom, instances=(_determinantal, _determinantal_generic))


@guruswami(
    "for a determinantal point process, re-derived", error=errors.projection_nuclear, guarantee=ExactExpectation()
)
def volume_sampling_nuclear(method: ColumnNystrom, a: Any) -> Values:
    """E||K - K'||_* = (s+1) e_{s+1}/e_s for columns J drawn with probability proportional to det K(J, J), |J| = s.

    e_j are the elementary symmetric polynomials of the eigenvalues.

    Letters: s the number of columns drawn; J the columns drawn.
    Hypotheses: columns are drawn by the minors of K; no tolerance ends the method before its rank; K is square; K is
    symmetric; K is positive semidefinite; rank K >= s, beyond rounding.
    """
    rule, s = method.selection, method.rank
    require(isinstance(rule, VolumeColumns) and rule.semidefinite, "columns are drawn by the minors of K")
    require_every_step(method)
    require_semidefinite(a)
    require(has_rank(a, s), "rank K >= s, beyond rounding")
    return (s + 1) * elementary_ratio(eigenvalues(a), s)
