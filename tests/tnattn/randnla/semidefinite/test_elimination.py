"""Acceptance of proposed pivots: the sequential definition, stacks whose matrices differ, room, rounding."""

import numpy as np
import pytest
from fixtures import rng

from tnattn.arrays import to_host
from tnattn.randnla.semidefinite.elimination import _accept


def cores(count, size, rank, seed=0):
    """Return positive semidefinite matrices of a given rank."""
    x = rng(seed).standard_normal((count, size, rank))
    return x @ x.mT


def one_by_one(core, thresholds, room):
    """Return the accepted places, and the residual that each proposal had at its turn, from the definition."""
    taken, left = [], []
    for i in range(len(core)):
        left.append(core[i, i])
        if core[i, i] > thresholds[i] and len(taken) < room:
            core = core - np.outer(core[:, i], core[i]) / core[i, i]
            taken.append(i)
    return taken, np.array(left)


@pytest.mark.parametrize("rank", [2, 9])
@pytest.mark.parametrize("room", [0, 3, 9])
def test_proposals_are_accepted_as_one_after_the_other(xp, rank, room):
    stack = cores(4, 9, rank)
    uniforms = rng(1).random((4, 9))
    noise = np.full((4, 1), 1e-4)
    thresholds = np.maximum(uniforms * np.diagonal(stack, axis1=1, axis2=2), noise)
    rooms = np.array([[room], [9], [1], [room]])
    step = _accept(*(xp.asarray(x) for x in (stack, thresholds, noise, rooms)))
    order, lower, gained, spent = (to_host(x) for x in (step.order, step.lower, step.gained, step.spent))
    assert type(step.lower) is type(xp.asarray(stack))
    for i in range(4):
        taken, left = one_by_one(stack[i], thresholds[i], rooms[i, 0])
        k = len(taken)
        assert gained[i, 0] == k
        assert order[i, :k].tolist() == taken
        accepted = stack[i][np.ix_(taken, taken)]
        np.testing.assert_allclose(lower[i, :k, :k] @ lower[i, :k, :k].T, accepted, atol=300 * xp.eps())
        assert np.array_equal(lower[i, k:, :], np.eye(lower.shape[-1])[k:])
        assert set(np.flatnonzero(spent[i])) == set(taken) | set(np.flatnonzero(left <= 1e-4))


@pytest.mark.parametrize("even", [True, False])
def test_a_step_knows_whether_all_matrices_gain_as_many(even):
    rooms = np.array([[2], [2 if even else 1]])
    step = _accept(cores(2, 4, 4), np.zeros((2, 4)), np.zeros((2, 1)), rooms)
    assert step.even is even
    assert step.order.shape == (2, 2)
