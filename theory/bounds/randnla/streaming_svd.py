"""Errors of the single-pass singular value decomposition."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.hypotheses import require_every_step
from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_singular_values
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import spectrum_of, tail
from theory.statement.guarantee import InExpectation
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVDResult
from tnattn.randnla.low_rank.streaming_svd import SinglePassSVD
from tnattn.randnla.sketches.gaussian import Gaussian


def _gap(rng: np.random.Generator) -> Instance:
    return SinglePassSVD(rank=8, oversampling=0), with_singular_values(rng, gap_spectrum(4, 48), 48, 56)


def _slow(rng: np.random.Generator) -> Instance:
    return SinglePassSVD(rank=8, oversampling=0, core=24), with_singular_values(rng, slow_spectrum(40), 48, 40)


def _sizes(method: SinglePassSVD, a: Any) -> tuple[int, int]:
    """Return the columns of the range sketch and of the core, or raise HypothesisViolated."""
    require_every_step(method)
    require(isinstance(method.sketch, Gaussian), "all test matrices are Gaussian")
    require(method.oversampling == 0, "nothing is truncated")
    k, core = method.size, method.core_size
    require(2 <= k <= min(a.shape[-2:]), "2 <= k <= min(m, n)")
    require(core >= 2 * k + 1, "s >= 2 k + 1")
    return k, core


tropp = Paper("Tropp, Yurtsever, Udell & Cevher 2019", method=SinglePassSVD, instances=(_gap, _slow))


@tropp("Theorem 5.1", error=errors.matrix_frobenius_squared, guarantee=InExpectation())
def tyuc19_fro_expected(method: SinglePassSVD, a: Any) -> Values:
    """E||A - QCP^T||_F^2 <= (s-1)/(s-k-1) min_{r<=k-2} (k+r-1)/(k-r-1) sum_{j>r} s_j^2, k columns, a core of s.

    Letters: s the size of the core sketch; k the number of columns of the range sketches; r a rank; Q the basis of
    columns; C the core.
    Hypotheses: no tolerance ends the method before its rank; all test matrices are Gaussian; nothing is truncated; 2 <=
    k <= min(m, n); s >= 2 k + 1.
    """
    k, core = _sizes(method, a)
    s = spectrum_of(a)
    # the two range sketches each lose at most the tail at r, the core sketch amplifies both
    splits = [(k + r - 1) / (k - r - 1) * tail(s, r) ** 2 for r in range(k - 1)]
    return np.asarray((core - 1) / (core - k - 1) * np.min(splits, axis=0))


@tropp("Lemma on the core, re-derived", error=errors.matrix_frobenius_squared, guarantee=InExpectation())
def tyuc19_core_expected(method: SinglePassSVD, a: Any, result: RandomizedSVDResult) -> Values:
    """E||A - QCP^T||_F^2 <= (1 + k/(s-k-1)) ||A - QQ^T A PP^T||_F^2 given Q and P; equality for s = 2k + 1.

    Letters: k the number of columns of the range sketches; s the size of the core sketch; Q the basis of columns; C the
    core.
    Hypotheses: no tolerance ends the method before its rank; all test matrices are Gaussian; nothing is truncated; 2 <=
    k <= min(m, n); s >= 2 k + 1.
    """
    k, core = _sizes(method, a)
    dense, q, vt = (errors.dense(x) for x in (a, result.u, result.vt))
    # the target of the core sketch; its error is orthogonal to the error of the projections
    projected = q @ (np.swapaxes(q, -1, -2) @ dense @ np.swapaxes(vt, -1, -2)) @ vt
    return np.asarray((1 + k / (core - k - 1)) * np.linalg.norm(dense - projected, axis=(-2, -1)) ** 2)
