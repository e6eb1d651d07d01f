"""Rejection sampling of pivots: those of a block of proposals that are samples by the current residual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tnattn.arrays import Array, array_namespace, from_host, to_host
from tnattn.scalars import Parameters

__all__: list[str] = []  # for elimination

NOT_FINITE = "has implicit entries that are NaN or infinite; check the points or the function that they come from"


@dataclass(frozen=True, eq=False)
class Step(Parameters):
    """Accepted pivots of a block of b proposals, at most w in each matrix of the stack.

    Parameters
    ----------
    order : Array, (..., w), integer
        Positions of the accepted proposals in the block, in their order, padded by positions of others.
    lower : Array, (..., w, w)
        Cholesky factors of the residual at these; the identity in the padding.
    gained : Array, (..., 1), integer
    spent : Array, (..., b), boolean
        Proposals that are accepted, or whose residual was at rounding level when tested.
    even : bool
        True if every matrix has gained w.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.randnla.semidefinite.rejection import accept
    >>> core = np.asarray([[2.0, 2.0, 0.0], [2.0, 2.0, 0.0], [0.0, 0.0, 1.0]])  # the first explains the second
    >>> step = accept(core, np.zeros(3), np.full(1, 1e-9), np.full(1, 3))
    >>> step.order.tolist(), step.gained.tolist(), step.even
    ([0, 2], [2], True)
    """

    order: Array
    lower: Array
    gained: Array
    spent: Array
    even: bool


def accept(core: Array, thresholds: Array, noise: Array, room: Array) -> Step:
    """Accept pivots in order, each if its residual after the earlier ones of the block exceeds a threshold.

    Parameters
    ----------
    core : Array, (..., b, b)
        Residual at the proposals, before the block.
    thresholds : Array, (..., b)
    noise : Array, (..., b) or (..., 1)
        Rounding level of the diagonal.
    room : Array, (..., 1)
        Largest number that may be accepted.

    Notes
    -----
    On the host, whatever the library: the order is sequential, and the blocks are small.
    """
    batch, size = tuple(core.shape[:-2]), core.shape[-1]
    work, bars, rounding, free = (to_host(x) for x in (core, thresholds, noise, room))
    xp = array_namespace(work)
    if not xp.all(xp.isfinite(work)):
        raise ValueError(f"a {NOT_FINITE}")
    work = xp.astype(xp.reshape(work, (-1, size, size)), xp.float64, copy=True)  # row by row overwritten by the factor
    bars, free = xp.reshape(bars, (-1, size)), xp.reshape(free, (-1,))
    rounding = xp.reshape(rounding, (-1, rounding.shape[-1]))
    decide = _decided_alone if work.shape[0] == 1 else _decided
    accepted, remaining = decide(work, bars, free)
    gained = xp.sum(accepted, axis=-1, keepdims=True)
    width = int(xp.max(gained))
    order = xp.argsort(~accepted, axis=-1, stable=True)[:, :width]
    used = xp.arange(width) < gained  # (stack, w)
    upper = xp.take_along_axis(xp.take_along_axis(work, order[:, :, None], axis=1), order[:, None, :], axis=2)
    upper = xp.where(used[:, :, None] & used[:, None, :], xp.triu(upper, k=1), 0.0)
    diagonal = xp.where(used, xp.take_along_axis(remaining, order, axis=-1), 1.0) ** 0.5
    lower = upper.mT + diagonal[:, :, None] * xp.eye(width)

    def back(x: Array, *axes: int) -> Array:
        return from_host(xp.reshape(x, (*batch, *axes)), like=core)

    spent = accepted | (remaining <= rounding)
    return Step(back(order, width), back(lower, width, width), back(gained, 1), back(spent, size), bool(xp.all(used)))


def _decided(work: Any, bars: Any, free: Any) -> tuple[Any, Any]:
    """Return which proposals are accepted and their residuals when tested, (stack, b).

    Overwrites work (stack, b, b) by the upper factor, with rows of zeros at rejected proposals. On the host.
    """
    xp = array_namespace(work)
    remaining = xp.asarray(xp.linalg.diagonal(work), copy=True)
    accepted = xp.zeros(remaining.shape, dtype=xp.bool)
    for i in range(work.shape[-1]):
        pivot, row = remaining[:, i], work[:, i, i + 1 :]
        yes = (pivot > bars[:, i]) & (free > 0)
        if not yes.any():
            row[...] = 0.0
            continue
        accepted[:, i] = yes
        free = free - yes
        if i:
            row -= (xp.asarray(work[:, :i, i], copy=True)[:, None, :] @ work[:, :i, i + 1 :])[:, 0, :]
        # rejected in a matrix: division by infinity makes its row zero
        row *= (xp.where(yes, pivot, xp.inf) ** -0.5)[:, None]
        remaining[:, i + 1 :] -= row * row
    return accepted, remaining


def _decided_alone(work: Any, bars: Any, free: Any) -> tuple[Any, Any]:
    """Do the same for a stack of one matrix, where a rejected proposal costs nothing."""
    xp, core = array_namespace(work), work[0]
    remaining = xp.asarray(xp.linalg.diagonal(core), copy=True)
    accepted = xp.zeros(remaining.shape, dtype=xp.bool)
    thresholds, room = bars[0].tolist(), int(free[0])
    rows = xp.zeros_like(core)  # of the accepted ones, without gaps
    count = 0
    for i, threshold in enumerate(thresholds):
        pivot = float(remaining[i])
        row = core[i, i + 1 :]
        if not pivot > threshold or count >= room:
            row[...] = 0.0
            continue
        if count:
            row -= rows[:count, i] @ rows[:count, i + 1 :]
        row *= pivot**-0.5
        remaining[i + 1 :] -= row * row
        rows[count, i + 1 :] = row
        accepted[i] = True
        count += 1
    return accepted[None], remaining[None]
