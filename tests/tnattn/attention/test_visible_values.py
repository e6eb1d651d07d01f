"""Values that rows may weight: padding is left out, zero stands for rows without keys, positions end them."""

import numpy as np
import pytest

from tnattn import (
    AttentionProblem,
    BiasMask,
    CausalMask,
    ExplicitMask,
    FullMask,
    PaddingMask,
    SlidingWindowMask,
)
from tnattn.arrays import to_host
from tnattn.attention.visible_values import last_visible, may_be_empty, visible_values

ALL = np.ones((3, 4), dtype=bool)
LENGTHS = PaddingMask(np.asarray([2, 4]))


def problem(mask, xp=None):
    """Return a problem of 3 queries and 4 keys, a batch of two, with the values 1, ..., 4."""
    make = np.asarray if xp is None else xp.asarray
    k = np.zeros((2, 1, 4, 1))
    return AttentionProblem(make(k[..., :3, :]), make(k), make(k + np.arange(1.0, 5.0)[:, None]), mask=mask)


@pytest.mark.parametrize(
    ("mask", "empty", "last"),
    [
        (FullMask(), False, None),
        (CausalMask(), False, [1, 2, 3]),
        (SlidingWindowMask(1), False, [1, 2, 3]),
        (SlidingWindowMask(1, right=1), False, [2, 3, 3]),
        (SlidingWindowMask(1, right=1) & CausalMask(), False, [1, 2, 3]),
        (PaddingMask(3), False, None),
        (PaddingMask(0), True, None),
        (PaddingMask(3) & CausalMask(), False, [1, 2, 2]),
        (PaddingMask(2) & SlidingWindowMask(1), True, [2, 2, 2]),
        (ExplicitMask(ALL), True, None),
        (ExplicitMask(ALL) & CausalMask(), True, [2, 3, 4]),
        (BiasMask(np.zeros((3, 4))), True, None),
        (LENGTHS, True, None),
    ],
    ids=str,
)
def test_rows_may_be_empty_and_have_a_last_value(mask, empty, last):
    assert may_be_empty(mask) == empty
    found = last_visible(problem(mask))
    assert (found if found is None else found.tolist()) == last


@pytest.mark.parametrize(
    ("mask", "first", "second"),
    [
        (CausalMask(), [1, 2, 3, 4], [1, 2, 3, 4]),
        (PaddingMask(3), [1, 2, 3], [1, 2, 3]),
        (PaddingMask(0), [0], [0]),
        (LENGTHS, [0, 1, 2, 0, 0], [0, 1, 2, 3, 4]),
        (ExplicitMask(ALL), [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]),
    ],
    ids=str,
)
def test_hidden_values_are_left_out(mask, first, second):
    found = visible_values(problem(mask))
    assert found[..., 0, 0, :, 0].tolist() == [first, second]


def test_the_values_belong_to_the_library_of_the_problem(xp, assert_close):
    target = problem(CausalMask() & PaddingMask(3), xp)
    assert_close(visible_values(target), target.values[..., :3, :], rtol=0)
    assert to_host(last_visible(target)).tolist() == [1, 2, 2]
