"""Theorems about trace estimates: worked examples and hypotheses (data: test_verdicts.py)."""

import dataclasses

import numpy as np
import pytest
from fixtures import rng

from theory.bounds.randnla import trace
from theory.bounds.randnla.instances import slow_spectrum, with_eigenvalues
from theory.comparison.compare import compare
from theory.statement.bound import Bound, HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.discovery import subclasses
from tnattn.randnla.estimates.trace import GirardHutchinson, HutchPlusPlus, XTrace
from tnattn.randnla.estimates.trace_estimate import TraceEstimate
from tnattn.randnla.sketches.base import Sketch
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.sketches.probes import Rademacher, Sphere
from tnattn.randnla.sketches.sparse_sign import SparseSign

BOUNDS = [b for b in vars(trace).values() if isinstance(b, Bound)]
every_bound = pytest.mark.parametrize("theorem", BOUNDS, ids=lambda b: b.name)
S8 = np.array([8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.125, 0.0625])


@every_bound
def test_a_theorem_gives_one_value_per_matrix_of_a_stack(theorem):
    method, target = theorem.generic(rng(1))
    prediction = theorem(method, np.stack([target, 2 * target]).reshape(2, 1, *target.shape))
    assert prediction.value.shape == (2, 1)
    np.testing.assert_allclose(prediction.value[0, 0], theorem(method, target).value)


def padded(a):
    """Add as many rows and columns of zeros: estimators that may spend n products are exact."""
    return np.pad(np.asarray(a), (0, len(a)))


def has_a_formula(distribution):
    try:
        trace.girard_hutchinson_variance(GirardHutchinson(6, distribution), np.eye(12))
    except (HypothesisViolated, TypeError, ValueError):
        return False
    return True


DISTRIBUTIONS = [cls() for cls in subclasses("tnattn.randnla", Sketch).values() if has_a_formula(cls())]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=repr)
def test_the_variance_of_every_distribution_is_seen_in_the_data(distribution):
    a = with_eigenvalues(rng(), slow_spectrum(12)) + np.diag(np.arange(12.0))
    method = GirardHutchinson(probes=6, distribution=distribution)
    (comparison,) = compare(method, a, [trace.girard_hutchinson_variance], trials=1000, rng=rng(3))
    assert comparison.verdict is Verdict.NOT_CONTRADICTED
    assert 0.75 < comparison.slack < 1.33


def test_variances_by_hand():
    """A = [[2, 1], [1, 0]] and two zero rows: ||A||_F^2 = 6, squared diagonal 4, trace 2; two probes."""
    a = padded([[2.0, 1.0], [1.0, 0.0]])
    value = {d: trace.girard_hutchinson_variance(GirardHutchinson(2, d), a).value for d in (Gaussian(), Rademacher())}
    assert value[Gaussian()] == 6
    assert value[Rademacher()] == 2
    sphere = trace.girard_hutchinson_variance(GirardHutchinson(2, Sphere()), a).value
    np.testing.assert_allclose(sphere, 8 / 6 * (6 - 1) / 2)


def test_the_antisymmetric_part_does_not_matter():
    a = padded([[2.0, 5.0], [-3.0, 0.0]])
    symmetric = padded([[2.0, 1.0], [1.0, 0.0]])
    method = GirardHutchinson(3, Rademacher())
    one, two = (trace.girard_hutchinson_variance(method, x).value for x in (a, symmetric))
    assert one == two


def test_worked_hutch_plus_plus():
    """Sketch 5, 5 probes: 2.13125; plain Girard-Hutchinson with 15 probes: 11.3776."""
    np.testing.assert_allclose(trace.hutchpp_variance(HutchPlusPlus(15), np.diag(S8)).value, 2.13125)
    plain = trace.girard_hutchinson_variance(GirardHutchinson(15, Gaussian()), padded(np.diag(S8))).value
    np.testing.assert_allclose(plain, 11.3776, rtol=1e-5)


def test_the_exchanged_estimate_by_hand():
    """s = 4 probes: 2 min(tau_0^2, (1 + 1/1) tau_1^2) = 4 * 21.33203125 for singular values 8, 4, 2, ..."""
    value = trace.xtrace_crude_variance(XTrace(8), np.diag(S8)).value
    np.testing.assert_allclose(value, 4 * np.sum(S8[1:] ** 2))


def test_the_tail_solves_its_own_equation():
    method, a = GirardHutchinson(10, Gaussian()), np.diag(S8)
    prediction = trace.hutchinson_tail.with_parameters(delta=0.03)(method, a)
    chance = 2 * np.exp(-10 * prediction.value**2 / (4 * np.sum(S8**2) + 4 * prediction.value * 8))
    np.testing.assert_allclose([chance, prediction.failure], 0.03)


def test_positive_semidefinite_tails_give_the_rate_of_the_source():
    """tau_k <= tr A / (2 sqrt k): so the variance is at most 2/l (1 + k/(s-k-1)) (tr A)^2 / (4 k) at every k."""
    a = np.diag(slow_spectrum(30))
    value = trace.hutchpp_variance(HutchPlusPlus(30), a).value
    assert value <= min(2 / 10 * (1 + k / (9 - k)) * np.trace(a) ** 2 / (4 * k) for k in range(1, 9))


@pytest.mark.parametrize(
    "theorem, method, a, words",
    [
        (trace.girard_hutchinson_variance, GirardHutchinson(), np.ones((2, 3)), "square"),
        (trace.hutchinson_tail, GirardHutchinson(), np.eye(3), "Gaussian"),
        (trace.hutchinson_tail.with_parameters(delta=1.0), GirardHutchinson(), np.eye(3), "0 < delta"),
        (trace.girard_hutchinson_variance, GirardHutchinson(3), np.eye(3), "fewer products than rows"),
        (trace.hutchpp_identity, HutchPlusPlus(9), np.eye(9), "fewer products than rows"),
        (trace.hutchpp_variance, HutchPlusPlus(12, sketch=SparseSign()), np.eye(9), "Gaussian"),
        (trace.hutchpp_variance, HutchPlusPlus(12), np.triu(np.ones((9, 9))), "symmetric"),
        (trace.hutchpp_variance, HutchPlusPlus(12), np.eye(4), "2 <= s < n"),
        (trace.xtrace_crude_variance, XTrace(4), np.eye(9), "3 <= s < n"),
    ],
)
def test_a_violated_hypothesis_is_named(theorem, method, a, words):
    with pytest.raises(HypothesisViolated, match=words):
        theorem(method, a)


@dataclasses.dataclass(frozen=True)
class Repeated(GirardHutchinson):
    """Claims its probes, but repeats a quarter of them."""

    def estimate(self, a, *, rng):
        inner = GirardHutchinson(self.probes // 4, self.distribution).estimate(a, rng=rng)
        return TraceEstimate(np.repeat(inner.samples, 4, axis=-1), self.probes)


def test_repeated_probes_are_found_out():
    a = with_eigenvalues(rng(), np.ones(20))
    (comparison,) = compare(Repeated(8, Gaussian()), a, [trace.girard_hutchinson_variance], rng=rng())
    assert comparison.verdict is Verdict.REFUTED
