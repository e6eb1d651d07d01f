"""The truncated singular value decomposition attains the optimal errors of Eckart, Young and Mirsky."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_singular_values
from theory.statement import errors
from theory.statement.bound import Instance
from theory.statement.errors import spectrum_of, tail
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD


def _gap(rng: np.random.Generator) -> Instance:
    return TruncatedSVD(rank=4), with_singular_values(rng, gap_spectrum(4, 32), 40, 32)


def _slow(rng: np.random.Generator) -> Instance:
    return TruncatedSVD(rank=6), with_singular_values(rng, slow_spectrum(30), 30, 40)


eckart = Paper("Eckart & Young 1936; Mirsky 1960", method=TruncatedSVD, instances=(_gap, _slow))


@eckart("Theorem 2", error=errors.projection_frobenius)
def truncated_svd_frobenius(method: TruncatedSVD, a: Any) -> Values:
    """||A - A_k||_F <= (sum_{j>k} s_j^2)^(1/2), with equality. For singular values 3, 2, 1 and k = 1: sqrt(5).

    Letters: A_k the truncated decomposition; k the rank.
    Hypotheses: none.
    """
    return tail(spectrum_of(a), method.rank)


mirsky = Paper("Mirsky 1960", method=TruncatedSVD, instances=(_gap, _slow))


@mirsky("Theorem 2", error=errors.projection_spectral)
def truncated_svd_spectral(method: TruncatedSVD, a: Any) -> Values:
    """||A - A_k|| <= s_{k+1}, with equality. For singular values 3, 2, 1 and k = 1: 2.

    Letters: A_k the truncated decomposition; k the rank.
    Hypotheses: none.
    """
    return np.asarray(spectrum_of(a)[..., method.rank :].max(axis=-1, initial=0.0))
