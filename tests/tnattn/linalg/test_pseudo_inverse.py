"""Decompositions without what is rounding, and the pseudo-inverses that they give."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.linalg import numerical_svd


def deficient(m, n, rank):
    rng = np.random.default_rng(0)
    return rng.standard_normal((2, m, rank)) @ rng.standard_normal((2, rank, n))


@pytest.mark.parametrize("m, n", [(9, 4), (4, 9), (5, 5)])
def test_the_parts_make_the_pseudo_inverse(xp, m, n):
    a = deficient(m, n, 3)
    u, inverse, vt, ranks = (to_host(part) for part in numerical_svd(xp.asarray(a)))
    assert ranks.tolist() == [3, 3]
    made = np.swapaxes(vt, -1, -2) @ (inverse[..., None] * np.swapaxes(u, -1, -2))
    np.testing.assert_allclose(made, np.linalg.pinv(a), atol=300 * xp.eps())


def test_directions_that_are_rounding_are_zero_everywhere():
    u, inverse, vt, ranks = numerical_svd(np.stack([np.ones((4, 3)), np.zeros((4, 3)), np.eye(4, 3)]))
    assert ranks.tolist() == [1, 0, 3]
    for part in (u[0, :, 1:], inverse[0, 1:], vt[0, 1:], u[1], inverse[1], vt[1]):
        assert np.all(part == 0)
