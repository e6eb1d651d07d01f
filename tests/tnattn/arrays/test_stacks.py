"""Loops over the matrices of a stack: results, order, parts that broadcast, stacks without matrices."""

import numpy as np
import pytest

from tnattn.arrays import Part, each_matrix, to_host


@pytest.mark.parametrize("batch", [(), (3,), (2, 1, 3), (0,), (2, 0)])
def test_results_are_those_of_the_stack(xp, assert_close, batch):
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((*batch, 4, 5)), rng.standard_normal((*batch, 5, 2))
    a, b = xp.asarray(left), xp.asarray(right)
    product, twice = each_matrix(lambda part: (part.of(a) @ part.of(b), 2 * part.of(a)), batch, like=a)
    assert_close(product, left @ right, rtol=0, atol=50 * xp.eps())
    assert_close(twice, 2 * left, rtol=0, atol=50 * xp.eps())


def test_a_shared_axis_is_repeated():
    shared, flags = np.arange(6.0).reshape(2, 1, 3, 1), np.arange(4).reshape(1, 4)
    part = Part((2, 4), (1, 2))
    np.testing.assert_array_equal(part.of(shared), shared[1, 0])
    assert part.of(flags, 0) == 2
    assert Part((2, 4), None).of(shared) is shared


def test_the_host_takes_one_matrix_at_a_time():
    seen = []
    each_matrix(lambda part: (seen.append(part.index) or np.zeros(1),), (2, 2), like=np.zeros(1))
    assert sorted(seen) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_device_takes_the_stack_at_once():
    strict = pytest.importorskip("array_api_strict")
    x, seen = strict.zeros((2, 3, 4)), []

    def work(part):
        seen.append(part.index)
        return (part.of(x) + 1,)

    (made,) = each_matrix(work, (2,), like=x)
    assert seen == [None]
    assert to_host(made).shape == (2, 3, 4)
