"""Stacks evaluated one by one: products with arrays of more, fewer and equal batch axes."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.structured import Evaluated


class Scaled(Evaluated):
    """Twice an array, evaluated on use."""

    def __init__(self, array):
        self.array, self.parts = array, []

    @property
    def shape(self):
        return tuple(self.array.shape)

    @property
    def like(self):
        return self.array

    @property
    def storage(self):
        return 0

    def evaluated(self, part):
        self.parts.append(part.index)
        return 2 * part.of(self.array)

    def matmul_flops(self, columns):
        return 0


@pytest.mark.parametrize("own, other", [((), ()), ((2, 3), (2, 3)), ((2, 1), (2, 3)), ((3,), (2, 3)), ((2, 3), ())])
def test_products_broadcast(xp, assert_close, own, other):
    rng = np.random.default_rng(0)
    a, x, y = (
        rng.standard_normal((*batch, *size)) for batch, size in ((own, (4, 5)), (other, (5, 2)), (other, (4, 2)))
    )
    matrix = Scaled(xp.asarray(a))
    assert_close(matrix @ xp.asarray(x), 2 * a @ x, rtol=0, atol=100 * xp.eps())
    assert_close(matrix.mT @ xp.asarray(y), 2 * np.swapaxes(a, -1, -2) @ y, rtol=0, atol=100 * xp.eps())
    assert_close(matrix.to_dense(), 2 * a, rtol=0, atol=10 * xp.eps())


def test_the_host_holds_one_matrix_at_a_time():
    matrix = Scaled(np.ones((2, 4, 5)))
    assert to_host(matrix @ np.ones((5, 1))).shape == (2, 4, 1)
    assert sorted(matrix.parts) == [(0,), (1,)]
