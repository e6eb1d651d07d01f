"""Certified errors of a run: rows of its own, heads by themselves, rows that are not finite."""

import numpy as np
import pytest

from theory.studies.certified import FAILURE, certified_errors
from tnattn import AttentionProblem
from tnattn.certificate import exceeding_rows

PROBLEM = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 2, 300, 4)))


def found(output, seed=0):
    return certified_errors(PROBLEM, output, np.random.default_rng(seed))


def test_every_head_is_certified_by_itself():
    output = PROBLEM.output * np.asarray([1.1, 1.01])[:, None, None]
    result = found(output)
    assert result["certified"] == pytest.approx([0.1, 0.01])
    assert result["certified_cost"] == 256 / 300
    assert result["covered"] == 1 - exceeding_rows(300, 256, FAILURE) / 300


def test_a_bad_row_that_is_drawn_certifies_nothing():
    output = PROBLEM.output.copy()
    output[1] = np.nan
    assert found(output)["certified"] == [0.0, np.inf]


def test_one_wrong_row_is_drawn_or_not():
    output = PROBLEM.output.copy()
    output[0, 7] *= 2
    assert {round(found(output, seed)["certified"][0], 6) for seed in range(20)} == {0.0, 1.0}
