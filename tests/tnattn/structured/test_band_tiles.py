"""Entries of a product on a band: evaluated on use, and as those that are kept."""

import numpy as np
import pytest

from tnattn.structured import BandProduct, Dense, ExponentialKernel, LowRank, row_tiles
from tnattn.structured.band import Band
from tnattn.structured.band_tiles import row_reader
from tnattn.structured.row_tiles import Stack

RNG = np.random.default_rng(4)
ROWS, COLUMNS, BATCH = 30, 40, (2, 3)
FIRST = np.clip(np.arange(ROWS) + 3, 0, COLUMNS - 7)


def made(xp, *, fixed=0, size=4):
    first = np.maximum(FIRST, fixed)
    band = Band(xp.asarray(first), xp.asarray(first + 7), size, 7, COLUMNS, fixed)
    left, right = RNG.standard_normal((*BATCH, ROWS, 5)), RNG.standard_normal((2, 1, 5, COLUMNS))
    j = np.arange(COLUMNS)
    kept = ((j >= first[:, None]) & (j < first[:, None] + 7)) | (j < fixed)
    return BandProduct(band, Dense(xp.asarray(left)), Dense(xp.asarray(right))), left @ right * kept


@pytest.fixture(params=[1, 300, 1 << 18], autouse=True)
def tile(monkeypatch, request):
    for name in ("HOST_TILE", "DEVICE_TILE"):
        monkeypatch.setattr(row_tiles, name, request.param)


@pytest.mark.parametrize("fixed", [0, 2])
@pytest.mark.parametrize("size", [1, 4, 64])
def test_products_are_those_of_the_dense_matrix(xp, assert_close, fixed, size):
    matrix, dense = made(xp, fixed=fixed, size=size)
    tolerance = {"rtol": 0, "atol": 500 * xp.eps()}
    x, y = RNG.standard_normal((2, 1, COLUMNS, 3)), RNG.standard_normal((3, COLUMNS, 1))
    for found, factor in zip(matrix.products((xp.asarray(x), xp.asarray(y))), (x, y), strict=True):
        assert_close(found, xp.asarray(dense @ factor), **tolerance)
    assert_close(matrix.to_dense(), xp.asarray(dense), **tolerance)
    left = RNG.standard_normal((*BATCH, ROWS, 2))
    assert_close(matrix.mT @ xp.asarray(left), xp.asarray(dense.mT @ left), **tolerance)


def test_products_are_combined_with_totals_in_one_sweep(xp, assert_close):
    matrix, dense = made(xp)
    x, one, two = RNG.standard_normal((COLUMNS, 3)), *RNG.standard_normal((2, *BATCH, ROWS, 3))
    own, first, second = RNG.standard_normal((3, *BATCH, ROWS, 1))
    given = [xp.asarray(array) for array in (x, own, first, one, second, two)]
    (found,) = matrix.combined((given[0],), given[1], (given[2], (given[3],)), (given[4], (given[5],)))
    expected = own * (dense @ x) + first * one + second * two
    assert_close(found, xp.asarray(expected), rtol=0, atol=500 * xp.eps())


def test_the_pattern_is_that_of_stored_tiles():
    matrix, dense = made(np, fixed=2)
    stored = matrix.as_block_sparse()
    np.testing.assert_array_equal(stored.to_dense() != 0, dense != 0)
    np.testing.assert_allclose(stored.to_dense(), dense, rtol=0, atol=1e-14)
    np.testing.assert_array_equal(matrix.kept_per_row(), stored.kept_per_row())
    np.testing.assert_array_equal(matrix.places.to_dense(), dense[0, 0] != 0)
    doubled = matrix.with_values(2 * matrix.values)
    np.testing.assert_array_equal(doubled.to_dense(), 2 * stored.to_dense())


def test_another_product_has_the_same_pattern():
    matrix, dense = made(np)
    other = matrix.with_product(LowRank(np.ones((ROWS, 1)), np.ones((1, COLUMNS))), Dense(np.eye(COLUMNS)))
    np.testing.assert_array_equal(other.to_dense(), dense[0, 0] != 0)


def test_rows_are_evaluated_or_read():
    q, k = RNG.standard_normal((2, 6, 4)), RNG.standard_normal((2, 5, 4))
    kernel, _ = ExponentialKernel.shifted(q, k, times=(np.ones((5, 1)),))
    dense = kernel.to_dense()
    for matrix in (kernel, Dense(dense)):
        read = row_reader(matrix, Stack((2,)))
        np.testing.assert_allclose(read(slice(1, 2), slice(2, 5)), dense[1:2, 2:5], rtol=1e-14)
