"""Errors of cross approximations: complete pivoting, and rows and columns drawn by volume."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from scipy.linalg import hadamard

from theory.bounds.hypotheses import has_rank, require_every_step, require_semidefinite, unit_roundoff
from theory.bounds.randnla.columns import elementary_ratio, greedy_growth
from theory.bounds.randnla.instances import steep_spectrum, with_eigenvalues, with_singular_values
from theory.bounds.randnla.largest_volume import alike
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import dense, eigenvalues, spectrum_of, tail
from theory.statement.guarantee import Deterministic, ExactExpectation, InExpectation
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.columns.cross import FullPivotCross
from tnattn.randnla.columns.volume_sampling import VolumeCross
from tnattn.randnla.semidefinite.pivoted_cholesky import GreedyPivotedCholesky

# sampled by volume


def _steep_volume(rng: np.random.Generator) -> Instance:
    return VolumeCross(2), with_singular_values(rng, steep_spectrum(8), 10, 8)


def _flat_volume(rng: np.random.Generator) -> Instance:
    return VolumeCross(1), with_singular_values(rng, [10.0, *([1.0] * 7)], 10, 8)


# a cap on the time and memory of the enumeration
MINORS = 100_000  # as many are looked at; of larger matrices it is not known whether one vanishes


def _require_rank(method: VolumeCross, a: Any) -> Values:
    s = spectrum_of(a)
    require(has_rank(a, method.rank, s), "rank A >= r, beyond rounding")
    return s


def _level(rng: np.random.Generator) -> Instance:
    """A large singular value, equal small ones, entries of nearly one size: crosses have nearly the same error."""
    return VolumeCross(1), 4 + hadamard(8) * (1 + 0.1 * rng.uniform(size=(8, 8)))


def _cross_spread(method: VolumeCross, a: Any) -> Values:
    """Return the relative variance for one row and one column, from all of them; it is not computed for more."""
    dense = errors.dense(a)
    if method.rank != 1:
        return np.full(dense.shape[:-2], np.inf)
    # the relative variance does not depend on the scale, but squares of squares overflow
    dense = dense / np.abs(dense).max(axis=(-2, -1), keepdims=True)
    total, squares = np.sum(dense**2, axis=(-2, -1), keepdims=True), dense**2
    seen = squares > 0
    inverse = np.where(seen, 1.0 / np.where(seen, dense, 1.0), 0.0)
    outer = np.sum(squares, axis=-2, keepdims=True) * np.sum(squares, axis=-1, keepdims=True)
    # ||A - c r / a_ij||_F^2 = ||A||_F^2 - 2 c^T A r^T / a_ij + ||c||^2 ||r||^2 / a_ij^2 for every entry at once
    inner = dense @ np.swapaxes(dense, -1, -2) @ dense  # of column j and row i with A
    error = np.maximum(total - 2 * inner * inverse + outer * inverse**2, 0.0)
    mean, second = (np.sum(squares / total * error**p, axis=(-2, -1)) for p in (1, 2))
    return np.asarray(second / np.where(mean > 0, mean, 1.0) ** 2 - np.where(mean > 0, 1.0, 0.0))


zamarashkin = Paper(
    "Zamarashkin & Osinsky 2018; Cortinovis & Kressner 2020",
    method=VolumeCross,
    instances=(_level, _steep_volume),
    statement="re-derived",
)


@zamarashkin(error=errors.matrix_frobenius_squared, guarantee=ExactExpectation(spread=_cross_spread))
def cross_volume_sampling_identity(method: VolumeCross, a: Any) -> Values:
    """E||A - C G^-1 R||_F^2 = (r+1)^2 e_{r+1}/e_r for rows I and columns J drawn in proportion to det(A(I, J))^2.

    e_j are the elementary symmetric polynomials of the squared singular values.

    Letters: C the chosen columns; G the intersection; R the chosen rows; r the number of rows and of columns drawn; J
    the columns drawn.
    Hypotheses: rank A >= r, beyond rounding; no minor of order r is zero.
    """
    s = _require_rank(method, a)
    require(_every_minor_counts(dense(a), method.rank, unit_roundoff(a)), "no minor of order r is zero")
    return (method.rank + 1) ** 2 * elementary_ratio(s**2, method.rank)


def _every_minor_counts(a: Values, r: int, precision: float) -> bool:
    """Say whether all minors of order r are larger than rounding, of matrices with at most MINORS of them."""
    m, n = a.shape[-2:]
    if math.comb(m, r) * math.comb(n, r) > MINORS:
        return False
    rows, columns = (np.array(list(itertools.combinations(range(size), r))) for size in (m, n))
    blocks = a[..., rows[:, None, :, None], columns[None, :, None, :]]  # (..., row sets, column sets, r, r)
    scale = np.abs(a).max(axis=(-2, -1), initial=0.0)[..., None, None]
    # a minor that vanishes is never drawn and is missing from the sum over all sets, which the identity needs
    minors = np.abs(np.linalg.det(blocks / np.where(scale > 0, scale, 1.0)[..., None, None]))
    return bool(np.all(minors > max(m, n) * precision))


@zamarashkin(error=errors.matrix_frobenius_squared, guarantee=InExpectation(), instances=(_flat_volume, _steep_volume))
def cross_volume_sampling_fro(method: VolumeCross, a: Any) -> Values:
    """E||A - C G^-1 R||_F^2 <= (r+1)^2 sum_{j>r} s_j^2 for rows and columns drawn by volume.

    Letters: C the chosen columns; G the intersection; R the chosen rows; r the number of rows and of columns drawn.
    Hypotheses: rank A >= r, beyond rounding.
    """
    return np.asarray((method.rank + 1) ** 2 * tail(_require_rank(method, a), method.rank) ** 2)


# complete pivoting


def wilkinson_growth(m: int) -> float:
    """Return (m 2^(1/1) 3^(1/2) ... m^(1/(m-1)))^(1/2), the bound on the growth of completely pivoted elimination."""
    # Wilkinson 1961; it grows like m^(log(m)/4), far below the 2^(m-1) of partial pivoting
    return float((m * np.prod([j ** (1 / (j - 1)) for j in range(2, m + 1)])) ** 0.5)


def complete_pivoting_factor(r: int) -> float:
    """Return sum_{i=1}^{r+1} g(r+2-i) (4^(i-1) + 2)/3."""
    # growth of the elimination times the entries of the inverse of a triangular factor, step by step
    return float(sum(wilkinson_growth(r + 2 - i) * (4.0 ** (i - 1) + 2) / 3 for i in range(1, r + 2)))


def _alike(rng: np.random.Generator) -> Instance:
    return FullPivotCross(1), alike(2)


def _steep(rng: np.random.Generator) -> Instance:
    return FullPivotCross(3), with_singular_values(rng, steep_spectrum(24, ratio=0.1), 30, 24)


cortinovis = Paper(
    "Cortinovis, Kressner & Massei 2020",
    method=FullPivotCross,
    instances=(_alike, _steep),
    guarantee=Deterministic(condition=100.0),
)


@cortinovis("re-derived with the growth bound of Wilkinson", error=errors.matrix_maximum)
def aca_full_pivot(method: FullPivotCross, a: Any) -> Values:
    """Max |A - A'| <= s_{r+1} sum_{i=1}^{r+1} g(r+2-i) (4^(i-1) + 2)/3 after r completely pivoted steps.

    g(m) = (m 2^1 3^(1/2) ... m^(1/(m-1)))^(1/2); at most 4^r g(r+1) s_{r+1}.

    Letters: r the number of steps; g Wilkinson's bound on the growth of elimination.
    Hypotheses: no tolerance ends the method before its rank; r < min(m, n).
    """
    s, r = spectrum_of(a), method.rank
    require_every_step(method)
    require(r < s.shape[-1], "r < min(m, n)")
    return complete_pivoting_factor(r) * s[..., r]


def _steep_definite(rng: np.random.Generator) -> Instance:
    return FullPivotCross(3), with_eigenvalues(rng, steep_spectrum(24, ratio=0.1))


cortinovis_2012 = Paper(
    "Cortinovis, Kressner & Massei 2020; Harbrecht, Peters & Schneider 2012",
    method=(FullPivotCross, GreedyPivotedCholesky),
    instances=(_alike, _steep_definite),
)


@cortinovis_2012("re-derived", error=errors.matrix_maximum, guarantee=Deterministic(condition=100.0))
def aca_psd(method: FullPivotCross | GreedyPivotedCholesky, a: Any) -> Values:
    """Max |K - K'| <= (4^(r+1) + 6r + 5)/9 l_{r+1} for positive semidefinite K after r greedy steps.

    Letters: r the number of steps.
    Hypotheses: K is square; K is symmetric; K is positive semidefinite; no tolerance ends the method before its rank; r
    < n.
    """
    require_semidefinite(a)
    require_every_step(method)
    require(method.rank < a.shape[-1], "r < n")
    return greedy_growth(method.rank) * eigenvalues(a)[..., method.rank]
