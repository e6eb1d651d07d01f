"""Segments: they cover the queries, and know no more than the first of them may see."""

import numpy as np
import pytest

from tnattn.attention import masks
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.row_segments import positions_ahead, row_segments, seen_keys


def problem(mask, n_q=50, n_k=50):
    return AttentionProblem(np.zeros((1, n_q, 1)), *np.zeros((2, 1, n_k, 1)), mask=mask)


CASES = [masks.CausalMask(), masks.SlidingWindowMask(20, 3), masks.CausalMask() & masks.SlidingWindowMask(9, 5)]


@pytest.mark.parametrize("block", [1, 4])
@pytest.mark.parametrize("n_q", [50, 7])
@pytest.mark.parametrize("mask", CASES, ids=str)
def test_segments_cover_the_queries_and_see_what_their_first_query_sees(mask, n_q, block):
    given = problem(mask, n_q=n_q)
    allowed = mask.additive(np.arange(n_q)[:, None], np.arange(50)[None, :], n_q=n_q, n_k=50, like=np.zeros(1)) == 0
    last = np.array([np.flatnonzero(row).max() + 1 for row in allowed])
    assert [seen_keys(given, i) for i in range(n_q)] == last.tolist()
    stop = 0
    for segment in row_segments(given, width=8, block=block):
        assert segment.start == stop
        assert segment.start % block == 0
        assert segment.keys == last[segment.start]
        assert segment.queries == segment.start + 1
        assert segment.exact == (last[segment.stop - 1] <= 8)
        stop = segment.stop
    assert stop == n_q


def test_without_positions_there_is_one_segment():
    for mask in (masks.FullMask(), masks.PaddingMask(9)):
        (only,) = row_segments(problem(mask), width=8)
        assert (only.start, only.stop, only.queries, only.keys, only.exact) == (0, 50, 50, 50, False)
        assert positions_ahead(problem(mask)) is None


def test_given_statistics_need_no_further_segments():
    assert [s.exact for s in row_segments(problem(masks.CausalMask()), width=8, renewed=False)] == [True, False]


def test_as_many_keys_as_there_are_make_all_rows_exact():
    (only,) = row_segments(problem(masks.CausalMask()), width=50)
    assert only.exact
