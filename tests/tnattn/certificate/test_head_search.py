"""The search of one head: what it spends, when it stops, and what it never does."""

import itertools

import numpy as np
import pytest

from tnattn import AttentionProblem, MeanValue, Performer, Quantile, SlidingWindow
from tnattn.certificate import MeanError, head_search
from tnattn.certificate.head_search import PILOT, Aim, HeadSearch

PROBLEM = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 1, 300, 4)))


def search(**changes):
    aim = {"error": 0.05, "failure": 1e-3, "kind": Quantile(), "rows": None, "effort": 1.0, "seed": 0} | changes
    return HeadSearch(PROBLEM, Aim(**aim), rng=np.random.default_rng(0))


def test_pilot_rows_and_trials_are_counted():
    found = search(rows=10, error=1e-6).run(0, [MeanValue()])
    assert found.spent == pytest.approx(PILOT / 300 + MeanValue().cost(PROBLEM).flops / (4 * 300 * 300 * 4))
    assert "at the pilot rows" in found.reason


def test_nothing_is_spent_where_no_certificate_pays():
    found = search(rows=300).run(0, [MeanValue()])
    assert found.spent == 0
    assert "a certificate from 300 of 300 rows" in found.reason


def test_a_floor_that_is_too_high_ends_the_search_before_any_trial(monkeypatch):
    monkeypatch.setattr(HeadSearch, "_run", None)  # a trial would raise
    found = search(kind=MeanError()).run(0, [SlidingWindow(16)])
    assert "their floor" in found.reason
    assert not found.skipped


def test_budgets_that_cannot_be_enough_are_not_run(monkeypatch):
    tried = []
    run = HeadSearch._run

    def remembered(self, candidate, problem):
        tried.append(candidate.budget)
        return run(self, candidate, problem)

    monkeypatch.setattr(HeadSearch, "_run", remembered)
    search(error=1e-4, effort=20.0, rows=10).run(0, [Performer(1)])
    assert tried[0] == 1
    assert all(later > 2 * earlier for earlier, later in itertools.pairwise(tried))


def test_rows_that_certify_are_drawn_apart_from_those_that_screen(monkeypatch):
    seen = {}
    fresh = head_search.FreshRows

    def remembered(problem, *, rng):
        seen["fresh"] = fresh(problem, rng=rng)
        return seen["fresh"]

    monkeypatch.setattr(head_search, "FreshRows", remembered)
    pilot = search()._indices
    assert not np.array_equal(pilot, seen["fresh"].take(PILOT)[0])
