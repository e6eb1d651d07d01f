import numpy as np
import pytest
from fixtures import normal

from tnattn.structured.partial_tucker import PartialTuckerTensor
from tnattn.structured.tucker import TuckerTensor
from tnattn.testing.structures import check_structured


def tensor(modes, batch=()):
    sizes, ranks = (4, 5, 6), (2, 3, 2)
    core = normal(*batch, *(ranks[j] if j in modes else sizes[j] for j in range(3)))
    return PartialTuckerTensor(core, tuple(normal(*batch, sizes[j], ranks[j], seed=j) for j in modes), modes, 3)


MODES = pytest.mark.parametrize("modes", [(0,), (2,), (0, 2), (1, 2), (0, 1, 2)], ids=str)


@MODES
def test_it_is_the_tucker_tensor_with_identities(modes):
    t = tensor(modes)
    factors = [t.factors[modes.index(j)] if j in modes else np.eye(n) for j, n in enumerate((4, 5, 6))]
    np.testing.assert_allclose(t.to_dense(), TuckerTensor(t.core, tuple(factors)).to_dense(), atol=1e-13)


@MODES
@pytest.mark.parametrize("rows, columns", [((0,), (1, 2)), ((2, 0), (1,))], ids=str)
def test_its_matrices_are_sound(modes, rows, columns):
    t = tensor(modes, batch=(2,))
    matrix = t.as_matrix(rows, columns)
    check_structured(matrix)
    expected = np.transpose(t.to_dense(), (0, *(1 + j for j in rows + columns))).reshape(matrix.shape)
    np.testing.assert_allclose(matrix.to_dense(), expected, atol=1e-13)


@MODES
def test_storage_counts_no_identities(modes):
    t = tensor(modes)
    assert t.storage == t.core.size + sum(u.size for u in t.factors)


@MODES
def test_it_goes_to_tensorly_and_comes_back_whole(modes):
    t = tensor(modes)
    np.testing.assert_allclose(PartialTuckerTensor.from_tensorly(t.to_tensorly()).to_dense(), t.to_dense(), atol=1e-13)
    core, factors = t
    assert core is t.core
    assert len(factors) == len(modes)


def test_norms_are_those_of_the_dense_tensor():
    t = tensor((0, 2), batch=(2,))
    np.testing.assert_allclose(t.norm(), np.sqrt(np.sum(t.to_dense() ** 2, axis=(1, 2, 3))), rtol=1e-12)


def test_slices_of_other_orders_are_refused():
    with pytest.raises(ValueError, match="order 3"):
        PartialTuckerTensor(normal(3, 2), (normal(5, 2),), (1,), 2).slices()
