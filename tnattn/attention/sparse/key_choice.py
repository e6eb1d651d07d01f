"""Choice of the keys of every query from estimated scores, one by one, in runs, or shared by queries and heads."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, device, exp_in_place
from tnattn.attention.largest_entries import marked_indices, marked_largest
from tnattn.scalars import Parameters

__all__: list[str] = []  # parts of the methods of this chapter


@dataclass(frozen=True)
class KeyChoice(Parameters):
    """Rule that keeps ``count`` runs of consecutive keys of largest estimated mass, and forced ones.

    Parameters
    ----------
    count : int
        Runs that are kept.
    run : int
        Keys of a run.
    block : int
        Consecutive queries that share a choice, by the sum of their weights.
    per_group : bool
        The heads of a group share a choice, by the sum of their weights.
    sinks : int
        First keys that are kept whatever their scores.
    offset : int, optional
        Position of the first query among the keys; the keys of the queries themselves are then kept, too.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.sparse.key_choice import KeyChoice
    >>> scores = np.array([[[[0.0, 1.0, 5.0, 2.0, 4.0, 3.0]]]])
    >>> KeyChoice(count=3).indices(scores, 0).tolist()
    [[[[2, 4, 5]]]]
    >>> KeyChoice(count=2, run=2, sinks=1).indices(scores, 0).tolist()  # keys 4 and 5 weigh more than 2 and 3
    [[[[0, 1, 2, 3]]]]
    """

    count: int
    run: int = 1
    block: int = 1
    per_group: bool = False
    sinks: int = 0
    offset: int | None = None

    @property
    def shared(self) -> bool:
        """True if several rows, of queries or heads, have one choice."""
        return self.per_group or self.block > 1

    @property
    def operations(self) -> int:
        """Products, differences and sums per estimated score, beside order."""
        return (
            (2 if self.shared or self.run > 1 else 0) + self.shared + self.per_group + (self.block > 1) + (self.run > 1)
        )

    def indices(self, scores: Array, start: int) -> Array:
        """Return kept keys (..., G, R or 1, choices, count run), int64, ascending.

        Parameters
        ----------
        scores : Array, (..., G, R, rows, n)
            Masked estimates of consecutive queries; the rows begin with a block.
        start : int
            The first query.

        Notes
        -----
        O(rows n log n). Keys behind the last are returned where it ends a run that is not full.
        """
        xp = array_namespace(scores)
        # an estimate that left the range is unknown: the last choice
        scores = xp.where(scores < math.inf, scores, xp.full_like(scores, -math.inf))
        weighed = self.shared or self.run > 1
        masses = self._masses(scores) if weighed else scores
        forced = self._forced(start, masses)
        if forced is not None:
            # no other is as large, and what the mask forbids takes no place from others
            seen = masses > (0.0 if weighed else -math.inf)
            masses = xp.where(forced & seen, xp.full_like(masses, math.inf), masses)
        (chosen,) = marked_largest(masses, (self.count,))
        runs = marked_indices(chosen, self.count)
        if self.run == 1:
            return runs
        keys = runs[..., None] * self.run + xp.arange(self.run, dtype=xp.int64, device=device(runs))
        return xp.reshape(keys, (*runs.shape[:-1], self.count * self.run))

    def _masses(self, scores: Array) -> Array:
        """Return the weights of runs, summed over the rows that share a choice, (..., G, R or 1, choices, runs)."""
        xp = array_namespace(scores)
        top = xp.max(scores, axis=-1, keepdims=True)
        forbidden = scores == -math.inf
        scores = scores - xp.where(top == -math.inf, xp.zeros_like(top), top)  # exp stays within [0, 1]
        # an admissible key never counts as forbidden, however small its weight
        weights = xp.maximum(exp_in_place(scores), xp.full_like(scores, _least(scores)))
        weights = xp.where(forbidden, xp.zeros_like(weights), weights)
        if self.shared:  # rows and heads count alike
            total = xp.sum(weights, axis=-1, keepdims=True)
            weights = weights / xp.where(total > 0, total, xp.ones_like(total))
        if self.per_group:
            weights = xp.sum(weights, axis=-3, keepdims=True)
        if self.block > 1:
            weights = _summed(weights.mT, self.block).mT
        return _summed(weights, self.run) if self.run > 1 else weights

    def _forced(self, start: int, masses: Array) -> Array | None:
        """Return true for the runs of sinks and of the queries' own keys, (choices or 1, runs); None without any."""
        xp = array_namespace(masses)
        choices, runs = masses.shape[-2:]
        if not self.sinks and self.offset is None:
            return None
        first = xp.arange(runs, dtype=xp.int64, device=device(masses))[None, :] * self.run  # key of every run
        forced = first < self.sinks
        if self.offset is not None:
            own = xp.arange(choices, dtype=xp.int64, device=device(masses))[:, None] * self.block + start + self.offset
            forced = forced | ((first < own + self.block) & (first + self.run > own))
        return forced


def _summed(x: Array, size: int) -> Array:
    """Return sums over ``size`` neighbours along the last axis, of which the last may be fewer."""
    xp = array_namespace(x)
    parts = -(-x.shape[-1] // size)
    if missing := parts * size - x.shape[-1]:
        x = xp.concat([x, xp.zeros((*x.shape[:-1], missing), dtype=x.dtype, device=device(x))], axis=-1)
    return xp.sum(xp.reshape(x, (*x.shape[:-1], parts, size)), axis=-1)


def _least(x: Array) -> float:
    """Return a positive number that is far below any weight that matters, and survives division by a row sum."""
    return float(array_namespace(x).finfo(x.dtype).smallest_normal) * 2.0**60  # sums have up to 2^50 terms
