"""Squared errors of trace estimates: exact variances, tails, and variance reduction by a randomized range."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, assert_never

import numpy as np
from scipy.linalg import hadamard

from theory.bounds.randnla.instances import slow_spectrum, with_eigenvalues
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error, spectrum_of, tail
from theory.statement.guarantee import ExactExpectation, InExpectation, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from theory.statistics.moments import chaos_spread, mean_spread, quadratic_form_spread
from tnattn.arrays import to_host
from tnattn.randnla.estimates.trace import GirardHutchinson, HutchPlusPlus, XTrace
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.sketches.probes import Rademacher, Sphere


def _trace(target: Any) -> Values:
    return np.asarray(np.trace(errors.dense(target), axis1=-2, axis2=-1))


def _deviation(target: Any, result: Any) -> Values:
    return np.abs(np.asarray(to_host(result.value), dtype=np.float64) - _trace(target))


def _frobenius(target: Any) -> Values:
    return np.asarray(np.linalg.norm(errors.dense(target), axis=(-2, -1)))


trace_deviation = Error(
    "distance from the trace", _deviation, lambda t: np.abs(_trace(t)), lambda t: t.shape[-1] * _frobenius(t)
)
trace_squared = Error(
    "squared distance from the trace",
    lambda t, r: _deviation(t, r) ** 2,
    lambda t: _trace(t) ** 2,
    lambda t: _frobenius(t) ** 2,
)


def _uncorrelated(rng: np.random.Generator) -> Instance:
    """Diagonals of signs that are orthogonal: many eigenvalues, and deviations from the trace that are uncorrelated."""
    return GirardHutchinson(probes=48, distribution=Gaussian()), hadamard(64)[:8, :, None] * np.eye(64)


def _rademacher(rng: np.random.Generator) -> Instance:
    return GirardHutchinson(probes=4), rng.standard_normal((24, 24)) + 4 * np.eye(24)


def _two_sided(rng: np.random.Generator) -> Instance:
    values = np.concatenate([[8.0], np.full(30, 1.0), np.full(10, -0.5)])
    return GirardHutchinson(probes=16, distribution=Gaussian()), with_eigenvalues(rng, values)


def _few_columns(rng: np.random.Generator) -> Instance:
    """Equal eigenvalues, of which eight columns take little away."""
    return HutchPlusPlus(products=24), with_eigenvalues(rng, np.ones(64))


def _few_columns_of_signs(rng: np.random.Generator) -> Instance:
    """Diagonals of signs that are orthogonal, whose errors are nearly uncorrelated; two columns take little away."""
    return HutchPlusPlus(products=6), _uncorrelated(rng)[1]


def _half_flat(rng: np.random.Generator) -> Instance:
    return HutchPlusPlus(products=15), with_eigenvalues(rng, np.r_[np.full(16, 2.0), np.zeros(16)])


def _slow(rng: np.random.Generator) -> Instance:
    return HutchPlusPlus(products=24), with_eigenvalues(rng, slow_spectrum(40))


def _few_exchanged(rng: np.random.Generator) -> Instance:
    return XTrace(products=6, normalise=False), with_eigenvalues(rng, np.ones(48))


def _slow_exchanged(rng: np.random.Generator) -> Instance:
    return XTrace(products=16), with_eigenvalues(rng, slow_spectrum(40))


def _symmetric_part(a: Any) -> Values:
    require(a.shape[-1] == a.shape[-2], "A is square")
    dense = errors.dense(a)
    # w^T A w depends on the symmetric part only
    return np.asarray((dense + np.swapaxes(dense, -1, -2)) / 2)


def _require_symmetric(a: Any) -> None:
    part = _symmetric_part(a)
    # targets may be given in single precision
    tolerance = a.shape[-1] * 2.0**-20 * np.abs(part).max(axis=(-2, -1))
    require(bool(np.all(np.abs(errors.dense(a) - part).max(axis=(-2, -1)) <= tolerance)), "A is symmetric")


def _require_few(products: int, a: Any) -> None:
    """Estimators that may spend n products give the exact trace instead."""
    require(products < a.shape[-1], "fewer products than rows")


def expected_tail(s: Values, columns: int, largest: int) -> Values:
    """Return min_{0 <= k <= largest} (1 + k / (columns - k - 1)) tau_k^2, (...), for singular values s (..., r)."""
    return np.asarray(np.min([(1 + k / (columns - k - 1)) * tail(s, k) ** 2 for k in range(largest + 1)], axis=0))


def _trace_spread(method: GirardHutchinson, a: Any) -> Values:
    """Return the relative variance of (t - tr A)^2: exact for Gaussian probes, a bound for signs, else infinite."""
    values = np.asarray(np.linalg.eigvalsh(_symmetric_part(a)), dtype=np.float64)
    match method.distribution:
        case Gaussian():
            return quadratic_form_spread(values, method.probes)
        case Rademacher():
            return np.full(values.shape[:-1], chaos_spread(method.probes))
        case _:
            return np.full(values.shape[:-1], np.inf)


def _residual_spread(method: HutchPlusPlus, a: Any) -> Values:
    """Return the relative variance given the range, which always leaves d - s eigenvalues c: 2 + 12 / ((d - s) l)."""
    rank = _equal_rank(method, a)[1]
    return mean_spread(3 + 12 / np.maximum(rank - method.size, 1), method.probes)


def _equal_rank(method: HutchPlusPlus, a: Any) -> tuple[Values, Values]:
    """Return the common size and the number of the eigenvalues that are not zero."""
    gaussian = isinstance(method.sketch, Gaussian) and isinstance(method.distribution, Gaussian)
    require(gaussian, "test matrix and probes are Gaussian")
    _require_symmetric(a)
    _require_few(method.products, a)
    values = np.linalg.eigvalsh(_symmetric_part(a))
    level = values[..., -1:]
    tolerance = a.shape[-1] * 2.0**-20 * level
    flat = (np.abs(values - level) <= tolerance) | (np.abs(values) <= tolerance)
    require(bool(np.all(flat)), "eigenvalues are c or 0")
    # the range of A Omega has dimension s, and d - s eigenvalues c are left
    rank = np.sum(values > tolerance, axis=-1)
    require(bool(np.all(rank >= method.size)), "s <= d")
    return np.asarray(level[..., 0]), np.asarray(rank)


hutchinson = Paper(
    "Hutchinson 1990",
    method=GirardHutchinson,
    instances=(_uncorrelated, _rademacher),
    guarantee=ExactExpectation(spread=_trace_spread),
)


@hutchinson("with Girard 1989 and Avron & Toledo 2011, re-derived", error=trace_squared)
def girard_hutchinson_variance(method: GirardHutchinson, a: Any) -> Values:
    """E(t - tr A)^2 = 2 F / m, 2 (F - sum_i A_ii^2) / m or 2n/(n+2) (F - (tr A)^2/n) / m, with F = ||A||_F^2.

    For m Gaussian, Rademacher or spherical probes; F is that of the symmetric part of A.

    Letters: t the estimate; m the number of probes.
    Hypotheses: A is square; fewer products than rows.
    """
    part, n = _symmetric_part(a), a.shape[-1]
    _require_few(method.probes, a)
    square = np.sum(part**2, axis=(-2, -1))
    match method.distribution:
        case Gaussian():
            one = 2 * square
        case Rademacher():
            # signs square to one: the diagonal has no variance
            one = 2 * (square - np.sum(np.diagonal(part, axis1=-2, axis2=-1) ** 2, axis=-1))
        case Sphere():
            # a length fixed at sqrt(n) takes the multiple of the identity out of the variance
            one = 2 * n / (n + 2) * (square - _trace(a) ** 2 / n)
        case _:
            assert_never(method.distribution)
    return np.asarray(np.maximum(one, 0.0) / method.probes)


cortinovis = Paper(
    "Cortinovis & Kressner 2021",
    method=GirardHutchinson,
    instances=(_uncorrelated, _two_sided),
    must_fail=0.15,
    guarantee=WithProbability(),
)


@cortinovis(
    "Gaussian probes; from Laurent & Massart 2000, re-derived", error=trace_deviation, sharpest={"delta": 0.005}
)
def hutchinson_tail(method: GirardHutchinson, a: Any, *, delta: float = 0.1) -> tuple[Values, Values]:
    """P{|t - tr A| >= e} <= 2 exp(-m e^2 / (4 ||A||_F^2 + 4 e ||A||)) for m Gaussian probes.

    A stands for its symmetric part; ``delta`` is the probability for which the inequality is solved for e.

    Letters: t the estimate; e the deviation; m the number of probes.
    Hypotheses: 0 < delta < 1; the probes are Gaussian; A is square.
    """
    require(0 < delta < 1, "0 < delta < 1")
    require(isinstance(method.distribution, Gaussian), "the probes are Gaussian")
    s, m = np.linalg.svd(_symmetric_part(a), compute_uv=False), method.probes
    log, square, largest = np.log(2 / delta), np.sum(s**2, axis=-1), s[..., 0]
    # m e^2 = 4 log(2/delta) (F + e ||A||), solved for its positive root
    epsilon = (2 * log * largest + np.sqrt((2 * log * largest) ** 2 + 4 * m * log * square)) / m
    return np.asarray(epsilon), np.full(s.shape[:-1], delta)


meyer = Paper("Meyer, Musco, Musco & Woodruff 2021", method=HutchPlusPlus, instances=(_few_columns_of_signs, _slow))


@meyer("with Halko, Martinsson & Tropp 2011, Theorem 10.5", error=trace_squared, guarantee=InExpectation())
def hutchpp_variance(method: HutchPlusPlus, a: Any) -> Values:
    """E(t - tr A)^2 <= 2/l min_{0<=k<=s-2} (1 + k/(s-k-1)) tau_k^2, s columns and l probes, both Gaussian.

    tau_k^2 is the sum of s_j^2 over j > k; A is symmetric.

    Letters: t the estimate; l the number of probes; k a rank; s the number of columns of the test matrix.
    Hypotheses: test matrix and probes are Gaussian; A is square; A is symmetric; 2 <= s < n.
    """
    gaussian = isinstance(method.sketch, Gaussian) and isinstance(method.distribution, Gaussian)
    require(gaussian, "test matrix and probes are Gaussian")
    _require_symmetric(a)
    require(2 <= method.size < a.shape[-1], "2 <= s < n")
    return 2 / method.probes * expected_tail(spectrum_of(a), method.size, method.size - 2)


meyer_identity = replace(
    meyer, instances=(_few_columns, _half_flat), guarantee=ExactExpectation(spread=_residual_spread)
)


@meyer_identity("its variance given the range, re-derived", error=trace_squared)
def hutchpp_identity(method: HutchPlusPlus, a: Any) -> Values:
    """E(t - tr A)^2 = 2/l E||(I - QQ^T) A (I - QQ^T)||_F^2, here 2 c^2 (d - s) / l for d eigenvalues c, others 0.

    s columns and l probes, both Gaussian. For other spectra the mean on the right has no closed form. With c = 2, d = 7
    and s = l = 5: 2 * 4 * 2 / 5 = 3.2.

    Letters: t the estimate; c the eigenvalue; d the number of eigenvalues c; Q an orthonormal basis of the range of A
    Omega.
    Hypotheses: test matrix and probes are Gaussian; A is square; A is symmetric; fewer products than rows; eigenvalues
    are c or 0; s <= d.
    """
    level, rank = _equal_rank(method, a)
    return np.asarray(2 * level**2 * (rank - method.size) / method.probes)


epperly = Paper("Epperly, Tropp & Webber 2024", method=XTrace, instances=(_few_exchanged, _slow_exchanged))


@epperly("crude bound, re-derived", error=trace_squared, guarantee=InExpectation(), must_fail=0.1)
def xtrace_crude_variance(method: XTrace, a: Any) -> Values:
    """E(t - tr A)^2 <= 2 min_{0<=k<=s-3} (1 + k/(s-k-2)) tau_k^2 for s probes.

    The mean of exchangeable unbiased estimates has no more variance than one of them, which is Hutch++ with s - 1
    columns and one probe. Normalised probes are uniform on a sphere, whose variance is less than that of Gaussian ones.
    tau_k^2 is the sum of s_j^2 over j > k; A is symmetric.

    Letters: t the estimate; k a rank; s the number of probes.
    Hypotheses: A is square; A is symmetric; 3 <= s < n.
    """
    _require_symmetric(a)
    require(3 <= method.probes < a.shape[-1], "3 <= s < n")
    return 2 * expected_tail(spectrum_of(a), method.probes - 1, method.probes - 3)
