"""Truncated tensor trains: what they store without padding, their norms and errors."""

import numpy as np
import pytest

from tnattn.decomposition.tensor_train.truncated_train import TruncatedTensorTrain, true_storage
from tnattn.decomposition.tensor_train.tt_svd import TTSVD

EPS = np.finfo(np.float64).eps


@pytest.fixture
def tensor():
    return np.random.default_rng(0).standard_normal((5, 6, 7))


@pytest.mark.parametrize("ranks, sizes, stored", [((2, 3), (4, 5, 6), 4 * 2 + 2 * 5 * 3 + 3 * 6), ((1,), (4, 5), 9)])
def test_the_scalars_of_a_train_are_counted_without_padding(ranks, sizes, stored):
    assert true_storage(np.asarray(ranks), sizes) == stored
    assert true_storage(np.asarray([ranks, [1] * len(ranks)]), sizes) == stored + sum(sizes)


def test_a_truncated_train_knows_its_norm_error_and_storage(tensor):
    found = TTSVD(ranks=(3, 4))(tensor)
    assert isinstance(found, TruncatedTensorTrain)
    dense = found.to_dense()
    assert found.storage == 5 * 3 + 3 * 6 * 4 + 4 * 7
    np.testing.assert_allclose(found.norm(), np.linalg.norm(dense), rtol=1e3 * EPS)
    np.testing.assert_allclose(found.error_certificate, np.linalg.norm(tensor - dense), rtol=1e3 * EPS)
