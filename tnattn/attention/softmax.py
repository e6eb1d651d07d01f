"""The exact softmax weights as an operator whose products stream over blocks of queries."""

from __future__ import annotations

import math
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING

from tnattn.arrays import Array, array_namespace, device, exp_in_place, parallel_map, prefers_host_tiles
from tnattn.structured.base import StructuredMatrix

if TYPE_CHECKING:
    from tnattn.attention.problem import AttentionProblem

_TILE = 1 << 18  # scores held by one worker on the host: 1 MB of float32, which stays in a core's cache
_STACK = 1 << 24  # scores held at a time where one product serves all heads
_SAFE = 40.0  # exp of scores of this size neither overflows nor underflows, in float32 too, even summed


class SoftmaxOperator(StructuredMatrix):
    """softmax(scale Q K^T + mask) of every head, (..., G, R, n_q, n_k), never formed.

    Products cost O(n_q n_k (d + c)) and O(n_q) memory beyond the result.
    """

    def __init__(self, problem: AttentionProblem) -> None:
        self._problem = problem

    @property
    def shape(self) -> tuple[int, ...]:
        problem = self._problem
        return (*problem.batch, problem.n_q, problem.n_k)

    @property
    def like(self) -> Array:
        return self._problem.q

    @property
    def storage(self) -> int:
        problem = self._problem
        return int(math.prod(problem.q.shape) + math.prod(problem.k.shape))

    def matmul_flops(self, columns: int) -> int:
        problem = self._problem
        return 2 * self.count * problem.n_q * problem.n_k * (problem.width + columns)

    # products

    def _matmul(self, x: Array) -> Array:
        xp = array_namespace(self.like, x)
        x = xp.broadcast_to(x, (*self._outer(x), *x.shape[-2:]))

        def work(tile: tuple[tuple[int, ...], slice]) -> Array:
            head, rows = tile
            kernel, _, columns = self._kernel(head, rows)
            mass = xp.sum(kernel, axis=-1, keepdims=True)
            return _divide(kernel @ self._of_head(x, head)[..., columns, :], mass)

        return self._assemble(parallel_map(work, self._tiles(), like=self.like), axis=-2)

    def _rmatmul(self, y: Array) -> Array:
        xp = array_namespace(self.like, y)
        y = xp.broadcast_to(y, (*self._outer(y), *y.shape[-2:]))
        by_head: dict[tuple[int, ...], list[slice]] = {}
        for head, rows in self._tiles():
            by_head.setdefault(head, []).append(rows)

        def work(head: tuple[int, ...]) -> Array:
            of_head = self._of_head(y, head)
            total = xp.zeros((*of_head.shape[:-2], self.shape[-1], y.shape[-1]), dtype=y.dtype, device=device(y))
            for rows in by_head[head]:
                kernel, _, columns = self._kernel(head, rows)
                mass = xp.sum(kernel, axis=-1, keepdims=True)
                total[..., columns, :] += kernel.mT @ _divide(of_head[..., rows, :], mass)
            return total

        parts = parallel_map(work, list(by_head), like=self.like)
        return xp.reshape(xp.stack(parts), (*self.batch, *parts[0].shape[-2:])) if list(by_head) != [()] else parts[0]

    @cached_property
    def log_mass(self) -> Array:
        """Logarithm of the row sums of exp(scores), (..., G, R, n_q); minus infinity where a row sees no key."""
        xp = array_namespace(self.like)

        def work(tile: tuple[tuple[int, ...], slice]) -> Array:
            kernel, shift, _ = self._kernel(*tile)
            mass = xp.sum(kernel, axis=-1)
            positive = mass > 0
            return xp.where(positive, xp.log(xp.where(positive, mass, xp.ones_like(mass))) + shift, -float("inf"))

        return self._assemble(parallel_map(work, self._tiles(), like=self.like), axis=-1)

    def rows(self, indices: Array) -> Array:
        """Return the weights of the given queries, (..., G, R, len(indices), n_k)."""
        xp = array_namespace(self.like)
        scores = self._scores((), indices, slice(0, self.shape[-1]))
        kernel = exp_in_place(scores - _finite_maximum(scores))
        return _divide(kernel, xp.sum(kernel, axis=-1, keepdims=True))

    def scores(self, rows: slice, columns: slice) -> Array:
        """Return masked scores of a block, (..., G, R, rows, columns)."""
        return self._scores((), rows, columns)

    def to_dense(self) -> Array:
        return self.rows(_range(slice(0, self.shape[-2]), self.like))

    # tiles

    def _tiles(self) -> list[tuple[tuple[int, ...], slice]]:
        """Heads (an index of the batch axes, or () for all of them) and blocks of queries, in order."""
        n_q, n_k = self.shape[-2:]
        if prefers_host_tiles(self.like):
            heads: list[tuple[int, ...]] = list(product(*(range(size) for size in self.batch)))
            step = max(16, _TILE // n_k)
        else:
            heads, step = [()], max(1, _STACK // (n_k * self.count))
        blocks = [slice(start, min(start + step, n_q)) for start in range(0, n_q, step)]
        return [(head, rows) for head in heads for rows in blocks]

    def _assemble(self, parts: list[Array], axis: int) -> Array:
        xp = array_namespace(self.like)
        joined = xp.concat(parts, axis=axis)
        if prefers_host_tiles(self.like):  # heads follow each other along the axis of the queries
            shape = (*self.batch, self.shape[-2], *joined.shape[joined.ndim + axis + 1 :])
            return xp.reshape(joined, shape)
        return joined

    def _outer(self, x: Array) -> tuple[int, ...]:
        return self.batch if prefers_host_tiles(self.like) else tuple(x.shape[:-2])

    def _of_head(self, x: Array, head: tuple[int, ...]) -> Array:
        return x[head] if head else x

    @cached_property
    def _bounded(self) -> bool:
        """Whether all scores are so small that exp needs no shift (one synchronisation for the whole operator)."""
        problem = self._problem
        if problem.softcap is not None and problem.softcap <= _SAFE:
            return not problem.mask.has_bias
        xp = array_namespace(self.like)
        norms = [xp.max(xp.sum(x * x, axis=-1)) for x in (problem.q, problem.k)]
        return not problem.mask.has_bias and float(norms[0]) * float(norms[1]) * problem.score_scale**2 <= _SAFE**2

    def _kernel(self, head: tuple[int, ...], rows: slice) -> tuple[Array, Array, slice]:
        """Return exp(scores - shift), the shift, and the span of keys outside which the kernel is zero."""
        xp = array_namespace(self.like)
        columns = self._span(rows)
        scores = self._scores(head, rows, columns)
        if self._bounded:
            return exp_in_place(scores), xp.zeros(scores.shape[:-1], dtype=scores.dtype, device=device(scores)), columns
        # softmax does not change when a row of scores is shifted; the maximum keeps exp within [0, 1]
        shift = _finite_maximum(scores)
        scores -= shift
        return exp_in_place(scores), shift[..., 0], columns

    def _span(self, rows: slice) -> slice:
        n_q, n_k = self.shape[-2:]
        mask, step = self._problem.grouped_mask, 128
        chunks = [slice(start, min(start + step, n_k)) for start in range(0, n_k, step)]
        seen = [c for c in chunks if mask.coverage(rows, c, n_q=n_q, n_k=n_k) != "none"] or chunks[:1]
        return slice(seen[0].start, seen[-1].stop)

    def _scores(self, head: tuple[int, ...], rows: slice | Array, columns: slice) -> Array:
        problem = self._problem
        picked: slice | None = rows if isinstance(rows, slice) else None
        q, k = problem.queries, problem.keys[..., columns, :]
        if head:
            q, k = q[head], k[(*head[:-1], 0)]
        xp = array_namespace(q)
        q = q[..., picked, :] if picked is not None else xp.take(q, rows, axis=-2)
        scores = (q * problem.score_scale) @ k.mT
        if problem.softcap is not None:
            scores = problem.softcap * xp.tanh(scores / problem.softcap)
        n_q, n_k = self.shape[-2:]
        if picked is not None and problem.grouped_mask.coverage(picked, columns, n_q=n_q, n_k=n_k) == "all":
            return scores
        index: Array = rows if picked is None else _range(picked, q)
        i, j = index[:, None], _range(columns, q)[None, :]
        added = problem.grouped_mask.additive(i, j, n_q=n_q, n_k=n_k, like=q)
        if added is not None:
            if head and added.ndim > 2:
                added = xp.broadcast_to(added, (*self.batch, *added.shape[-2:]))[head]
            scores = scores + added
        return scores


def _range(span: slice, like: Array) -> Array:
    return array_namespace(like).arange(span.start, span.stop, device=device(like))


def _finite_maximum(scores: Array) -> Array:
    """Row maxima, (..., rows, 1), with 0 where a row is minus infinity throughout."""
    xp = array_namespace(scores)
    maximum = xp.max(scores, axis=-1, keepdims=True)
    return xp.where(xp.isfinite(maximum), maximum, xp.zeros_like(maximum))


def _divide(numerator: Array, mass: Array) -> Array:
    """Divide rows by their mass; a row without mass becomes zero."""
    xp = array_namespace(numerator)
    return numerator / xp.where(mass > 0, mass, xp.ones_like(mass))
