"""Optimal (Eckart-Young) errors: lower bounds for every approximation of a given rank."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_singular_values
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.base import MatrixMethod
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
from tnattn.structured.low_rank import LowRankMatrix


def _best(rng: np.random.Generator) -> Instance:
    return TruncatedSVD(rank=4), with_singular_values(rng, gap_spectrum(4, 32), 40, 32)


def _randomized(rng: np.random.Generator) -> Instance:
    return RandomizedSVD(rank=6, oversampling=4, power_iterations=0), with_singular_values(
        rng, slow_spectrum(30), 30, 40
    )


def _tail(a: Any, result: Any) -> Values:
    """Return the singular values that no approximation of the rank of the result can have captured."""
    require(isinstance(result, LowRankMatrix), "the rank of the result is known")
    # a result of full rank captures all of them: the tail is empty and the bound zero
    return errors.spectrum_of(a)[..., min(result.rank, *a.shape[-2:]) :]


mirsky = Paper("Mirsky 1960", method=MatrixMethod, instances=(_best, _randomized), statement="Theorem 2")


@mirsky(error=errors.matrix_spectral, side="lower")
def eckart_young_mirsky_spectral(method: MatrixMethod, a: Any, result: Any) -> Values:
    """||A - B|| >= s_{r+1} for every B of rank at most r.

    Letters: B any matrix of rank at most r; r the rank of the result.
    Hypotheses: the rank of the result is known.
    """
    tail = _tail(a, result)
    return np.asarray(tail.max(axis=-1, initial=0.0))


eckart = Paper("Eckart & Young 1936; Mirsky 1960", method=MatrixMethod, instances=(_best, _randomized))


@eckart("Theorem 2", error=errors.matrix_frobenius, side="lower")
def eckart_young_mirsky_frobenius(method: MatrixMethod, a: Any, result: Any) -> Values:
    """||A - B||_F >= (sum_{j>r} s_j^2)^(1/2) for every B of rank at most r.

    Letters: B any matrix of rank at most r; r the rank of the result.
    Hypotheses: the rank of the result is known.
    """
    return np.asarray(np.linalg.norm(_tail(a, result), axis=-1))


# rounding: up to 64 singular values, each with its own rounding, are added up
@mirsky(error=errors.matrix_nuclear, guarantee=Deterministic(condition=8.0), side="lower")
def eckart_young_mirsky_nuclear(method: MatrixMethod, a: Any, result: Any) -> Values:
    """||A - B||_* >= sum_{j>r} s_j for every B of rank at most r.

    Letters: B any matrix of rank at most r; r the rank of the result.
    Hypotheses: the rank of the result is known.
    """
    return np.asarray(_tail(a, result).sum(axis=-1))
