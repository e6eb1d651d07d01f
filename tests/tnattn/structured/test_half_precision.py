"""Structures in half precision compute in float32 and round once."""

import numpy as np

from tnattn.structured.composite import Product
from tnattn.structured.dense import Dense
from tnattn.structured.half_precision import in_single, product_in_single, read_in_single, sum_in_single
from tnattn.structured.low_rank import LowRank

LEFT = np.full((3, 4096), 1.0, np.float16)


def test_the_arrays_of_nested_structures_are_widened():
    wide = in_single(Product(Dense(LEFT), Dense(LEFT.T)).mT)
    assert wide.mT.left.array.dtype == wide.mT.right.array.dtype == np.float32
    assert in_single(3) == 3


def test_reads_are_summed_in_single_precision():
    """4096 ones add up to 2048 in float16, where 2049 is no number."""
    matrix = LowRank(LEFT, LEFT.T)
    for found in (matrix.columns(np.array([0])), matrix.rows(np.array([1])), matrix.diagonal()):
        assert found.dtype == np.float16
        np.testing.assert_array_equal(found, 4096)
    assert matrix.trace() == 3 * 4096
    np.testing.assert_allclose(matrix.squared_norm(), 9 * 4096.0**2, rtol=1e-6)


def test_methods_keep_the_dtype_of_the_structure():
    matrix = Dense(LEFT)
    seen = []

    def read(self, *arguments):
        seen.append(self.array.dtype)
        return self.array.sum()

    assert product_in_single(read)(matrix, LEFT).dtype == np.float16
    assert read_in_single(read)(matrix).dtype == np.float16
    assert sum_in_single(read)(matrix).dtype == np.float32
    assert seen == [np.float32] * 3
