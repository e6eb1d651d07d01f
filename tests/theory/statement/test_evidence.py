"""Evidence: its sides, and its representation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from theory.statement.evidence import Evidence


def evidence(errors: Any, value: Any, left_out: int = 0, **options: Any) -> Evidence:
    """Evidence of trials in rows."""
    first, right = np.asarray(errors, dtype=float), np.asarray(value, dtype=float)
    return Evidence(first, right, 0 * right, np.zeros(first.shape[-1]), None, None, left_out, **options)


def test_evidence_is_on_a_prior_upper_bound_unless_it_says_so() -> None:
    found = evidence(np.ones((5, 3)), np.ones((1, 3)))
    assert (found.side, found.kind) == ("upper", "prior")
    assert repr(found) == "<evidence on a prior upper bound: 5 trials of 3 entries>"
    other = evidence(np.ones((5, 3)), np.ones((5, 3)), 2, side="lower", kind="conditional")
    assert repr(other) == "<evidence on a conditional lower bound: 5 trials of 3 entries, 2 left out>"


@pytest.mark.parametrize("left_out, words", [(0, "entries>"), (1, "entries, 1 left out>")])
def test_entries_that_were_left_out_are_counted(left_out: int, words: str) -> None:
    assert repr(evidence(np.ones((5, 3)), np.ones((1, 3)), left_out)).endswith(words)


def test_sides_that_rounding_made_negative_count_as_zero_except_in_identities() -> None:
    value = [[-1.0, 0.0, 2.0]]
    assert evidence(value, value).right.tolist() == [[0.0, 0.0, 2.0]]
    assert evidence(value, value, kind="conditional").right.tolist() == [[0.0, 0.0, 2.0]]
    assert evidence(value, value, kind="identity").right.tolist() == value


def test_quotients_are_one_where_both_sides_vanish_and_infinite_where_the_right_one_does() -> None:
    right = np.array([[2.0, 0.0, 0.0, 4.0]])
    found = evidence([[1.0, 0.0, 1e10, 0.0]], right)
    assert found.quotient(right).tolist() == [[0.5, 1.0, np.inf, 0.0]]
