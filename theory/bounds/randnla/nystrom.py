"""Errors of the Nyström approximation from a Gaussian test matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.hypotheses import require_every_step, require_semidefinite
from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_eigenvalues
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import eigenvalues
from theory.statement.guarantee import InExpectation
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.semidefinite.nystrom import Nystrom
from tnattn.randnla.sketches.gaussian import Gaussian


def _gap_whole(rng: np.random.Generator) -> Instance:
    return Nystrom(rank=8, oversampling=0), with_eigenvalues(rng, gap_spectrum(4, 48))


def _slow_whole(rng: np.random.Generator) -> Instance:
    return Nystrom(rank=10, oversampling=0), with_eigenvalues(rng, slow_spectrum(40) ** 2)


def _gap(rng: np.random.Generator) -> Instance:
    return Nystrom(rank=4, oversampling=4), with_eigenvalues(rng, gap_spectrum(4, 48))


def _one_direction(rng: np.random.Generator) -> Instance:
    return Nystrom(rank=1, oversampling=4), with_eigenvalues(rng, gap_spectrum(1, 64))


def _slow(rng: np.random.Generator) -> Instance:
    return Nystrom(rank=5, oversampling=5), with_eigenvalues(rng, slow_spectrum(40) ** 2)


def _require_semidefinite_gaussian(method: Nystrom, a: Any) -> None:
    require_every_step(method)
    require(isinstance(method.sketch, Gaussian), "the test matrix is Gaussian")
    require_semidefinite(a)
    require(method.size <= a.shape[-1], "the sketch has at most n columns")


def _trace_tail(values: Values, k: int) -> Values:
    return np.asarray(values[..., k:].sum(axis=-1))


tropp = Paper(
    "Tropp, Yurtsever, Udell & Cevher 2017",
    method=Nystrom,
    instances=(_gap_whole, _slow_whole),
    statement="Theorem 4.1",
)


@tropp("from Halko, Martinsson & Tropp 2011, Theorem 10.5", error=errors.projection_nuclear, guarantee=InExpectation())
def nystrom_nuclear_expected(method: Nystrom, a: Any) -> Values:
    """E||K - K'||_* <= min_{k+p=s} (1 + k/(p-1)) sum_{j>k} l_j for s columns, untruncated.

    Letters: k the rank compared with; p the number of columns beyond it; s the number of columns of the test matrix.
    Hypotheses: nothing is truncated; no tolerance ends the method before its rank; the test matrix is Gaussian; K is
    square; K is symmetric; K is positive semidefinite; the sketch has at most n columns; s >= 3.
    """
    require(method.oversampling == 0, "nothing is truncated")
    _require_semidefinite_gaussian(method, a)
    s, values = method.size, eigenvalues(a)
    require(s >= 3, "s >= 3")
    # a trace error is a squared Frobenius error of the root of K, to which Theorem 10.5 applies
    splits = [(1 + k / (s - k - 1)) * _trace_tail(values, k) for k in range(1, s - 1)]
    return np.asarray(np.min(splits, axis=0))


frangella = Paper("Frangella, Tropp & Udell 2023", method=Nystrom, instances=(_gap_whole, _slow_whole))


# must fail at less: the constant 2 e^2 is generous
@frangella("Proposition 2.2", error=errors.projection_spectral, guarantee=InExpectation(), must_fail=0.02)
def nystrom_spec_expected(method: Nystrom, a: Any) -> Values:
    """E||K - K'|| <= min_p (1 + 2(s-p)/(p-1)) l_{s-p+1} + 2 e^2 s/(p^2-1) sum_{j>s-p} l_j for s columns, untruncated.

    The minimum is over 2 <= p <= s - 2.

    Letters: p the number of columns beyond the rank compared with; s the number of columns of the test matrix; e the
    base of natural logarithms.
    Hypotheses: nothing is truncated; no tolerance ends the method before its rank; the test matrix is Gaussian; K is
    square; K is symmetric; K is positive semidefinite; the sketch has at most n columns; s >= 4.
    """
    require(method.oversampling == 0, "nothing is truncated")
    _require_semidefinite_gaussian(method, a)
    s, values = method.size, eigenvalues(a)
    require(s >= 4, "s >= 4")
    # every split s = (s - p) + p of the columns gives a bound; the sketch need not know the best
    choices = [
        (1 + 2 * (s - p) / (p - 1)) * values[..., s - p] + 2 * np.e**2 * s / (p**2 - 1) * _trace_tail(values, s - p)
        for p in range(2, s - 1)
    ]
    return np.asarray(np.min(choices, axis=0))


@tropp(error=errors.projection_nuclear, guarantee=InExpectation(), instances=(_gap, _slow))
def nystrom_fixed_rank_nuclear(method: Nystrom, a: Any) -> Values:
    """E||K - [K']_r||_* <= (1 + r/(k-r-1)) sum_{j>r} l_j for a sketch of k columns.

    Letters: r the rank of the truncation; k the number of columns of the test matrix.
    Hypotheses: k > r + 1; no tolerance ends the method before its rank; the test matrix is Gaussian; K is square; K is
    symmetric; K is positive semidefinite; the sketch has at most n columns.
    """
    require(method.size > method.rank + 1, "k > r + 1")
    _require_semidefinite_gaussian(method, a)
    r, k = method.rank, method.size
    return np.asarray((1 + r / (k - r - 1)) * _trace_tail(eigenvalues(a), r))


@tropp(error=errors.projection_spectral, guarantee=InExpectation(), instances=(_one_direction, _slow), must_fail=0.1)
def nystrom_fixed_rank_spec(method: Nystrom, a: Any) -> Values:
    """E||K - [K']_r|| <= l_{r+1} + r/(k-r-1) sum_{j>r} l_j for a sketch of k columns.

    Letters: r the rank of the truncation; k the number of columns of the test matrix.
    Hypotheses: k > r + 1; no tolerance ends the method before its rank; the test matrix is Gaussian; K is square; K is
    symmetric; K is positive semidefinite; the sketch has at most n columns; r < n.
    """
    require(method.size > method.rank + 1, "k > r + 1")
    _require_semidefinite_gaussian(method, a)
    r, k, values = method.rank, method.size, eigenvalues(a)
    require(r < a.shape[-1], "r < n")
    return np.asarray(values[..., r] + r / (k - r - 1) * _trace_tail(values, r))
