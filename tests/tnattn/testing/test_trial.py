"""Sampling, runs and comparisons of the laws."""

import numpy as np
import pytest

from tnattn import gallery
from tnattn.attention.masks import CausalMask
from tnattn.attention.random_features.performer import Performer
from tnattn.attention.sparse.top_k import TopK
from tnattn.testing.report import Violation
from tnattn.testing.trial import Trial, changed, difference, exact, require_close, tolerance

FAMILY = gallery.problems()["gauss"]


def trial(method, seed=0):
    return Trial(method, FAMILY, 24, 8, seed)


def test_a_seed_and_a_key_decide_the_problem():
    made = trial(TopK())
    np.testing.assert_array_equal(made.problem().q, made.problem().q)
    assert not np.array_equal(made.problem().q, made.problem(key=1).q)
    assert not np.array_equal(made.problem().q, trial(TopK(), seed=1).problem().q)
    assert isinstance(made.problem(mask=CausalMask()).mask, CausalMask)


def test_the_budget_is_a_third_of_the_keys():
    made = trial(TopK())
    assert made.fitted(made.problem()).budget == 8
    assert made.fitted(made.problem(), 5).budget == 5


@pytest.mark.parametrize(("method", "random"), [(TopK(), False), (Performer(), True)])
def test_randomness_is_found_out(method, random):
    assert trial(method).is_random() == random


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [([1.0, 2.0], [1.0, 2.0], 0.0), ([1.0, 2.0], [1.0, 1.0], 0.5), ([np.nan, 1.0], [np.nan, 1.0], 0.0),
     ([np.nan, 1.0], [1.0, 1.0], np.inf), ([np.nan], [np.nan], 0.0), ([0.0], [0.0], 0.0)],
)  # fmt: skip
def test_differences_are_relative_and_see_missing_rows(a, b, expected):
    assert difference(np.asarray(a), np.asarray(b)) == expected


def test_what_is_further_apart_than_rounding_is_a_violation():
    problem = trial(TopK()).problem()
    truth = exact(problem)
    require_close(truth, truth * (1 + tolerance(problem) / 2), problem, "close")
    with pytest.raises(Violation, match="far"):
        require_close(truth, truth * (1 + 2 * tolerance(problem)), problem, "far")


def test_a_changed_problem_is_another_one():
    problem = trial(TopK()).problem()
    doubled = changed(problem, v=2 * problem.v)
    np.testing.assert_allclose(exact(doubled), 2 * exact(problem))
