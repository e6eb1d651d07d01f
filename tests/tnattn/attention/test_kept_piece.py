"""Pieces of kept keys: rows without any are empty or bad, whichever the mask says."""

import numpy as np
import pytest

from tnattn.attention.kept_piece import kept_piece
from tnattn.attention.masks import CausalMask, ExplicitMask, FullMask
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import Dense


def made(mask, *, complete=False):
    q, k, v = np.random.default_rng(0).standard_normal((3, 1, 4, 2))
    problem = AttentionProblem(q, k, v, mask=mask)
    kernel = np.ones((1, 1, 4, 4))
    kernel[..., 1:3, :] = 0  # queries 1 and 2 keep no key
    shift = np.zeros((1, 1, 4))
    shift[..., 1:3] = -np.inf
    return kept_piece(problem, Dense(kernel), shift, complete=complete)


def test_a_query_that_sees_other_keys_is_bad_and_one_that_sees_none_is_empty():
    allowed = np.ones((4, 4), dtype=bool)
    allowed[2] = False
    output = made(ExplicitMask(allowed)).output[0]
    assert np.isnan(output[1]).all()
    np.testing.assert_array_equal(output[2], 0)
    assert np.isfinite(output[[0, 3]]).all()


@pytest.mark.parametrize("mask", [FullMask(), CausalMask()], ids=repr)
def test_where_every_query_sees_a_key_both_are_bad(mask):
    np.testing.assert_array_equal(made(mask).bad_rows, [2])


def test_nothing_is_checked_where_the_kept_keys_are_complete():
    np.testing.assert_array_equal(made(FullMask(), complete=True).output[0, 1:3], 0)
