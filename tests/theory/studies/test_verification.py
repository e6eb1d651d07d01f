"""The verification of theorems refutes false constants and reports those that it could not have refuted."""

import dataclasses

import numpy as np
import pytest

from theory.comparison.catalogue import bounds
from theory.comparison.compare import compare
from theory.statement.guarantee import Deterministic, ExactExpectation, InExpectation, WithProbability
from theory.studies.instances import OWN, cases
from theory.studies.verification import LEAST, verify
from tnattn import gallery

SHARP = {
    Deterministic: "sthosvd_identity",
    InExpectation: "rrf_fro_expected",
    ExactExpectation: "value_sampling_mse",
    WithProbability: "rrf_fro_deviation",
}


@pytest.mark.parametrize("kind", SHARP, ids=lambda kind: kind.__name__)
def test_a_planted_wrong_constant_is_refuted(kind):
    b = bounds()[SHARP[kind]]
    assert isinstance(b.guarantee, kind)
    result = verify([dataclasses.replace(b.scaled(b.must_fail), generic=None)], trials=400, seconds=10)
    assert [finding.verdict for finding in result.refuted] == ["refuted"]


@pytest.mark.parametrize("kind", SHARP, ids=lambda kind: kind.__name__)
def test_the_true_theorem_is_not_refuted_and_its_control_is(kind):
    b = dataclasses.replace(bounds()[SHARP[kind]], generic=None)
    (finding,) = verify([b], trials=400, seconds=10).findings
    assert finding.verdict != "refuted"
    assert finding.control == "refuted"
    assert not finding.undetected


def test_a_control_that_cannot_fail_is_reported():
    weak = dataclasses.replace(bounds()["hosvd"], must_fail=1.0, generic=None)
    assert [finding.undetected for finding in verify([weak]).findings] == [True]


def test_a_theorem_without_extremal_instance_is_named():
    blunt = dataclasses.replace(bounds()["hosvd"], extremal=None)
    result = verify([blunt])
    assert result.without_extremal == ("hosvd",)
    assert [finding.instance for finding in result.findings] == ["generic"]


def test_a_theorem_without_factor_says_so():
    calm = dataclasses.replace(bounds()["hosvd"], must_fail=None, generic=None)
    result = verify([dataclasses.replace(calm, no_control="for the test")])
    assert [(finding.control, finding.no_control) for finding in result.findings] == [
        ("declared blunt", "for the test")
    ]
    assert result.undetected == ()
    assert len(result.declared) == 1


def test_thorough_draws_several_instances():
    b = bounds()["hosvd"]
    assert len(cases([b], thorough=True)) == 5 * len(cases([b]))


def test_thorough_puts_every_method_on_every_problem():
    kinds = {kind for _, kind, _ in cases([bounds()["topk_mass"]], thorough=True)}
    assert kinds - set(OWN) == {f"TopK on {problem}" for problem in gallery.problems()}


def test_the_product_refutes_nothing_for_the_mass_dropped_by_top_keys():
    result = verify([dataclasses.replace(bounds()["topk_mass"], extremal=None, generic=None)], thorough=True)
    assert result.refuted == result.failed == ()
    assert any(finding.verdict == "supported" for finding in result.findings)


def test_an_error_is_reported_as_a_failure():
    def broken(rng):
        raise ArithmeticError("no such instance")

    (finding,) = verify([dataclasses.replace(bounds()["hosvd"], extremal=broken, generic=None)]).failed
    assert "no such instance" in finding.detail


def test_the_same_seed_gives_the_same_findings():
    b = [bounds()["value_sampling_mse"]]
    first, second = (verify(b, trials=8, seed=3).findings for _ in range(2))
    assert [dataclasses.replace(f, seconds=0.0) for f in first] == [dataclasses.replace(f, seconds=0.0) for f in second]


def test_time_limits_the_trials():
    (finding, *_) = verify([bounds()["value_sampling_mse"]], trials=10**6, seconds=0.2).findings
    assert finding.trials < 10**5


def test_holm_is_not_weaker_than_each_theorem_alone():
    b = bounds()["hosvd"]
    result = verify([b, b.scaled(0.1)])
    assert {finding.verdict for finding in result.findings if finding.instance == "extremal"} >= {"refuted"}


@pytest.mark.parametrize("wrong", [{"level": 0.0}, {"level": 1.0}, {"trials": 0}, {"seed": -1}])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        verify([bounds()["hosvd"]], **wrong)


def test_findings_say_how_far_above_the_floor_the_error_is():
    floors = {
        name: [f.above_optimal for f in verify([bounds()[name]]).findings] for name in ("hosvd", "sthosvd_identity")
    }
    assert all(1 <= ratio <= 3**0.5 for ratio in floors["hosvd"])
    assert floors["sthosvd_identity"] == [None, None]


@pytest.mark.parametrize("name", ["value_sampling_mse", "rrf_fro_expected", "gaussian_fro_norm_upper_tail"])
def test_every_theorem_has_its_least_number_of_runs_whatever_the_clock_says(name):
    """Expectations that are decided stop early, but never for want of time."""
    none, much = (verify([bounds()[name]], trials=LEAST, seconds=seconds).findings for seconds in (0.0, 1e6))
    assert [f.trials for f in none] == [f.trials for f in much]
    assert [f.control for f in none] == [f.control for f in much]
    assert [f.control for f in none] == ["refuted", "not tried"]


def test_time_adds_runs_beyond_the_least_number():
    (finding,) = verify([dataclasses.replace(bounds()["value_sampling_mse"], generic=None)], seconds=0.0).findings
    assert finding.trials == LEAST


def test_an_equality_needs_both_of_its_controls():
    """Without a relative variance nothing refutes a mean that is too small."""
    b = bounds()["value_sampling_mse"]
    one_sided = dataclasses.replace(b, guarantee=ExactExpectation(), generic=None)
    assert [f.undetected for f in verify([one_sided], trials=LEAST).findings] == [True]
    assert [f.undetected for f in verify([dataclasses.replace(b, generic=None)], trials=LEAST).findings] == [False]


@pytest.mark.parametrize("answer", [np.nan, -1.0, None], ids=str)
def test_a_theorem_that_cannot_be_evaluated_has_failed(answer):
    def broken(method, tensor):
        if answer is None:
            raise ZeroDivisionError("division by zero")
        return np.asarray(answer)

    result = verify([dataclasses.replace(bounds()["hosvd"], function=broken), bounds()["sthosvd"]])
    assert {f.bound for f in result.failed} == {"broken"}
    assert {f.verdict for f in result.findings if f.bound == "sthosvd"} <= {"supported", "not contradicted"}


@pytest.mark.slow
def test_no_true_theorem_is_refuted_and_no_control_escapes():
    """The whole catalogue at family level 1e-3."""
    result = verify(seed=0, trials=LEAST, seconds=0.0)
    assert [f.bound for f in result.refuted] == []
    assert [f.bound for f in result.failed] == []
    assert [f.bound for f in result.undetected] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, b in bounds().items() if b.two_sided and b.kind == "prior"])
def test_exact_expectations_are_falsely_refuted_no_more_often_than_their_level(name):
    """50 runs of 40 trials at level 0.02 each: more than 7 false refutations have probability below 1e-5."""
    b, rng = bounds()[name], np.random.default_rng(77)
    method, target = b.extremal(rng)
    judged = [compare(method, target, [b.on_extremal()], trials=40, rng=rng, level=0.02)[0] for _ in range(50)]
    assert sum(c.verdict == "refuted" for c in judged) <= 7
