"""The truncated higher-order singular value decomposition against singular value decompositions of the unfoldings."""

import numpy as np
import pytest
from fixtures import drawn

from tnattn.decomposition.tucker import hosvd
from tnattn.decomposition.tucker.hosvd import HOSVD

EPS = np.finfo(float).eps


def unfolding(x, mode):
    return np.moveaxis(x, mode, 0).reshape(x.shape[mode], -1)


def singular(x, mode):
    return np.linalg.svd(unfolding(x, mode), full_matrices=False)[:2]


@pytest.mark.parametrize(
    "shape, ranks", [((5, 6, 7), (2, 3, 4)), ((4, 3, 5, 2), (2, 3, 4, 2)), ((6, 4), (2, 2))], ids=str
)
def test_bases_core_and_tails_are_those_of_the_unfoldings(shape, ranks):
    x, order = drawn(shape), len(shape)
    result = HOSVD(ranks=ranks, order=order)(x)
    core = x
    for mode, (rank, factor) in enumerate(zip(ranks, result.factors, strict=True)):
        u, s = singular(x, mode)
        np.testing.assert_allclose(factor @ factor.T, u[:, :rank] @ u[:, :rank].T, atol=1e-12)
        np.testing.assert_allclose(result.discarded[mode], np.linalg.norm(s[rank:]), rtol=1e-9, atol=1e-7)
        core = np.moveaxis(np.tensordot(factor.T, core, (1, mode)), 0, mode)
    np.testing.assert_allclose(result.core, core, atol=1e-12)
    assert result.mode_order is None
    assert result.ranks.tolist() == list(ranks)


@pytest.mark.parametrize("rtol", [0.1, 0.3, 0.6])
def test_a_tolerance_takes_the_smallest_ranks_that_keep_its_share_in_every_mode(rtol):
    x = np.stack([drawn((5, 6, 7), seed) * np.exp(-0.3 * seed * np.arange(7)) for seed in range(3)])
    result = HOSVD(rtol=rtol)(x)
    for place, one in enumerate(x):
        allowed = rtol**2 / 3 * np.sum(one**2)
        for mode in range(3):
            s = singular(one, mode)[1]
            tails = np.array([np.sum(s[r:] ** 2) for r in range(len(s) + 1)])
            rank = max(1, int(np.argmax(tails <= allowed)))
            assert result.ranks[place, mode] == rank
            np.testing.assert_allclose(result.discarded[place, mode] ** 2, tails[rank], atol=1e-12 * np.sum(one**2))
            assert not result.factors[mode][place][:, rank:].any()
    assert result.core.shape == (3, *result.ranks.max(axis=0))


def test_the_certificate_is_the_root_of_the_sum_of_the_squares_of_the_tails():
    x = drawn((5, 6, 7))
    result = HOSVD(ranks=2)(x)
    tails = [np.linalg.norm(singular(x, mode)[1][2:]) for mode in range(3)]
    assert result.error_certificate == pytest.approx(np.linalg.norm(tails), rel=1e-12)


@pytest.mark.parametrize("ranks, first", [((1, 5, 5), 0), ((5, 2, 6), 1), ((4, 4, 1), 2)], ids=str)
def test_the_mode_that_shrinks_most_is_projected_first(monkeypatch, ranks, first):
    modes, plain = [], hosvd.mode_product
    monkeypatch.setattr(
        hosvd, "mode_product", lambda t, a, mode, order: modes.append(mode) or plain(t, a, mode, order=order)
    )
    HOSVD(ranks=ranks).decompose(drawn((2, 5, 6, 7)), rng=None)
    assert modes[0] == first
    assert sorted(modes) == [0, 1, 2]
    assert modes == sorted(modes, key=lambda j: ranks[j] / (5, 6, 7)[j])


def test_a_default_keeps_a_hundredth():
    x = drawn((5, 6, 7))
    assert HOSVD().rtol == 0.01
    assert np.linalg.norm(x - HOSVD()(x).to_dense()) <= 0.01 * np.linalg.norm(x)
