"""The contract of methods: masks are honoured or refused, budgets are found in the fields, also inside."""

import re
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from tnattn.attention import masks
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.method import AttentionMethod, JointMethod, budget, performance
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.wrappers.causal import Causal
from tnattn.discovery import subclasses


@dataclass(frozen=True)
class Keys(JointMethod):
    """Exact attention with a budget that nothing reads."""

    masks: ClassVar = (masks.FullMask, masks.CausalMask)

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
    [
        (masks.FullMask(), True),
        (masks.CausalMask(), True),
        (masks.SlidingWindowMask(2), False),
        (masks.PaddingMask(3), False),
    ],
)
def test_a_mask_is_honoured_or_refused_by_name(mask, honoured):
    problem = AttentionProblem(PROBLEM.q, PROBLEM.k, PROBLEM.v, mask=mask)
    assert Keys().honours(mask) == honoured
    if honoured:
        np.testing.assert_array_equal(Keys()(problem).output, problem.output)
    else:
        with pytest.raises(masks.UnsupportedMask, match=f"does not honour {type(mask).__name__} \\("):
            Keys()(problem)


def test_one_refused_part_of_a_mask_is_enough():
    problem = AttentionProblem(PROBLEM.q, PROBLEM.k, PROBLEM.v, mask=masks.CausalMask() & masks.PaddingMask(3))
    with pytest.raises(masks.UnsupportedMask, match="PaddingMask"):
        Keys()(problem)


def test_arrays_are_no_problem():
    with pytest.raises(TypeError, match="must be an AttentionProblem; got ndarray"):
        Keys()(PROBLEM.q)


def test_the_contract_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        AttentionMethod()


SIZE = PROBLEM.n_k
MASKS = {
    "causal": masks.CausalMask(),
    "window": masks.SlidingWindowMask(2),
    "padding": masks.PaddingMask(4),
    "explicit": masks.ExplicitMask(np.tril(np.ones((SIZE, SIZE), dtype=bool))),
    "bias": masks.BiasMask(np.zeros((SIZE, SIZE))),
    "causal and padding": masks.CausalMask() & masks.PaddingMask(4),
}
METHODS = subclasses("tnattn.attention", AttentionMethod)


def attempt(method, mask):
    return method(replace(PROBLEM, mask=mask), rng=np.random.default_rng(0))


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", METHODS)
def test_the_cure_for_a_refused_mask_works_for_the_method(name, mask):
    """The message of a method that refuses a mask names methods that take it, and the wrapper just where that works."""
    method = METHODS[name]()
    if all(method.honours(part) for part in MASKS[mask].conjuncts):
        return
    with pytest.raises(masks.UnsupportedMask) as refusal:
        attempt(method, MASKS[mask])
    advice = str(refusal.value).partition(");")[2]
    named = [other for other in METHODS if f"{other}" in re.findall(r"\w+", advice) and other != "Causal"]
    assert len(named) >= 3
    for other in named:
        assert attempt(METHODS[other](), MASKS[mask]).output.shape == PROBLEM.q.shape
    if "wrap it in Causal" in advice:
        assert attempt(Causal(method, leaf=2), MASKS[mask]).output.shape == PROBLEM.q.shape
    elif mask == "causal":
        with pytest.raises(TypeError, match="reads queries"):
            Causal(method)
