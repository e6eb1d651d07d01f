"""The contract of methods: masks are honoured or refused, budgets are found in the fields, also inside."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest

from tnattn.attention import masks
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.method import AttentionMethod, JointMethod, budget, performance
from tnattn.attention.problem import AttentionProblem


@dataclass(frozen=True)
class Keys(JointMethod):
    """Exact attention with a budget that nothing reads."""

    masks: ClassVar = (masks.Full, masks.Causal)

    keys: int = budget(8)
    tile: int = performance(4)

    def approximate(self, problem, *, rng):
        return Exact()(problem)

    def cost(self, problem):
        return Exact().cost(problem)


@dataclass(frozen=True)
class Outer(Keys):
    """A wrapper, whose budget is that of the method inside."""

    keys: int = 3
    method: Any = field(default_factory=Keys)


@dataclass(frozen=True)
class Bare(Keys):
    """A method without a budget."""

    keys: int = 8


PROBLEM = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 2, 6, 4)))


@pytest.mark.parametrize(("method", "name", "value"), [(Keys(), "keys", 8), (Outer(), "method.keys", 8)])
def test_the_budget_is_the_field_that_is_declared_so(method, name, value):
    assert (method.budget_field, method.budget) == (name, value)
    assert method.with_budget(5).budget == 5
    assert method.budget == value  # a method is a value


def test_a_method_without_a_budget_says_so():
    assert (Bare().budget_field, Bare().budget) == (None, None)
    with pytest.raises(ValueError, match="Bare has no budget field to set to 5"):
        Bare().with_budget(5)


@pytest.mark.parametrize(
    ("mask", "honoured"),
    [(masks.Full(), True), (masks.Causal(), True), (masks.SlidingWindow(2), False), (masks.Padding(3), False)],
)
def test_a_mask_is_honoured_or_refused_by_name(mask, honoured):
    problem = AttentionProblem(PROBLEM.q, PROBLEM.k, PROBLEM.v, mask=mask)
    assert Keys().honours(mask) == honoured
    if honoured:
        np.testing.assert_array_equal(Keys()(problem).output, problem.output)
    else:
        with pytest.raises(masks.UnsupportedMask, match=f"does not honour {type(mask).__name__} masks"):
            Keys()(problem)


def test_one_refused_part_of_a_mask_is_enough():
    problem = AttentionProblem(PROBLEM.q, PROBLEM.k, PROBLEM.v, mask=masks.Causal() & masks.Padding(3))
    with pytest.raises(masks.UnsupportedMask, match="Padding"):
        Keys()(problem)


def test_arrays_are_no_problem():
    with pytest.raises(TypeError, match="must be an AttentionProblem; got ndarray"):
        Keys()(PROBLEM.q)


def test_the_contract_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        AttentionMethod()
