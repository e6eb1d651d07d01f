"""One line per method and budget: medians, the sense of a prediction, marks."""

from __future__ import annotations

import numpy as np
import pytest

from theory.studies.summary import lines, pooled, verdicts_in_words

NAMES = {"method": "A", "family": "sampling", "budget": 8, "oracle": False, "leaks": False, "control": False}
TRIAL = {
    "relative_output": [0.5, 0.7],
    "relative_weights": None,
    "bad_rows": 0,
    "flops": 0.1,
    "storage": 0.2,
    "state": 0.3,
}


def _row(kind, **values):
    return {"kind": kind, "status": "done", **NAMES, **values}


def _trial(**values):
    return _row("trial", **TRIAL | values)


@pytest.mark.parametrize(
    "guarantee, prior, sense",
    [
        ("always", True, "always"),
        ("in expectation", True, "in expectation"),
        ("with probability", False, "with probability, after the run"),
    ],
)
def test_a_prediction_says_in_which_sense_it_holds(guarantee, prior, sense):
    predicted = _row("prediction", guarantee=guarantee, prior=prior, predicted_relative=[0.4, 0.4])
    (line,) = lines([_trial(), predicted])
    assert (line.predicted, line.sense) == (0.4, sense)


def test_a_method_without_a_theorem_has_no_prediction_and_no_sense():
    (line,) = lines([_trial()])
    assert (line.predicted, line.sense) == (None, "")


def test_a_bad_row_makes_the_error_infinite_where_it_is_the_median():
    assert pooled([[np.nan, np.nan, 1.0]])[0] == np.inf
    assert pooled([[np.nan, 1.0, 1.0]])[0] == 1.0


def test_a_method_that_loses_to_the_mean_of_the_values_is_marked():
    control = _trial(relative_output=[0.55, 0.55], method="MeanValue", budget=0, control=True)
    line = lines([control, _trial()])[1]
    assert line.marks == ("loses to mean(V)",)
    assert lines([control, _trial(relative_output=[0.5, 0.5])])[1].marks == ()


def test_verdicts_are_counted_with_the_gravest_first():
    assert verdicts_in_words(["supported", "refuted", "supported", "not applicable"]) == "1 refuted, 2 supported"


def test_projected_errors_stand_beside_the_others_where_they_were_measured():
    (line,) = lines([_trial(relative_output=[np.nan, 0.7], relative_projected=[0.5, 0.6])])
    assert (line.error, line.projected) == (np.inf, pytest.approx(0.55))
    assert lines([_trial()])[0].projected is None
