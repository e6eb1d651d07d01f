"""Rows and columns of stacks at indices."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.structured.gather import gather_rows, take_columns, take_rows

A = np.random.default_rng(0).standard_normal((2, 3, 5, 4))


@pytest.mark.parametrize("batch", [(), (3,), (2, 1), (2, 3)])
def test_each_matrix_has_indices_of_its_own(xp, batch):
    columns = np.random.default_rng(1).integers(4, size=(*batch, 6))
    rows = np.random.default_rng(2).integers(5, size=(*batch, 6))
    whole = np.broadcast_to(columns[..., None, :], (2, 3, 1, 6)), np.broadcast_to(rows[..., None], (2, 3, 6, 1))
    a = xp.asarray(A)
    expected = np.take_along_axis(to_host(a), whole[0], axis=-1)
    np.testing.assert_array_equal(to_host(take_columns(a, xp.asarray(columns))), expected)
    expected = np.take_along_axis(to_host(a), whole[1], axis=-2)
    np.testing.assert_array_equal(to_host(take_rows(a, xp.asarray(rows))), expected)


def test_indices_of_a_stack_gather_from_one_matrix(xp):
    indices = np.random.default_rng(3).integers(5, size=(2, 3, 6, 2))
    found = to_host(gather_rows(xp.asarray(A[0, 0]), xp.asarray(indices)))
    np.testing.assert_array_equal(found, to_host(xp.asarray(A[0, 0]))[indices])
