"""Theorems about norm estimates: worked examples and hypotheses (data: test_verdicts.py)."""

import dataclasses

import numpy as np
import pytest
from fixtures import rng
from scipy.stats import norm

from theory.bounds.randnla import norms
from theory.bounds.randnla.instances import with_singular_values
from theory.comparison.compare import compare
from theory.statement.bound import Bound, HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.randnla.estimates.norm_estimates import FrobeniusNorm, SpectralNorm

BOUNDS = [b for b in vars(norms).values() if isinstance(b, Bound)]
every_bound = pytest.mark.parametrize("theorem", BOUNDS, ids=lambda b: b.name)
ROOTS = np.sqrt([4.0, 2.0, 1.0, 0.5])


@every_bound
def test_a_theorem_gives_one_value_per_matrix_of_a_stack(theorem):
    method, target = theorem.generic(rng(1))
    stack = np.stack([target, 2 * target]).reshape(2, 1, *target.shape)
    result, alone = (None, None) if theorem.kind == "prior" else (method(x, rng=rng(3)) for x in (stack, target))
    prediction = theorem(method, stack, result)
    assert prediction.value.shape == (2, 1)
    np.testing.assert_allclose(prediction.value[0, 0], theorem(method, target, alone).value, rtol=1e-9)


def test_worked_limit_of_the_spectral_norm():
    """alpha = 10, r = 3: 7.9788456 times the longest image, failure 1e-3."""
    method = SpectralNorm(probes=3, steps=0)
    result = method(np.eye(1), rng=rng())
    prediction = norms.hmt_norm_estimate(method, np.eye(1), result)
    longest = np.abs(rng().standard_normal((3, 1))).max()
    np.testing.assert_allclose([prediction.value, prediction.failure], [7.9788456 * longest, 1e-3], rtol=1e-7)


def test_worked_failure_for_rank_one():
    """alpha = r = 2: exactly (2 Phi(sqrt(pi/2)/2) - 1)^2 = 0.22007, below the stated 0.25."""
    exact = (2 * norm.cdf(np.sqrt(np.pi / 2) / 2) - 1) ** 2
    np.testing.assert_allclose(exact, 0.22007, rtol=1e-4)
    method, a = SpectralNorm(probes=2, steps=0, inflation=2.0), with_singular_values(rng(), [1.0], 5, 6)
    generator = rng(7)
    failures = np.mean([method(a, rng=generator).upper < 1 - 1e-12 for _ in range(2000)])
    assert abs(failures - exact) < 5.5 * (exact * (1 - exact) / 2000) ** 0.5


def test_worked_moments_and_tails_of_the_mean_square():
    """Eigenvalues of A^T A (4, 2, 1, 1/2), m = 10, x = 1: mean 7.5, variance 4.25, limits 4.584524 and 11.21548."""
    method, a = FrobeniusNorm(probes=10), np.diag(np.r_[ROOTS, np.zeros(8)])
    np.testing.assert_allclose(norms.gaussian_fro_norm_estimate(method, a).value, 7.5)
    np.testing.assert_allclose(norms.gaussian_fro_norm_variance(method, a).value, 4.25)
    lower = norms.gaussian_fro_norm_lower_tail.with_parameters(x=1.0)(method, a)
    upper = norms.gaussian_fro_norm_upper_tail.with_parameters(x=1.0)(method, a)
    np.testing.assert_allclose([lower.value, upper.value], [4.584524, 11.21548], rtol=1e-6)
    np.testing.assert_allclose([lower.failure, upper.failure], np.exp(-1))


def test_the_limits_of_the_method_are_those_of_the_theorems():
    method, a = FrobeniusNorm(probes=50, failure=0.1), np.diag(np.r_[ROOTS, np.zeros(60)])
    result, x = method(a, rng=rng()), np.log(20)
    upper = norms.gaussian_fro_norm_posterior.with_parameters(x=x)(method, a, result)
    lower = norms.gaussian_fro_norm_posterior_lower.with_parameters(x=x)(method, a, result)
    np.testing.assert_allclose([upper.value**0.5, lower.value**0.5], [result.upper, result.lower])
    np.testing.assert_allclose(upper.failure + lower.failure, method.failure)


@pytest.mark.parametrize(
    "theorem, words",
    [
        (norms.gaussian_fro_norm_variance, "fewer probes than columns"),
        (norms.gaussian_fro_norm_posterior.with_parameters(x=3.0), "m > 4 x"),
        (norms.gaussian_fro_norm_posterior_lower.with_parameters(x=0.0), "x > 0"),
        (norms.gaussian_fro_norm_lower_tail.with_parameters(x=0.0), "x > 0"),
        (norms.gaussian_fro_norm_upper_tail.with_parameters(x=-1.0), "x > 0"),
        (norms.hmt_norm_estimate, "SpectralNorm"),
    ],
)
def test_a_violated_hypothesis_is_named(theorem, words):
    method, a = FrobeniusNorm(probes=12), np.diag(ROOTS)
    with pytest.raises(HypothesisViolated, match=words):
        theorem(method, a, method(a, rng=rng()))


@dataclasses.dataclass(frozen=True)
class Overconfident(SpectralNorm):
    """States the failure probability of five times the probes that it draws."""

    @property
    def failure(self) -> float:
        return self.inflation ** (-5 * self.probes)


def test_a_norm_limit_from_too_few_probes_is_found_out():
    method = Overconfident(probes=1, steps=0, inflation=2.0)
    a = with_singular_values(rng(), [1.0], 9, 9)
    (comparison,) = compare(method, a, [norms.hmt_norm_estimate], rng=rng())
    assert comparison.verdict is Verdict.REFUTED
