"""Every judge gives every verdict it can, and none it must not."""

import numpy as np
import pytest

from theory.statistics import judge as module
from theory.statistics.betting import bennett_lower_p_value
from theory.statistics.judge import (
    is_vacuous,
    judge_deterministic,
    judge_exact_expectation,
    judge_expectation,
    judge_lower_expectation,
    judge_probability,
)
from theory.statistics.rates import judge_rate
from theory.statistics.verdict import Judgement, Verdict

LEVEL = 1e-3


def uniform(trials, *, seed=0, top=2.0):
    return top * np.random.default_rng(seed).random(trials)


def test_all_public_names_exist():
    assert all(hasattr(module, name) for name in module.__all__)


def test_verdicts_read_as_the_vocabulary():
    assert f"{Verdict.NOT_CONTRADICTED}" == "not contradicted"


@pytest.mark.parametrize("p_value", [-0.5, 1.5, float("nan")])
def test_a_p_value_outside_the_unit_interval_is_refused(p_value):
    with pytest.raises(ValueError, match="p_value"):
        Judgement(Verdict.REFUTED, p_value, "")


def test_vacuous_is_decided_per_problem():
    np.testing.assert_array_equal(is_vacuous([0.5, 1.0, 2.0], 1.0), [False, True, True])


def test_one_violation_refutes_a_deterministic_bound_and_is_located():
    lhs = np.ones((3, 4))
    lhs[2, 1] = 1.01
    judged = judge_deterministic(lhs, 1.0, 1e-3)
    assert judged.verdict is Verdict.REFUTED
    assert "1 of 12" in judged.detail
    assert "(2, 1)" in judged.detail


def test_a_violation_within_the_slack_does_not_refute():
    assert judge_deterministic(1.01, 1.0, 0.02).verdict is Verdict.SUPPORTED


def test_a_zero_right_side_is_compared_absolutely():
    assert judge_deterministic([0.0, 1e-17], 0.0, 1e-15).verdict is Verdict.SUPPORTED
    assert judge_deterministic([0.0, 1e-14], 0.0, 1e-15).verdict is Verdict.REFUTED


def test_nan_never_passes_as_agreement():
    with pytest.raises(ValueError, match="NaN"):
        judge_deterministic([np.nan], 1.0, 0.0)


@pytest.mark.parametrize(
    "bound, upper, expected",
    [
        (0.3, 2.0, Verdict.REFUTED),
        (0.3, None, Verdict.REFUTED),
        (1.0, 2.0, Verdict.NOT_CONTRADICTED),
        (1.6, 2.0, Verdict.SUPPORTED),
        (1.6, None, Verdict.NOT_CONTRADICTED),
        (1e9, None, Verdict.NOT_CONTRADICTED),
    ],
)
def test_expectation_verdicts_for_a_mean_of_one(bound, upper, expected):
    assert judge_expectation(uniform(300), bound, upper, LEVEL).verdict is expected


def test_support_without_an_upper_bound_is_only_mentioned_as_asymptotic():
    assert "asymptotically supported" in judge_expectation(uniform(300), 1.6, None, LEVEL).detail


def test_few_trials_of_a_bounded_variable_do_not_support():
    assert judge_expectation(uniform(5), 1.6, 2.0, LEVEL).verdict is Verdict.NOT_CONTRADICTED


def test_one_bad_problem_refutes_the_stack():
    x = np.random.default_rng(1).random((300, 2, 5))
    bound = np.full((2, 5), 0.6)
    bound[1, 3] = 0.2
    assert judge_expectation(x, bound, 1.0, LEVEL).verdict is Verdict.REFUTED


def test_one_undecided_problem_keeps_the_stack_from_support():
    x = np.random.default_rng(2).random((300, 4))
    assert judge_expectation(x, [0.9, 0.9, 0.5, 0.9], 1.0, LEVEL).verdict is Verdict.NOT_CONTRADICTED
    assert judge_expectation(x, 0.9, 1.0, LEVEL).verdict is Verdict.SUPPORTED


def test_a_large_stack_of_true_bounds_is_not_refuted_by_its_size():
    """200 stacks of 50 true problems at 5 %: at most 10 + 5.5 * 3.1 = 27 refuted (exponential, E X = B)."""
    x = np.random.default_rng(3).exponential(size=(200, 60, 50))
    refuted = sum(judge_expectation(sample, 1.0, None, 0.05).verdict is Verdict.REFUTED for sample in x)
    assert refuted <= 27


