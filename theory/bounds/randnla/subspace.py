"""Singular values, angles and truncations of the randomized decomposition, in expectation."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.hypotheses import has_rank, require_every_step
from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_singular_values
from theory.bounds.randnla.range_finder import expected_spectral, require_gaussian
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error, spectrum_of
from theory.statement.guarantee import InExpectation
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.low_rank.qb import QB, QBResult
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD, RandomizedSVDResult
from tnattn.randnla.low_rank.range_finder import RangeFinder


def _gap(rng: np.random.Generator) -> Instance:
    return RandomizedSVD(rank=4, oversampling=4, power_iterations=0), with_singular_values(
        rng, gap_spectrum(4, 48), 48, 56
    )


def _slow(rng: np.random.Generator) -> Instance:
    method = RandomizedSVD(rank=5, oversampling=5, power_iterations=1)
    return method, with_singular_values(rng, slow_spectrum(40), 48, 40)


def _one_direction(rng: np.random.Generator) -> Instance:
    a = with_singular_values(rng, gap_spectrum(1, 32, level=40.0), 32, 40)
    return QB(RangeFinder(rank=1, oversampling=3, power_iterations=0)), a


def _slow_range(rng: np.random.Generator) -> Instance:
    finder = RangeFinder(rank=5, oversampling=5, power_iterations=1)
    return QB(finder), with_singular_values(rng, slow_spectrum(40), 48, 40)


def captured_expected(s: Values, n: int, k: int, p: int, q: int) -> Values:
    """Return s_j^2 / (1 + k (n-k) / (p-1) (s_{k+1}/s_j)^(4q+2)) for j <= k, (..., k)."""
    ratio = s[..., k : k + 1] / s[..., :k]
    # x -> 1 / (1 + x) is convex: Jensen's inequality with E||F||^2 <= E||F||_F^2 = k (n - k) / (p - 1)
    return np.asarray(s[..., :k] ** 2 / (1 + k * (n - k) / (p - 1) * ratio ** (4 * q + 2)))


def angle_expected(s: Values, j: int, k: int, p: int, q: int) -> Values:
    """Return sum_{i>k} (s_i/s_j)^(4q+2) / (p-1), (...), j counted from 1."""
    return np.asarray(np.sum((s[..., k:] / s[..., j - 1, None]) ** (4 * q + 2), axis=-1) / (p - 1))


def _squares(target: Any, result: RandomizedSVDResult) -> Values:
    return np.asarray(errors.dense(result.s) ** 2)


def _largest_square(target: Any) -> Values:
    return np.asarray(spectrum_of(target)[..., :1] ** 2)


captured_squares = Error(
    "squared singular values of Q^T A", _squares, _largest_square, _largest_square, _largest_square
)


def _leading_sine(target: Any, result: QBResult) -> Values:
    u = np.linalg.svd(errors.dense(target), full_matrices=False)[0][..., :1]
    q = errors.dense(result.q)
    return np.asarray(np.linalg.norm(u - q @ (np.swapaxes(q, -1, -2) @ u), axis=(-2, -1)) ** 2)


def _one(target: Any) -> Values:
    return np.ones(target.shape[:-2])


leading_sine_squared = Error(
    "squared sine of the angle of the leading left singular vector to the range", _leading_sine, _one, _one, _one
)


gu = Paper("Gu 2015; Saibaba 2019", method=RandomizedSVD, instances=(_gap, _slow))


@gu("re-derived by Jensen's inequality", error=captured_squares, guarantee=InExpectation(), side="lower")
def subspace_sv_expected(method: RandomizedSVD, a: Any) -> Values:
    """E s_j(Q^T A)^2 >= s_j^2 / (1 + k (n-k) / (p-1) (s_{k+1}/s_j)^(4q+2)) for j <= k; one value per j.

    Letters: Q an orthonormal basis of the range of (A A^T)^q A Omega; k the target rank; p the oversampling; q the
    number of power iterations.
    Hypotheses: no tolerance ends the method before its rank; the test matrix is Gaussian; k >= 1; p >= 2; k + p <=
    min(m, n); rank A >= k, beyond rounding.
    """
    finder = method.range_finder
    require_every_step(method)
    require_gaussian(finder, a, rank=1, oversampling=2, power=True)
    s = spectrum_of(a)
    require(has_rank(a, finder.rank, s), "rank A >= k, beyond rounding")
    return captured_expected(s, a.shape[-1], finder.rank, finder.oversampling, finder.power_iterations)


saibaba = Paper("Saibaba 2019", method=QB, instances=(_one_direction, _slow_range))


@saibaba("re-derived", error=leading_sine_squared, guarantee=InExpectation(), must_fail=0.1)
def subspace_vector_angle_expected(method: QB, a: Any) -> Values:
    """E sin^2(u_1, range Q) <= sum_{i>k} (s_i/s_1)^(4q+2) / (p-1).

    Letters: u_1 the leading left singular vector; Q an orthonormal basis of the range of (A A^T)^q A Omega; k the
    target rank; q the number of power iterations; p the oversampling.
    Hypotheses: the test matrix is Gaussian; k >= 1; p >= 2; k + p <= min(m, n); A is not zero.
    """
    finder = method.range_finder
    require_gaussian(finder, a, rank=1, oversampling=2, power=True)
    s = spectrum_of(a)
    require(bool(np.all(s[..., 0] > 0)), "A is not zero")
    return angle_expected(s, 1, finder.rank, finder.oversampling, finder.power_iterations)


halko = Paper("Halko, Martinsson & Tropp 2011", method=RandomizedSVD, instances=(_gap, _slow), must_fail=0.2)


@halko("Theorem 9.3 with Corollary 10.10", error=errors.projection_spectral, guarantee=InExpectation())
def rsvd_truncation_spec(method: RandomizedSVD, a: Any) -> Values:
    """E||A - Q [Q^T A]_k|| <= s_{k+1} + [right-hand side of Corollary 10.10]: truncation costs s_{k+1} at most.

    Letters: Q an orthonormal basis of the range of (A A^T)^q A Omega; k the target rank.
    Hypotheses: no tolerance ends the method before its rank; the test matrix is Gaussian; k >= 2; p >= 2; k + p <=
    min(m, n).
    """
    finder = method.range_finder
    require_every_step(method)
    require_gaussian(finder, a, rank=2, oversampling=2, power=True)
    s, power = spectrum_of(a), 2 * finder.power_iterations + 1
    # in units of s_{k+1} the powers neither overflow nor vanish; the leading values do not enter
    scale = np.maximum(s[..., finder.rank, None], np.finfo(np.float64).tiny)
    relative = np.minimum(s, scale) / scale
    projection = scale[..., 0] * expected_spectral(relative**power, finder.rank, finder.oversampling) ** (1 / power)
    return np.asarray(s[..., finder.rank] + projection)
