"""Reads by products with unit vectors: no block is larger than stated, and every index is read once."""

import numpy as np
import pytest

from tnattn.structured import unit_vectors
from tnattn.structured.dense import Dense
from tnattn.structured.unit_vectors import (
    diagonal_of_columns,
    images_of_units,
    squared_norm_of_columns,
    squared_norm_of_rows,
    sum_of_squares,
    wide_sum,
)

A = np.random.default_rng(0).standard_normal((2, 9, 7))


@pytest.mark.parametrize("block", [1, 30, 1 << 22])
def test_blocks_give_the_read_of_the_whole(monkeypatch, block):
    monkeypatch.setattr(unit_vectors, "_BLOCK", block)
    matrix, indices = Dense(A), np.array([3, 0, 3, 6])
    np.testing.assert_array_equal(images_of_units(matrix.__matmul__, indices, 7, like=A), A[..., indices])
    np.testing.assert_array_equal(diagonal_of_columns(matrix), np.diagonal(A, axis1=-2, axis2=-1))
    for norm in (squared_norm_of_columns, squared_norm_of_rows):
        np.testing.assert_allclose(norm(matrix), np.sum(A**2, axis=(-2, -1)), rtol=1e-14)


@pytest.mark.parametrize("batch", [(), (5,)])
def test_no_block_of_unit_vectors_exceeds_the_limit(monkeypatch, batch):
    monkeypatch.setattr(unit_vectors, "_BLOCK", 100)
    sizes = []

    def product(x):
        sizes.append(x.size)
        return x

    indices = np.random.default_rng(0).integers(10, size=(*batch, 33))
    found = images_of_units(product, indices, 10, like=A)
    np.testing.assert_array_equal(found.argmax(axis=-2), indices)
    assert max(sizes) <= 100
    assert sum(sizes) == found.size


def test_sums_are_taken_in_double_precision():
    x = np.full(1 << 16, 0.1, np.float32)
    assert wide_sum(x) == np.sum(x, dtype=np.float64)
    np.testing.assert_allclose(sum_of_squares(x, axes=1), np.sum(x.astype(np.float64) ** 2), rtol=1e-14)
    assert wide_sum(x).dtype == np.float64
