"""Implicit matrices: products and reads from blocks of columns, none of which is kept."""

import numpy as np
import pytest

from tnattn.structured import implicit
from tnattn.structured.gaussian_kernel import GaussianKernel
from tnattn.structured.implicit import EntriesOperator, InexactEntries, KernelEntries, PrincipalEntries
from tnattn.testing import check_structured


class Plain:
    """Entries of a stack of symmetric matrices, without principal submatrices or errors."""

    def __init__(self, array):
        self.like, self.shape = array, array.shape

    def diagonal(self):
        return np.diagonal(self.like, axis1=-2, axis2=-1).copy()

    def columns(self, indices):
        return np.take_along_axis(self.like, indices[..., None, :], axis=-1)


def symmetric(*shape):
    a = np.random.default_rng(0).standard_normal(shape)
    return a + a.mT


@pytest.mark.parametrize("block", [1, 40, 1 << 22])
@pytest.mark.parametrize("shape", [(6, 6), (2, 3, 6, 6)])
def test_the_operator_is_the_matrix_of_its_entries(monkeypatch, shape, block):
    monkeypatch.setattr(implicit, "_BLOCK", block)
    a = symmetric(*shape)
    matrix = EntriesOperator(Plain(a))
    check_structured(matrix, storage=0)
    np.testing.assert_array_equal(matrix.to_dense(), a)
    assert matrix.symmetric
    assert matrix.mT is matrix


def test_what_a_source_lacks_is_not_invented():
    matrix = EntriesOperator(Plain(symmetric(4, 4)))
    assert isinstance(matrix.entries_on_demand, KernelEntries)
    assert not isinstance(matrix.entries_on_demand, PrincipalEntries | InexactEntries)
    assert matrix.principal(np.array([0, 1])) is None
    assert matrix.entry_accuracy() == 0.0


def test_what_a_source_has_is_used():
    source = GaussianKernel(np.random.default_rng(0).standard_normal((5, 2)))
    matrix, indices = EntriesOperator(source), np.array([4, 1])
    assert isinstance(source, PrincipalEntries)
    np.testing.assert_array_equal(matrix.principal(indices), source.principal(indices))
    np.testing.assert_array_equal(matrix.entry_accuracy(), source.accuracy())


@pytest.mark.parametrize("shape", [(4, 5), (4,)])
def test_entries_of_a_matrix_that_is_not_square_are_refused(shape):
    with pytest.raises(ValueError, match="entries on demand"):
        EntriesOperator(Plain(np.ones(shape)))


def test_entries_that_are_not_finite_are_refused():
    a = symmetric(4, 4)
    a[1, 2] = np.nan
    with pytest.raises(ValueError, match="block of columns"):
        EntriesOperator(Plain(a)).columns(np.array([2]))
    a[3, 3] = np.inf
    with pytest.raises(ValueError, match="diagonal"):
        EntriesOperator(Plain(a)).diagonal()
