"""Memory of the last tile serves the next, and results do not depend on it."""

import numpy as np
import pytest

from tnattn.attention.workspace import Workspace

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("leaves", [[4, 4, 2, 3], [1, 4, 4, 1]])
def test_products_are_right_whatever_was_there_before(leaves):
    space = Workspace()
    for count in leaves:
        a, b = RNG.standard_normal((1, count, 2, 5, 3)), RNG.standard_normal((1, count, 1, 3, 2))
        np.testing.assert_array_equal(space.product("name", a, b), a @ b)


def test_other_shapes_get_arrays_of_their_own():
    space = Workspace()
    a, b = RNG.standard_normal((1, 4, 2, 3)), RNG.standard_normal((1, 4, 3, 2))
    first = space.product("one", a, b)
    before = first.copy()
    for other in (space.product("two", a, b), space.product("one", np.concatenate([a, a]), np.concatenate([b, b]))):
        assert not np.shares_memory(first, other)
    np.testing.assert_array_equal(first, before)


def test_a_larger_array_replaces_a_smaller_one_only():
    space = Workspace()
    small, large = np.zeros((1, 1, 3, 2)), np.zeros((1, 1, 5, 2))
    assert space.room("keys", -2, 1) is None
    for array in (small, large, small):
        space.keep("keys", -2, array)
    assert np.shares_memory(space.room("keys", -2, 4), large)
    assert space.room("keys", -2, 4).shape == (1, 1, 4, 2)
    assert space.room("keys", -2, 6) is None


def test_every_ring(xp, assert_close):
    a, b = xp.asarray(RNG.standard_normal((1, 3, 4, 2))), xp.asarray(RNG.standard_normal((1, 3, 2, 4)))
    space = Workspace()
    for _ in range(2):
        assert_close(space.product("x", a, b), a @ b, rtol=0, atol=0)
