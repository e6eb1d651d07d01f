"""Theorems about leave-one-out estimates: worked examples and hypotheses (data: test_verdicts.py)."""

import dataclasses

import numpy as np
import pytest
from fixtures import rng

from theory.bounds.randnla import error_estimate
from theory.bounds.randnla.instances import slow_spectrum, with_singular_values
from theory.comparison.compare import compare
from theory.statement.bound import Bound, HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.randnla.estimates.error_estimate import SelfAssessedQB, SelfAssessedQBResult
from tnattn.randnla.estimates.leave_one_out import left_out_squares
from tnattn.randnla.sketches.probes import Rademacher

BOUNDS = [b for b in vars(error_estimate).values() if isinstance(b, Bound)]
every_bound = pytest.mark.parametrize("theorem", BOUNDS, ids=lambda b: b.name)
S8 = np.array([8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.125, 0.0625])


@every_bound
def test_a_theorem_gives_one_value_per_matrix_of_a_stack(theorem):
    method, target = theorem.generic(rng(1))
    stack = np.stack([target, 2 * target]).reshape(2, 1, *target.shape)
    result, alone = (None, None) if theorem.kind == "prior" else (method(x, rng=rng(3)) for x in (stack, target))
    prediction = theorem(method, stack, result)
    assert prediction.value.shape == (2, 1)
    np.testing.assert_allclose(prediction.value[0, 0], theorem(method, target, alone).value, rtol=1e-9)


def test_worked_estimate():
    """R = [[2, 1], [0, 1]]: the mean of 2 and 1 is 1.5, by the closed form and by the residuals."""
    r = np.array([[2.0, 1.0], [0.0, 1.0]])
    result = SelfAssessedQBResult(np.eye(3, 2), np.zeros((2, 4)), r, left_out_squares(r), np.array(0.0))
    prediction = error_estimate.loo_error_estimate(SelfAssessedQB(2), np.zeros((3, 4)), result)
    np.testing.assert_allclose([prediction.observed, prediction.value], 1.5)


def test_the_expected_estimate_by_hand():
    """s = 4 probes: min(tau_0^2, (1 + 1/1) tau_1^2) = 2 * 21.33203125 for singular values 8, 4, 2, ..."""
    value = error_estimate.loo_error_expected(SelfAssessedQB(4), np.diag(S8)).value
    np.testing.assert_allclose(value, 2 * np.sum(S8[1:] ** 2))


@pytest.mark.parametrize("bound, t", [("held_out_upper", 0.05), ("held_out_lower", 5.0)])
def test_held_out_probes_by_hand(bound, t):
    """R = [[2, 1], [0, 3]], Q^T A with rows (2, 0) and (0, 1): one of two probes sees 9, and its column captures 1.

    At h = 1 and failure / 2 = (t e^(1 - t))^(1/2) the squared error is 9 / t - 1.
    """
    r, b = np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([[2.0, 0.0], [0.0, 1.0]])
    result = SelfAssessedQBResult(np.eye(3, 2), b, r, left_out_squares(r), np.array(0.0))
    failure = (t * np.exp(1 - t)) ** 0.5
    theorem = getattr(error_estimate, bound).with_parameters(failure=2 * failure)
    prediction = theorem(SelfAssessedQB(2), np.zeros((3, 2)), result)
    np.testing.assert_allclose([prediction.value, prediction.failure], [(9 / t - 1) ** 0.5, failure])


def test_equal_singular_values_by_hand():
    """c = 2, d = 5, s = 3: two columns leave 4 * 3, and the projector varies by 4 * 2 * (1 - 2/5)."""
    a, method = 2 * np.eye(5, 9), SelfAssessedQB(3)
    assert error_estimate.loo_error_flat(method, a).value == 12
    np.testing.assert_allclose(error_estimate.jackknife_efron_stein(method, a).value, 4.8)


def test_worked_jackknife_of_a_mean():
    """Means of two of the samples (0, 1, 2): replicates 1.5, 1, 0.5, jackknife 0.5, and equality for means.

    The variance of the mean of two is sigma^2 / 2; over all samples of three values drawn from 0, 1, 2 with replacement
    the mean of the jackknife is that too.
    """
    samples = np.stack(np.meshgrid([0.0, 1, 2], [0.0, 1, 2], [0.0, 1, 2], indexing="ij"), axis=-1).reshape(-1, 3)
    replicates = (samples.sum(axis=-1, keepdims=True) - samples) / 2
    jackknife = np.sum((replicates - replicates.mean(axis=-1, keepdims=True)) ** 2, axis=-1)
    assert jackknife[(samples == [0, 1, 2]).all(axis=-1)] == 0.5
    np.testing.assert_allclose(jackknife.mean(), np.var([0, 1, 2]) / 2)


@pytest.mark.parametrize(
    "theorem, method, words",
    [
        (error_estimate.loo_error_expected, SelfAssessedQB(4, Rademacher()), "Gaussian"),
        (error_estimate.loo_error_expected, SelfAssessedQB(2), "3 <= s"),
        (error_estimate.loo_error_flat, SelfAssessedQB(3), "are equal"),
        (error_estimate.jackknife_efron_stein, SelfAssessedQB(3, Rademacher()), "Gaussian"),
    ],
)
def test_a_violated_hypothesis_is_named(theorem, method, words):
    with pytest.raises(HypothesisViolated, match=words):
        theorem(method, np.diag(S8))


def test_more_probes_than_the_rank_are_refused():
    with pytest.raises(HypothesisViolated, match="s <= rank A"):
        error_estimate.loo_error_flat(SelfAssessedQB(3), np.diag([1.0, 1.0, 0.0, 0.0]))


@dataclasses.dataclass(frozen=True)
class Flattering(SelfAssessedQB):
    """Estimates its error by the residuals of its own columns after a rescaling."""

    def factorise(self, a, *, rng):
        result = super().factorise(a, rng=rng)
        return dataclasses.replace(result, squares=0.5 * result.squares)


@pytest.mark.parametrize("theorem", [error_estimate.loo_error_estimate, error_estimate.loo_error_flat])
def test_flattering_estimates_are_found_out(theorem):
    spectrum = np.ones(30) if theorem is error_estimate.loo_error_flat else slow_spectrum(30)
    a = with_singular_values(rng(), spectrum, 30, 40)
    (comparison,) = compare(Flattering(6), a, [theorem], rng=rng())
    assert comparison.verdict is Verdict.REFUTED
