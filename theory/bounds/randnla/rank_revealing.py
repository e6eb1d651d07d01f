"""Residuals of rank-revealing pivots: the next pivot, and all singular values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from theory.bounds.hypotheses import require_every_step
from theory.bounds.randnla.columns import greedy_growth, kahan, near_parallel, strong_parameters
from theory.bounds.randnla.instances import steep_spectrum, with_singular_values
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error, spectrum_of
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.columns.interpolative import InterpolativeDecomposition
from tnattn.randnla.columns.pivoted_qr import PivotedQR
from tnattn.randnla.columns.strong_rrqr import StrongColumns


def _greedy(rng: np.random.Generator) -> Instance:
    return PivotedQR(rank=1), near_parallel()


def _greedy_steep(rng: np.random.Generator) -> Instance:
    return PivotedQR(rank=2), with_singular_values(rng, steep_spectrum(8, ratio=0.1), 10, 8)


def _strong(rng: np.random.Generator) -> Instance:
    return InterpolativeDecomposition(1, StrongColumns(1.01)), near_parallel()


def _strong_kahan(rng: np.random.Generator) -> Instance:
    return InterpolativeDecomposition(9, StrongColumns(1.5)), kahan(12)


def _longest_column(a: Values) -> Values:
    return np.asarray(np.linalg.norm(a, axis=-2).max(axis=-1))


def _longest(target: Any) -> Values:
    return _longest_column(errors.dense(target))


next_pivot = Error(
    "longest column of the residual, which is the next pivot",
    lambda t, r: _longest_column(errors.dense(t) - errors.dense(r)),
    _longest,
    _longest,
    _longest,
)


def _largest(target: Any) -> Values:
    return np.asarray(spectrum_of(target)[..., :1])


residual_singular_values = Error(
    "singular values of the residual",
    lambda t, r: spectrum_of(errors.dense(t) - errors.dense(r)),
    _largest,
    _largest,
)


gu_eisenstat = Paper("Gu & Eisenstat 1996", method=PivotedQR, instances=(_greedy, _greedy_steep))


@gu_eisenstat("Theorem 7.2, with the triangular inverse of Higham", error=next_pivot)
def qrcp_pivot(method: PivotedQR, a: Any) -> Values:
    """|r_{k+1,k+1}| <= sqrt((4^(k+1) + 6k + 5)/9) s_{k+1}, the pivot after the first k.

    Of diag(3, 2, 1, 1) after k = 2 pivots it is 1 <= sqrt(81/9) * 1 = 3.

    Letters: r the triangular factor; k the number of columns taken.
    Hypotheses: no tolerance ends the method before its rank; k < min(m, n).
    """
    k, s = method.rank, spectrum_of(a)
    require_every_step(method)
    require(k < s.shape[-1], "k < min(m, n)")
    return np.asarray(greedy_growth(k) ** 0.5 * s[..., k])


strong_residual = replace(
    gu_eisenstat,
    method=InterpolativeDecomposition,
    instances=(_strong, _strong_kahan),
    guarantee=Deterministic(condition=10.0),
)


@strong_residual("Lemma 3.1 and Theorem 3.2", error=residual_singular_values)
def strong_rrqr_residual(method: InterpolativeDecomposition, a: Any) -> Values:
    """s_j(A - A_J X) <= sqrt(1 + f^2 k (n-k)) s_{k+j} for columns J by strong rank-revealing QR; one value per j.

    For diag(4, 2, 1), k = 1 and f = 2: at most 3 * 2, 3 * 1 and 0; the residual has 2, 1 and 0.

    Letters: A_J the columns J of A; J the columns taken; X the coefficients; f the growth parameter; k the number of
    columns taken.
    Hypotheses: columns come from strong rank-revealing QR; of the matrix itself, not of a sketch; no tolerance ends the
    method before its rank; k < min(m, n); rank A >= k, beyond rounding.
    """
    _, factor = strong_parameters(method, a)
    s = spectrum_of(a)
    values = np.zeros_like(s)
    # the residual has rank min(m, n) - k at most: its other singular values are zero
    values[..., : s.shape[-1] - method.rank] = factor * s[..., method.rank :]
    return values
