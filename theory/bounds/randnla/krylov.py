"""Errors of block Krylov subspaces, by Chebyshev polynomials."""

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
from tnattn.randnla.low_rank.krylov import BlockKrylov
from tnattn.randnla.sketches.gaussian import Gaussian


def _gap(rng: np.random.Generator) -> Instance:
    return BlockKrylov(rank=4, oversampling=4, power_iterations=1), with_singular_values(
        rng, gap_spectrum(4, 48, level=3.0), 48, 56
    )


def _slow(rng: np.random.Generator) -> Instance:
    method = BlockKrylov(rank=5, oversampling=5, power_iterations=2)
    return method, with_singular_values(rng, slow_spectrum(40), 48, 40)


def chebyshev(degree: int, x: Values) -> Values:
    """Return the Chebyshev polynomial of the first kind at x >= 0."""
    # the recurrence would lose digits outside [-1, 1], the closed forms do not
    inside = np.cos(degree * np.arccos(np.minimum(x, 1.0)))
    with np.errstate(over="ignore"):
        outside = np.cosh(degree * np.arccosh(np.maximum(x, 1.0)))
    return np.asarray(np.where(x <= 1, inside, outside))


drineas = Paper("Drineas, Ipsen, Kontopoulou & Magdon-Ismail 2018", method=BlockKrylov, instances=(_gap, _slow))


@drineas("its expectation re-derived", error=errors.projection_frobenius_squared, guarantee=InExpectation())
def krylov_chebyshev_expected(method: BlockKrylov, a: Any) -> Values:
    """E||A - B||_F^2 <= tau_k^2 + sum_{i<=k} (s_i / T(s_i/s_{k+1}))^2 sum_{j>k} T(s_j/s_{k+1})^2 / (p-1), rank B = k.

    T is the Chebyshev polynomial of degree 2q+1, tau_k^2 the sum of s_j^2 over j > k.

    Letters: B the approximation; k its rank; p the oversampling.
    Hypotheses: no tolerance ends the method before its rank; the test matrix is Gaussian; blocks of k + p columns; p >=
    2; k + p <= min(m, n); s_{k+1} > 0.
    """
    require_every_step(method)
    require(isinstance(method.sketch, Gaussian), "the test matrix is Gaussian")
    require(method.block is None, "blocks of k + p columns")
    k, p, degree = method.rank, method.oversampling, 2 * method.power_iterations + 1
    require(p >= 2, "p >= 2")
    require(k + p <= min(a.shape[-2:]), "k + p <= min(m, n)")
    s = spectrum_of(a)
    require(bool(np.all(s[..., k] > 0)), "s_{k+1} > 0")
    # T is at most one on the tail and grows fast beyond it: a filter in place of a power; odd degree, for blocks (A
    # A^T)^j A
    grown = chebyshev(degree, s / s[..., k, None])
    # infinite T, a gap of many orders, gives the limit zero
    leading = np.sum((s[..., :k] / grown[..., :k]) ** 2, axis=-1)
    return np.asarray(tail(s, k) ** 2 + leading * np.sum(grown[..., k:] ** 2, axis=-1) / (p - 1))