def test_slack_keeps_rounding_from_refuting_a_zero_bound():
    x = np.full(20, 1e-16)
    assert judge_expectation(x, 0.0, None, LEVEL).verdict is Verdict.REFUTED
    assert judge_expectation(x, 0.0, None, LEVEL, slack=1e-14).verdict is Verdict.NOT_CONTRADICTED


@pytest.mark.parametrize(
    "bound, upper, expected",
    [
        (1 / 0.3 / 2, 2.0, Verdict.REFUTED),
        (1 / 0.3, None, Verdict.NOT_CONTRADICTED),
        (1.0, 2.0, Verdict.NOT_CONTRADICTED),
        (0.3, None, Verdict.SUPPORTED),
    ],
)
def test_lower_bound_verdicts_for_a_mean_of_one(bound, upper, expected):
    assert judge_lower_expectation(uniform(300), bound, upper, LEVEL).verdict is expected


def test_a_lower_bound_of_an_unbounded_variable_is_refuted_where_its_variance_is_known():
    """Uniform on [0, 2]: relative variance 1/3."""
    assert judge_lower_expectation(uniform(300), 3.0, None, LEVEL, spread=1 / 3).verdict is Verdict.REFUTED
    assert judge_lower_expectation(uniform(300), 1.0, None, LEVEL, spread=1 / 3).verdict is not Verdict.REFUTED


def test_a_lower_bound_of_an_unbounded_variable_is_not_refuted_by_what_was_not_seen():
    """X = 200 with probability 1/200 has mean 1; a sample of zeros is likely."""
    judged = judge_lower_expectation(np.zeros(200), 1.0, None, LEVEL)
    assert judged.verdict is Verdict.NOT_CONTRADICTED
    assert judged.p_value is None
    assert "unseen" in judged.detail


def test_the_detail_of_a_lower_bound_of_zero_is_a_number():
    assert "nan" not in judge_lower_expectation(uniform(20), 0.0, 2.0, LEVEL).detail


@pytest.mark.parametrize(
    "failures, trials, delta, expected",
    [
        (0, 400, 0.05, Verdict.SUPPORTED),
        (3, 200, 0.05, Verdict.NOT_CONTRADICTED),
        (0, 50, 0.01, Verdict.NOT_CONTRADICTED),
        (40, 200, 0.05, Verdict.REFUTED),
        (1, 10, 0.0, Verdict.REFUTED),
        (9, 10, 1.2, Verdict.VACUOUS),
    ],
)
def test_probability_verdicts(failures, trials, delta, expected):
    assert judge_probability(np.arange(trials) < failures, delta, LEVEL).verdict is expected


def test_a_claim_beyond_the_resolution_is_named():
    judged = judge_probability(np.zeros(50, dtype=bool), 0.01, LEVEL)
    assert "beyond the resolution (needs 688)" in judged.detail


def test_false_refutations_of_a_true_failure_rate_stay_below_the_level():
    """2000 runs of 100 trials at delta = 0.05, level 1 %: at most 20 + 6 * 4.5 = 47."""
    failed = np.random.default_rng(4).random((2000, 100)) < 0.05
    assert sum(judge_probability(run, 0.05, 0.01).verdict is Verdict.REFUTED for run in failed) <= 47


def test_failures_must_be_booleans():
    with pytest.raises(TypeError, match="booleans"):
        judge_probability(np.array([0.0, 1.0]), 0.1, LEVEL)


@pytest.mark.parametrize("factor, refuted", [(1.0, False), (0.3, True), (1 / 0.3, True)])
def test_an_identity_is_refuted_from_both_sides(factor, refuted):
    """Exponential, 300 trials: the control factors fall, the truth stands."""
    x = np.random.default_rng(5).exponential(size=300)
    assert (judge_exact_expectation(x, factor, LEVEL, spread=1.0).verdict is Verdict.REFUTED) is refuted


def test_false_refutations_of_a_true_identity_stay_below_the_level():
    """2000 runs of 200 squared Gaussians at 1 %: above 20 + 6 * 4.5 = 47 has probability below 1e-7."""
    x = np.random.default_rng(12).chisquare(1, (2000, 200))
    judged = [judge_exact_expectation(sample, 1.0, 0.01, spread=2.0).verdict for sample in x]
    assert judged.count(Verdict.REFUTED) <= 47


