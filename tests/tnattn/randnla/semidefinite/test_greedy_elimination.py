"""Greedy elimination: the pivots of single proposals, stacks at different counts, waits of a device."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from fixtures import rng

from tnattn.arrays import to_host
from tnattn.randnla.semidefinite.elimination import Elimination
from tnattn.randnla.semidefinite.greedy_elimination import GreedyElimination
from tnattn.structured.conversion import as_structured
from tnattn.structured.dense import Dense


def stack(*, n=50):
    """Return a kernel, a matrix of rank three, one of equal entries and the identity, whose pivots are ties."""
    x, y = rng().standard_normal((n, 2)), rng(1).standard_normal((n, 3))
    kernel = np.exp(-0.5 * np.sum((x[:, None] - x) ** 2, axis=-1))
    return np.stack([kernel, y @ y.T, np.ones((n, n)), np.eye(n)])


def one_by_one(a, rank, rtol):
    """Return factor and pivots by proposals of the largest entry to the elimination of random pivots."""
    elimination = Elimination(Dense(a), rank, rtol)
    while elimination.unfinished:
        elimination.advance(np.argmax(elimination.residual, axis=-1)[..., None], np.zeros(1, dtype=a.dtype))
    return elimination.result()


@pytest.mark.parametrize("rtol", [0.0, 0.3])
@pytest.mark.parametrize("rank", [5, 40])
def test_pivots_are_those_of_one_proposal_at_a_time(xp, assert_close, rank, rtol):
    a = stack()
    factor, pivots = one_by_one(a.astype(xp.dtype), rank, rtol)
    found, chosen = GreedyElimination(Dense(xp.asarray(a)), rank, rtol).result()
    assert to_host(chosen).tolist() == pivots.tolist()
    assert_close(found, factor, rtol=0, atol=100 * xp.eps() ** 0.75)


@pytest.mark.parametrize("xp", ["cupy-standin"], indirect=True)
def test_a_device_waits_once_for_a_block_of_pivots(xp):
    a = Dense(xp.asarray(stack(n=90)))
    before = xp.transfers.snapshot()
    GreedyElimination(a, 70, 0.0)
    made = xp.transfers - before
    assert made.waits <= 4 + 6  # at the start and after 32, 64 and 96 pivots; checks of the matrix
    assert made.launches <= 50 * 96 + 60


def test_entries_that_are_not_finite_are_refused(xp):
    @dataclass(frozen=True, eq=False)
    class Broken:
        """Unit diagonal, and NaN in the columns."""

        like: Any
        shape = (6, 6)

        def diagonal(self):
            return xp.namespace.ones_like(self.like)

        def columns(self, indices):
            return xp.namespace.full((6, indices.shape[-1]), float("nan"), dtype=self.like.dtype, device=xp.device)

    with pytest.raises(ValueError, match="NaN|finite"):
        GreedyElimination(as_structured(Broken(xp.asarray(np.ones(6)))), 4, 0.0)
