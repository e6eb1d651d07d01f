"""Errors of factorisations to a relative tolerance."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.randnla.instances import slow_spectrum, with_singular_values
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.arrays import to_host
from tnattn.randnla.columns.cur import CUR, CURResult
from tnattn.randnla.columns.interpolative import InterpolativeDecomposition, InterpolativeResult
from tnattn.randnla.columns.pivoted_qr import PivotedQR, PivotedQRResult
from tnattn.randnla.low_rank.adaptive_qb import AdaptiveQB, AdaptiveQBResult
from tnattn.randnla.low_rank.generalized_nystrom import GeneralizedNystrom, GeneralizedNystromResult
from tnattn.randnla.low_rank.krylov import BlockKrylov
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD, RandomizedSVDResult

Adaptive = AdaptiveQB | RandomizedSVD | BlockKrylov | GeneralizedNystrom | InterpolativeDecomposition | CUR | PivotedQR
AdaptiveResult = (
    AdaptiveQBResult
    | RandomizedSVDResult
    | GeneralizedNystromResult
    | InterpolativeResult
    | CURResult
    | PivotedQRResult
)


def _flat(rng: np.random.Generator) -> Instance:
    return AdaptiveQB(rtol=0.3, block=8), with_singular_values(rng, np.ones(40), 48, 40)


def _slow(rng: np.random.Generator) -> Instance:
    return RandomizedSVD(rank=40, power_iterations=0, rtol=0.1), with_singular_values(rng, slow_spectrum(40), 48, 40)


yu = Paper(
    "Yu, Gu & Li 2018",
    method=(AdaptiveQB, RandomizedSVD, BlockKrylov, GeneralizedNystrom, InterpolativeDecomposition, CUR, PivotedQR),
    instances=(_flat, _slow),
)


@yu("Section 3", error=errors.projection_frobenius, guarantee=Deterministic(subtraction=True))
def adaptive_tolerance(method: Adaptive, a: Any, result: AdaptiveResult) -> Values:
    """||A - B||_F <= rtol ||A||_F for every result that reports convergence.

    Sharp for equal singular values, where every column of the basis takes an equal part off the residual.

    Letters: B the result.
    Hypotheses: a tolerance is given; every matrix of the stack converged.
    """
    require(bool(method.rtol), "a tolerance is given")
    assert method.rtol is not None
    assert result.converged is not None
    # a cap on the rank may end a method before its tolerance is met
    require(bool(np.all(to_host(result.converged))), "every matrix of the stack converged")
    return np.asarray(method.rtol * np.linalg.norm(errors.dense(a), axis=(-2, -1)))
