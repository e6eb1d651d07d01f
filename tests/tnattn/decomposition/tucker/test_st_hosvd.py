"""The sequentially truncated decomposition against one that truncates singular value decompositions in turn."""

import itertools

import numpy as np
import pytest
from fixtures import drawn

from tnattn.decomposition.tucker.sequential import cheapest_order
from tnattn.decomposition.tucker.st_hosvd import STHOSVD


def reference(x, modes, ranks=None, allowed=None):
    """Return projectors, tails and ranks of the modes, and the core."""
    core, found = x, {}
    for mode in modes:
        u, s, _ = np.linalg.svd(np.moveaxis(core, mode, 0).reshape(core.shape[mode], -1), full_matrices=False)
        if ranks is None:
            tails = np.array([np.sum(s[r:] ** 2) for r in range(len(s) + 1)])
            rank = max(1, int(np.argmax(tails <= allowed)))
        else:
            rank = ranks[mode]
        found[mode] = u[:, :rank] @ u[:, :rank].T, np.linalg.norm(s[rank:]), rank
        core = np.moveaxis(np.tensordot(u[:, :rank].T, core, (1, mode)), 0, mode)
    return found, core


@pytest.mark.parametrize("modes", list(itertools.permutations(range(3))), ids=str)
def test_modes_are_truncated_one_after_the_other(modes):
    x, ranks = drawn((5, 6, 7)), (2, 3, 4)
    result = STHOSVD(ranks=ranks, mode_order=modes)(x)
    found, core = reference(x, modes, ranks)
    for mode, (projector, tail, rank) in found.items():
        np.testing.assert_allclose(result.factors[mode] @ result.factors[mode].T, projector, atol=1e-12)
        assert result.discarded[mode] == pytest.approx(tail, rel=1e-9)
        assert result.ranks[mode] == rank
    assert np.linalg.norm(result.core) == pytest.approx(np.linalg.norm(core), rel=1e-12)
    assert result.mode_order == modes
    assert result.error_certificate == pytest.approx(np.linalg.norm(x - result.to_dense()), rel=1e-12)


@pytest.mark.parametrize("rtol", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("shape", [(5, 6, 7), (4, 3, 5, 2), (8, 9)], ids=str)
def test_a_tolerance_takes_the_smallest_ranks_that_keep_its_share_in_every_step(rtol, shape):
    x, order = drawn(shape) * np.exp(-0.3 * np.arange(shape[-1])), len(shape)
    method = STHOSVD(rtol=rtol, order=order)
    result = method(x)
    found, _ = reference(x, method.modes(shape), allowed=rtol**2 / order * np.sum(x**2))
    assert result.ranks.tolist() == [found[j][2] for j in range(order)]
    np.testing.assert_allclose(result.discarded, [found[j][1] for j in range(order)], atol=1e-9 * np.linalg.norm(x))


def test_a_mode_kept_whole_is_left_as_it_is():
    x = drawn((4, 5, 6))
    result = STHOSVD(ranks=(4, 3, 6))(x)
    np.testing.assert_array_equal(result.factors[0], np.eye(4))
    np.testing.assert_array_equal(result.factors[2], np.eye(6))
    assert result.discarded[0] == result.discarded[2] == 0 < result.discarded[1]
    np.testing.assert_allclose(STHOSVD(ranks=(4, 5, 6))(x).core, x)


def test_the_order_is_the_cheapest_for_known_ranks_and_by_size_otherwise():
    sizes = (9, 4, 30)
    assert STHOSVD(rtol=0.1).modes(sizes) == (1, 0, 2)
    assert STHOSVD(ranks=(2, 4, 8)).modes(sizes) == cheapest_order(sizes, (2, 4, 8), range(3))
    assert STHOSVD(ranks=2, mode_order=(2, 0, 1)).modes(sizes) == (2, 0, 1)


@pytest.mark.parametrize("modes", [(0, 1), (0, 1, 1), (0, 1, 3), (1, 2, 3), (-1, 0, 1)], ids=str)
def test_an_order_that_does_not_name_each_mode_once_is_refused(modes):
    with pytest.raises(ValueError, match=r"mode_order is .*; it must name each of the modes 0 ... 2 once"):
        STHOSVD(mode_order=modes)


def test_an_order_of_numpy_integers_is_one_of_integers():
    assert STHOSVD(mode_order=np.array([2, 0, 1])) == STHOSVD(mode_order=(2, 0, 1))


def test_fields_are_checked_as_those_of_all_truncations():
    assert STHOSVD().rtol == 0.01
    with pytest.raises(ValueError, match="both given"):
        STHOSVD(ranks=2, rtol=0.1)
