"""Functions of stacks, evaluated matrix by matrix."""

import numpy as np
import pytest

from tnattn.structured.dense import Dense
from tnattn.structured.low_rank import LowRank
from tnattn.structured.matrix_by_matrix import matrix_by_matrix


def halves(matrix):
    dense = matrix.to_dense()
    return dense / 2, dense.sum(axis=-1)


@pytest.mark.parametrize(("size", "calls"), [(128, 6), (8, 1)])
def test_large_matrices_are_worked_on_one_by_one(size, calls):
    a, seen = np.random.default_rng(0).standard_normal((2, 3, size, 128)), []

    def function(matrix):
        seen.append(matrix.shape)
        return halves(matrix)

    found = matrix_by_matrix(function, Dense(a))
    assert len(seen) == calls
    for part, expected in zip(found, halves(Dense(a)), strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-14)


def test_implicit_stacks_are_worked_on_at_once():
    a, seen = LowRank(np.ones((3, 200, 1)), np.ones((3, 1, 200))), []
    matrix_by_matrix(lambda matrix: seen.append(matrix) or halves(matrix), a)
    assert seen == [a]
