"""Errors of CUR decompositions, and growth factors of interpolation points."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from theory.bounds.hypotheses import require_every_step, unit_roundoff
from theory.bounds.randnla.instances import slow_spectrum, steep_spectrum, with_singular_values
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error, dense, spectrum_of
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.columns.cur import CUR, CURResult
from tnattn.randnla.columns.deim import DEIMColumns, QDEIMColumns
from tnattn.randnla.columns.pivoted_qr import QRColumns
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD


def _nearly_flat(rng: np.random.Generator) -> Instance:
    """Two nearly parallel columns and rows: singular vectors are flat, and the error is as large as it can be."""
    # 1e-6 off the symmetric choice, so that rounding cannot decide which index comes first
    return CUR(1, DEIMColumns()), np.array([[1.0, 0.99], [0.99, 1.0 - 1e-6]])


def _slow(rng: np.random.Generator) -> Instance:
    return CUR(4, DEIMColumns()), with_singular_values(rng, slow_spectrum(20), 24, 20)


def _steep(rng: np.random.Generator) -> Instance:
    return CUR(4, DEIMColumns()), with_singular_values(rng, steep_spectrum(20), 24, 20)


def _slow_q(rng: np.random.Generator) -> Instance:
    return CUR(4, QDEIMColumns()), with_singular_values(rng, slow_spectrum(20), 24, 20)


def _flat(rng: np.random.Generator) -> Values:
    """A constant matrix with a little noise, whose leading singular vectors have no large entry."""
    return np.asarray(np.ones((30, 20)) + 1e-3 * rng.standard_normal((30, 20)))


def _flat_deim(rng: np.random.Generator) -> Instance:
    return CUR(1, DEIMColumns()), _flat(rng)


def _flat_q(rng: np.random.Generator) -> Instance:
    return CUR(1, QDEIMColumns()), _flat(rng)


def _taken(vectors: Values, indices: Any) -> Values:
    chosen = np.asarray(dense(indices), dtype=np.int64)
    return np.asarray(np.take_along_axis(vectors, chosen[..., None], axis=-2))


def growths(a: Any, result: CURResult) -> tuple[Values, Values]:
    """Return the norms of the inverses of leading left and right singular vectors at the chosen rows and columns."""
    u, _, vt = np.linalg.svd(dense(a), full_matrices=False)
    k = result.row_indices.shape[-1]
    rows = _taken(u[..., :k], result.row_indices)
    columns = _taken(np.swapaxes(vt, -1, -2)[..., :k], result.column_indices)
    # the norm of an inverse is the reciprocal of the smallest singular value
    one, other = (1 / np.linalg.svd(x, compute_uv=False)[..., -1] for x in (rows, columns))
    return np.asarray(one), np.asarray(other)


SPARE = 100.0  # least gap in units of its rounding: two digits of the leading space are right


def _require_interpolation(method: CUR, a: Any, *rules: type) -> None:
    rule = method.selection
    require(isinstance(rule, rules), f"rows and columns are points of {' or '.join(r.__name__ for r in rules)}")
    require(isinstance(getattr(rule, "svd", None), TruncatedSVD), "singular vectors are exact")
    require_every_step(method)
    require(method.rank < min(a.shape[-2:]), "k < min(m, n)")


def _gap(method: CUR, a: Any) -> tuple[Values, Values]:
    """Return s_1 and s_k - s_{k+1}, (...)."""
    s = spectrum_of(a)
    return s[..., 0], s[..., method.rank - 1] - s[..., method.rank]


def _require_gap(method: CUR, a: Any) -> None:
    """Require that the space of the leading k singular vectors is determined, with some digits to spare."""
    largest, gap = _gap(method, a)
    least = SPARE * max(a.shape[-2:]) * unit_roundoff(a) * largest
    require(bool(np.all(gap > least)), "s_k > s_{k+1}, beyond rounding")


def _condition_of_space(method: CUR, a: Any) -> Values:
    """Return ten times s_1 / (s_k - s_{k+1}), by which rounding of A turns the space of leading singular vectors."""
    largest, gap = _gap(method, a)
    # Wedin: a perturbation E turns the leading space by ||E|| / (s_k - s_{k+1}); 10 for the constants of the SVD
    return np.asarray(10 * largest / gap)


sorensen = Paper("Sorensen & Embree 2016", method=CUR, instances=(_nearly_flat, _steep))


@sorensen("Theorem 4.1", error=errors.projection_spectral, guarantee=Deterministic(condition=100.0))
def deim_cur(method: CUR, a: Any, result: CURResult) -> Values:
    """||A - C C^+ A R^+ R|| <= (h_p + h_q) s_{k+1}, h the norms of the inverses of singular vectors at the points.

    Letters: C the chosen columns; R the chosen rows; h the growth, h_p of the rows and h_q of the columns; p the
    interpolation points of the rows; q the interpolation points of the columns; k their number, the rank.
    Hypotheses: rows and columns are points of DEIMColumns or QDEIMColumns; singular vectors are exact; no tolerance
    ends the method before its rank; k < min(m, n); the middle matrix is C^+ A R^+.
    """
    _require_interpolation(method, a, DEIMColumns, QDEIMColumns)
    require(method.projection, "the middle matrix is C^+ A R^+")
    rows, columns = growths(a, result)
    return (rows + columns) * spectrum_of(a)[..., method.rank]


def _row_growth(target: Any, result: CURResult) -> Values:
    return growths(target, result)[0]


def _one(target: Any) -> Values:
    return np.ones(target.shape[:-2])


row_growth = Error(
    "norm of the inverse of the leading left singular vectors at the chosen rows",
    _row_growth,
    lambda t: np.full(t.shape[:-2], np.inf),
    _one,
)


def triangular_growth(k: int) -> float:
    """Return sqrt((4^k + 6k - 1) / 9)."""
    return float(((4.0**k + 6 * k - 1) / 9) ** 0.5)


embree_growth = replace(sorensen, instances=(_flat_deim, _slow), guarantee=Deterministic(condition=_condition_of_space))


@embree_growth("Lemma 4.4, with a smaller constant", error=row_growth)
def deim_growth(method: CUR, a: Any) -> Values:
    """||U(p, :)^-1|| <= sqrt(mk - k(k-1)/2) sqrt((4^k + 6k - 1)/9) at the DEIM points p of k singular vectors.

    Letters: U the leading left singular vectors; p the interpolation points of the rows; k their number, the rank; m
    the number of rows of A.
    Hypotheses: rows and columns are points of DEIMColumns; singular vectors are exact; no tolerance ends the method
    before its rank; k < min(m, n); s_k > s_{k+1}, beyond rounding.
    """
    _require_interpolation(method, a, DEIMColumns)
    _require_gap(method, a)
    m, k = a.shape[-2], method.rank
    return np.full(a.shape[:-2], (m * k - k * (k - 1) / 2) ** 0.5 * triangular_growth(k))


drmac = Paper("Drmač & Gugercin 2016", method=CUR, instances=(_flat_q, _slow_q))


@drmac("re-derived", error=row_growth, guarantee=Deterministic(condition=_condition_of_space))
def qdeim_growth(method: CUR, a: Any) -> Values:
    """||U(p, :)^-1|| <= sqrt(m - k + 1) sqrt((4^k + 6k - 1)/9) at the Q-DEIM points p of k singular vectors.

    Letters: U the leading left singular vectors; p the interpolation points of the rows; k their number, the rank; m
    the number of rows of A.
    Hypotheses: rows and columns are points of QDEIMColumns; singular vectors are exact; no tolerance ends the method
    before its rank; k < min(m, n); s_k > s_{k+1}, beyond rounding.
    """
    _require_interpolation(method, a, QDEIMColumns)
    _require_gap(method, a)
    m, k = a.shape[-2], method.rank
    return np.full(a.shape[:-2], (m - k + 1) ** 0.5 * triangular_growth(k))


def _pivots(rng: np.random.Generator) -> Instance:
    return CUR(6, QRColumns()), with_singular_values(rng, slow_spectrum(20), 24, 20)


def _outside(a: Values, part: Values) -> Values:
    """Return the squared Frobenius norm of the part orthogonal to the columns of ``part``."""
    # the norm of a difference: a difference of norms would cancel where little is left
    return np.asarray(np.linalg.norm(a - part @ np.linalg.pinv(part) @ a, axis=(-2, -1)) ** 2)


mahoney = Paper("Mahoney & Drineas 2009", method=CUR, instances=(_pivots, _slow))


@mahoney("re-derived", error=errors.projection_frobenius_squared, guarantee=Deterministic(subtraction=True))
def cur_pythagoras(method: CUR, a: Any, result: CURResult) -> Values:
    """||A - C C^+ A R^+ R||_F^2 <= ||A - C C^+ A||_F^2 + ||A - A R^+ R||_F^2.

    Letters: C the chosen columns; R the chosen rows.
    Hypotheses: no tolerance ends the method before its rank; the middle matrix is C^+ A R^+.
    """
    require_every_step(method)
    require(method.projection, "the middle matrix is C^+ A R^+")
    matrix = dense(a)
    across = np.swapaxes(matrix, -1, -2)
    columns = np.swapaxes(_taken(across, result.column_indices), -1, -2)
    rows = np.swapaxes(_taken(matrix, result.row_indices), -1, -2)
    return _outside(matrix, columns) + _outside(across, rows)
