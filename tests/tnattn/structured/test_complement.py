"""Sums over all places outside a pattern, in which nothing of the pattern takes part."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.structured import BandProduct, BlockSparse, Complement, Dense, Sparse
from tnattn.structured.band import Band
from tnattn.structured.complement import outside_sums

RNG = np.random.default_rng(5)


def subtracted(x, indices):
    """The sum of all rows less those left out: the wrong way."""
    return x.sum(0) - x[indices].sum(1)


@pytest.mark.parametrize(("n", "width"), [(1, 1), (2, 1), (17, 2), (64, 3), (100, 7), (9, 9), (33, 1), (257, 4)])
def test_sums_leave_out_what_they_are_told_to(xp, n, width):
    indices = RNG.integers(n, size=(2, 3, 6, width))  # with repetitions
    x = RNG.standard_normal((2, 1, n, 4))
    ones = np.ones((2, 3, 6, n))
    np.put_along_axis(ones, indices, 0.0, -1)
    found = to_host(outside_sums(xp.asarray(x), xp.asarray(indices))).astype(float)
    eps = xp.eps()
    np.testing.assert_array_less(np.abs(found - ones @ x), 4 * np.log2(2 * n) * eps * (ones @ np.abs(x)) + 1e-300)


@pytest.mark.parametrize("size", [1e17, 1e300])
def test_rows_that_are_left_out_leave_no_trace(size):
    n = 200
    x, indices = (
        RNG.integers(1, 9, size=(n, 2)).astype(float),
        RNG.permuted(np.tile(np.arange(n), (5, 1)), axis=1)[:, :3],
    )
    expected = x.sum(0) - x[indices].sum(1)  # exact: small integers
    for row in range(5):
        loud = x.copy()
        loud[indices[row]] = size
        np.testing.assert_array_equal(outside_sums(loud, indices)[row], expected[row])
        assert not np.allclose(subtracted(loud, indices)[row], expected[row])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_that_overflow_only_together_with_what_is_left_out_are_finite(dtype):
    top = float(np.finfo(dtype).max)
    x = np.array([[top], [top], [top / 4], [top / 8]] * 2, dtype=dtype)
    np.testing.assert_allclose(outside_sums(x, np.array([[0, 1, 4, 5]])), [[0.75 * top]], rtol=1e-6)


@pytest.mark.parametrize("size", [1, 4, 11])
@pytest.mark.parametrize("stored_tiles", [True, False])
def test_tiles_keep_what_other_rows_of_the_block_leave_out(size, stored_tiles):
    first = np.arange(11) + 2
    band = Band(first, first + 5, size, 5, 40)
    stored = BlockSparse(np.zeros(band.kept.shape), band.indices, 11, 40, band.kept)
    matrix = Complement(stored if stored_tiles else BandProduct(band, Dense(np.ones((11, 1))), Dense(np.ones((1, 40)))))
    expected = ~((np.arange(40) >= first[:, None]) & (np.arange(40) < first[:, None] + 5))
    np.testing.assert_array_equal(matrix.to_dense(), expected)
    x = RNG.integers(1, 9, size=(40, 3)).astype(float)
    np.testing.assert_array_equal(matrix @ x, expected @ x)
    x[5] = 1e17
    silent = ~expected[:, 5]
    np.testing.assert_array_equal((matrix @ x)[silent], expected[silent] @ x)


def test_the_transpose_loses_nothing_either():
    matrix = Complement(Sparse(np.ones((4, 1)), np.array([[0], [1], [1], [2]]), 3))
    y = np.array([[1e17], [1.0], [2.0], [3.0]])
    np.testing.assert_array_equal((matrix.mT @ y)[0], 6.0)


def test_a_matrix_without_a_pattern_is_refused():
    with pytest.raises(TypeError, match="Sparse or BlockSparse"):
        Complement(Dense(np.ones((2, 2))))


@pytest.mark.parametrize("on_a_band", [True, False])
def test_inner_products_are_those_with_the_sums(on_a_band):
    first = np.arange(11) + 2
    band = Band(first, first + 5, 4, 5, 40)
    product = BandProduct(band, Dense(np.ones((11, 1))), Dense(np.ones((1, 40))))
    matrix = Complement(product if on_a_band else product.as_block_sparse())
    left, x = RNG.standard_normal((2, 11, 3)), RNG.standard_normal((2, 40, 3))
    np.testing.assert_allclose(matrix.inner_products(left, x), np.vecdot(left, matrix @ x), rtol=0, atol=1e-13)
