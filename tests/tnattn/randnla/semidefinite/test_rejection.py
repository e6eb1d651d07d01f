"""Acceptance of proposed pivots: the sequential definition, stacks whose matrices differ, room, rounding."""

import numpy as np
import pytest
from fixtures import rng

from tnattn.arrays import to_host
from tnattn.randnla.semidefinite.rejection import accept


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
    step = accept(*(xp.asarray(x) for x in (stack, thresholds, noise, rooms)))
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
    step = accept(cores(2, 4, 4), np.zeros((2, 4)), np.zeros((2, 1)), rooms)
    assert step.even is even
    assert step.order.shape == (2, 2)


def accepted(core, uniforms, room=100):
    bars = uniforms * np.diagonal(core, axis1=-2, axis2=-1)
    return accept(core, bars, np.full((*core.shape[:-2], 1), 1e-9), np.full((*core.shape[:-2], 1), room))


@pytest.mark.parametrize("seed", range(3))
def test_a_stack_accepts_what_its_matrices_accept_alone(seed):
    core, uniforms = cores(3, 12, 7, seed), rng(seed).random(12)
    together = accepted(core, uniforms)
    for index, matrix in enumerate(core):
        alone, gained = accepted(matrix, uniforms), int(together.gained[index, 0])
        assert alone.gained.tolist() == [gained]
        np.testing.assert_array_equal(alone.order, together.order[index, :gained])
        np.testing.assert_allclose(alone.lower, together.lower[index, :gained, :gained], rtol=1e-10)
        np.testing.assert_array_equal(alone.spent, together.spent[index])


@pytest.mark.parametrize("count", [1, 3])
def test_the_factor_is_that_of_the_accepted_pivots(count):
    core = cores(count, 12, 7)
    step = accepted(core, rng(1).random(12))
    for index in range(count):
        gained = int(step.gained[index, 0])
        assert 1 < gained < 12
        order = step.order[index, :gained]
        expected = np.linalg.cholesky(core[index][np.ix_(order, order)])
        np.testing.assert_allclose(step.lower[index, :gained, :gained], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("count", [1, 2])
def test_a_pivot_is_rejected_where_an_earlier_one_explains_it(count):
    core = np.tile(np.asarray([[2.0, 2.0, 0.0], [2.0, 2.0, 0.0], [0.0, 0.0, 1.0]]), (count, 1, 1))
    step = accepted(core, np.zeros(3))
    assert step.gained.ravel().tolist() == [2] * count
    assert step.order.tolist() == [[0, 2]] * count
    assert step.spent.all()


@pytest.mark.parametrize("count", [1, 2])
def test_no_more_are_accepted_than_there_is_room_for(count):
    assert accepted(cores(count, 12, 7), np.zeros(12), room=2).gained.ravel().tolist() == [2] * count


@pytest.mark.parametrize("count", [1, 2])
def test_entries_that_are_not_finite_are_refused(count):
    core = cores(count, 12, 7)
    core[0, 3, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        accepted(core, np.zeros(12))
