"""Rows that share their columns block by block: the pattern of a band, and entries taken on it."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.structured import BlockSparse, Sparse
from tnattn.structured.band import Band
from tnattn.structured.block_sparse import in_blocks

RNG = np.random.default_rng(3)
ROWS, COLUMNS = 11, 17


def band(xp, *, size=4, width=5, fixed=0):
    """Rows that keep ``width`` columns, one further from row to row as long as there are any."""
    first = np.clip(np.arange(ROWS) + 2, fixed, COLUMNS - width)
    stop = first + width
    made = Band(xp.asarray(first), xp.asarray(stop), size, width, COLUMNS, fixed)
    j = np.arange(COLUMNS)
    return made.indices, made.kept, ((j >= first[:, None]) & (j < stop[:, None])) | (j < fixed)


@pytest.mark.parametrize("fixed", [0, 2])
@pytest.mark.parametrize("size", [1, 4, 11, 16])
def test_a_band_keeps_what_every_row_asks_for(xp, size, fixed):
    indices, kept, expected = band(xp, size=size, fixed=fixed)
    matrix = BlockSparse(xp.asarray(to_host(kept).astype("float32")), indices, ROWS, COLUMNS, kept)
    np.testing.assert_array_equal(to_host(matrix.to_dense()), expected)


def test_columns_are_distinct_within_a_block():
    indices, _, _ = band(np, fixed=3)
    assert all(len(set(row)) == len(row) for row in indices.tolist())


@pytest.mark.parametrize("size", [1, 4, 11])
def test_entries_of_a_product_are_those_of_the_dense_product(size):
    indices, kept, expected = band(np, size=size)
    left, right = RNG.standard_normal((2, 3, ROWS, 6)), RNG.standard_normal((2, 1, COLUMNS, 6))
    blank = BlockSparse(np.zeros((2, 3, *kept.shape)), indices, ROWS, COLUMNS, kept)
    filled = blank.with_values(blank.sampled(left, right))
    np.testing.assert_allclose(filled.to_dense(), np.where(expected, left @ right.mT, 0), atol=1e-13)


def test_both_sparse_structures_answer_alike():
    """The same matrix by rows and by blocks: sums, counts and numbers per row agree."""
    indices, kept, expected = band(np)
    dense = np.where(expected, RNG.standard_normal((ROWS, COLUMNS)), 0)
    own = np.nonzero(expected)[1].reshape(ROWS, 5)
    by_rows = Sparse(np.take_along_axis(dense, own, axis=-1), own, COLUMNS)
    tiles = np.take_along_axis(in_blocks(dense, 4), np.broadcast_to(indices[:, None, :], kept.shape), axis=-1)
    by_blocks = BlockSparse(np.where(kept, tiles, 0), indices, ROWS, COLUMNS, kept)
    factor = RNG.standard_normal(ROWS)
    for matrix in (by_rows, by_blocks):
        scaled = matrix.with_values(matrix.values * matrix.per_row(factor))
        np.testing.assert_allclose(scaled.to_dense(), factor[:, None] * dense, atol=1e-15)
        np.testing.assert_allclose(matrix.row_sums(matrix.values), dense.sum(-1), atol=1e-14)
        np.testing.assert_array_equal(np.broadcast_to(matrix.kept_per_row(), (ROWS,)), 5)


def test_entries_outside_the_pattern_are_dropped():
    indices, kept, expected = band(np)
    blank = BlockSparse(np.zeros(kept.shape), indices, ROWS, COLUMNS, kept)
    np.testing.assert_array_equal(blank.with_values(np.ones(kept.shape)).to_dense() > 0, expected)


@pytest.mark.parametrize(("rows", "indices"), [(5, (3, 4)), (7, (3, 3)), (4, (3, 3))])
def test_blocks_that_do_not_fit_are_refused(rows, indices):
    with pytest.raises(ValueError, match="need indices|cannot make up"):
        BlockSparse(np.zeros((3, 2, 3)), np.zeros(indices, int), rows, 4)
