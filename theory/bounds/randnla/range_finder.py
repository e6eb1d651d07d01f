"""Errors of the projection onto the range of A Omega, Halko, Martinsson & Tropp 2011, and its identity."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, steep_spectrum, with_singular_values
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import spectrum_of, tail
from theory.statement.guarantee import InExpectation, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.low_rank.adaptive_qb import AdaptiveQB, AdaptiveQBResult
from tnattn.randnla.low_rank.qb import QB, QBResult
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.randnla.sketches.gaussian import Gaussian


def _gap(rng: np.random.Generator) -> Instance:
    return QB(RangeFinder(rank=4, oversampling=4, power_iterations=0)), with_singular_values(
        rng, gap_spectrum(4, 48), 48, 56
    )


def _slow(rng: np.random.Generator) -> Instance:
    return QB(RangeFinder(rank=5, oversampling=5, power_iterations=0)), with_singular_values(
        rng, slow_spectrum(40), 48, 40
    )


def _steep(rng: np.random.Generator) -> Instance:
    return QB(RangeFinder(rank=5, oversampling=5, power_iterations=0)), with_singular_values(
        rng, steep_spectrum(40, ratio=0.4), 48, 40
    )


def _gap_power(rng: np.random.Generator) -> Instance:
    finder = RangeFinder(rank=4, oversampling=4, power_iterations=1)
    return QB(finder), with_singular_values(rng, gap_spectrum(4, 48), 48, 56)


def _slow_power(rng: np.random.Generator) -> Instance:
    finder = RangeFinder(rank=5, oversampling=5, power_iterations=1)
    return QB(finder), with_singular_values(rng, slow_spectrum(40), 48, 40)


def require_gaussian(finder: RangeFinder, a: Any, *, rank: int, oversampling: int, power: bool = False) -> None:
    """Require the hypotheses that the theorems share: a Gaussian test matrix of admissible size."""
    require(isinstance(finder.sketch, Gaussian), "the test matrix is Gaussian")
    if not power:
        require(finder.power_iterations == 0, "no power iterations")
    require(finder.rank >= rank, f"k >= {rank}")
    require(finder.oversampling >= oversampling, f"p >= {oversampling}")
    require(finder.size <= min(a.shape[-2:]), "k + p <= min(m, n)")


def expected_square(s: Values, k: int, p: int) -> Values:
    """Return (1 + k / (p - 1)) sum_{j>k} s_j^2, (...)."""
    return np.asarray((1 + k / (p - 1)) * tail(s, k) ** 2)


def expected_spectral(s: Values, k: int, p: int) -> Values:
    """Return (1 + sqrt(k / (p - 1))) s_{k+1} + e sqrt(k + p) / p (sum_{j>k} s_j^2)^(1/2), (...)."""
    # E||S_2 Omega_2 Omega_1^+|| by Chevet's inequality, with Propositions 10.1 and 10.2 for the pseudo-inverse
    return np.asarray((1 + np.sqrt(k / (p - 1))) * s[..., k] + np.e * np.sqrt(k + p) / p * tail(s, k))


halko = Paper("Halko, Martinsson & Tropp 2011", method=QB, instances=(_gap, _steep))


@halko("Theorem 10.5", error=errors.projection_frobenius_squared, guarantee=InExpectation(), instances=(_gap, _slow))
def rrf_fro_expected_sq(method: QB, a: Any) -> Values:
    """E||A - QQ^T A||_F^2 <= (1 + k/(p-1)) sum_{j>k} s_j^2.

    Letters: k the target rank; p the oversampling; Q an orthonormal basis of the range of A Omega.
    Hypotheses: the test matrix is Gaussian; no power iterations; k >= 1; p >= 2; k + p <= min(m, n).
    """
    finder = method.range_finder
    require_gaussian(finder, a, rank=1, oversampling=2)
    return expected_square(spectrum_of(a), finder.rank, finder.oversampling)


@halko("Theorem 10.5", error=errors.projection_frobenius, guarantee=InExpectation(), instances=(_gap, _slow))
def rrf_fro_expected(method: QB, a: Any) -> Values:
    """E||A - QQ^T A||_F <= (1 + k/(p-1))^(1/2) (sum_{j>k} s_j^2)^(1/2).

    Letters: k the target rank; p the oversampling; Q an orthonormal basis of the range of A Omega.
    Hypotheses: the test matrix is Gaussian; no power iterations; k >= 1; p >= 2; k + p <= min(m, n).
    """
    finder = method.range_finder
    require_gaussian(finder, a, rank=1, oversampling=2)
    # Jensen's inequality
    return np.asarray(np.sqrt(expected_square(spectrum_of(a), finder.rank, finder.oversampling)))


@halko("Theorem 10.6", error=errors.projection_spectral, guarantee=InExpectation())
def rrf_spec_expected(method: QB, a: Any) -> Values:
    """E||A - QQ^T A|| <= (1 + sqrt(k/(p-1))) s_{k+1} + e sqrt(k+p)/p (sum_{j>k} s_j^2)^(1/2).

    Letters: k the target rank; p the oversampling; e the base of natural logarithms; Q an orthonormal basis of the
    range of A Omega.
    Hypotheses: the test matrix is Gaussian; no power iterations; k >= 2; p >= 2; k + p <= min(m, n).
    """
    finder = method.range_finder
    require_gaussian(finder, a, rank=2, oversampling=2)
    return expected_spectral(spectrum_of(a), finder.rank, finder.oversampling)


@halko("Theorem 10.7", error=errors.projection_frobenius, guarantee=WithProbability(), must_fail=0.15)
def rrf_fro_deviation(method: QB, a: Any, *, t: float = 2.0, u: float = 2.0) -> tuple[Values, float]:
    """||A - QQ^T A||_F <= (1 + t sqrt(3k/(p+1))) tau_k + u t e sqrt(k+p)/(p+1) s_{k+1}.

    It fails with probability at most 2 t^-p + exp(-u^2 / 2); tau_k^2 is the sum of s_j^2 over j > k.

    Letters: t a parameter; k the target rank; p the oversampling; u a parameter; e the base of natural logarithms; Q an
    orthonormal basis of the range of A Omega.
    Hypotheses: the test matrix is Gaussian; no power iterations; k >= 2; p >= 4; k + p <= min(m, n); t >= 1 and u >= 1.
    """
    finder = method.range_finder
    require_gaussian(finder, a, rank=2, oversampling=4)
    require(t >= 1 and u >= 1, "t >= 1 and u >= 1")
    k, p, s = finder.rank, finder.oversampling, spectrum_of(a)
    inverse = np.e * np.sqrt(k + p) / (p + 1)
    value = (1 + t * np.sqrt(3 * k / (p + 1))) * tail(s, k) + u * t * inverse * s[..., k]
    return np.asarray(value), float(2 * t**-p + np.exp(-(u**2) / 2))


@halko("Theorem 10.8", error=errors.projection_spectral, guarantee=WithProbability(), must_fail=0.05)
def rrf_spec_deviation(method: QB, a: Any, *, t: float = 2.0, u: float = 2.0) -> tuple[Values, float]:
    """||A - QQ^T A|| <= (1 + t sqrt(3k/(p+1)) + u t c) s_{k+1} + t c tau_k, with c = e sqrt(k+p)/(p+1).

    It fails with probability at most 2 t^-p + exp(-u^2 / 2); tau_k^2 is the sum of s_j^2 over j > k.

    Letters: t a parameter; k the target rank; p the oversampling; u a parameter; c the factor stated; e the base of
    natural logarithms; Q an orthonormal basis of the range of A Omega.
    Hypotheses: the test matrix is Gaussian; no power iterations; k >= 2; p >= 4; k + p <= min(m, n); t >= 1 and u >= 1.
    """
    finder = method.range_finder
    require_gaussian(finder, a, rank=2, oversampling=4)
    require(t >= 1 and u >= 1, "t >= 1 and u >= 1")
    k, p, s = finder.rank, finder.oversampling, spectrum_of(a)
    inverse = np.e * np.sqrt(k + p) / (p + 1)
    value = (1 + t * np.sqrt(3 * k / (p + 1)) + u * t * inverse) * s[..., k] + t * inverse * tail(s, k)
    return np.asarray(value), float(2 * t**-p + np.exp(-(u**2) / 2))


@halko("Corollary 10.9", error=errors.projection_spectral, guarantee=WithProbability(), must_fail=0.02)
def rrf_spec_simple_deviation(method: QB, a: Any) -> tuple[Values, float]:
    """||A - QQ^T A|| <= (1 + 16 sqrt(1 + k/(p+1))) s_{k+1} + 8 sqrt(k+p)/(p+1) tau_k, except with probability 3 e^-p.

    tau_k^2 is the sum of s_j^2 over j > k.

    Letters: k the target rank; p the oversampling; e the base of natural logarithms; Q an orthonormal basis of the
    range of A Omega.
    Hypotheses: the test matrix is Gaussian; no power iterations; k >= 2; p >= 4; k + p <= min(m, n).
    """
    finder = method.range_finder
    require_gaussian(finder, a, rank=2, oversampling=4)
    k, p, s = finder.rank, finder.oversampling, spectrum_of(a)
    value = (1 + 16 * np.sqrt(1 + k / (p + 1))) * s[..., k] + 8 * np.sqrt(k + p) / (p + 1) * tail(s, k)
    return np.asarray(value), float(3 * np.exp(-p))


@halko("Corollary 10.9, second part", error=errors.projection_spectral, guarantee=WithProbability(), must_fail=0.01)
def rrf_spec_steep_deviation(method: QB, a: Any) -> tuple[Values, float]:
    """||A - QQ^T A|| <= (1 + 8 sqrt((k+p) p log p)) s_{k+1} + 3 sqrt(k+p) tau_k, except with probability 3 p^-p.

    tau_k^2 is the sum of s_j^2 over j > k.

    Letters: k the target rank; p the oversampling; Q an orthonormal basis of the range of A Omega.
    Hypotheses: the test matrix is Gaussian; no power iterations; k >= 2; p >= 4; k + p <= min(m, n).
    """
    finder = method.range_finder
    require_gaussian(finder, a, rank=2, oversampling=4)
    k, p, s = finder.rank, finder.oversampling, spectrum_of(a)
    value = (1 + 8 * np.sqrt((k + p) * p * np.log(p))) * s[..., k] + 3 * np.sqrt(k + p) * tail(s, k)
    return np.asarray(value), float(3.0 * float(p) ** -p)


@halko(
    "Corollary 10.10", error=errors.projection_spectral, guarantee=InExpectation(), instances=(_gap_power, _slow_power)
)
def rrf_power_spec_expected(method: QB, a: Any) -> Values:
    """E||A - QQ^T A|| <= [right-hand side of Theorem 10.6 for the singular values s_j^(2q+1)]^(1/(2q+1)).

    Letters: q the number of power iterations; Q an orthonormal basis of the range of A Omega.
    Hypotheses: the test matrix is Gaussian; k >= 2; p >= 2; k + p <= min(m, n).
    """
    finder = method.range_finder
    require_gaussian(finder, a, rank=2, oversampling=2, power=True)
    power, s = 2 * finder.power_iterations + 1, spectrum_of(a)
    scale = np.maximum(s[..., finder.rank, None], np.finfo(np.float64).tiny)  # powers must not overflow or vanish
    relative = np.minimum(s, scale) / scale  # the leading values do not enter
    value = expected_spectral(relative**power, finder.rank, finder.oversampling) ** (1 / power)
    return np.asarray(scale[..., 0] * value)


yu = Paper("Yu, Gu & Li 2018", method=(QB, AdaptiveQB), instances=(_gap, _slow))


@yu("Section 3", error=errors.projection_frobenius_squared)
def randqb_residual_identity(
    method: QB | AdaptiveQB, a: Any, result: QBResult | AdaptiveQBResult
) -> tuple[Values, Values]:
    """||A - QQ^T A||_F^2 = ||A||_F^2 - ||Q^T A||_F^2.

    Letters: Q an orthonormal basis of the range of A Omega.
    Hypotheses: none; Q is any orthonormal basis.
    """
    norm_squared, captured_squared = (np.linalg.norm(errors.dense(x), axis=(-2, -1)) ** 2 for x in (a, result.b))
    return errors.projection_frobenius_squared(a, result), np.asarray(norm_squared - captured_squared)
