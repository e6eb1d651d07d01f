"""Laws about callers, threads and forks hold where they should, and raise where they should."""

import os
import threading
from dataclasses import dataclass, replace

import pytest

from tnattn import gallery
from tnattn.attention.baseline.exact import Exact
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.attention.sparse.sliding_window import SlidingWindow
from tnattn.testing.processes import buffers_are_free, forks_agree, results_are_writable, threads_agree
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


@pytest.mark.parametrize("law", [forks_agree, results_are_writable, threads_agree])
@pytest.mark.parametrize("method", [Exact(), ValueSampling()])
def test_laws_hold_for_sound_methods(law, method):
    assert law(trial(method)) is None


def test_buffers_are_a_matter_of_summaries():
    assert buffers_are_free(trial(ValueSampling())) is None
    with pytest.raises(NotApplicable, match="no summary of keys alone"):
        buffers_are_free(trial(Exact()))


@pytest.mark.parametrize(
    ("law", "factor", "words"),
    [
        (forks_agree, lambda p: 1 + 1e-9 * os.getpid(), "a forked process gives another output"),
        (threads_agree, lambda p: 1 + 1e-9 * (threading.current_thread().name != "MainThread"), "two threads at once"),
    ],
)
def test_laws_do_not_hold_for_others(law, factor, words):
    with pytest.raises(Violation, match=words):
        law(changed(factor))
