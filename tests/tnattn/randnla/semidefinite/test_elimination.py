"""State of an elimination: matrices of a stack against the same matrices alone."""

import numpy as np
import pytest
from fixtures import rng

from tnattn.randnla.semidefinite.elimination import Elimination
from tnattn.randnla.semidefinite.pivoted_cholesky import RandomlyPivotedCholesky
from tnattn.structured import Dense


def kernels(count, size=40, seed=0):
    points = rng(seed).standard_normal((count, size, 2))
    return np.exp(-((points[:, :, None] - points[:, None]) ** 2).sum(-1) / 2)


@pytest.mark.parametrize("rtol", [0.0, 0.2])
def test_matrices_alone_have_the_pivots_of_the_stack(rtol):
    """With the same random numbers: no matrix depends on the others, whatever their progress."""
    stack = kernels(3)
    stack[1, 5:] = stack[1, :, 5:] = 0.0  # finished long before the others
    method = RandomlyPivotedCholesky(rank=12, block=5, rtol=rtol)
    together = method(stack, rng=rng(1))
    samples = method.samples(rng(1), like=stack)
    for index, matrix in enumerate(stack):
        alone = method.with_samples(Dense(matrix), samples)
        np.testing.assert_array_equal(alone.pivots, together.pivots[index])
        np.testing.assert_allclose(alone.factor, together.factor[index], atol=1e-7)


def test_an_eliminated_matrix_equals_its_factor_in_the_pivot_columns():
    stack = kernels(2)
    elimination = Elimination(Dense(stack), rank=3, rtol=0.0)
    elimination.advance(np.array([[1, 7, 30], [2, 3, 4]]), np.zeros(3))
    factor, pivots = elimination.result()
    assert pivots.tolist() == [[1, 7, 30], [2, 3, 4]]
    for index in range(2):
        approximate = factor[index] @ factor[index].T
        np.testing.assert_allclose(approximate[:, pivots[index]], stack[index][:, pivots[index]], atol=1e-12)
    assert np.allclose(elimination.tail, 1 - np.sum(factor**2, axis=-1), atol=1e-12)
