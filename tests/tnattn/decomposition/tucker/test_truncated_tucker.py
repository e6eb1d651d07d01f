"""Truncated Tucker tensors: what they store without padding, their norms and errors."""

import numpy as np
import pytest

from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.decomposition.tucker.truncated_tucker import TruncatedTucker

EPS = np.finfo(np.float64).eps


@pytest.fixture
def tensor():
    return np.random.default_rng(0).standard_normal((5, 6, 7))


def test_a_truncated_tucker_tensor_knows_its_norm_error_and_storage(tensor):
    found = STHOSVD(ranks=(2, 3, 4))(tensor)
    assert isinstance(found, TruncatedTucker)
    dense = found.to_dense()
    assert found.storage == 2 * 3 * 4 + 2 * 5 + 3 * 6 + 4 * 7
    np.testing.assert_allclose(found.norm(), np.linalg.norm(dense), rtol=1e3 * EPS)
    np.testing.assert_allclose(found.error_certificate, np.linalg.norm(tensor - dense), rtol=1e3 * EPS)
    assert found.discarded.shape == (3,)
