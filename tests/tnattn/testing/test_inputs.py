"""Laws about the form of the input hold where they should, and raise where they should."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from tnattn import gallery
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.testing.inputs import balance_is_free, empty_batches_work, halves_are_widened, layouts_agree, values_scale
from tnattn.testing.report import NotApplicable, Violation
from tnattn.testing.trial import Trial


@dataclass(frozen=True)
class Changed(SlidingWindow):
    """A window whose values are multiplied by a function of the problem."""

    def factor(self, problem):
        return 1.0

    def approximate(self, problem, *, rng):
        found = super().approximate(problem, rng=rng)
        return replace(found, values=found.values * self.factor(problem))


def trial(method):
    return Trial(method, gallery.problems()["gauss"], 36, 8, 0)


def changed(factor):
    return trial(type("Other", (Changed,), {"factor": lambda self, problem: factor(problem)})())


LAWS = (balance_is_free, empty_batches_work, halves_are_widened, layouts_agree, values_scale)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("method", [Exact(), ValueSampling()])
def test_laws_hold_for_sound_methods(law, method):
    assert law(trial(method)) is None


@pytest.mark.parametrize(
    ("law", "factor", "words"),
    [
        (values_scale, lambda p: 1 + min(1.0, float(np.abs(p.v).max())), "scale before squaring"),
        (balance_is_free, lambda p: 1 + min(1.0, float(np.abs(p.k).max())), "balance them"),
        (layouts_agree, lambda p: 1.0 + p.v.flags.writeable, "read-only arrays change the output"),
    ],
)
def test_laws_do_not_hold_for_others(law, factor, words):
    with pytest.raises(Violation, match=words):
        law(changed(factor))


def test_a_refusal_of_an_empty_batch_is_no_violation():
    class Refuses(Exact):
        def __call__(self, problem, *, rng=None):
            raise ValueError("no batch")

    with pytest.raises(NotApplicable, match="refused: no batch"):
        empty_batches_work(trial(Refuses()))
