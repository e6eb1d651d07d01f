"""Column-pivoted QR of stacks: the pivots of SciPy, the residual that it states, and the indices that fill up."""

import numpy as np
import pytest
import scipy.linalg

from tnattn.arrays import to_host
from tnattn.linalg import pivoted_qr, with_unused


def stack():
    return np.random.default_rng(0).standard_normal((2, 9, 7)) * 0.6 ** np.arange(7)


def test_pivots_and_factors_are_those_of_scipy(xp):
    q, r, pivots, residual = (to_host(x) for x in pivoted_qr(xp.asarray(stack()), 4))
    for a, basis, factor, chosen, left in zip(stack(), q, r, pivots, residual, strict=True):
        assert chosen.tolist() == scipy.linalg.qr(a, mode="r", pivoting=True)[1][:4].tolist()
        np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=50 * xp.eps())
        np.testing.assert_allclose(factor[:, chosen], np.triu(factor[:, chosen]), atol=50 * xp.eps())
        error = np.linalg.norm(a - basis @ factor) / np.linalg.norm(a)
        np.testing.assert_allclose(left, error, rtol=1e4 * xp.eps())


@pytest.mark.parametrize("rtol", [0.5, 0.1, 0.01])
def test_no_pivot_is_taken_beyond_the_tolerance(rtol):
    a = stack()[0]
    q, r, pivots, residual = pivoted_qr(a, 7, rtol=rtol)
    count = int(np.sum(pivots >= 0))
    assert residual <= rtol < np.linalg.norm(a - q[:, : count - 1] @ r[: count - 1]) / np.linalg.norm(a)


def test_more_steps_than_the_rank_leave_zero_columns():
    a = stack()[0][:, :3] @ np.ones((3, 7))
    q, r, pivots, residual = pivoted_qr(a, 5)
    assert pivots[1:].tolist() == [-1] * 4
    assert not np.any(q[:, 1:])
    assert not np.any(r[1:])
    assert residual < 1e-14
    assert pivoted_qr(np.zeros((3, 2)), 2)[3] == 0


def test_unused_indices_fill_the_gaps():
    pivots = np.array([[2, 0, -1, -1], [3, 1, 0, -1], [-1, -1, -1, -1]])
    assert with_unused(pivots, 5).tolist() == [[2, 0, 1, 3], [3, 1, 0, 2], [0, 1, 2, 3]]


@pytest.mark.parametrize("decay", [1.0, 0.7, 0.4], ids=["flat", "digits lost once", "digits lost often"])
def test_blocks_of_a_device_take_the_pivots_of_single_steps(xp, assert_close, decay):
    """Norms that lose half of their digits make a block of 32 repeat; the last decay ends in rounding."""
    rng = np.random.default_rng(1)
    a = (rng.standard_normal((3, 60, 50)) * decay ** np.arange(50))[..., rng.permutation(50)]
    found = pivoted_qr(xp.asarray(a), 40)
    single = [to_host(x) for x in pivoted_qr(a.astype(xp.dtype), 40)]
    count = 40 if decay > 0.5 else 10  # the last pivots are chosen among rounding errors
    np.testing.assert_array_equal(to_host(found[2])[:, :count], single[2][:, :count])
    assert_close(found[0] @ found[1], to_host(xp.asarray(single[0] @ single[1])), rtol=0, atol=1e3 * xp.eps())


@pytest.mark.parametrize("rtol, pivots", [(0.0, 70), (0.9, 40)], ids=["all", "few"])
@pytest.mark.parametrize("xp", ["cupy-standin"], indirect=True)
def test_a_device_waits_once_for_a_block_of_pivots(xp, rtol, pivots):
    a = xp.asarray(np.random.default_rng(0).standard_normal((2, 90, 80)))
    before = xp.transfers.snapshot()
    found = pivoted_qr(a, 70, rtol=rtol)[2]
    made = xp.transfers - before
    assert int((to_host(found) >= 0).sum(axis=-1).max()) <= pivots
    assert made.waits == (3 if rtol == 0 else 1)
    assert made.launches <= 45 * 96 * (1 if rtol == 0 else 0.5)
