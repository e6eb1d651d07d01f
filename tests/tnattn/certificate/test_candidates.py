"""Candidates: all methods of the package but oracles, at doubling budgets, cheapest first, causal where needed."""

from dataclasses import replace

import numpy as np

from tnattn import AttentionProblem, CausalMask, Linformer, Performer, SlidingWindow, TopK
from tnattn.attention.cost import exact_cost
from tnattn.attention.method import AttentionMethod
from tnattn.attention.wrappers.causal import Causal
from tnattn.certificate.candidates import FIRST_BUDGET, candidates, default_methods, method_label, on_rows
from tnattn.discovery import subclasses

PROBLEM = AttentionProblem(*np.zeros((3, 2, 256, 8)))


def test_the_default_is_every_method_of_the_package_that_can_compete():
    every = subclasses("tnattn.attention", AttentionMethod)
    left_out = {name for name, cls in every.items() if cls.reads_weights or cls.role == "adapter"}
    found = default_methods()
    assert {type(method).__name__ for method in found} == set(every) - left_out - {"Exact", "PerHead"}
    assert {method.budget for method in found} <= {FIRST_BUDGET, None}


def test_budgets_double_up_to_the_cost_of_exact_attention():
    found, skipped = candidates(PROBLEM, [SlidingWindow(8), Performer(16)])
    assert not skipped
    assert [one.share for one in found] == sorted(one.share for one in found)
    assert all(0 < one.share < 1 for one in found)
    windows = [one.budget for one in found if one.ladder == 0]
    assert windows[:3] == [8, 16, 32]
    wider = found[0].method.with_budget(2 * max(windows)).cost(PROBLEM).flops
    assert {one.ladder for one in found} == {0, 1}
    assert wider > 0


def test_shares_are_those_of_the_cost_model():
    (first, *_), _ = candidates(PROBLEM, [Performer(16)])
    assert first.share == first.method.cost(PROBLEM).flops / exact_cost(PROBLEM).flops
    assert on_rows(first, PROBLEM, 64) < first.share


def test_key_methods_are_made_causal_and_others_refused():
    found, skipped = candidates(replace(PROBLEM, mask=CausalMask()), [Performer(16), Linformer(16)])
    assert isinstance(found[0].method, Causal)
    assert found[0].label == method_label(found[0].method) == "Causal(Performer)"
    assert [one.label for one in skipped] == ["Linformer"]


def test_oracles_are_refused():
    _, (skipped,) = candidates(PROBLEM, [TopK()])
    assert "reads all exact weights" in skipped.reason
