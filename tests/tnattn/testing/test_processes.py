"""Laws about callers, threads and forks hold where they should, and raise where they should."""

import os
import threading

import pytest
from fixtures.laws import changed, trial

from tnattn.attention.baseline.exact import Exact
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.testing.processes import buffers_are_free, forks_agree, results_are_writable, threads_agree
from tnattn.testing.report import NotApplicable, Violation


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
