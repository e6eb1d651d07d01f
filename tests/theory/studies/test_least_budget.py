"""Least budgets: the smallest that is enough, methods that never are, oracles last, refusals named."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from theory.statement import errors
from theory.studies.candidates import Candidate
from theory.studies.least_budget import least_budget, least_budgets
from tnattn import AttentionProblem, CausalMask, MeanValue, Nystromformer, SlidingWindow, TopK
from tnattn.attention.method import AttentionMethod, JointMethod
from tnattn.discovery import subclasses

PROBLEM = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 2, 40, 4)))


@dataclass(frozen=True)
class Broken(JointMethod):
    def approximate(self, problem, *, rng):
        raise RuntimeError("out of luck")

    def cost(self, problem):
        raise NotImplementedError


def median_error(method):
    return float(np.max(errors.relative_output(PROBLEM, method(PROBLEM))[[0, 1]]))


@pytest.mark.parametrize("method", [TopK(), SlidingWindow()], ids=repr)
def test_one_column_less_is_not_enough(method):
    found = least_budget(PROBLEM, Candidate(method), 0.1)
    assert found.reached
    assert median_error(method.with_budget(found.budget)) == pytest.approx(found.error)
    assert found.error <= 0.1
    assert found.worst >= found.error
    # bisection ends within five per cent of the budget
    assert median_error(method.with_budget(int(found.budget / 1.05) - 1)) > 0.1


def test_what_is_not_reached_says_how_near_it_came():
    found = least_budget(PROBLEM, Candidate(MeanValue()), 1e-3)
    assert not found.reached
    assert found.budget == 0
    assert found.error > 1e-3


def test_the_cheapest_that_are_enough_come_first_and_oracles_last():
    chapters = (subclasses(f"tnattn.attention.{chapter}", AttentionMethod) for chapter in ("baseline", "sparse"))
    named = [Candidate(cls()) for found in chapters for cls in found.values()]
    found = least_budgets(PROBLEM, named, 0.2)
    assert found[-1].oracle
    reached = [one.reached for one in found[:-1]]
    assert reached == sorted(reached, reverse=True)
    assert len(reached) > 2
    costs = [one.flops for one in found[:-1] if one.reached]
    assert costs == sorted(costs)


def test_methods_that_refuse_or_raise_are_named():
    causal = replace(PROBLEM, mask=CausalMask())
    assert "does not honour CausalMask" in least_budget(causal, Candidate(Nystromformer()), 0.1).note
    assert least_budget(PROBLEM, Candidate(Broken()), 0.1).note == "out of luck"


def test_the_error_is_positive():
    with pytest.raises(ValueError, match=r"error is 0; it must be a positive number"):
        least_budgets(PROBLEM, [], 0)
