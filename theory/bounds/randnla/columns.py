"""Errors of projections onto columns: drawn by volume, greedy pivots, strong rank-revealing QR."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from theory.bounds.hypotheses import has_rank, require_every_step
from theory.bounds.randnla.instances import slow_spectrum, steep_spectrum, with_singular_values
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error, dense, spectrum_of, tail
from theory.statement.guarantee import Deterministic, ExactExpectation, InExpectation
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.columns.interpolative import InterpolativeDecomposition, InterpolativeResult
from tnattn.randnla.columns.pivoted_qr import PivotedQR
from tnattn.randnla.columns.strong_rrqr import StrongColumns
from tnattn.randnla.columns.volume_sampling import VolumeColumns


def near_parallel(angle: float = 1e-2) -> Values:
    """Return two unit columns at a small angle: either leaves sqrt(2) times the smaller singular value."""
    return np.array([[1.0, np.cos(angle)], [0.0, np.sin(angle)]])


# volume sampling


def elementary_ratio(values: Values, s: int) -> Values:
    """Return e_{s+1} / e_s of numbers (..., r), by the recurrence of the polynomials scaled by the largest number."""
    # e_j is homogeneous of degree j: scaled by the largest number, products of many neither overflow nor vanish
    scale = np.max(values, axis=-1, keepdims=True)
    numbers = values / np.where(scale > 0, scale, 1.0)
    table = np.zeros((*values.shape[:-1], s + 2))
    table[..., 0] = 1.0
    for i in range(values.shape[-1]):
        # e_j(x_1, ..., x_i) = e_j(x_1, ..., x_{i-1}) + x_i e_{j-1}(x_1, ..., x_{i-1}), the right-hand sides before the
        # update
        table[..., 1:] = table[..., 1:] + numbers[..., i, None] * table[..., :-1]
    return np.asarray(scale[..., 0] * table[..., s + 1] / table[..., s])


def _volume(rng: np.random.Generator) -> Instance:
    return InterpolativeDecomposition(2, VolumeColumns()), with_singular_values(rng, slow_spectrum(8), 10, 8)


def _volume_flat(rng: np.random.Generator) -> Instance:
    return InterpolativeDecomposition(3, VolumeColumns()), with_singular_values(rng, [4.0, 2.0, *([0.5] * 8)], 12, 10)


def _require_volume(method: InterpolativeDecomposition, a: Any) -> None:
    rule = method.selection
    require(isinstance(rule, VolumeColumns) and not rule.semidefinite, "columns are drawn by their squared volume")
    require_every_step(method)
    require(has_rank(a, method.rank), "rank A >= s, beyond rounding")


deshpande = Paper(
    "Deshpande, Rademacher, Vempala & Wang 2006; Guruswami & Sinop 2012",
    method=InterpolativeDecomposition,
    instances=(_volume, _volume_flat),
    statement="re-derived",
)


@deshpande(error=errors.projection_frobenius_squared, guarantee=ExactExpectation())
def volume_sampling_identity(method: InterpolativeDecomposition, a: Any) -> Values:
    """E||A - P A||_F^2 = (s+1) e_{s+1}/e_s for s columns drawn by volume and the projection P onto them.

    e_j are the elementary symmetric polynomials of the squared singular values.

    Letters: s the number of columns drawn.
    Hypotheses: columns are drawn by their squared volume; no tolerance ends the method before its rank; rank A >= s,
    beyond rounding.
    """
    _require_volume(method, a)
    return (method.rank + 1) * elementary_ratio(spectrum_of(a) ** 2, method.rank)


@deshpande(error=errors.projection_frobenius_squared, guarantee=InExpectation(), instances=(_volume_flat, _volume))
def volume_sampling_fro(method: InterpolativeDecomposition, a: Any) -> Values:
    """E||A - P A||_F^2 <= min_{r<=s} (s+1)/(s+1-r) sum_{j>r} s_j^2 for s columns drawn by volume.

    Letters: r a rank; s the number of columns drawn.
    Hypotheses: columns are drawn by their squared volume; no tolerance ends the method before its rank; rank A >= s,
    beyond rounding.
    """
    _require_volume(method, a)
    s, values = method.rank, spectrum_of(a)
    # the identity bounded by Maclaurin's inequality at every r; the best of them is taken
    choices = [(s + 1) / (s + 1 - r) * tail(values, r) ** 2 for r in range(s + 1)]
    return np.asarray(np.min(choices, axis=0))


def _spectral_squared(a: Values) -> Values:
    return np.asarray(np.linalg.norm(a, ord=2, axis=(-2, -1)) ** 2)


projection_spectral_squared = Error(
    "squared spectral norm",
    lambda t, r: _spectral_squared(dense(t) - dense(r)),
    lambda t: _spectral_squared(dense(t)),
    lambda t: _spectral_squared(dense(t)),
    lambda t: _spectral_squared(dense(t)),
)


def _volume_steep(rng: np.random.Generator) -> Instance:
    return InterpolativeDecomposition(2, VolumeColumns()), with_singular_values(rng, steep_spectrum(8), 10, 8)


def _two_columns(rng: np.random.Generator) -> Instance:
    return InterpolativeDecomposition(1, VolumeColumns()), near_parallel(0.05)


@deshpande(error=projection_spectral_squared, guarantee=InExpectation(), instances=(_two_columns, _volume_steep))
def volume_sampling_spec(method: InterpolativeDecomposition, a: Any) -> Values:
    """E||A - P A||^2 <= (s+1)(n-s) s_{s+1}^2 for s columns drawn by volume.

    Letters: s the number of columns drawn.
    Hypotheses: columns are drawn by their squared volume; no tolerance ends the method before its rank; rank A >= s,
    beyond rounding; s < min(m, n).
    """
    _require_volume(method, a)
    s, n, values = method.rank, a.shape[-1], spectrum_of(a)
    require(s < values.shape[-1], "s < min(m, n)")
    return np.asarray((s + 1) * (n - s) * values[..., s] ** 2)


# greedy pivots


def greedy_growth(k: int) -> float:
    """Return (4^(k+1) + 6k + 5) / 9, which bounds ||R^-1||^2 for a pivoted triangular factor of size k + 1."""
    # of a unit triangular factor with entries of modulus at most one, as after greedy pivoting (Higham)
    return float((4.0 ** (k + 1) + 6 * k + 5) / 9)


def kahan(n: int, cosine: float = 0.3) -> Values:
    """Return the matrix of Kahan, whose pivots all stay put, perturbed against ties."""
    # columns of equal residual norm: 1e-9 makes the first the largest, so that rounding cannot exchange pivots
    sine = (1 - cosine**2) ** 0.5
    upper = np.eye(n) - cosine * np.triu(np.ones((n, n)), 1)
    return np.asarray(sine ** np.arange(n)[:, None] * upper * (1 + 1e-9 * np.arange(n, 0, -1)))


def _greedy(rng: np.random.Generator) -> Instance:
    return PivotedQR(rank=1), near_parallel()


def _greedy_steep(rng: np.random.Generator) -> Instance:
    return PivotedQR(rank=2), with_singular_values(rng, steep_spectrum(8, ratio=0.1), 10, 8)


gu_eisenstat = Paper(
    "Gu & Eisenstat 1996",
    method=InterpolativeDecomposition,
    instances=(_greedy, _greedy_steep),
    guarantee=Deterministic(condition=10.0),
    statement="Lemma 3.1 and Theorem 3.2",
)

greedy = replace(gu_eisenstat, method=PivotedQR, guarantee=Deterministic())


@greedy("Theorem 7.2, with the triangular inverse of Higham", error=errors.projection_frobenius)
def qrcp_greedy(method: PivotedQR, a: Any) -> Values:
    """||A - Q R||_F <= sqrt((n-k) (4^(k+1) + 6k + 5)/9) s_{k+1} for the first k pivots.

    Letters: Q orthonormal columns; R the triangular factor in the order of the pivots; k the number of columns taken.
    Hypotheses: no tolerance ends the method before its rank; k < min(m, n).
    """
    k, n, s = method.rank, a.shape[-1], spectrum_of(a)
    require_every_step(method)
    require(k < s.shape[-1], "k < min(m, n)")
    return np.asarray(((n - k) * greedy_growth(k)) ** 0.5 * s[..., k])


# strong rank-revealing QR


def strong_factor(f: float, k: int, n: int) -> float:
    """Return sqrt(1 + f^2 k (n - k))."""
    return float((1 + f**2 * k * (n - k)) ** 0.5)


def strong_parameters(method: InterpolativeDecomposition, a: Any) -> tuple[float, float]:
    """Return f and sqrt(1 + f^2 k (n-k)), having checked the hypotheses."""
    rule = method.selection
    require(isinstance(rule, StrongColumns), "columns come from strong rank-revealing QR")
    assert isinstance(rule, StrongColumns)
    require(rule.sketch is None, "of the matrix itself, not of a sketch")
    require_every_step(method)
    s = spectrum_of(a)
    # at the rounding of single precision, in which targets may be given
    noise = max(a.shape[-2:]) * np.finfo(np.float32).eps * s[..., 0]
    require(method.rank < s.shape[-1], "k < min(m, n)")
    require(bool(np.all(s[..., method.rank - 1] > noise)), "rank A >= k, beyond rounding")
    return rule.growth, strong_factor(rule.growth, method.rank, a.shape[-1])


def _strong_two(rng: np.random.Generator) -> Instance:
    return InterpolativeDecomposition(1, StrongColumns(1.01)), near_parallel()


def _strong_steep(rng: np.random.Generator) -> Instance:
    method = InterpolativeDecomposition(3, StrongColumns(1.5))
    return method, with_singular_values(rng, steep_spectrum(12, ratio=0.1), 14, 12)


def _strong_kahan(rng: np.random.Generator) -> Instance:
    return InterpolativeDecomposition(9, StrongColumns(1.5)), kahan(12)


@gu_eisenstat(error=errors.projection_spectral, instances=(_strong_two, _strong_steep))
def interpolative_decomposition(method: InterpolativeDecomposition, a: Any) -> Values:
    """||A - A_J X|| <= sqrt(1 + f^2 k (n-k)) s_{k+1} for columns J by strong rank-revealing QR with parameter f.

    Letters: A_J the columns J of A; J the columns taken; X the coefficients; f the growth parameter; k the number of
    columns taken.
    Hypotheses: columns come from strong rank-revealing QR; of the matrix itself, not of a sketch; no tolerance ends the
    method before its rank; k < min(m, n); rank A >= k, beyond rounding.
    """
    _, factor = strong_parameters(method, a)
    return np.asarray(factor * spectrum_of(a)[..., method.rank])


def _kept_share(target: Any, result: InterpolativeResult) -> Values:
    kept = np.linalg.svd(dense(result.skeleton), compute_uv=False)
    # interlacing: s_i(A_J) <= s_i(A), so that the quotients are at most one
    all_of_them = spectrum_of(target)[..., : kept.shape[-1]]
    return np.asarray(np.min(kept / all_of_them, axis=-1))


def _one(target: Any) -> Values:
    return np.ones(target.shape[:-2])


kept_share = Error(
    "smallest quotient of singular values of the chosen columns and of the matrix", _kept_share, _one, _one
)
largest_coefficient = Error(
    "largest coefficient of the interpolation",
    lambda t, r: np.abs(dense(r.coefficients)).max(axis=(-2, -1)),
    lambda t: np.full(t.shape[:-2], np.inf),
    _one,
)


@gu_eisenstat(error=kept_share, side="lower", instances=(_strong_two, _strong_kahan))
def strong_rrqr(method: InterpolativeDecomposition, a: Any) -> Values:
    """min_{i<=k} s_i(A_J) / s_i(A) >= 1 / sqrt(1 + f^2 k (n-k)) for columns J by strong rank-revealing QR.

    Letters: k the number of columns taken; A_J the columns J of A; J the columns taken; f the growth parameter.
    Hypotheses: columns come from strong rank-revealing QR; of the matrix itself, not of a sketch; no tolerance ends the
    method before its rank; k < min(m, n); rank A >= k, beyond rounding.
    """
    _, factor = strong_parameters(method, a)
    return np.full(a.shape[:-2], 1 / factor)


@gu_eisenstat(error=largest_coefficient, guarantee=Deterministic(condition=1e4), instances=(_strong_two, _strong_kahan))
def strong_rrqr_coefficients(method: InterpolativeDecomposition, a: Any) -> Values:
    """Max |X_ij| <= max(1, f) for the coefficients of columns by strong rank-revealing QR with parameter f.

    Letters: X the coefficients; f the growth parameter.
    Hypotheses: columns come from strong rank-revealing QR; of the matrix itself, not of a sketch; no tolerance ends the
    method before its rank; k < min(m, n); rank A >= k, beyond rounding.
    """
    growth, _ = strong_parameters(method, a)
    return np.full(a.shape[:-2], max(1.0, growth))
