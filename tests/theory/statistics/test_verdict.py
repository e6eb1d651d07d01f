"""A verdict with its evidence: its representation, and its p-value."""

from __future__ import annotations

import pytest

from theory.statistics.verdict import Judgement, Verdict


def test_a_judgement_is_its_verdict_its_p_value_and_the_detail() -> None:
    assert repr(Judgement(Verdict.REFUTED, 0.00123456, "3 of 4")) == "<refuted, p = 0.00123: 3 of 4>"
    assert repr(Judgement(Verdict.VACUOUS, None, "no bound")) == "<vacuous: no bound>"


@pytest.mark.parametrize("p_value", [0.0, 0.5, 1.0, None])
def test_a_p_value_is_a_probability_or_none(p_value: float | None) -> None:
    assert Judgement(Verdict.SUPPORTED, p_value, "").p_value == p_value
    for wrong in (-0.01, 1.01, float("nan")):
        with pytest.raises(ValueError, match="expected a probability in"):
            Judgement(Verdict.SUPPORTED, wrong, "")
