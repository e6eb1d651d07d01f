"""Perturbation of singular values: Weyl and Mirsky."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_singular_values
from theory.statement import errors
from theory.statement.bound import Instance
from theory.statement.errors import Error, spectrum_of
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.base import MatrixMethod
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD


def _best(rng: np.random.Generator) -> Instance:
    return TruncatedSVD(rank=4), with_singular_values(rng, gap_spectrum(4, 32), 40, 32)


def _randomized(rng: np.random.Generator) -> Instance:
    return RandomizedSVD(rank=6, oversampling=4, power_iterations=0), with_singular_values(
        rng, slow_spectrum(30), 30, 40
    )


def _moved(target: Any, result: Any) -> Values:
    return np.abs(spectrum_of(target) - spectrum_of(result))


def _largest(target: Any) -> Values:
    return np.asarray(spectrum_of(target)[..., 0])


def _size(target: Any) -> Values:
    return np.asarray(np.linalg.norm(errors.dense(target), axis=(-2, -1)))


largest_shift = Error("largest change of a singular value", lambda t, r: _moved(t, r).max(axis=-1), _largest, _largest)
all_shifts = Error(
    "root of the summed squared changes of the singular values",
    lambda t, r: np.asarray(np.linalg.norm(_moved(t, r), axis=-1)),
    _size,
    _size,
)


def _tails(a: Any) -> Values:
    """Return tau_r = (sum_{j>r} s_j^2)^(1/2) for r = 0, 1, ..., (..., min(m, n))."""
    s = spectrum_of(a)
    # summed from the small end, or small tails would drown in the rounding of large ones
    return np.asarray(np.sqrt(np.cumsum(s[..., ::-1] ** 2, axis=-1))[..., ::-1])


largest_tail_shift = Error(
    "largest change of a Frobenius tail of the singular values",
    lambda t, r: np.asarray(np.abs(_tails(t) - _tails(r)).max(axis=-1)),
    _size,
    _size,
)


weyl_1960 = Paper("Weyl 1912; Mirsky 1960", method=MatrixMethod, instances=(_best, _randomized))


@weyl_1960("Theorem 5, in the spectral norm", error=largest_shift)
def weyl(method: MatrixMethod, a: Any, result: Any) -> Values:
    """max_j |s_j(A) - s_j(B)| <= ||A - B||, with equality for the truncated decomposition.

    Letters: B the result.
    Hypotheses: none; A and B are any matrices of one shape.
    """
    return errors.matrix_spectral(a, result)


mirsky = Paper("Mirsky 1960", method=MatrixMethod, instances=(_best, _randomized))


@mirsky("Theorem 5", error=all_shifts)
def weyl_mirsky(method: MatrixMethod, a: Any, result: Any) -> Values:
    """(sum_j (s_j(A) - s_j(B))^2)^(1/2) <= ||A - B||_F, with equality for the truncated decomposition.

    Letters: B the result.
    Hypotheses: none; A and B are any matrices of one shape.
    """
    return errors.matrix_frobenius(a, result)


@mirsky("Theorem 5, for the values beyond the r-th", error=largest_tail_shift)
def weyl_mirsky_tail(method: MatrixMethod, a: Any, result: Any) -> Values:
    """max_r |tau_r(A) - tau_r(B)| <= ||A - B||_F, with equality for the truncated decomposition.

    tau_r^2 is the sum of s_j^2 over j > r. Of diag(3, 2, 1) cut to rank 1 the tails move by sqrt(14) - 3 = 0.742,
    sqrt(5) = 2.236 and 1; the error is sqrt(5).

    Letters: r a rank; B the result.
    Hypotheses: none; A and B are any matrices of one shape.
    """
    return errors.matrix_frobenius(a, result)
