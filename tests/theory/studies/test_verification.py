"""The verification of theorems refutes what is false and says what it could not have refuted."""

import dataclasses

import pytest

from theory.catalogue import bounds
from theory.guarantee import Deterministic, ExactExpectation, InExpectation, WithProbability
from theory.studies.instances import OWN, cases
from theory.studies.verification import verify
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
        name: [f.above_floor for f in verify([bounds()[name]]).findings] for name in ("hosvd", "sthosvd_identity")
    }
    assert all(1 <= ratio <= 3**0.5 for ratio in floors["hosvd"])
    assert floors["sthosvd_identity"] == [None, None]
