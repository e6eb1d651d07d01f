"""Errors of the randomized singular value decomposition, with power iterations and after truncation."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.hypotheses import has_rank, require_every_step
from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_singular_values
from theory.bounds.randnla.range_finder import expected_square, require_gaussian
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import spectrum_of, tail
from theory.statement.guarantee import InExpectation
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.low_rank.qb import QB
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD, RandomizedSVDResult
from tnattn.randnla.low_rank.range_finder import RangeFinder


def _gap(rng: np.random.Generator) -> Instance:
    return RandomizedSVD(rank=4, oversampling=4, power_iterations=0), with_singular_values(
        rng, gap_spectrum(4, 48), 48, 56
    )


def _slow(rng: np.random.Generator) -> Instance:
    return RandomizedSVD(rank=5, oversampling=5, power_iterations=0), with_singular_values(
        rng, slow_spectrum(40), 48, 40
    )


def _slow_power(rng: np.random.Generator) -> Instance:
    method = RandomizedSVD(rank=5, oversampling=5, power_iterations=1)
    return method, with_singular_values(rng, slow_spectrum(40), 48, 40)


def _mild_gap_power(rng: np.random.Generator) -> Instance:
    """Return the gap at which the second term of the sharp form is of the size of the first."""
    finder = RangeFinder(rank=4, oversampling=4, power_iterations=1)
    return QB(finder), with_singular_values(rng, gap_spectrum(4, 48, level=3.0), 48, 56)


def _double(rng: np.random.Generator) -> Instance:
    finder = RangeFinder(rank=12, oversampling=12, power_iterations=1)
    return QB(finder), with_singular_values(rng, gap_spectrum(12, 32), 40, 32)


def _double_slow(rng: np.random.Generator) -> Instance:
    finder = RangeFinder(rank=8, oversampling=8, power_iterations=2)
    return QB(finder), with_singular_values(rng, slow_spectrum(32), 40, 32)


halko = Paper("Halko, Martinsson & Tropp 2011", method=QB, instances=(_double, _double_slow))


@halko("Theorem 1.2", error=errors.projection_spectral, guarantee=InExpectation())
def rsvd_power_simple(method: QB, a: Any) -> Values:
    """E||A - QQ^T A|| <= (1 + 4 sqrt(2 min(m, n) / (k-1)))^(1/(2q+1)) s_{k+1} with 2k columns.

    Letters: k the target rank; q the number of power iterations; Q an orthonormal basis of the range of (A A^T)^q A
    Omega; m and n the sizes of A.
    Hypotheses: p = k; the test matrix is Gaussian; k >= 2; p >= 2; k + p <= min(m, n).
    """
    finder = method.range_finder
    require(finder.oversampling == finder.rank, "p = k")
    require_gaussian(finder, a, rank=2, oversampling=2, power=True)
    k, s = finder.rank, spectrum_of(a)
    # the tail is at most sqrt(min(m, n) - k) s_{k+1}; the root is that of the power scheme
    return np.asarray((1 + 4 * np.sqrt(2 * min(a.shape[-2:]) / (k - 1))) ** _root(finder) * s[..., k])


def _root(finder: RangeFinder) -> float:
    return 1 / (2 * finder.power_iterations + 1)


gu = Paper("Gu 2015", method=RandomizedSVD, instances=(_gap, _slow))


@gu("re-derived", error=errors.projection_frobenius_squared)
def rsvd_trunc_fro_identity(method: RandomizedSVD, a: Any, result: RandomizedSVDResult) -> tuple[Values, Values]:
    """||A - Q [Q^T A]_k||_F^2 = ||A||_F^2 - sum_{j<=k} s_j(Q^T A)^2.

    Letters: Q an orthonormal basis of the range of (A A^T)^q A Omega; k the target rank.
    Hypotheses: none; Q is any orthonormal basis.
    """
    norm_squared = np.linalg.norm(errors.dense(a), axis=(-2, -1)) ** 2
    # Pythagoras: Q [Q^T A]_k and the remainder are orthogonal
    captured_squared = np.sum(errors.dense(result.s) ** 2, axis=-1)
    return errors.projection_frobenius_squared(a, result), np.asarray(norm_squared - captured_squared)


@gu("re-derived from the structural lemma", error=errors.projection_frobenius_squared, guarantee=InExpectation())
def rsvd_trunc_fro_expected(method: RandomizedSVD, a: Any) -> Values:
    """E||A - Q [Q^T A]_k||_F^2 <= (1 + k/(p-1)) sum_{j>k} s_j^2: truncation costs nothing in the bound.

    Letters: Q an orthonormal basis of the range of (A A^T)^q A Omega; k the target rank; p the oversampling.
    Hypotheses: no tolerance ends the method before its rank; the test matrix is Gaussian; no power iterations; k >= 1;
    p >= 2; k + p <= min(m, n).
    """
    finder = method.range_finder
    require_every_step(method)
    require_gaussian(finder, a, rank=1, oversampling=2)
    return expected_square(spectrum_of(a), finder.rank, finder.oversampling)


saibaba = Paper("Saibaba 2019", method=(QB, RandomizedSVD), instances=(_mild_gap_power, _slow_power))


@saibaba("sharper form re-derived", error=errors.projection_frobenius_squared, guarantee=InExpectation())
def subspace_fro_expected(method: QB | RandomizedSVD, a: Any) -> Values:
    """E||A - B||_F^2 <= tau_k^2 + (sum_{i<=k} s_i^-4q) (sum_{j>k} s_j^(4q+2)) / (p-1), B the projection or truncation.

    tau_k^2 is the sum of s_j^2 over j > k.

    Letters: B the approximation; k the target rank; q the number of power iterations; p the oversampling.
    Hypotheses: no tolerance ends the method before its rank; the test matrix is Gaussian; k >= 1; p >= 2; k + p <=
    min(m, n); rank A >= k, beyond rounding.
    """
    finder = method.range_finder
    require_every_step(method)
    require_gaussian(finder, a, rank=1, oversampling=2, power=True)
    k, p, q = finder.rank, finder.oversampling, finder.power_iterations
    s = spectrum_of(a)
    require(has_rank(a, k, s), "rank A >= k, beyond rounding")
    ratio = s[..., k:] / s[..., k - 1, None]  # in units of s_k the powers neither overflow nor vanish together
    # E||S_2^(2q+1) F S_1^(-2q)||_F^2 factors, because Omega_1 and Omega_2 are independent
    leading = np.sum((s[..., k - 1, None] / s[..., :k]) ** (4 * q), axis=-1)
    trailing = s[..., k - 1] ** 2 * np.sum(ratio ** (4 * q + 2), axis=-1)
    return np.asarray(tail(s, k) ** 2 + leading * trailing / (p - 1))


saibaba_2020 = Paper(
    "Saibaba 2019; Minster, Saibaba & Kilmer 2020", method=(QB, RandomizedSVD), instances=(_mild_gap_power, _slow_power)
)


@saibaba_2020("re-derived", error=errors.projection_frobenius_squared, guarantee=InExpectation())
def subspace_fro_simple_expected(method: QB | RandomizedSVD, a: Any) -> Values:
    """E||A - B||_F^2 <= (1 + k/(p-1) (s_{k+1}/s_k)^(4q)) tau_k^2, B the projection or truncation.

    tau_k^2 is the sum of s_j^2 over j > k. For singular values 8, 4, 2, ..., 1/16, k = 2, p = 3, q = 1: 5.6652832.

    Letters: B the approximation; k the target rank; p the oversampling; q the number of power iterations.
    Hypotheses: no tolerance ends the method before its rank; the test matrix is Gaussian; k >= 1; p >= 2; k + p <=
    min(m, n); rank A >= k, beyond rounding; k < min(m, n).
    """
    finder = method.range_finder
    require_every_step(method)
    require_gaussian(finder, a, rank=1, oversampling=2, power=True)
    k, p, s = finder.rank, finder.oversampling, spectrum_of(a)
    require(has_rank(a, k, s), "rank A >= k, beyond rounding")
    require(k < s.shape[-1], "k < min(m, n)")
    # the sharper sum bounded by its largest term
    gap = (s[..., k] / s[..., k - 1]) ** (4 * finder.power_iterations)
    return np.asarray((1 + k / (p - 1) * gap) * tail(s, k) ** 2)
