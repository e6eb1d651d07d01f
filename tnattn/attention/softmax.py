"""The exact softmax weights as an operator whose products stream over blocks of queries."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

from tnattn.arrays import (
    Array,
    array_namespace,
    broadcast_shape,
    device,
    exp_in_place,
    matmul_into,
    parallel_map,
    prefers_host_tiles,
    widened,
)
from tnattn.attention.masks import Full
from tnattn.cached import cached_property
from tnattn.structured.base import StructuredMatrix

if TYPE_CHECKING:
    from tnattn.attention.problem import AttentionProblem

_TILE = 1024  # queries and keys of a tile on the host: 4 MB of float32 scores; smaller ones wait for the interpreter
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
        return self._product_of_values[0] if x is self._problem.values else self._product(x)[0]

    @cached_property
    def _product_of_values(self) -> tuple[Array, Array]:
        return self._product(self._problem.values)

    def _product(self, x: Array) -> tuple[Array, Array]:
        """Return weights times x and the log mass, from one sweep."""
        xp = array_namespace(self.like, x)
        outer = broadcast_shape(self.batch, x.shape[:-2])
        out = xp.empty((*outer, self.shape[-2], x.shape[-1]), dtype=x.dtype, device=device(x))
        x = xp.broadcast_to(x, (*self._outer(x), *x.shape[-2:]))

        def work(tile: tuple[tuple[int, ...], slice]) -> Array:
            head, rows = tile
            product, log_mass = self._sweep(head, rows, x[head] if head else x)
            out[(*head, ..., rows, slice(None))] = xp.astype(product, x.dtype, copy=False)
            return log_mass

        masses = parallel_map(work, self._tiles(), like=self.like)
        return out, self._assemble(masses, axis=-1)

    def _rmatmul(self, y: Array) -> Array:
        xp = array_namespace(self.like, y)
        y = xp.broadcast_to(y, (*self._outer(y), *y.shape[-2:]))
        log_mass = xp.where(xp.isfinite(self.log_mass), self.log_mass, xp.zeros_like(self.log_mass))[..., None]
        by_head: dict[tuple[int, ...], list[slice]] = {}
        for head, rows in self._tiles():
            by_head.setdefault(head, []).append(rows)

        def work(head: tuple[int, ...]) -> Array:
            mine, masses = (y, log_mass) if not head else (y[head], log_mass[head])
            mine = widened(mine)
            total = xp.zeros((*mine.shape[:-2], self.shape[-1], y.shape[-1]), dtype=mine.dtype, device=device(y))
            for rows in by_head[head]:
                query = self._query(head, rows)
                for columns in self._chunks(rows):
                    weights = exp_in_place(self._scores(query, head, rows, columns) - masses[..., rows, :])
                    total[..., columns, :] += weights.mT @ mine[..., rows, :]
            return total

        if not prefers_host_tiles(self.like):
            shape = (*self.batch, *y.shape[-2:])
            y = xp.broadcast_to(y, shape)
            return work(())
        parts = parallel_map(work, list(by_head), like=self.like)
        return xp.reshape(xp.stack(parts), (*self.batch, *parts[0].shape[-2:]))

    @cached_property
    def log_mass(self) -> Array:
        """Logarithm of the row sums of exp(scores), (..., G, R, n_q); minus infinity where a row sees no key."""
        if "_product_of_values" in self.__dict__:
            return self._product_of_values[1]
        return self._assemble(
            parallel_map(lambda tile: self._sweep(*tile, None)[1], self._tiles(), like=self.like), axis=-1
        )

    def _sweep(self, head: tuple[int, ...], rows: slice, x: Array | None) -> tuple[Array | None, Array]:
        """Return weights times x, or None, and the log mass of a block of queries, over chunks of keys."""
        xp = array_namespace(self.like)
        query = self._query(head, rows)
        mass, total, top = None, None, None
        kernel, part = None, None  # their memory serves the next chunk
        for columns in self._chunks(rows):
            scores = self._scores(query, head, rows, columns, spare=kernel)
            decay = None
            if not self._bounded:
                # softmax does not change when a row is shifted; the running maximum keeps exp within [0, 1]
                highest = xp.max(scores, axis=-1, keepdims=True)
                highest = highest if top is None else xp.maximum(highest, top)
                finite = xp.where(xp.isfinite(highest), highest, xp.zeros_like(highest))
                decay = None if top is None else xp.exp(top - finite)
                scores -= finite
                top = highest
            kernel = exp_in_place(scores)
            share = xp.sum(kernel, axis=-1, keepdims=True)
            part = None if x is None else matmul_into(kernel, widened(x[..., columns, :]), part)
            if mass is None:
                mass, total, part = share, part, None
                continue
            if decay is not None:
                mass *= decay
                total = None if total is None else decay * total
            mass += share
            if total is not None:
                total += part
        assert mass is not None
        positive = mass > 0
        safe = xp.where(positive, mass, xp.ones_like(mass))
        log_mass = xp.log(safe) if top is None else xp.log(safe) + xp.where(positive, top, xp.zeros_like(top))
        log_mass = xp.where(positive, log_mass, xp.full_like(log_mass, -float("inf")))
        return None if total is None else total / safe, log_mass[..., 0]

    def rows(self, indices: Array) -> Array:
        """Return the weights of the given queries, (..., G, R, len(indices), n_k)."""
        xp = array_namespace(self.like)
        query = widened(xp.take(self._problem.queries, indices, axis=-2)) * self._problem.score_scale
        scores = self._masked(query @ widened(self._problem.keys).mT, (), indices, slice(0, self.shape[-1]))
        highest = xp.max(scores, axis=-1, keepdims=True)
        kernel = exp_in_place(scores - xp.where(xp.isfinite(highest), highest, xp.zeros_like(highest)))
        mass = xp.sum(kernel, axis=-1, keepdims=True)
        return kernel / xp.where(mass > 0, mass, xp.ones_like(mass))

    def scores(self, rows: slice, columns: slice) -> Array:
        """Return masked scores of a block, (..., G, R, rows, columns)."""
        return self._scores(self._query((), rows), (), rows, columns)

    def to_dense(self) -> Array:
        return self.rows(_range(slice(0, self.shape[-2]), self.like))

    # tiles

    def _tiles(self) -> list[tuple[tuple[int, ...], slice]]:
        """Heads (an index of the batch axes, or () for all of them) and blocks of queries, in order."""
        n_q, n_k = self.shape[-2:]
        heads: list[tuple[int, ...]] = [()]
        step = max(1, _STACK // (n_k * self.count))
        if prefers_host_tiles(self.like):
            heads, step = list(product(*(range(size) for size in self.batch))), self._tile
        blocks = [slice(start, min(start + step, n_q)) for start in range(0, n_q, step)]
        return [(head, rows) for head in heads for rows in blocks]

    @property
    def _tile(self) -> int:
        """Side of a tile on the host: half where a mask leaves parts of tiles empty."""
        return _TILE if isinstance(self._problem.mask, Full) else _TILE // 2

    def _chunks(self, rows: slice) -> list[slice]:
        """Chunks of keys that the block of queries may see; at least one, so that a blind block gets its zeros."""
        n_q, n_k = self.shape[-2:]
        step = self._tile if prefers_host_tiles(self.like) else n_k
        mask = self._problem.grouped_mask
        chunks = [slice(start, min(start + step, n_k)) for start in range(0, n_k, step)]
        return [c for c in chunks if mask.coverage(rows, c, n_q=n_q, n_k=n_k) != "none"] or chunks[:1]

    def _assemble(self, parts: list[Array], axis: int) -> Array:
        xp = array_namespace(self.like)
        joined = xp.concat(parts, axis=axis)
        if prefers_host_tiles(self.like):  # heads follow each other along the axis of the queries
            return xp.reshape(joined, (*self.batch, self.shape[-2], *joined.shape[joined.ndim + axis + 1 :]))
        return joined

    def _outer(self, x: Array) -> tuple[int, ...]:
        return self.batch if prefers_host_tiles(self.like) else tuple(x.shape[:-2])

    @cached_property
    def _bounded(self) -> bool:
        """Whether all scores are so small that exp needs no shift (one synchronisation for the whole operator)."""
        problem = self._problem
        if problem.mask.has_bias:
            return False
        if problem.softcap is not None and problem.softcap <= _SAFE:
            return True
        xp = array_namespace(self.like)
        largest = [xp.max(xp.sum(widened(x) ** 2, axis=-1)) for x in (problem.q, problem.k)]
        return float(largest[0]) * float(largest[1]) * problem.score_scale**2 <= _SAFE**2

    def _query(self, head: tuple[int, ...], rows: slice) -> Array:
        queries = self._problem.queries
        return widened((queries[head] if head else queries)[..., rows, :]) * self._problem.score_scale

    def _scores(
        self, query: Array, head: tuple[int, ...], rows: slice, columns: slice, spare: Array | None = None
    ) -> Array:
        """Masked scores of scaled queries, (..., rows, columns), in the memory of ``spare`` where that is possible."""
        keys = self._problem.keys
        keys = (keys[(*head[:-1], 0)] if head else keys)[..., columns, :]
        n_q, n_k = self.shape[-2:]
        scores = matmul_into(query, widened(keys).mT, spare)
        if self._problem.grouped_mask.coverage(rows, columns, n_q=n_q, n_k=n_k) == "all":
            return self._capped(scores)
        return self._masked(scores, head, _range(rows, query), columns)

    def _capped(self, scores: Array) -> Array:
        cap = self._problem.softcap
        return scores if cap is None else cap * array_namespace(scores).tanh(scores / cap)

    def _masked(self, scores: Array, head: tuple[int, ...], rows: Array, columns: slice) -> Array:
        xp = array_namespace(scores)
        n_q, n_k = self.shape[-2:]
        mask = self._problem.grouped_mask
        i, j = rows[:, None], _range(columns, scores)[None, :]
        added = mask.additive(i, j, n_q=n_q, n_k=n_k, like=scores)
        scores = self._capped(scores)
        if added is None:
            return scores
        if head and added.ndim > 2:
            added = xp.broadcast_to(added, (*self.batch, *added.shape[-2:]))[head]
        return scores + added


def _range(span: slice, like: Array) -> Array:
    return array_namespace(like).arange(span.start, span.stop, device=device(like))
