"""Errors of range finders given their test matrix: statements without probability."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from theory.bounds.hypotheses import has_rank, unit_roundoff
from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_singular_values
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.low_rank.qb import QB, QBResult
from tnattn.randnla.low_rank.range_finder import RangeFinder


def _gap(rng: np.random.Generator) -> Instance:
    return QB(RangeFinder(rank=4, oversampling=1, power_iterations=0)), with_singular_values(
        rng, gap_spectrum(4, 48), 48, 56
    )


def _slow(rng: np.random.Generator) -> Instance:
    return QB(RangeFinder(rank=5, oversampling=5, power_iterations=0)), with_singular_values(
        rng, slow_spectrum(40), 48, 40
    )


def _one_direction(rng: np.random.Generator) -> Instance:
    """Return a case of equality: one column, one direction, no oversampling."""
    a = with_singular_values(rng, [2.0, *([1.0] * 29)], 30, 40)
    return QB(RangeFinder(rank=1, oversampling=0, power_iterations=1)), a


def _slow_power(rng: np.random.Generator) -> Instance:
    finder = RangeFinder(rank=5, oversampling=3, power_iterations=1)
    return QB(finder), with_singular_values(rng, slow_spectrum(40), 48, 40)


class Split(NamedTuple):
    """Singular values before and after the target rank, and F = Omega_2 Omega_1^+ in the right singular vectors.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.randnla.structural import split
    >>> from tnattn.randnla.low_rank.qb import QB
    >>> from tnattn.randnla.low_rank.range_finder import RangeFinder
    >>> a, method = np.diag([3.0, 2.0, 1.0]), QB(RangeFinder(rank=1, oversampling=1, power_iterations=0))
    >>> parts = split(method, a, method(a, rng=np.random.default_rng(0)), power=False)
    >>> parts.leading.round(4).tolist(), parts.rest.round(4).tolist(), parts.ratio.shape
    ([3.0], [2.0, 1.0], (2, 1))
    """

    leading: Values  # (..., k)
    rest: Values  # (..., r - k)
    ratio: Values  # (..., r - k, k)


def split(method: QB, a: Any, result: QBResult, *, power: bool) -> Split:
    """Return the split at the target rank, or raise HypothesisViolated."""
    finder = method.range_finder
    require(result.omega is not None, "the test matrix is known")
    if not power:
        require(finder.power_iterations == 0, "no power iterations")
    k = finder.rank
    require(k <= min(a.shape[-2:]), "k <= min(m, n)")
    _, s, vt = np.linalg.svd(errors.dense(a), full_matrices=False)
    require(has_rank(a, k, s), "rank A >= k, beyond rounding")
    seen = vt @ errors.dense(result.omega)
    first, second = seen[..., :k, :], seen[..., k:, :]
    require_full_row_rank(first, result.omega)
    return Split(s[..., :k], s[..., k:], second @ np.linalg.pinv(first))


def require_full_row_rank(first: Values, omega: Any) -> None:
    """Require that Omega_1 (..., k, l), the part of a test matrix in leading directions, has rank k beyond rounding."""
    s = np.linalg.svd(first, compute_uv=False)
    require(first.shape[-2] <= first.shape[-1], "Omega_1 has full row rank, beyond rounding")
    # of a smaller singular value the pseudo-inverse would be rounding
    smallest = max(omega.shape[-2:]) * unit_roundoff(omega) * s[..., 0]
    require(bool(np.all(s[..., -1] > smallest)), "Omega_1 has full row rank, beyond rounding")


def condition_of_sketch(method: QB, a: Any, result: QBResult) -> Values:
    """Return ten times the condition number of Omega_1, (...): its pseudo-inverse enters the right-hand sides."""
    vt = np.linalg.svd(errors.dense(a), full_matrices=False)[2]
    s = np.linalg.svd(vt[..., : method.range_finder.rank, :] @ errors.dense(result.omega), compute_uv=False)
    return np.asarray(10 * s[..., 0] / s[..., -1])


def _for_every_value(method: QB, a: Any, result: QBResult) -> Values:
    return condition_of_sketch(method, a, result)[..., None]


def _weighted(parts: Split, q: int) -> Values:
    """Return Sigma_2^(2q+1) F Sigma_1^(-2q), whose powers are taken of values in units of s_k."""
    unit = parts.leading[..., -1:]
    # values beyond s_k to the power 2 q + 1 and those before it to -2 q: both at most one in units of s_k
    left = unit * (parts.rest / unit) ** (2 * q + 1)
    return np.asarray(left[..., :, None] * parts.ratio * ((unit / parts.leading) ** (2 * q))[..., None, :])


def _spectral(x: Values) -> Values:
    return np.asarray(np.linalg.norm(x, ord=2, axis=(-2, -1)) if x.size else np.zeros(x.shape[:-2]))


def _root(*squares: Values) -> Values:
    return np.asarray(np.sqrt(sum(np.square(x) for x in squares)))


halko = Paper(
    "Halko, Martinsson & Tropp 2011",
    method=QB,
    instances=(_gap, _slow),
    guarantee=Deterministic(condition=condition_of_sketch),
    statement="Theorem 9.1",
)


@halko(error=errors.projection_spectral)
def rrf_structural(method: QB, a: Any, result: QBResult) -> Values:
    """||A - QQ^T A||^2 <= ||S_2||^2 + ||S_2 Omega_2 Omega_1^+||^2, S_2 the singular values beyond the k-th.

    Letters: S_1 the leading k singular values and S_2 the others; Omega_1 and Omega_2 the test matrix in the leading k
    right singular vectors and in the others; k the target rank; Q an orthonormal basis of the range of (A A^T)^q A
    Omega.
    Hypotheses: the test matrix is known; no power iterations; k <= min(m, n); rank A >= k, beyond rounding; Omega_1 has
    full row rank, beyond rounding.
    """
    parts = split(method, a, result, power=False)
    return _root(parts.rest.max(axis=-1, initial=0.0), _spectral(_weighted(parts, 0)))


@halko(error=errors.projection_frobenius)
def rrf_structural_fro(method: QB, a: Any, result: QBResult) -> Values:
    """||A - QQ^T A||_F^2 <= ||S_2||_F^2 + ||S_2 Omega_2 Omega_1^+||_F^2, S_2 the singular values beyond the k-th.

    Letters: S_1 the leading k singular values and S_2 the others; Omega_1 and Omega_2 the test matrix in the leading k
    right singular vectors and in the others; k the target rank; Q an orthonormal basis of the range of (A A^T)^q A
    Omega.
    Hypotheses: the test matrix is known; no power iterations; k <= min(m, n); rank A >= k, beyond rounding; Omega_1 has
    full row rank, beyond rounding.
    """
    parts = split(method, a, result, power=False)
    return _root(np.linalg.norm(parts.rest, axis=-1), np.linalg.norm(_weighted(parts, 0), axis=(-2, -1)))


@halko(
    "Theorem 9.2", error=errors.projection_spectral, guarantee=Deterministic(), instances=(_one_direction, _slow_power)
)
def rrf_power_structural(method: QB, a: Any, result: QBResult) -> Values:
    """||A - QQ^T A|| <= ||(I - QQ^T) (A A^T)^q A||^(1/(2q+1)): a projection misses less of A than of its powers.

    Letters: q the number of power iterations; Q an orthonormal basis of the range of (A A^T)^q A Omega.
    Hypotheses: none; Q is any orthonormal basis.
    """
    power = 2 * method.range_finder.power_iterations + 1
    u, s, _ = np.linalg.svd(errors.dense(a), full_matrices=False)
    largest = np.maximum(s[..., :1], np.finfo(np.float64).tiny)
    q = errors.dense(result.q)
    # (I - Q Q^T) (A A^T)^q A = (I - Q Q^T) U S^(2q+1) V^T, the powers taken of S / s_1
    residual = u - q @ (np.swapaxes(q, -1, -2) @ u)
    return np.asarray(largest[..., 0] * _spectral(residual * ((s / largest) ** power)[..., None, :]) ** (1 / power))


gu = Paper(
    "Gu 2015",
    method=QB,
    instances=(_one_direction, _slow_power),
    guarantee=Deterministic(condition=condition_of_sketch),
    statement="structural lemma, re-derived",
)


@gu(error=errors.projection_spectral)
def subspace_structural(method: QB, a: Any, result: QBResult) -> Values:
    """||A - QQ^T A||^2 <= ||S_2||^2 + ||S_2^(2q+1) F S_1^(-2q)||^2 with F = Omega_2 Omega_1^+ and q powers.

    Letters: S_1 the leading k singular values and S_2 the others; q the number of power iterations; Omega_1 and Omega_2
    the test matrix in the leading k right singular vectors and in the others; Q an orthonormal basis of the range of (A
    A^T)^q A Omega.
    Hypotheses: the test matrix is known; k <= min(m, n); rank A >= k, beyond rounding; Omega_1 has full row rank,
    beyond rounding.
    """
    parts = split(method, a, result, power=True)
    weighted = _weighted(parts, method.range_finder.power_iterations)
    return _root(parts.rest.max(axis=-1, initial=0.0), _spectral(weighted))


@gu(error=errors.projection_frobenius)
def subspace_structural_fro(method: QB, a: Any, result: QBResult) -> Values:
    """||A - QQ^T A||_F^2 <= ||S_2||_F^2 + ||S_2^(2q+1) F S_1^(-2q)||_F^2 with F = Omega_2 Omega_1^+.

    Letters: S_1 the leading k singular values and S_2 the others; q the number of power iterations; Omega_1 and Omega_2
    the test matrix in the leading k right singular vectors and in the others; Q an orthonormal basis of the range of (A
    A^T)^q A Omega.
    Hypotheses: the test matrix is known; k <= min(m, n); rank A >= k, beyond rounding; Omega_1 has full row rank,
    beyond rounding.
    """
    parts = split(method, a, result, power=True)
    weighted = _weighted(parts, method.range_finder.power_iterations)
    return _root(np.linalg.norm(parts.rest, axis=-1), np.linalg.norm(weighted, axis=(-2, -1)))


def _captured(target: Any, result: QBResult) -> Values:
    q = errors.dense(result.q)
    return np.asarray(np.linalg.svd(np.swapaxes(q, -1, -2) @ errors.dense(target), compute_uv=False))


def _largest(target: Any) -> Values:
    return np.asarray(errors.spectrum_of(target)[..., :1])


captured_singular_values = Error("singular values of Q^T A", _captured, _largest, _largest)


captured = replace(gu, instances=(_gap, _slow_power), guarantee=Deterministic(condition=_for_every_value))


@captured("Theorem 4.3", error=captured_singular_values, side="lower")
def subspace_sv_structural(method: QB, a: Any, result: QBResult) -> Values:
    """s_j(Q^T A) >= s_j / sqrt(1 + (s_{k+1}/s_j)^(4q+2) ||F||^2) for j <= k, F = Omega_2 Omega_1^+; one value per j.

    Letters: Q an orthonormal basis of the range of (A A^T)^q A Omega; k the target rank; q the number of power
    iterations; Omega_1 and Omega_2 the test matrix in the leading k right singular vectors and in the others.
    Hypotheses: the test matrix is known; k <= min(m, n); rank A >= k, beyond rounding; Omega_1 has full row rank,
    beyond rounding.
    """
    parts = split(method, a, result, power=True)
    q, k = method.range_finder.power_iterations, parts.leading.shape[-1]
    # s_{k+1}, zero where nothing is beyond the rank
    ratio = parts.rest.max(axis=-1, initial=0.0)[..., None] / parts.leading
    lower = parts.leading / np.sqrt(1 + ratio ** (4 * q + 2) * _spectral(parts.ratio)[..., None] ** 2)
    values = np.zeros((*lower.shape[:-1], result.q.shape[-1]))  # trivial beyond the k-th
    values[..., :k] = lower
    return values


def _sines(target: Any, result: QBResult) -> Values:
    u = np.linalg.svd(errors.dense(target), full_matrices=False)[0][..., : result.q.shape[-1]]
    q = errors.dense(result.q)
    return np.asarray(np.linalg.norm(u - q @ (np.swapaxes(q, -1, -2) @ u), axis=-2))


def _one(target: Any) -> Values:
    return np.ones((*target.shape[:-2], 1))


singular_vector_sines = Error("sines of the angles of leading left singular vectors to the range", _sines, _one, _one)


saibaba = Paper("Saibaba 2019", method=QB, instances=(_one_direction, _slow_power))


@saibaba(
    "structural theorem, re-derived", error=singular_vector_sines, guarantee=Deterministic(condition=_for_every_value)
)
def subspace_angle_structural(method: QB, a: Any, result: QBResult) -> Values:
    """sin(u_j, range Q) <= h_j / sqrt(1 + h_j^2), h_j = ||S_2^(2q+1) F e_j|| / s_j^(2q+1), for j <= k; one value per j.

    F = Omega_2 Omega_1^+. Equality for one column and one direction.

    Letters: u_j the left singular vectors; Q an orthonormal basis of the range of (A A^T)^q A Omega; h the bound on a
    tangent; S_1 the leading k singular values and S_2 the others; q the number of power iterations; e_j the unit
    vectors; k the target rank.
    Hypotheses: the test matrix is known; k <= min(m, n); rank A >= k, beyond rounding; Omega_1 has full row rank,
    beyond rounding.
    """
    parts = split(method, a, result, power=True)
    q, k = method.range_finder.power_iterations, parts.leading.shape[-1]
    columns = np.linalg.norm(_weighted(parts, q), axis=-2) / parts.leading
    values = np.ones((*columns.shape[:-1], result.q.shape[-1]))  # trivial beyond the k-th
    values[..., :k] = columns / np.sqrt(1 + columns**2)
    return values
