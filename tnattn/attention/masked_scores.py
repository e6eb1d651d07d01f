"""Masked scores of blocks of queries and keys."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from tnattn.arrays import (
    Array,
    array_namespace,
    device,
    exp_in_place,
    matmul_into,
    quiet_overflow,
    scaled_exponential,
    widened,
)
from tnattn.attention.masks import FullMask, Mask
from tnattn.cached import cached_property
from tnattn.structured.gather import gather_rows

Head = tuple[int | slice, ...]  # an index into batch axes, or () for all heads at once

SAFE = 40.0  # exp(+-40) = 10^(+-17.4), summed over up to 1e20 keys, stays within float32, 10^(+-38)
_BLOCK = 1 << 22  # gathered scalars held at a time: 16 MB of float32


@runtime_checkable
class ScoreData(Protocol):
    """Protocol of the data of scores: queries, keys, mask and the values that they weight.

    ``AttentionProblem`` is one; ``queries``, ``keys``, ``values`` and ``grouped_mask`` have the grouped layout.
    """

    @property
    def q(self) -> Array: ...

    @property
    def k(self) -> Array: ...

    @property
    def queries(self) -> Array: ...

    @property
    def keys(self) -> Array: ...

    @property
    def values(self) -> Array: ...

    @property
    def mask(self) -> Mask: ...

    @property
    def grouped_mask(self) -> Mask: ...

    @property
    def batch(self) -> tuple[int, ...]: ...

    @property
    def n_q(self) -> int: ...

    @property
    def n_k(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def score_scale(self) -> float: ...

    @property
    def softcap(self) -> float | None: ...

    @property
    def tile(self) -> int | None: ...


class Scores:
    """scale Q K^T, capped and masked, block by block; half precision is computed in, and returned as, float32.

    A score that no number of the dtype can hold is NaN where it would be plus infinity, and minus infinity at the other
    end, where its weight is zero beside any other key. A forbidden key is minus infinity whatever its score.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, CausalMask
    >>> from tnattn.attention.masked_scores import Scores
    >>> x = np.asarray([[[1.0], [2.0]]])
    >>> scores = Scores(AttentionProblem(x, x, x, mask=CausalMask()))
    >>> scores.rows(np.arange(2))[0, 0].tolist()
    [[1.0, -inf], [2.0, 4.0]]
    >>> scores.reach, scores.bounded
    (4.0, True)
    """

    def __init__(self, problem: ScoreData) -> None:
        self._problem = problem
        self._latest: tuple[tuple[int, int, int], Array | None] | None = None

    # size

    @cached_property
    def reach(self) -> float:
        """Upper limit of the scores before mask and softcap, by Cauchy and Schwarz: the largest |q| |k| scale."""
        problem = self._problem
        return largest_norm(problem.q) * largest_norm(problem.k) * problem.score_scale

    @cached_property
    def bounded(self) -> bool:
        """True if exp of the scores needs no shift."""
        cap = self._problem.softcap
        if self._problem.mask.has_bias:  # a bias may be of any size
            return False
        return (cap is not None and cap <= SAFE) or self.reach <= SAFE

    @cached_property
    def unsafe(self) -> bool:
        """True if a score may overflow, alone or with a bias."""
        xp = array_namespace(self._problem.q)
        limits = xp.finfo(widened(self._problem.q[..., :0, :]).dtype)
        # a score below a quarter of the last digit of the largest number does not change it when it is added;
        # written with not, so that a reach of NaN is unsafe
        return not self.reach <= float(limits.max) * float(limits.eps) / 4

    @cached_property
    def exponential(self) -> tuple[float, Callable[[Array], Array]]:
        """A unit of the scores, and the function that gives exp of scores from those in that unit, in place."""
        if self.bounded and self._problem.softcap is None:  # no shift and no cap is in another unit
            return scaled_exponential(self._problem.q)
        return 1.0, exp_in_place

    # blocks of one head, or of all

    def query(self, head: Head, rows: slice, unit: float = 1.0) -> Array:
        """Return scaled queries of a head, or of all for (), (..., rows, d), times a unit of the scores."""
        return widened(at(self._problem.queries, head)[..., rows, :]) * (self._problem.score_scale * unit)

    def block(self, query: Array, head: Head, rows: slice, columns: slice, spare: Array | None = None) -> Array:
        """Return scores of scaled queries, (..., rows, columns), in the memory of ``spare`` where that is possible."""
        keys = at(self._problem.keys, head)[..., columns, :]
        scores = matmul_into(query, widened(keys).mT, spare)
        problem = self._problem
        if problem.grouped_mask.coverage(rows, columns, n_q=problem.n_q, n_k=problem.n_k) == "all":
            return self._finished(scores, None)
        # only blocks that the mask cuts pay for its entries
        return self._finished(scores, self._cut(head, rows, columns, scores))

    def _cut(self, head: Head, rows: slice, columns: slice, like: Array) -> Array | None:
        """Return what the mask adds to a tile; those on one diagonal share it where only distances matter."""
        if not all(part.stationary for part in self._problem.mask.conjuncts):
            return self._added(head, span(rows, like), columns, like)
        place = (rows.stop - rows.start, columns.stop - columns.start, columns.start - rows.start)
        latest = self._latest  # read and written once, so that threads see a place with its own entries
        if latest is None or latest[0] != place:
            self._latest = latest = (place, self._added((), span(rows, like), columns, like))
        return latest[1]

    def rows(self, indices: Array) -> Array:
        """Return scores of the given queries with all keys, (..., G, R, len(indices), n_k)."""
        problem = self._problem
        query = widened(array_namespace(indices).take(problem.queries, indices, axis=-2)) * problem.score_scale
        scores = query @ widened(problem.keys).mT
        return self._finished(scores, self._added((), indices, slice(0, problem.n_k), scores))

    def sees(self, head: Head, indices: Array, chunks: list[slice]) -> Array:
        """Return True for queries to which the mask admits a key, (..., len(indices), 1); broadcasts to the head."""
        xp = array_namespace(indices)
        found = xp.zeros((indices.shape[0], 1), dtype=xp.bool, device=device(indices))
        for columns in chunks:
            added = self._added(head, indices, columns, widened(self._problem.q))
            admitted = True if added is None else xp.any(added > -float("inf"), axis=-1, keepdims=True)
            found = found | admitted
        return found

    def _added(self, head: Head, i: Array, columns: slice, like: Array) -> Array | None:
        problem = self._problem
        j = span(columns, like)
        added = problem.grouped_mask.additive(i[:, None], j[None, :], n_q=problem.n_q, n_k=problem.n_k, like=like)
        return added if added is None else at(added, head)

    def _finished(self, scores: Array, added: Array | None) -> Array:
        scores = self.capped(scores)
        if added is not None:
            scores += added
        if not self.unsafe:
            return scores
        xp = array_namespace(scores)
        infinity = float("inf")
        scores = xp.where(scores == infinity, xp.full_like(scores, float("nan")), scores)
        # an infinite score plus minus infinity is NaN: forbidden keys are forbidden again
        return scores if added is None else xp.where(added == -infinity, added, scores)

    def capped(self, scores: Array) -> Array:
        """Return softcap * tanh(scores / softcap), or the scores themselves without softcap."""
        cap = self._problem.softcap
        return scores if cap is None else cap * array_namespace(scores).tanh(scores / cap)

    # scores of every query with its own keys

    def gathered(self, indices: Array, queries: slice | None = None) -> Array:
        """Return scores of queries, all by default, with a list of keys each, (..., G, R, n, w), for (..., n, w)."""
        problem = self._problem
        first, stop = (0, problem.n_q) if queries is None else (queries.start, queries.stop)
        xp = array_namespace(problem.q)
        width = indices.shape[-1]
        # keys are gathered for a block of queries at a time: n_q w d scalars would be quadratic for large w
        step = max(1, _BLOCK // max(1, width * problem.width * math.prod(problem.batch)))
        blocks = []
        for start in range(first, stop, step):
            rows = slice(start, min(start + step, stop))
            own = indices[..., start - first : rows.stop - first, :]
            keys = widened(gather_rows(problem.keys, own))  # (..., rows, w, d)
            blocks.append((self.query((), rows)[..., None, :] @ keys.mT)[..., 0, :])
        scores = xp.concat(blocks, axis=-2)
        i = xp.arange(first, stop, device=device(problem.q))[:, None]
        added = problem.grouped_mask.additive(i, indices, n_q=problem.n_q, n_k=problem.n_k, like=scores)
        return self._finished(scores, added)

    def tiles(self, rows: slice, indices: Array) -> Array:
        """Return scores of p equal blocks of queries with a list of keys each, (..., G, R, p, b, s)."""
        problem = self._problem
        xp = array_namespace(problem.q)
        blocks, width = indices.shape[-2:]
        queries = self.query((), rows)
        size = queries.shape[-2] // blocks
        queries = xp.reshape(queries, (*queries.shape[:-2], blocks, size, problem.width))
        scores = queries @ widened(gather_rows(problem.keys, indices)).mT
        if all(isinstance(part, FullMask) for part in problem.mask.conjuncts):
            return self._finished(scores, None)
        i = xp.arange(rows.start, rows.stop, dtype=xp.int64, device=device(problem.q))[:, None]
        repeated = xp.broadcast_to(indices[..., None, :], (*indices.shape[:-1], size, width))
        j = xp.reshape(repeated, (*indices.shape[:-2], blocks * size, width))
        added = problem.grouped_mask.additive(i, j, n_q=problem.n_q, n_k=problem.n_k, like=scores)
        if added is not None:
            added = xp.broadcast_to(added, (*added.shape[:-2], blocks * size, width))
            added = xp.reshape(added, (*added.shape[:-2], blocks, size, width))
        return self._finished(scores, added)


def at(array: Array, head: Head) -> Array:
    """Return the matrices of a stack at an index of batch axes that the stack broadcasts to; all of them for ()."""
    batch = array.shape[:-2]
    if not head or not batch:
        return array
    index = head[len(head) - len(batch) :]
    # an axis of length one serves every entry of the axis that it broadcasts to
    fitted = (i if n > 1 else slice(0, 1) if isinstance(i, slice) else 0 for i, n in zip(index, batch, strict=True))
    return array[(*fitted, ...)]


def span(part: slice, like: Array) -> Array:
    """Return the integers of a slice on the device of an array."""
    return array_namespace(like).arange(part.start, part.stop, device=device(like))


def largest_norm(x: Array) -> float:
    """Return the largest Euclidean norm of the rows, without overflow or underflow; NaN where an entry is NaN."""
    if 0 in x.shape:
        return 0.0
    xp = array_namespace(x)
    x = widened(x)
    with quiet_overflow():
        square = float(xp.max(xp.vecdot(x, x)))
        if 1e-20 < square < math.inf:  # no square that matters underflowed in float32, whose least number is 1e-38
            return math.sqrt(square)
        largest = float(xp.max(xp.abs(x)))
        if not 0 < largest < math.inf:
            return largest
        x = x / largest  # a second pass, with squares of numbers up to one
        return largest * math.sqrt(float(xp.max(xp.vecdot(x, x))))
