"""Largest scores and tails of a block of queries, from keys of low precision alone."""

from __future__ import annotations

from typing import NamedTuple

from tnattn.arrays import Array, array_namespace, eps
from tnattn.attention.largest_entries import marked_indices, marked_largest
from tnattn.attention.sampling.draws import drawn_positions
from tnattn.attention.sampling.rounded_keys import RoundedKeys

__all__: list[str] = []  # parts of the methods of this chapter

_SLACK = 4.0  # rounding of sums of exponentials, in units of n eps


class ScannedTile(NamedTuple):
    """Scan of r queries over n keys: the w keys of largest upper bounds, and the tails that they and the first h leave.

    Parameters
    ----------
    indices : Array, (..., r, w), int64
        Keys within the block, by falling upper bounds.
    top : Array, (..., r)
        Largest scanned score, the unit of all masses; minus infinity for queries without keys.
    beyond : Array, (..., r, 2)
        Upper bounds on the mass of the keys that are not among the first h, and the first w.
    tail : Array, (..., r)
        Scanned mass of the keys that are not among the first h.
    heavy : Array, (..., r)
        Scanned mass of the first h keys.
    half_width : Array, (..., r)
        Largest error of a scanned score that is not among the first h.
    weights : Array, (..., r, n)
        Scanned weights of these keys, zero for the others, with which they are drawn.
    scores : Array, (..., r, n)
        Scanned scores.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem
    >>> from tnattn.attention.sampling.rounded_keys import RoundedKeys
    >>> from tnattn.attention.sampling.scanned_tile import scanned_tile
    >>> x = np.asarray([[[1.0], [3.0], [2.0]]])
    >>> keys = RoundedKeys.of(AttentionProblem(x, x, x), 8)
    >>> scanned_tile(keys, slice(0, 1), slice(0, 3), refined=1, exact=2).indices.tolist()
    [[[[1, 2]]]]
    """

    indices: Array
    top: Array
    beyond: Array
    tail: Array
    heavy: Array
    half_width: Array
    weights: Array
    scores: Array

    def worth_drawing(self, promise: float) -> Array:
        """Return True for queries (..., r) whose bound from a sample is expected to be below the sure one."""
        xp = array_namespace(self.tail)
        # without a sample, w keys are exact; with one, h
        sure, rest = self.beyond[..., 1], self.heavy + self.tail
        sure = sure / (sure + xp.maximum(rest - sure, self.heavy))
        return (self.tail > 0) & (promise * xp.exp(self.half_width) * self.tail / rest < sure)

    def drawn(self, draws: Array) -> Array:
        """Return keys of the tail (..., r, m) that uniform numbers draw in proportion to their scanned weights."""
        xp = array_namespace(self.weights)
        # a row without tail draws any keys, to no effect
        none = xp.astype(self.tail[..., None] <= 0, self.weights.dtype)
        return drawn_positions(self.weights + none, draws)


def scanned_tile(keys: RoundedKeys, rows: slice, columns: slice, *, refined: int, exact: int) -> ScannedTile:
    """Scan a block: ``exact`` = w keys of largest upper bounds, of which the first ``refined`` = h have a tail."""
    xp = array_namespace(keys.errors)
    scores = keys.rounded.block_scores(rows, columns)
    infinity = float("inf")
    forbidden = scores == -infinity
    error = keys.query_norms[..., rows, :] * keys.errors[..., columns]
    upper = xp.where(forbidden, scores, scores + error)
    # scores that no number holds come first: their exact ones make the row bad
    upper = xp.where(xp.isnan(upper), xp.full_like(upper, infinity), upper)
    all_exact, all_refined = marked_largest(upper, (exact, refined))
    indices = marked_indices(all_exact, exact)
    order = xp.argsort(-xp.take_along_axis(upper, indices, axis=-1), axis=-1, stable=True)
    top = xp.max(scores, axis=-1)
    shift = xp.where(top == -infinity, xp.zeros_like(top), top)[..., None]
    zero = xp.zeros_like(scores)
    weights = xp.exp(scores - shift)
    most = xp.exp(upper - shift)
    rounding = 1 + _SLACK * scores.shape[-1] * eps(scores)
    left = [xp.sum(xp.where(marked, zero, most), axis=-1) * rounding for marked in (all_refined, all_exact)]
    heavy = xp.sum(xp.where(all_refined, weights, zero), axis=-1)
    weights = xp.where(all_refined, zero, weights)
    tail = xp.sum(weights, axis=-1)
    largest = xp.max(xp.where(all_refined | forbidden, zero, error), axis=-1)
    return ScannedTile(
        indices=xp.take_along_axis(indices, order, axis=-1),
        top=top,
        beyond=xp.stack(left, axis=-1),
        tail=tail,
        heavy=heavy,
        half_width=largest,
        weights=weights,
        scores=scores,
    )