def test_a_mean_below_the_stated_one_refutes_nothing_where_tails_are_not_known_to_be_light():
    """Lognormal, sigma 10: the mean is exp(50) times the median, and no sample comes near it."""
    x = np.random.default_rng(13).lognormal(-50.0, 10.0, 400)
    judged = judge_exact_expectation(x, 1.0, LEVEL)
    assert judged.verdict is Verdict.NOT_CONTRADICTED
    assert "unseen" in judged.detail


def test_a_mean_above_the_stated_one_refutes_without_knowledge_of_tails():
    x = np.random.default_rng(14).exponential(size=300)
    assert judge_exact_expectation(x, 0.3, LEVEL).verdict is Verdict.REFUTED


def test_rounding_does_not_refute_an_exact_expectation_of_zero():
    x = np.full(50, 1e-30)
    assert judge_exact_expectation(x, 0.0, LEVEL, slack=1e-28).verdict is Verdict.NOT_CONTRADICTED
    assert judge_exact_expectation(x, 0.0, LEVEL).verdict is Verdict.REFUTED


def test_an_identity_is_never_supported_but_its_equality_is_mentioned():
    x = np.random.default_rng(6).gamma(100.0, 0.01, 500)
    judged = judge_exact_expectation(x, 1.0, LEVEL)
    assert judged.verdict is Verdict.NOT_CONTRADICTED
    assert "asymptotically equal within 5%" in judged.detail


def test_a_known_variance_protects_a_true_identity_with_rare_values():
    """X = 200 with probability 1/200; a sample of zeros refutes it only with a variance that is stated too small."""
    zeros = np.zeros(200)
    assert judge_exact_expectation(zeros, 1.0, LEVEL, variance=199.0).verdict is Verdict.NOT_CONTRADICTED
    assert judge_exact_expectation(zeros, 1.0, LEVEL, variance=1.0).verdict is Verdict.REFUTED


@pytest.mark.parametrize("degree, moments", [(2, (1.0, 3.0)), (4, (3.0, 105.0))])
def test_polynomials_of_gaussian_variables_keep_the_level_at_their_degree(degree, moments):
    """2e6 runs of 200 trials are too many for 1e-6; at 1e-3, 20000 runs: above 20 + 6 * 4.5 = 47 has chance 1e-7.

    With an estimated variance in place of the known one, P{p <= 1e-6} of degree 4 is 3.5e-4.
    """
    first, second = moments
    x = np.random.default_rng(31).standard_normal((200, 20000)) ** degree / first
    assert np.sum(bennett_lower_p_value(x, 1.0, spread=second / first**2 - 1) <= 1e-3) <= 47
    assert degree == 2 or np.sum(bennett_lower_p_value(x, 1.0) <= 1e-6) >= 1


@pytest.mark.parametrize("rate, consistent", [(-1.0, True), (-0.5, False), (-1.5, False)])
def test_rates_are_told_apart(rate, consistent):
    """Slope -1 with 10 % noise, 20 trials at 5 sizes: standard error about 0.007."""
    sizes = np.array([16, 32, 64, 128, 256])
    errors = np.random.default_rng(7).lognormal(sigma=0.1, size=(20, 5)) / sizes
    expected = Verdict.CONSISTENT if consistent else Verdict.INCONSISTENT
    assert judge_rate(sizes, errors, rate, LEVEL).verdict is expected


@pytest.mark.parametrize("rate, consistent", [(-0.5, True), (-1.5, False)])
def test_an_order_statement_allows_a_faster_decay(rate, consistent):
    sizes = np.array([16, 32, 64, 128, 256])
    errors = np.random.default_rng(8).lognormal(sigma=0.1, size=(20, 5)) / sizes
    expected = Verdict.CONSISTENT if consistent else Verdict.INCONSISTENT
    assert judge_rate(sizes, errors, rate, LEVEL, one_sided=True).verdict is expected


def test_a_noiseless_power_law_is_consistent_with_itself_only():
    sizes = np.array([8, 16, 32, 64])
    assert judge_rate(sizes, 2.0 / sizes, -1.0, LEVEL).verdict is Verdict.CONSISTENT
    assert judge_rate(sizes, 2.0 / sizes, -1.01, LEVEL).verdict is Verdict.INCONSISTENT
