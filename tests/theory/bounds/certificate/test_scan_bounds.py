"""Worked examples of the statements that need all scores, and of the one that says why."""

import numpy as np
import pytest
import scipy.stats

from theory.bounds.attention.perturbed import PerturbedScores, one_dimensional_problem, random_problem
from theory.bounds.certificate.kept_rows import kept_keys_centred, kept_keys_envelope, moved_rows
from theory.bounds.certificate.scan_and_sample import ScannedRows, sampled_rows_distance, sampled_tail_error
from theory.bounds.certificate.score_boxes import score_interval_rows, score_interval_spectral
from theory.bounds.certificate.unseen_keys import InspectedKeys, no_certificate_without_a_scan
from theory.bounds.certificate.value_ball import distance_of_rows
from theory.statement.bound import HypothesisViolated
from tnattn.attention.sparse.top_k import TopK

SIDE = np.array([1.0, -1.0])
BALL = 0.02  # the iteration for the ball ends within two percent of the smallest radius here


def test_a_quarter_dropped():
    """Masses 3 and 1 with values 1 and -1: half of the quarter of the diameter is lost, and all of it is bounded."""
    problem = one_dimensional_problem(np.log([3.0, 1.0]), SIDE)
    result = TopK(1)(problem)
    assert kept_keys_envelope(TopK(1), problem, result).value.item() == pytest.approx(0.5, rel=BALL)
    assert distance_of_rows(problem, result).item() == pytest.approx(0.5)
    assert kept_keys_centred(TopK(1), problem, result).value.item() == pytest.approx(0.25, rel=BALL)
    assert moved_rows(problem, result).item() == pytest.approx(0.25, abs=BALL)


def test_bounds_of_scores_that_are_log_3_too_large():
    """M = 3/4 beside Z = 3/4: x = 1/2."""
    problem = one_dimensional_problem(np.log([3.0, 1.0]), SIDE)
    loose = kept_keys_envelope.with_parameters(excess=float(np.log(3.0)))
    assert loose(TopK(1), problem, TopK(1)(problem)).value.item() == pytest.approx(1.0, rel=BALL)


def test_scores_may_not_exceed_their_bounds():
    problem = one_dimensional_problem(np.log([3.0, 1.0]), SIDE)
    with pytest.raises(HypothesisViolated, match="excess >= 0"):
        kept_keys_envelope.with_parameters(excess=-1.0)(TopK(1), problem, TopK(1)(problem))


def test_two_keys_attain_the_interval_bound():
    """Scores 0 are taken for 0.3 and -0.3: the output is tanh(0.3), and so is sqrt(1 - tanh(0.3)^2) sinh(0.3)."""
    problem = one_dimensional_problem(np.zeros(2), SIDE)
    method = PerturbedScores(0.3 * SIDE)
    result = method(problem)
    assert distance_of_rows(problem, result).item() == pytest.approx(np.tanh(0.3), rel=1e-12)
    for bound in (score_interval_spectral, score_interval_rows):
        assert bound(method, problem, result).value.item() == pytest.approx(np.tanh(0.3), rel=1e-6)


def test_the_eigenvalue_bound_is_the_smaller_one():
    problem = random_problem(np.random.default_rng(0))
    method = PerturbedScores(0.05 * np.random.default_rng(1).standard_normal((1, 2, 10, 14)))
    spectral, rows = (
        bound(method, problem, method(problem)).value for bound in (score_interval_spectral, score_interval_rows)
    )
    assert np.all(spectral <= rows * (1 + 1e-9))


def test_kept_keys_alone_leave_no_error():
    problem, method = random_problem(np.random.default_rng(0)), ScannedRows(kept=14)
    result = method(problem, rng=np.random.default_rng(0))
    assert np.all(sampled_tail_error(method, problem, result).value == 0)
    assert np.all(sampled_rows_distance(problem, result) < 1e-14)


def test_more_draws_tighten_the_bound():
    problem = random_problem(np.random.default_rng(0))
    few, many = (
        sampled_tail_error(m, problem, m(problem, rng=np.random.default_rng(0))).value
        for m in (ScannedRows(draws=32), ScannedRows(draws=2000))
    )
    assert np.median(many / few) < 0.3


def test_wide_intervals_are_never_certified_falsely():
    """Half widths of three, as of keys in four bits: every bound is larger than the values are apart."""
    problem, method = random_problem(np.random.default_rng(0)), ScannedRows(half_width=3.0)
    result = method(problem, rng=np.random.default_rng(0))
    assert np.all(result.error >= sampled_rows_distance(problem, result))


def test_uniform_samples_certify_nothing():
    """A statement from 30 of 40 keys, nominally sure, is wrong for a quarter of the places of a planted key."""
    method, rng = InspectedKeys(), np.random.default_rng(0)
    statements = [method(np.ones((40, 1)), rng=rng) for _ in range(300)]
    assert not any(s.wrong for s in statements)
    wrong = sum(s.wrong_changed for s in statements)
    assert scipy.stats.binom.sf(wrong - 1, 300, 0.05) < 1e-6
    assert 1e-6 < scipy.stats.binom.cdf(wrong, 300, 0.25) < 1 - 1e-6
    assert no_certificate_without_a_scan(method, np.ones((40, 1))).value == 1


def test_the_unseen_share_is_a_quarter():
    with pytest.raises(HypothesisViolated, match="a quarter"):
        no_certificate_without_a_scan(InspectedKeys(inspected=20), np.ones((40, 1)))


def test_a_procedure_that_sees_all_keys_is_refused():
    with pytest.raises(ValueError, match="leaves none of the 5 keys"):
        InspectedKeys(inspected=5)(np.ones((5, 1)), rng=np.random.default_rng(0))


@pytest.mark.parametrize("options", [{"draws": 0}, {"kept": -1}, {"level": 0.0}, {"half_width": -1.0}])
def test_scans_refuse_what_has_no_meaning(options):
    with pytest.raises(ValueError, match="needs kept >= 0"):
        ScannedRows(**options)
