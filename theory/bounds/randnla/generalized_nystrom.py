"""Errors of the generalized Nyström approximation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from theory.bounds.hypotheses import require_every_step
from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_singular_values
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import spectrum_of, tail
from theory.statement.guarantee import Deterministic, ExactExpectation, InExpectation
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from theory.statistics.moments import inverse_wishart_spread
from tnattn.randnla.low_rank.generalized_nystrom import GeneralizedNystrom, GeneralizedNystromResult
from tnattn.randnla.sketches.gaussian import Gaussian


def _gap(rng: np.random.Generator) -> Instance:
    return GeneralizedNystrom(rank=8, oversampling=0, excess=8), with_singular_values(rng, gap_spectrum(4, 48), 48, 56)


def _slow(rng: np.random.Generator) -> Instance:
    return GeneralizedNystrom(rank=8, oversampling=0, excess=12), with_singular_values(rng, slow_spectrum(40), 48, 40)


def _truncated(rng: np.random.Generator) -> Instance:
    return GeneralizedNystrom(rank=4, oversampling=20, excess=12), with_singular_values(
        rng, np.r_[np.full(8, 1.0), np.full(32, 0.01)], 48, 40
    )


def _truncated_slow(rng: np.random.Generator) -> Instance:
    return GeneralizedNystrom(rank=5, oversampling=5, excess=8), with_singular_values(rng, slow_spectrum(40), 48, 40)


def _sizes(method: GeneralizedNystrom, a: Any) -> tuple[int, int]:
    """Return the columns and rows of the two sketches, or raise HypothesisViolated."""
    require_every_step(method)
    require(isinstance(method.sketch, Gaussian), "both test matrices are Gaussian")
    require(method.oversampling == 0, "nothing is truncated")
    columns, rows = method.size, method.corange_size
    require(columns <= min(a.shape[-2:]) and rows <= a.shape[-2], "l <= min(m, n) and s <= m")
    require(rows >= columns + 2, "s >= l + 2")
    return columns, rows


def smallest_split(s: Values, size: int) -> Values:
    """Return min over r <= l - 2 of (1 + r / (l - r - 1)) tau_r^2, (...)."""
    # every rank r <= l - 2 may play the part of the target rank
    splits = [(1 + r / (size - r - 1)) * tail(s, r) ** 2 for r in range(size - 1)]
    return np.asarray(np.min(splits, axis=0))


def _core_spread(method: GeneralizedNystrom, a: Any, result: GeneralizedNystromResult) -> float:
    """Return the relative variance given the range sketch: of 1 + ||G^+ g||^2 for every direction outside the range."""
    return inverse_wishart_spread(*_sizes(method, a), offset=1.0)


tropp = Paper("Tropp, Yurtsever, Udell & Cevher 2017", method=GeneralizedNystrom, instances=(_gap, _slow))

tropp_first_step = replace(tropp, guarantee=ExactExpectation(spread=_core_spread))


@tropp_first_step("Theorem 4.3, its first step", error=errors.matrix_frobenius_squared)
def gn_conditional_identity(method: GeneralizedNystrom, a: Any, result: GeneralizedNystromResult) -> Values:
    """E||A - B||_F^2 = (1 + l/(s-l-1)) ||A - QQ^T A||_F^2 given the range sketch.

    The range sketch has l columns, the corange sketch s rows.

    Letters: B the approximation; l the number of columns of the range sketch; s the number of rows of the corange
    sketch; Q the orthonormal basis of the range sketch.
    Hypotheses: no tolerance ends the method before its rank; both test matrices are Gaussian; nothing is truncated; l
    <= min(m, n) and s <= m; s >= l + 2.
    """
    columns, rows = _sizes(method, a)
    # u spans the range sketch, for nothing is truncated
    q, dense = errors.dense(result.u), errors.dense(a)
    residual_squared = np.linalg.norm(dense - q @ (np.swapaxes(q, -1, -2) @ dense), axis=(-2, -1)) ** 2
    return np.asarray((1 + columns / (rows - columns - 1)) * residual_squared)


@tropp("Theorem 4.3", error=errors.matrix_frobenius_squared, guarantee=InExpectation())
def gn_fro_expected(method: GeneralizedNystrom, a: Any) -> Values:
    """E||A - B||_F^2 <= (1 + l/(s-l-1)) min_{r<=l-2} (1 + r/(l-r-1)) sum_{j>r} s_j^2, l columns and s rows sketched.

    Letters: B the approximation; l the number of columns of the range sketch; s the number of rows of the corange
    sketch; r a rank.
    Hypotheses: no tolerance ends the method before its rank; both test matrices are Gaussian; nothing is truncated; l
    <= min(m, n) and s <= m; s >= l + 2; l >= 2.
    """
    columns, rows = _sizes(method, a)
    require(columns >= 2, "l >= 2")
    return np.asarray((1 + columns / (rows - columns - 1)) * smallest_split(spectrum_of(a), columns))


tropp_truncated = replace(tropp, instances=(_truncated, _truncated_slow), guarantee=Deterministic(condition=100.0))


@tropp_truncated("Theorem 5.1, its first step", error=errors.matrix_frobenius)
def gn_truncated(method: GeneralizedNystrom, a: Any, result: GeneralizedNystromResult) -> Values:
    """||A - [B]_k||_F <= tau_k + 2 ||A - B||_F, B the approximation before truncation, tau_k that of the best.

    Letters: B the approximation; k the rank of the truncation.
    Hypotheses: none; B is any matrix.
    """
    untruncated_error = errors.matrix_frobenius(a, result.untruncated)
    return np.asarray(tail(spectrum_of(a), result.kept) + 2 * untruncated_error)
