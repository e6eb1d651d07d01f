"""Laws about large budgets: each holds for exact attention and for nothing that is slightly wrong."""

from dataclasses import dataclass, replace

import pytest

from tnattn import gallery
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.method import JointMethod, budget
from tnattn.testing.budgets import converges, has_temperature, merges
from tnattn.testing.report import NotApplicable, Violation
from tnattn.testing.trial import Trial

FAMILY = gallery.problems()["gauss"]


@dataclass(frozen=True)
class Hot(JointMethod):
    """Attention at twice the temperature that is asked for, half of the scores."""

    factor: float = 0.5
    keys: int = budget(4)

    def approximate(self, problem, *, rng):
        return Exact()(replace(problem, scale=self.factor * problem.score_scale))

    def cost(self, problem):
        return Exact().cost(problem)


@dataclass(frozen=True)
class Unmergeable(Hot):
    """Exact, with pieces that are marked unmergeable."""

    def approximate(self, problem, *, rng):
        return replace(Exact()(problem), unmergeable="it says so")


def trial(method):
    return Trial(method, FAMILY, 24, 8, 0)


@pytest.mark.parametrize("law", [has_temperature, converges, merges])
def test_exact_attention_obeys(law):
    assert law(trial(Exact())) is None


@pytest.mark.parametrize(("law", "said"), [(has_temperature, "at 0.5 times the scale"), (converges, "must vanish")])
def test_another_temperature_is_a_violation(law, said):
    with pytest.raises(Violation, match=said):
        law(trial(Hot()))


def test_pieces_that_refuse_to_merge_are_left_alone():
    with pytest.raises(NotApplicable, match="unmergeable: it says so"):
        merges(trial(Unmergeable()))
