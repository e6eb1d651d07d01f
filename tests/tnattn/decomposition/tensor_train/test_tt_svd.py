"""The tensor-train decomposition against singular value decompositions of the unfoldings, one after the other."""

import math

import numpy as np
import pytest
from fixtures import drawn

from tnattn.decomposition.tensor_train.tt_svd import TTSVD


def reference(x, ranks=None, allowed=None):
    """Return dense train, tails and ranks of one tensor."""
    rest, bond, basis, tails, found = x.reshape(1, -1), 1, np.ones((1, 1)), [], []
    for place, n in enumerate(x.shape[:-1]):
        u, s, vt = np.linalg.svd(rest.reshape(bond * n, -1), full_matrices=False)
        sums = np.array([np.sum(s[r:] ** 2) for r in range(len(s) + 1)])
        rank = ranks[place] if ranks else max(1, int(np.argmax(sums <= allowed)))
        basis = (basis @ u[:, :rank].reshape(bond, n * rank)).reshape(-1, rank)
        rest, bond = s[:rank, None] * vt[:rank], rank
        tails.append(np.sqrt(sums[rank]))
        found.append(rank)
    return (basis @ rest).reshape(x.shape), tails, found


@pytest.mark.parametrize(
    "shape, ranks",
    [((5, 6, 7), (3, 4)), ((4, 3, 5, 2), (2, 5, 2)), ((6, 4), (3,)), ((2, 2, 2, 2, 2), (2, 3, 3, 2))],
    ids=str,
)
def test_cores_and_tails_are_those_of_the_unfoldings(shape, ranks):
    x = drawn(shape)
    result = TTSVD(ranks=ranks, order=len(shape))(x)
    dense, tails, _ = reference(x, ranks)
    np.testing.assert_allclose(result.to_dense(), dense, atol=1e-12)
    np.testing.assert_allclose(result.discarded, tails, rtol=1e-9, atol=1e-7)
    assert [core.shape for core in result.cores] == list(zip((1, *ranks), shape, (*ranks, 1), strict=True))
    assert result.ranks.tolist() == list(ranks)
    assert result.error_certificate == pytest.approx(np.linalg.norm(x - dense), rel=1e-9)


@pytest.mark.parametrize("rtol", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("shape", [(5, 6, 7), (4, 3, 5, 2), (8, 9)], ids=str)
def test_a_tolerance_takes_the_smallest_ranks_that_keep_its_share_in_every_step(rtol, shape):
    x = np.stack([drawn(shape, seed) * np.exp(-0.3 * seed * np.arange(shape[-1])) for seed in range(3)])
    result = TTSVD(rtol=rtol, order=len(shape))(x)
    for place, one in enumerate(x):
        dense, tails, ranks = reference(one, allowed=rtol**2 / (len(shape) - 1) * np.sum(one**2))
        assert result.ranks[place].tolist() == ranks
        np.testing.assert_allclose(result.discarded[place], tails, atol=1e-9 * np.linalg.norm(one))
        np.testing.assert_allclose(result.to_dense()[place], dense, atol=1e-9)


def test_a_bond_kept_whole_has_the_identity_as_its_core():
    x = drawn((3, 4, 30))
    result = TTSVD(ranks=(3, 12))(x)
    np.testing.assert_array_equal(result.cores[0], np.eye(3)[None])
    np.testing.assert_array_equal(result.cores[1], np.eye(12).reshape(3, 4, 12))
    np.testing.assert_array_equal(result.cores[2][..., 0], x.reshape(12, 30))
    assert not result.discarded.any()


def test_a_bond_of_all_columns_is_exact_too():
    x = drawn((30, 3, 4))
    result = TTSVD(ranks=(12, 4))(x)
    np.testing.assert_allclose(result.to_dense(), x, atol=1e-13)
    assert math.isclose(np.linalg.norm(result.cores[-1]), np.linalg.norm(x), rel_tol=1e-12)
