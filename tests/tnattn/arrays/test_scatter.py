"""Scattered sums and transposed sparse products, on every ring."""

import numpy as np
import pytest
from fixtures import rng

from tnattn.arrays import scatter_products, scatter_rows, scattered_entries, to_host, with_entries


def test_scattered_rows_are_added_up(xp, assert_close):
    updates, indices = rng().standard_normal((2, 6, 3)), rng().integers(0, 4, (2, 6))
    expected = np.zeros((2, 4, 3))
    for head in range(2):
        np.add.at(expected[head], indices[head], updates[head])
    summed = scatter_rows(xp.asarray(updates), xp.asarray(indices), 4)
    assert_close(summed, xp.asarray(expected), rtol=0, atol=20 * xp.eps())


@pytest.mark.parametrize("batch", [(), (2, 3)])
@pytest.mark.parametrize("columns", [0, 1, 100])
def test_scatter_products_multiplies_with_the_transpose(xp, batch, columns):
    rng = np.random.default_rng(0)
    values, indices, y = (
        rng.standard_normal((7, 2)),
        rng.integers(4, size=(7, 2)),
        rng.standard_normal((*batch, 7, columns)),
    )
    dense = np.zeros((7, 4))
    np.add.at(dense, (np.arange(7)[:, None], indices), values)
    made = scatter_products(xp.asarray(values), xp.asarray(indices), xp.asarray(y), 4)
    np.testing.assert_allclose(to_host(made), dense.T @ y, rtol=0, atol=50 * xp.eps())


def test_with_entries_replaces_one_entry_of_every_row(xp, assert_close):
    host, indices = rng().standard_normal((2, 3, 5)), np.asarray([[0, 4, 2], [1, 1, 3]])
    values = np.asarray([[10.0], [20.0]])  # the same for all rows of a matrix
    expected = host.copy()
    np.put_along_axis(expected, indices[..., None], np.broadcast_to(values, (2, 3))[..., None], axis=-1)
    found = with_entries(xp.asarray(host), xp.asarray(indices), xp.asarray(values))
    assert_close(found, expected, rtol=0, atol=10 * xp.eps())


@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_scattered_entries_add_up_where_columns_repeat(xp, assert_close, batch):
    values, indices = rng().standard_normal((*batch, 5, 3)), rng().integers(0, 4, (5, 3))
    indices[0] = 2
    expected = np.zeros((*batch, 5, 4))
    for row in range(5):
        for slot in range(3):
            expected[..., row, indices[row, slot]] += values[..., row, slot]
    found = scattered_entries(xp.asarray(values), xp.asarray(indices), 4)
    assert_close(found, xp.asarray(expected), rtol=0, atol=10 * xp.eps())
