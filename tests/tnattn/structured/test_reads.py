"""Reads of matrices: from products by default, and as often as a user's own class makes them cheaper."""

import tracemalloc

import numpy as np
import pytest

from tnattn.randnla.columns.cur import CUR
from tnattn.randnla.low_rank.adaptive_qb import AdaptiveQB
from tnattn.randnla.semidefinite.column_nystrom import ColumnNystrom
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense
from tnattn.structured.low_rank import LowRank
from tnattn.structured.reads import array_of, is_structured, overrides
from tnattn.structured.sparse import Sparse
from tnattn.testing import check_structured


class Implicit(StructuredMatrix):
    """A matrix that is known by its products, which it counts column by column."""

    storage = 0

    def __init__(self, array):
        self.array, self.products = array, 0

    @property
    def shape(self):
        return self.array.shape

    @property
    def like(self):
        return self.array

    def _matmul(self, x):
        self.products += x.shape[-1]
        return self.array @ x

    def _rmatmul(self, y):
        self.products += y.shape[-1]
        return self.array.mT @ y

    def to_dense(self):
        self.products += self.shape[-1]
        return self.array.copy()

    def matmul_flops(self, columns):
        return 2 * columns * self.array.size


class WithColumns(Implicit):
    """The same matrix, with columns that cost no product."""

    def columns(self, indices):
        return Dense(self.array).columns(indices)


class WithRows(Implicit):
    def rows(self, indices):
        return Dense(self.array).rows(indices)


class WithDiagonal(Implicit):
    def diagonal(self):
        return np.diagonal(self.array, axis1=-2, axis2=-1).copy()


def semidefinite(n=30):
    x = np.random.default_rng(0).standard_normal((n, 40))
    return x @ x.T / 40


@pytest.mark.parametrize("cls", [Implicit, WithColumns, WithRows, WithDiagonal])
@pytest.mark.parametrize("shape", [(5, 4), (4, 5), (2, 3, 4, 4)])
def test_a_matrix_of_ones_own_reads_as_its_dense_form(cls, shape):
    check_structured(cls(np.random.default_rng(1).standard_normal(shape)))


@pytest.mark.parametrize(
    ("method", "before", "after"),
    [
        # 4 columns and 4 rows chosen from two sketches, and read
        pytest.param(CUR(4), 4, 0, id="CUR"),
        # all that it asks for are columns
        pytest.param(ColumnNystrom(6), 6, 0, id="ColumnNystrom"),
        # the norm that a tolerance is relative to is read from the 30 columns
        pytest.param(AdaptiveQB(0.5), 30, 0, id="AdaptiveQB"),
    ],
)
def test_columns_of_ones_own_save_products(method, before, after):
    spent = []
    for cls in (Implicit, WithColumns):
        matrix = cls(semidefinite())
        found = method(matrix, rng=np.random.default_rng(0)).to_dense()
        spent.append(matrix.products)
        np.testing.assert_allclose(found, method(semidefinite(), rng=np.random.default_rng(0)).to_dense(), atol=1e-9)
    assert spent[0] - spent[1] == before - after


def test_the_norm_and_the_diagonal_come_from_columns_or_rows_of_ones_own():
    a = np.random.default_rng(0).standard_normal((7, 9))
    for cls, cost in ((Implicit, 9), (WithColumns, 0), (WithRows, 0)):
        matrix = cls(a)
        np.testing.assert_allclose(matrix.squared_norm(), np.sum(a**2), rtol=1e-13)
        assert matrix.products == cost
    for cls, cost in ((Implicit, 7), (WithColumns, 0), (WithDiagonal, 0)):
        matrix = cls(a)
        np.testing.assert_array_equal(matrix.diagonal(), np.diagonal(a))
        assert matrix.products == cost


def test_a_diagonal_of_ones_own_makes_a_tolerance_on_the_trace_possible():
    a = semidefinite()
    with pytest.raises(ValueError, match="needs the diagonal"):
        ColumnNystrom(30, rtol=0.5)(Implicit(a), rng=np.random.default_rng(0))
    found = ColumnNystrom(30, rtol=0.5)(WithDiagonal(a), rng=np.random.default_rng(0))
    assert found.converged
    assert np.trace(a - found.to_dense()) <= 0.5 * np.trace(a)


def test_a_trace_needs_a_square_matrix():
    with pytest.raises(ValueError, match="square"):
        Dense(np.ones((3, 4))).trace()


def test_a_class_is_asked_for_its_own_reads():
    assert overrides(WithRows(np.eye(2)), "rows")
    assert not overrides(Implicit(np.eye(2)), "rows")


def test_only_test_matrices_that_are_no_arrays_multiply_in_their_own_form():
    sparse = Sparse(np.ones((3, 1)), np.array([[0], [1], [0]]), 2)
    assert is_structured(sparse)
    assert not is_structured(Dense(np.eye(3)))
    assert not is_structured(np.eye(3))
    array = np.eye(3)
    assert array_of(Dense(array)) is array_of(array) is array


def test_thin_factors_meet_a_sparse_test_matrix_before_each_other():
    """O((m + n) r) memory: the product of the factors would take 320 GB."""
    n = 200_000
    sparse = Sparse(np.ones((n, 1)), np.arange(n)[:, None] % 2, 2)
    matrix = LowRank(np.ones((n, 1)), np.ones((1, n)))
    np.testing.assert_allclose(matrix.sketch(sparse), n / 2)
    np.testing.assert_allclose(matrix.sketch_rows(sparse), n / 2)


def test_a_sparse_matrix_is_made_dense_in_memory_for_itself():
    rng = np.random.default_rng(0)
    matrix = Sparse(rng.standard_normal((1, 8)), rng.integers(0, 2000, (1, 8)), 2000)
    tracemalloc.start()
    dense = matrix.to_dense()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * dense.nbytes  # an identity of its columns would take 2000 times as much
    np.testing.assert_allclose(dense @ np.ones(2000), matrix @ np.ones(2000), rtol=1e-12)
