"""Leave-one-out and held-out estimates of the error of low-rank approximations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_singular_values
from theory.bounds.randnla.trace import expected_tail
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error, spectrum_of
from theory.statement.guarantee import Deterministic, ExactExpectation, InExpectation, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.arrays import to_host
from tnattn.randnla.estimates.error_estimate import SelfAssessedQB, SelfAssessedQBResult
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.sketches.probes import Rademacher


def _square(target: Any) -> Values:
    return np.asarray(np.sum(errors.dense(target) ** 2, axis=(-2, -1)))


def _host(x: Any) -> Values:
    return np.asarray(to_host(x), dtype=np.float64)


estimated_square = Error(
    "squared Frobenius error as estimated by leaving out one probe",
    lambda t, r: _host(r.error_squared),
    _square,
    _square,
)
jackknife = Error("jackknife variance of the approximation", lambda t, r: _host(r.jackknife_variance), _square, _square)


def _gap(rng: np.random.Generator) -> Instance:
    return SelfAssessedQB(size=9), with_singular_values(rng, gap_spectrum(4, 48), 48, 56)


def _gap_many(rng: np.random.Generator) -> Instance:
    """Six probes are held out, which see a residual of many equal singular values."""
    return SelfAssessedQB(size=18), with_singular_values(rng, gap_spectrum(4, 48), 48, 56)


def _slow(rng: np.random.Generator) -> Instance:
    return SelfAssessedQB(size=8), with_singular_values(rng, slow_spectrum(40), 48, 40)


def _flat(rng: np.random.Generator) -> Instance:
    return SelfAssessedQB(size=6), with_singular_values(rng, np.full(30, 2.0), 30, 40)


def _flat_of_low_rank(rng: np.random.Generator) -> Instance:
    return SelfAssessedQB(size=5), with_singular_values(rng, np.full(12, 3.0), 40, 30)


leave_one_out = Paper(
    "Epperly & Tropp 2024",
    method=SelfAssessedQB,
    instances=(_gap, _slow),
    statement="leave-one-out mean-square error estimator, re-derived",
)


# rounding: least-squares residuals on the left, an inverse on the right
@leave_one_out(error=estimated_square, guarantee=Deterministic(condition=8.0))
def loo_error_estimate(method: SelfAssessedQB, a: Any, result: SelfAssessedQBResult) -> tuple[Values, Values]:
    """The mean of ||(I - Q_j Q_j^T) A w_j||^2 equals the mean of 1 / ||R^-1(j,:)||^2.

    A Omega = Q R for s probes w_j, and Q_j is a basis of the images of the others.

    Letters: R the triangular factor of A Omega = Q R; w the probes, the columns of Omega.
    Hypotheses: none; the probes are any vectors.
    """
    y = _host(result.q) @ _host(result.r)
    residuals = []
    for j in range(y.shape[-1]):
        others = np.linalg.qr(np.delete(y, j, axis=-1))[0]
        column = y[..., j, None]
        for _ in range(2):  # once is not enough where the column nearly depends on the others
            column = column - others @ (np.swapaxes(others, -1, -2) @ column)
        residuals.append(np.sum(column**2, axis=(-2, -1)))
    return np.mean(residuals, axis=0), _host(result.error_squared)


@leave_one_out("with Halko, Martinsson & Tropp 2011, Theorem 10.5", error=estimated_square, guarantee=InExpectation())
def loo_error_expected(method: SelfAssessedQB, a: Any) -> Values:
    """E Err^2 = E||A - Q Q^T A||_F^2 with s - 1 columns <= min_{0<=k<=s-3} (1 + k/(s-k-2)) tau_k^2.

    Err^2 is the estimate from s Gaussian probes; tau_k^2 is the sum of s_j^2 over j > k.

    Letters: Q the orthonormal factor of A Omega = Q R; s the number of probes; k a rank.
    Hypotheses: the probes are Gaussian; 3 <= s <= min(m, n).
    """
    require(isinstance(method.distribution, Gaussian), "the probes are Gaussian")
    require(3 <= method.size <= min(a.shape[-2:]), "3 <= s <= min(m, n)")
    return expected_tail(spectrum_of(a), method.size - 1, method.size - 3)


def _equal_values(method: SelfAssessedQB, a: Any) -> tuple[Values, Values]:
    """Return the common size and the number of the singular values that are not zero."""
    require(isinstance(method.distribution, Gaussian), "the probes are Gaussian")
    s = spectrum_of(a)
    # eps of single precision with three bits to spare: targets may be given in it
    tolerance = max(a.shape[-2:]) * 2.0**-20 * s[..., :1]
    equal = (np.abs(s - s[..., :1]) <= tolerance) | (s <= tolerance)
    require(bool(np.all(equal)), "the singular values that are not zero are equal")
    rank = np.sum(s > tolerance, axis=-1)
    require(bool(np.all(rank >= method.size)), "s <= rank A")
    return s[..., 0], rank


# spread: each residual is c^2 times a chi-squared variable with d - s + 1 degrees of freedom
leave_one_out_flat = replace(
    leave_one_out,
    instances=(_flat, _flat_of_low_rank),
    guarantee=ExactExpectation(spread=lambda m, a: 2 / (_equal_values(m, a)[1] - m.size + 1)),
)


@leave_one_out_flat(error=estimated_square)
def loo_error_flat(method: SelfAssessedQB, a: Any) -> Values:
    """E Err^2 = c^2 (d - s + 1) for s Gaussian probes of a matrix with d singular values c, the others zero.

    Letters: c the singular value; d the number of singular values c; s the number of probes.
    Hypotheses: the probes are Gaussian; the singular values that are not zero are equal; s <= rank A.
    """
    c, d = _equal_values(method, a)
    return np.asarray(c**2 * (d - method.size + 1))


efron = Paper(
    "Efron & Stein 1981",
    method=SelfAssessedQB,
    instances=(_flat, _flat_of_low_rank),
    guarantee=InExpectation(ceiling=lambda m, a: _equal_values(m, a)[0] ** 2 * m.size),
)


# ceiling: s times a mean of squared rows of norm at most c, with weights that add up to less than one
@efron("for a uniform projector, re-derived", error=jackknife, side="lower")
def jackknife_efron_stein(method: SelfAssessedQB, a: Any) -> Values:
    """E sum_j ||X_j - X||_F^2 >= E||X_{s-1} - E X_{s-1}||_F^2 = c^2 (s-1) (1 - (s-1)/d), a lower bound.

    X_j is the approximation without probe j, X the mean of these; d singular values are c, the others zero, so that
    X_{s-1} is c times an isometry after a uniformly distributed projector of rank s - 1 in dimension d, whose mean is
    (s-1)/d times the identity. For other spectra the variance has no closed form.

    Letters: s the number of probes; c the singular value; d the number of singular values c.
    Hypotheses: the probes are Gaussian; the singular values that are not zero are equal; s <= rank A.
    """
    c, d = _equal_values(method, a)
    # s - 1 probes span the range of each leave-one-out approximation
    k = method.size - 1
    return np.asarray(c**2 * k * (1 - k / d))


def _interval(method: SelfAssessedQB, result: SelfAssessedQBResult, failure: float) -> tuple[Values, Values]:
    require(not isinstance(method.distribution, Rademacher), "the probes are Gaussian or spherical")
    require(0 < failure < 1, "0 < failure < 1")
    low, high = result.interval(failure)
    return _host(low), _host(high)


held_out = Paper(
    "re-derived",
    method=SelfAssessedQB,
    instances=(_gap_many, _slow),
    statement="Chernoff's inequality for the residuals of held-out probes",
)


@held_out(error=errors.matrix_frobenius, guarantee=WithProbability(), must_fail=0.2)
def held_out_upper(
    method: SelfAssessedQB, a: Any, result: SelfAssessedQBResult, *, failure: float = 0.5
) -> tuple[Values, Values]:
    """||A - Q Q^T A||_F^2 <= ||R_22||_F^2 / (h t) - ||Q_2^T A||_F^2, except with probability failure / 2.

    A Omega = Q R; R_22 and Q_2 belong to the last h = ceil(s / 3) probes, (t e^(1 - t))^(h / 2) = failure / 2, t < 1.

    Letters: R the triangular factor of A Omega = Q R; t the root below 1 of the equation below.
    Hypotheses: the probes are Gaussian or spherical; 0 < failure < 1.
    """
    high = _interval(method, result, failure)[1]
    return high, np.full(high.shape, failure / 2)


held_out_below = replace(
    held_out,
    instances=(_flat, _slow),
    guarantee=WithProbability(),
    statement="Chernoff's inequality for the residuals of held-out probes",
)


@held_out_below(error=errors.matrix_frobenius, side="lower", sharpest={"failure": 0.9})
def held_out_lower(
    method: SelfAssessedQB, a: Any, result: SelfAssessedQBResult, *, failure: float = 0.5
) -> tuple[Values, Values]:
    """||A - Q Q^T A||_F^2 >= ||R_22||_F^2 / (h u) - ||Q_2^T A||_F^2, except with probability failure / 2.

    As for the upper end, with (u e^(1 - u))^(h / 2) = failure / 2, u > 1.

    Letters: Q the orthonormal factor of A Omega = Q R; R the triangular factor of A Omega = Q R; h the number of
    held-out probes; u the root above 1 of the equation below.
    Hypotheses: the probes are Gaussian or spherical; 0 < failure < 1.
    """
    low = _interval(method, result, failure)[0]
    return low, np.full(low.shape, failure / 2)
