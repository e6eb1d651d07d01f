"""Subsampled Hadamard transforms: distortion of a subspace, and errors of a range finder."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.hypotheses import require_full_column_rank
from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_singular_values
from theory.bounds.randnla.leverage import embedding_distortion
from theory.bounds.randnla.structural import condition_of_sketch, require_full_row_rank
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import spectrum_of, tail
from theory.statement.guarantee import Deterministic, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.low_rank.qb import QB, QBResult
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.randnla.sketches.embedding import Embedding
from tnattn.randnla.sketches.trigonometric import SubsampledHadamard


def _hadamard_vector(rng: np.random.Generator) -> Instance:
    return Embedding(384, SubsampledHadamard()), rng.standard_normal((512, 1))


def _hadamard_plane(rng: np.random.Generator) -> Instance:
    """Return a plane that holds a coordinate, which the transform alone would map to a flat vector."""
    a = rng.standard_normal((512, 2))
    a[0, 1] = 1e3
    return Embedding(448, SubsampledHadamard()), a


def _hadamard_gap(rng: np.random.Generator) -> Instance:
    finder = RangeFinder(rank=1, oversampling=47, power_iterations=0, sketch=SubsampledHadamard())
    return QB(finder), with_singular_values(rng, gap_spectrum(1, 64), 64, 64)


def _hadamard_slow(rng: np.random.Generator) -> Instance:
    finder = RangeFinder(rank=1, oversampling=55, power_iterations=0, sketch=SubsampledHadamard())
    return QB(finder), with_singular_values(rng, [50.0, *slow_spectrum(59)], 60, 64)


def _hadamard_flat(rng: np.random.Generator) -> Instance:
    finder = RangeFinder(rank=4, oversampling=4, power_iterations=0, sketch=SubsampledHadamard())
    return QB(finder), with_singular_values(rng, gap_spectrum(4, 64), 64, 64)


def _hadamard_few(rng: np.random.Generator) -> Instance:
    finder = RangeFinder(rank=5, oversampling=15, power_iterations=0, sketch=SubsampledHadamard())
    return QB(finder), with_singular_values(rng, slow_spectrum(32), 48, 32)


def hadamard_failure(n: int, k: int, size: int, epsilon: float, beta: float, *, upper: bool = True) -> float:
    """Return the chance that a subsampled Hadamard transform distorts a k-dimensional subspace by more than epsilon."""
    # Tropp 2011, Lemma 3.3: n times the largest row norm of the transformed basis, squared, but for a chance of 1 /
    # beta
    reach = (np.sqrt(k) + np.sqrt(8 * np.log(beta * n))) ** 2
    # Lemma 3.4: Chernoff's inequality for rows drawn without replacement
    low = np.exp(-epsilon) / (1 - epsilon) ** (1 - epsilon)
    high = np.exp(epsilon) / (1 + epsilon) ** (1 + epsilon)
    return float(1 / beta + k * low ** (size / reach) + (k * high ** (size / reach) if upper else 0.0))


tropp = Paper("Tropp 2011", method=Embedding, instances=(_hadamard_vector, _hadamard_plane))


# must fail at less: a vector is changed by only some (2 (1/l - 1/n))^(1/2) = 0.04
@tropp("Lemmas 3.3 and 3.4", error=embedding_distortion, guarantee=WithProbability(), must_fail=0.01)
def srht_embedding_explicit(
    method: Embedding, a: Any, *, epsilon: float = 0.9, beta: float = 20.0
) -> tuple[Values, Values]:
    """||U^T S^T S U - I|| < e, except with probability 1/b + k c(-e)^(l/M) + k c(e)^(l/M), c(e) = exp(e) / (1+e)^(1+e).

    M = (sqrt(k) + sqrt(8 log(b n)))^2 for k columns and n rows of A, n a power of two; S has l rows. Very loose: with
    64 rows the probability is above 1 for every b, e and l. Of one vector with 512 rows and l = 384, b = 20 and e = 0.9
    give M = 92.1 and 0.05 + 0.0614 + 0.2636 = 0.375, where nine vectors in ten change by less than 0.07.

    Letters: U an orthonormal basis of the range of A; e the distortion, a parameter; c the function stated; l the
    number of rows of S; M the effective dimension stated; S the transform; k the number of columns of A; b the
    parameter beta.
    Hypotheses: the sketch is a subsampled Hadamard transform; 0 < e < 1 and b > 1; n is a power of two and l <= n; A is
    tall; A has full column rank, beyond rounding.
    """
    require(isinstance(method.sketch, SubsampledHadamard), "the sketch is a subsampled Hadamard transform")
    require(0 < epsilon < 1 and beta > 1, "0 < e < 1 and b > 1")
    n = int(a.shape[-2])
    require(n & (n - 1) == 0 and method.size <= n, "n is a power of two and l <= n")
    s, k = require_full_column_rank(a)
    chance = hadamard_failure(n, k, method.size, epsilon, beta)
    return np.full(s.shape[:-1], epsilon), np.full(s.shape[:-1], chance)


def _structural_factor(method: QB, a: Any, result: QBResult) -> tuple[Values, Values]:
    """Return sqrt(1 + n / (x l)) and the singular values of the matrix, having checked the hypotheses."""
    finder, n = method.range_finder, a.shape[-1]
    require(isinstance(finder.sketch, SubsampledHadamard), "the test matrix is a subsampled Hadamard transform")
    require(finder.power_iterations == 0, "no power iterations")
    size = result.q.shape[-1]
    require(n & (n - 1) == 0 and size <= n, "n is a power of two and l <= n")
    require(result.omega is not None, "the test matrix is known")
    _, s, vt = np.linalg.svd(errors.dense(a), full_matrices=False)
    first = vt[..., : finder.rank, :] @ errors.dense(result.omega)
    require_full_row_rank(first, result.omega)
    # ||Omega_2 Omega_1^+||^2 <= ||Omega||^2 / x, and a subsampled transform has ||Omega||^2 = n / l
    smallest = np.linalg.svd(first, compute_uv=False)[..., -1] ** 2
    return np.asarray(np.sqrt(1 + n / (smallest * size))), np.asarray(s)


HALKO = "Halko, Martinsson & Tropp 2011"


halko = Paper(
    "Halko, Martinsson & Tropp 2011",
    method=QB,
    instances=(_hadamard_flat, _hadamard_few),
    must_fail=0.05,
    guarantee=Deterministic(condition=condition_of_sketch),
    statement="Theorem 11.2, its deterministic part",
)


@halko(error=errors.projection_spectral)
def srft_rangefinder_structural(method: QB, a: Any, result: QBResult) -> Values:
    """||A - QQ^T A|| <= sqrt(1 + n / (x l)) s_{k+1}, x the smallest eigenvalue of Omega_1 Omega_1^T, l columns.

    Letters: x the smallest eigenvalue of Omega_1 Omega_1^T; l the number of columns of the test matrix; k the target
    rank; Omega_1 the part of the test matrix in the leading k right singular vectors; Q an orthonormal basis of the
    range of A Omega.
    Hypotheses: the test matrix is a subsampled Hadamard transform; no power iterations; n is a power of two and l <= n;
    the test matrix is known; Omega_1 has full row rank, beyond rounding.
    """
    factor, s = _structural_factor(method, a, result)
    return np.asarray(factor * s[..., method.range_finder.rank :].max(axis=-1, initial=0.0))


@halko(error=errors.projection_frobenius)
def srft_rangefinder_structural_fro(method: QB, a: Any, result: QBResult) -> Values:
    """||A - QQ^T A||_F <= sqrt(1 + n / (x l)) tau_k, x the smallest eigenvalue of Omega_1 Omega_1^T, l columns.

    tau_k^2 is the sum of s_j^2 over j > k. All of a transform has x = 1 and l = n: sqrt(2) tau_k.

    Letters: x the smallest eigenvalue of Omega_1 Omega_1^T; k the target rank; Omega_1 the part of the test matrix in
    the leading k right singular vectors; Q an orthonormal basis of the range of A Omega.
    Hypotheses: the test matrix is a subsampled Hadamard transform; no power iterations; n is a power of two and l <= n;
    the test matrix is known; Omega_1 has full row rank, beyond rounding.
    """
    factor, s = _structural_factor(method, a, result)
    return factor * tail(s, method.range_finder.rank)


def _explicit_factor(method: QB, a: Any, epsilon: float, beta: float) -> tuple[float, float]:
    """Return sqrt(1 + n / ((1-e) l)) and the failure probability, having checked the hypotheses."""
    finder, n = method.range_finder, int(a.shape[-1])
    require(isinstance(finder.sketch, SubsampledHadamard), "the test matrix is a subsampled Hadamard transform")
    require(finder.power_iterations == 0, "no power iterations")
    require(0 < epsilon < 1 and beta > 1, "0 < e < 1 and b > 1")
    require(n & (n - 1) == 0 and finder.size <= min(a.shape[-2:]), "n is a power of two and l <= min(m, n)")
    # x >= 1 - e by the embedding of the leading k right singular vectors, of which the lower tail suffices
    factor = float(np.sqrt(1 + n / ((1 - epsilon) * finder.size)))
    return factor, hadamard_failure(n, finder.rank, finder.size, epsilon, beta, upper=False)


halko_2011 = Paper(
    "Halko, Martinsson & Tropp 2011; Tropp 2011",
    method=QB,
    instances=(_hadamard_gap, _hadamard_slow),
    statement="Theorem 11.2 with explicit constants",
)


@halko_2011(error=errors.projection_spectral, guarantee=WithProbability(), must_fail=0.25, sharpest={"epsilon": 0.6})
def srft_rangefinder_explicit(method: QB, a: Any, *, epsilon: float = 0.9, beta: float = 20.0) -> tuple[Values, float]:
    """||A - QQ^T A|| <= sqrt(1 + n / ((1-e) l)) s_{k+1}, except with probability 1/b + k c(-e)^(l/M).

    c(e) = exp(e) / (1+e)^(1+e), M = (sqrt(k) + sqrt(8 log(b n)))^2 for l columns of a Hadamard transform of length n.
    With k = 1, n = 64, l = 48, e = 0.9 and b = 20: 3.79 s_2, except with probability 0.05 + 0.645 = 0.695. Behind a
    large gap in a flat spectrum the error is s_2.

    Letters: e the distortion, a parameter; k the target rank; b a parameter; M the effective dimension stated; Q an
    orthonormal basis of the range of A Omega.
    Hypotheses: the test matrix is a subsampled Hadamard transform; no power iterations; 0 < e < 1 and b > 1; n is a
    power of two and l <= min(m, n).
    """
    factor, chance = _explicit_factor(method, a, epsilon, beta)
    return factor * spectrum_of(a)[..., method.range_finder.rank], chance


@halko_2011(error=errors.projection_frobenius, guarantee=WithProbability(), must_fail=0.1)
def srft_rangefinder_explicit_fro(
    method: QB, a: Any, *, epsilon: float = 0.9, beta: float = 20.0
) -> tuple[Values, float]:
    """||A - QQ^T A||_F <= sqrt(1 + n / ((1-e) l)) tau_k, except with probability 1/b + k c(-e)^(l/M).

    tau_k^2 is the sum of s_j^2 over j > k; see ``srft_rangefinder_explicit``. With k = 1, n = 64, l = 48, e = 0.9 and
    63 singular values 1 behind the gap: 3.786 sqrt(63) = 30.05.

    Letters: e the distortion, a parameter; l the number of columns of the test matrix; k the target rank; b a
    parameter; c the function stated; M the effective dimension stated; Q an orthonormal basis of the range of A Omega.
    Hypotheses: the test matrix is a subsampled Hadamard transform; no power iterations; 0 < e < 1 and b > 1; n is a
    power of two and l <= min(m, n).
    """
    factor, chance = _explicit_factor(method, a, epsilon, beta)
    return factor * tail(spectrum_of(a), method.range_finder.rank), chance
