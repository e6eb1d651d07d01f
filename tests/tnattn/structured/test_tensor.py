"""The contract of structured tensors, on the smallest tensor that fulfils it: an outer product."""

import numpy as np
import pytest

from tnattn.structured.dense import Dense
from tnattn.structured.tensor import StructuredTensor, TensorMatrix, require_agreeing_batches

RNG = np.random.default_rng(0)


class Outer(StructuredTensor):
    """The outer product of three vectors."""

    def __init__(self, *vectors):
        self.vectors = vectors

    @property
    def shape(self):
        return tuple(v.shape[-1] for v in self.vectors)

    @property
    def order(self):
        return len(self.vectors)

    @property
    def storage(self):
        return sum(v.size for v in self.vectors)

    def network(self):
        return [(letter, v) for letter, v in zip("abc", self.vectors, strict=True)]

    def slices(self, mode=0):
        mode = self._sliced_mode(mode)
        return Dense(np.moveaxis(self.to_dense(), mode, 0))

    def __iter__(self):
        return iter(self.vectors)

    def to_tensorly(self):
        return self._single().vectors

    @classmethod
    def from_tensorly(cls, tensor):
        return cls(*tensor)


@pytest.fixture
def outer():
    return Outer(*(RNG.standard_normal(n) for n in (2, 3, 4)))


@pytest.fixture
def dense(outer):
    return np.einsum("a,b,c->abc", *outer.vectors)


def test_the_network_is_the_tensor(outer, dense):
    np.testing.assert_allclose(outer.to_dense(), dense, rtol=16 * np.finfo(float).eps)
    np.testing.assert_allclose(outer.norm(), np.linalg.norm(dense), rtol=1e-12)
    assert (outer.batch, outer.sizes, outer.dtype) == ((), (2, 3, 4), np.float64)
    assert outer.compression == 24 / 9


@pytest.mark.parametrize(("rows", "columns"), [((0,), (1, 2)), ((2, 0), (1,)), ((), (0, 1, 2)), ((1, 2, 0), ())])
def test_a_matricisation_multiplies_as_its_dense_form(outer, dense, rows, columns):
    matrix = outer.as_matrix(rows, columns)
    assert isinstance(matrix, TensorMatrix)
    expected = dense.transpose((*rows, *columns)).reshape(matrix.shape)
    np.testing.assert_allclose(matrix.to_dense(), expected, rtol=1e-14)
    right, left = RNG.standard_normal((matrix.shape[1], 2)), RNG.standard_normal((matrix.shape[0], 2))
    np.testing.assert_allclose(matrix @ right, expected @ right, rtol=0, atol=1e-13)
    np.testing.assert_allclose(matrix.mT @ left, expected.T @ left, rtol=0, atol=1e-13)
    assert matrix.storage == outer.storage


@pytest.mark.parametrize(("rows", "columns"), [((0,), (1,)), ((0, 1), (1, 2)), ((0,), (1, 3))])
def test_every_mode_is_a_row_or_a_column(outer, rows, columns):
    with pytest.raises(ValueError, match="must split the modes"):
        outer.as_matrix(rows, columns)


def test_slices_are_those_of_a_mode_that_exists(outer):
    assert outer.slices(1).shape == (3, 2, 4)
    with pytest.raises(ValueError, match="mode 3 is outside"):
        outer.slices(3)


def test_batches_broadcast_or_are_refused():
    arrays = [np.zeros((5, 1, 2)), np.zeros((1, 3, 4, 4))]
    assert require_agreeing_batches(arrays, (1, 2)) == (5, 3)
    with pytest.raises(ValueError, match="do not broadcast"):
        require_agreeing_batches([np.zeros((5, 2)), np.zeros((3, 2))], (1, 1))
