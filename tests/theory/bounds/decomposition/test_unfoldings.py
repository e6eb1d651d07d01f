"""Tails of unfoldings, by hand on a diagonal tensor."""

import numpy as np
import pytest

from theory.bounds.decomposition.unfoldings import bond_tails, mode_tails, realised_ranks, size
from theory.statement.bound import HypothesisViolated
from tnattn.decomposition.tensor_train.tt_svd import TTSVD
from tnattn.decomposition.tucker.st_hosvd import STHOSVD


@pytest.fixture
def diagonal():
    """A tensor with 4, 2 and 1 on its diagonal: every unfolding has these singular values."""
    x = np.zeros((3, 3, 3))
    x[[0, 1, 2], [0, 1, 2], [0, 1, 2]] = 4.0, 2.0, 1.0
    return x


def test_tails_of_modes_and_bonds_are_what_lies_beyond_the_ranks(diagonal):
    np.testing.assert_allclose(mode_tails(STHOSVD(ranks=(1, 2, 2)), diagonal), [5**0.5, 1.0, 1.0], atol=1e-14)
    np.testing.assert_allclose(bond_tails(TTSVD(ranks=(1, 2)), diagonal), [5**0.5, 1.0])
    assert size(diagonal) == pytest.approx(21**0.5)


def test_ranks_must_be_given_and_tensors_be_single(diagonal):
    assert realised_ranks(STHOSVD(ranks=(1, 2, 2)), diagonal) == (1, 2, 2)
    with pytest.raises(HypothesisViolated, match="the ranks are given"):
        realised_ranks(STHOSVD(rtol=0.1), diagonal)
    with pytest.raises(HypothesisViolated, match="no stack"):
        realised_ranks(STHOSVD(ranks=(1, 2, 2)), np.stack([diagonal, diagonal]))
