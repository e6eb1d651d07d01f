import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tnattn.decomposition.tucker.sequential import cheapest_order, truncated_modes


def flops(sizes, ranks, order):
    """Count by hand: a Gram matrix of the shorter side, its eigenvalues, the projection."""
    left, total = list(sizes), 0
    for mode in order:
        n, count = left[mode], int(np.prod(left))
        side = min(n, count // n)
        if ranks[mode] < n:
            total += side * count + 4 * side**3 + 2 * ranks[mode] * count
        left[mode] = ranks[mode]
    return total


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_order_is_cheaper(data):
    sizes = data.draw(st.lists(st.integers(2, 40), min_size=2, max_size=4))
    ranks = [data.draw(st.integers(1, n)) for n in sizes]
    chosen = flops(sizes, ranks, cheapest_order(sizes, ranks, range(len(sizes))))
    assert chosen == min(flops(sizes, ranks, order) for order in itertools.permutations(range(len(sizes))))


def test_the_short_mode_of_heads_goes_first():
    assert cheapest_order((12, 512, 512), (6, 32, 32), range(3))[0] == 0


def test_a_mode_that_shrinks_to_nothing_goes_before_a_shorter_one():
    assert cheapest_order((60, 64, 64), (50, 1, 30), range(3))[0] == 1


@pytest.mark.parametrize("sizes, modes", [((9, 3, 5), (1, 2, 0)), ((4,) * 8, tuple(range(8)))], ids=str)
def test_without_ranks_or_with_too_many_orders_size_decides(sizes, modes):
    assert cheapest_order(sizes, None, range(len(sizes))) == modes
    assert sorted(cheapest_order(sizes, [1] * len(sizes), range(len(sizes)))) == sorted(modes)


def test_modes_that_are_not_named_stay_whole():
    x = np.random.default_rng(0).standard_normal((4, 5, 6))
    core, found = truncated_modes(x, (2,), order=3, ranks=(4, 5, 2), allowed=None)
    assert core.shape == (4, 5, 2)
    assert list(found) == [2]
    np.testing.assert_allclose(core, x @ found[2].basis, atol=1e-13)
