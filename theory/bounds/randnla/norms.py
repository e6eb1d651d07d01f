"""Norm estimates from Gaussian probes: tails, exact moments, and bounds computed from the probes alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_singular_values
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error, spectrum_of
from theory.statement.guarantee import ExactExpectation, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from theory.statistics.moments import quadratic_form_spread
from tnattn.arrays import to_host
from tnattn.randnla.estimates.norm_estimates import FrobeniusNorm, NormEstimate, SpectralNorm, frobenius_factors


def _nothing(target: Any) -> Values:
    """Return infinity: no bound of a norm is known without the probes."""
    return np.full(target.shape[:-2], np.inf)


def _spectral(target: Any) -> Values:
    return np.asarray(spectrum_of(target)[..., 0])


def _square(target: Any) -> Values:
    return np.asarray(np.sum(errors.dense(target) ** 2, axis=(-2, -1)))


def _seen(result: NormEstimate) -> Values:
    """Return the mean Z of ||A w||^2."""
    return np.asarray(to_host(result.value), dtype=np.float64) ** 2


spectral_norm_itself = Error("spectral norm of the matrix", lambda t, r: _spectral(t), _nothing, _spectral)
frobenius_itself = Error("squared Frobenius norm of the matrix", lambda t, r: _square(t), _nothing, _square)
mean_square = Error("mean squared length of the images of the probes", lambda t, r: _seen(r), _nothing, _square)
mean_square_variance = Error(
    "squared distance of the mean squared length from the squared Frobenius norm",
    lambda t, r: (_seen(r) - _square(t)) ** 2,
    _nothing,
    lambda t: _square(t) ** 2,
)


def _rank_one(rng: np.random.Generator) -> Instance:
    return SpectralNorm(probes=2, steps=0, inflation=2.0), with_singular_values(rng, [3.0], 20, 30)


def _slow(rng: np.random.Generator) -> Instance:
    return SpectralNorm(probes=3, steps=2, inflation=2.0), with_singular_values(rng, slow_spectrum(30), 30, 40)


def _gap(rng: np.random.Generator) -> Instance:
    return SpectralNorm(probes=2, steps=2), with_singular_values(rng, gap_spectrum(2, 30, level=100.0), 30, 40)


def _frobenius_flat(rng: np.random.Generator) -> Instance:
    return FrobeniusNorm(probes=8), with_singular_values(rng, np.ones(6), 12, 16)


def _frobenius_slow(rng: np.random.Generator) -> Instance:
    return FrobeniusNorm(probes=30), with_singular_values(rng, slow_spectrum(30), 30, 40)


def _frobenius_rank_one(rng: np.random.Generator) -> Instance:
    return FrobeniusNorm(probes=60), with_singular_values(rng, [2.0], 12, 64)


halko = Paper("Halko, Martinsson & Tropp 2011", method=SpectralNorm, instances=(_rank_one, _slow))


@halko("Lemma 4.1", error=spectral_norm_itself, guarantee=WithProbability())
def hmt_norm_estimate(method: SpectralNorm, a: Any, result: NormEstimate) -> tuple[Values, Values]:
    """||A|| <= alpha sqrt(2/pi) max_i ||A w_i||, except with probability alpha^-r, for r Gaussian vectors w_i.

    Letters: alpha the inflation; w the probes; r the number of probes.
    Hypotheses: none; the probes of the method are Gaussian.
    """
    # the method computes the right-hand side itself, from its own probes
    upper = np.asarray(to_host(result.upper), dtype=np.float64)
    return upper, np.full(upper.shape, method.failure)


golub = Paper("Golub & Kahan 1965", method=SpectralNorm, instances=(_gap, _slow))


@golub("norm of a restriction, re-derived", error=spectral_norm_itself, side="lower")
def restricted_norm_lower(method: SpectralNorm, a: Any, result: NormEstimate) -> Values:
    """||A|| >= ||A K|| / ||K|| for every K, here a basis of a block Krylov space.

    Hypotheses: none; K is any matrix that is not zero.
    """
    return np.asarray(to_host(result.lower), dtype=np.float64)


def _gram_norms(a: Any) -> tuple[Values, Values]:
    """Return ||A^T A||_F and ||A||^2."""
    s = spectrum_of(a)
    # A^T A has the eigenvalues s_j^2
    return np.asarray(np.sqrt(np.sum(s**4, axis=-1))), np.asarray(s[..., 0] ** 2)


gratton = Paper(
    "Gratton & Titley-Peloquin 2018",
    method=FrobeniusNorm,
    instances=(_frobenius_flat, _frobenius_slow),
    statement="re-derived",
)

frobenius_mean = replace(
    gratton, guarantee=ExactExpectation(spread=lambda m, a: 2 / m.probes * (_gram_norms(a)[0] / _square(a)) ** 2)
)


@frobenius_mean(error=mean_square)
def gaussian_fro_norm_estimate(method: FrobeniusNorm, a: Any) -> Values:
    """E Z = ||A||_F^2 for the mean Z of ||A w||^2 over Gaussian probes.

    Letters: Z the mean of ||A w||^2 over the probes; w the probes.
    Hypotheses: none; the probes of the method are Gaussian.
    """
    return _square(a)


frobenius_variance = replace(
    gratton, guarantee=ExactExpectation(spread=lambda m, a: quadratic_form_spread(spectrum_of(a) ** 2, m.probes))
)


@frobenius_variance(error=mean_square_variance)
def gaussian_fro_norm_variance(method: FrobeniusNorm, a: Any) -> Values:
    """Var Z = 2 ||A^T A||_F^2 / m for the mean Z of ||A w||^2 over m Gaussian probes.

    The probes of the method are Gaussian; as many as columns give the exact norm.

    Letters: Z the mean of ||A w||^2 over the probes; m the number of probes; w the probes.
    Hypotheses: fewer probes than columns.
    """
    require(method.probes < a.shape[-1], "fewer probes than columns")
    return 2 * _gram_norms(a)[0] ** 2 / method.probes


laurent_massart = Paper(
    "Laurent & Massart 2000", method=FrobeniusNorm, instances=(_frobenius_flat, _frobenius_slow), statement="Lemma 1"
)


@laurent_massart(error=mean_square, guarantee=WithProbability(), side="lower")
def gaussian_fro_norm_lower_tail(method: FrobeniusNorm, a: Any, *, x: float = 2.0) -> tuple[Values, Values]:
    """P{Z <= ||A||_F^2 - 2 ||A^T A||_F sqrt(x/m)} <= exp(-x).

    Letters: Z the mean of ||A w||^2 over the probes; x a parameter; m the number of probes.
    Hypotheses: x > 0.
    """
    require(x > 0, "x > 0")
    # Z is a weighted sum of chi-squared variables with weights s_j^2 / m: Lemma 1 with ||A^T A||_F and ||A||^2
    value = _square(a) - 2 * _gram_norms(a)[0] * (x / method.probes) ** 0.5
    return np.asarray(value), np.full(value.shape, np.exp(-x))


@laurent_massart(error=mean_square, guarantee=WithProbability())
def gaussian_fro_norm_upper_tail(method: FrobeniusNorm, a: Any, *, x: float = 2.0) -> tuple[Values, Values]:
    """P{Z >= ||A||_F^2 + 2 ||A^T A||_F sqrt(x/m) + 2 ||A||^2 x/m} <= exp(-x).

    Letters: Z the mean of ||A w||^2 over the probes; x a parameter; m the number of probes.
    Hypotheses: x > 0.
    """
    require(x > 0, "x > 0")
    gram, largest = _gram_norms(a)
    value = _square(a) + 2 * gram * (x / method.probes) ** 0.5 + 2 * largest * x / method.probes
    return np.asarray(value), np.full(value.shape, np.exp(-x))


@laurent_massart(error=frobenius_itself, guarantee=WithProbability(), instances=(_frobenius_rank_one, _frobenius_slow))
def gaussian_fro_norm_posterior(
    method: FrobeniusNorm, a: Any, result: NormEstimate, *, x: float = 2.0
) -> tuple[Values, Values]:
    """||A||_F^2 <= Z / (1 - 2 sqrt(x/m)), except with probability exp(-x), for m > 4x probes.

    Letters: Z the mean of ||A w||^2 over the probes; x a parameter; m the number of probes.
    Hypotheses: x > 0; m > 4 x.
    """
    require(x > 0, "x > 0")
    # ||A^T A||_F <= ||A||_F^2 turns the lower tail of Z into a bound computed from Z alone
    factor = frobenius_factors(method.probes, x)[1]
    require(factor is not None, "m > 4 x")
    value = _seen(result) * (factor or 1.0)
    return np.asarray(value), np.full(value.shape, np.exp(-x))


@laurent_massart(
    error=frobenius_itself, guarantee=WithProbability(), side="lower", instances=(_frobenius_rank_one, _frobenius_slow)
)
def gaussian_fro_norm_posterior_lower(
    method: FrobeniusNorm, a: Any, result: NormEstimate, *, x: float = 2.0
) -> tuple[Values, Values]:
    """||A||_F^2 >= Z / (1 + 2 sqrt(x/m) + 2 x/m), except with probability exp(-x), for m probes.

    From the upper tail of Z with ||A^T A||_F <= ||A||_F^2 and ||A||^2 <= ||A||_F^2.

    Letters: x a parameter; m the number of probes; Z the mean of ||A w||^2 over the probes.
    Hypotheses: x > 0.
    """
    require(x > 0, "x > 0")
    value = _seen(result) * frobenius_factors(method.probes, x)[0]
    return np.asarray(value), np.full(value.shape, np.exp(-x))
