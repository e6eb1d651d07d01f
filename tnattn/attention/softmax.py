"""Exact softmax weights as an implicit operator whose products stream over tiles of queries and keys."""

from __future__ import annotations

import math
from itertools import product

from tnattn.arrays import (
    Array,
    array_namespace,
    broadcast_shape,
    device,
    exp_in_place,
    matmul_into,
    parallel_map,
    quiet_overflow,
    runs_on_host,
    widened,
)
from tnattn.attention.column_scaling import column_scaling
from tnattn.attention.few_queries import few_queries
from tnattn.attention.masked_scores import SAFE, Head, ScoreData, Scores, at, span
from tnattn.attention.score_tiles import ScoreTiles
from tnattn.cached import cached_property
from tnattn.structured.base import StructuredMatrix


class SoftmaxOperator(StructuredMatrix):
    """softmax(scale Q K^T + mask) of every head, (..., G, R, n_q, n_k), never formed.

    Products cost O(n_q n_k (d + c)) and O(n_q) memory beyond the result. Rows that the mask leaves without keys are
    zero; rows whose scores no number of the dtype can hold are NaN. Half precision is computed in float32.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem
    >>> weights = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 2, 5, 4))).weights
    >>> weights.shape  # (..., G, R, n_q, n_k)
    (2, 1, 5, 5)
    >>> round(float((weights @ np.ones((5, 1))).sum()), 6)  # ten rows that sum to one
    10.0
    """

    def __init__(self, problem: ScoreData) -> None:
        self._problem = problem
        self.blocks = Scores(problem)

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
        if x is not self._problem.values:
            return self._product(x)[0]
        return array_namespace(x).asarray(self._product_of_values[0], copy=True)

    @property
    def products_of_values(self) -> Array:
        """Weights times the values of the problem, kept with the operator: for reading only."""
        return self._product_of_values[0]

    @cached_property
    def _product_of_values(self) -> tuple[Array, Array, Array]:
        return self._product(self._problem.values)

    def _product(self, x: Array) -> tuple[Array, Array, Array]:
        """Return weights times x and, from the same sweep, the shift and the log mass in its units."""
        if (found := few_queries(self._problem, x)) is not None:
            return found
        bounded = self.blocks.bounded
        # unshifted row sums reach n exp(SAFE), shifted ones n
        scaling = column_scaling(x, growth=self.shape[-1] * (math.exp(SAFE) if bounded else 1.0))
        factor = x if scaling is None else scaling.scaled
        outer = broadcast_shape(self.batch, x.shape[:-2])
        out, shift, share = self._swept(outer, factor)
        xp = array_namespace(out)
        return out if scaling is None else xp.astype(scaling.undo(out), x.dtype, copy=False), shift, share

    @cached_property
    def _statistics(self) -> tuple[Array, Array]:
        """Finite shifts of the rows and logarithms of the row sums of exp(scores - shift), (..., G, R, n_q)."""
        if "_product_of_values" in self.__dict__:
            return self._product_of_values[1:]
        found = few_queries(self._problem, None)
        return (self._swept(self.batch, None) if found is None else found)[1:]

    @property
    def log_mass(self) -> Array:
        """Logarithm of the row sums of exp(scores), (..., G, R, n_q), in float32 for half precision.

        Minus infinity where the mask leaves no key, NaN where no number of the dtype holds the scores.
        """
        shift, share = self._statistics
        return shift + share

    def _swept(self, outer: tuple[int, ...], x: Array | None) -> tuple[Array, Array, Array]:
        """Return weights times x, of no columns without x, shifts and log masses of all rows, with batch ``outer``."""
        xp = array_namespace(self.like)
        place, wide = device(self.like), widened(self.like[..., :0, :]).dtype
        shape = (*outer, self.shape[-2])
        columns, dtype = (0, wide) if x is None else (x.shape[-1], x.dtype)
        out = xp.empty((*shape, columns), dtype=dtype, device=place)
        shifts, shares = (xp.empty(shape, dtype=wide, device=place) for _ in range(2))

        memory: list[Array] = []  # of tiles, for the next ones: at most one for each thread

        def work(tile: tuple[Head, slice]) -> None:
            head, rows = tile
            weighted, shifts[(*head, ..., rows)], shares[(*head, ..., rows)] = self._sweep(
                head, rows, None if x is None else at(x, head), memory
            )
            if weighted is not None:
                out[(*head, ..., rows, slice(None))] = xp.astype(weighted, dtype, copy=False)

        places = list(product(self._tiles.heads(outer), self._tiles.rows))
        with quiet_overflow():
            parallel_map(work, places, like=self.like, work=self._pairs(outer) * (self._problem.width + columns))
        return out, shifts, shares

    def _rmatmul(self, y: Array) -> Array:
        xp = array_namespace(self.like, y)
        outer = broadcast_shape(self.batch, y.shape[:-2])
        shift, share = (x[..., None] for x in self._statistics)
        share = xp.where(share == -float("inf"), xp.zeros_like(share), share)  # rows without keys stay zero
        bounded = self.blocks.bounded
        share = shift + share if bounded else share  # of one size: one subtraction serves both
        factor = widened(y)
        shape = (*outer, self.shape[-1], y.shape[-1])
        out = xp.zeros(shape, dtype=factor.dtype, device=device(y))

        # blocks of one head are summed by one thread, since they write to the same rows of the result
        def work(head: Head) -> None:
            mine, top, mass = at(factor, head), at(shift, head), at(share, head)
            for rows in self._tiles.rows:
                query = self.blocks.query(head, rows)
                for columns in self._tiles.chunks(rows):
                    scores = self.blocks.block(query, head, rows, columns)
                    if not bounded:
                        scores -= top[..., rows, :]  # before the log mass, which is small and keeps its digits
                    scores -= mass[..., rows, :]
                    out[(*head, ..., columns, slice(None))] += exp_in_place(scores).mT @ mine[..., rows, :]

        operations = self._pairs(outer) * (self._problem.width + y.shape[-1])
        with quiet_overflow():
            parallel_map(work, self._tiles.heads(outer), like=self.like, work=operations)
        return xp.astype(out, y.dtype, copy=False)

    @cached_property
    def _tiles(self) -> ScoreTiles:
        return ScoreTiles(self._problem)

    def _pairs(self, outer: tuple[int, ...]) -> int:
        """Number of scores of a stack; how many of them a mask admits does not matter to the choice of threads."""
        return math.prod(outer) * self.shape[-2] * self.shape[-1]

    def _sweep(
        self, head: Head, rows: slice, x: Array | None, memory: list[Array]
    ) -> tuple[Array | None, Array, Array]:
        """Return weights times x, or None, the shift and the log mass of a block of queries, over chunks of keys."""
        xp = array_namespace(self.like)
        unit, exponential = self.blocks.exponential
        query = self.blocks.query(head, rows, unit)
        chunks = self._tiles.chunks(rows)
        ones = xp.ones((max(c.stop - c.start for c in chunks), 1), dtype=query.dtype, device=device(query))
        mass, total, top = None, None, None
        spare, part = _taken(memory), None  # memory for the next chunk
        for columns in chunks:
            kernel = self.blocks.block(query, head, rows, columns, spare)
            spare = _larger(spare, kernel)
            decay = None
            if not self.blocks.bounded:
                # softmax does not change when a row is shifted; the running maximum keeps exp within [0, 1]
                highest = xp.max(kernel, axis=-1, keepdims=True)
                highest = highest if top is None else xp.maximum(highest, top)
                finite = _finite(highest)
                decay = None if top is None else xp.exp(top - finite)
                kernel -= finite
                top = highest
            kernel = exponential(kernel)
            share = kernel @ ones[: columns.stop - columns.start, :]  # a product is faster than a sum along rows
            part = None if x is None else matmul_into(kernel, widened(x[..., columns, :]), part)
            if mass is None:
                mass, total, part = share, part, None
                continue
            if decay is not None:
                mass *= decay
            mass += share
            if total is not None and part is not None:
                if decay is not None:
                    total *= decay
                total += part
        assert mass is not None
        if spare is not None and runs_on_host(spare):
            memory.append(spare)
        return self._divided(total, self._checked(mass, head, span(rows, query), chunks), top)

    def _divided(self, total: Array | None, mass: Array, top: Array | None) -> tuple[Array | None, Array, Array]:
        """Return a sum over the mass, the shift and the log mass; zeros and minus infinity in rows without mass."""
        xp = array_namespace(mass)
        empty = mass == 0
        safe = xp.where(empty, xp.ones_like(mass), mass)
        share = xp.where(empty, xp.full_like(mass, -float("inf")), xp.log(safe))[..., 0]
        shift = xp.zeros_like(share) if top is None else _finite(top)[..., 0]
        return None if total is None else total / safe, shift, share

    def _checked(self, mass: Array, head: Head, indices: Array, chunks: list[slice]) -> Array:
        """Return row sums with NaN where admissible keys have no mass: their scores overflowed."""
        xp = array_namespace(mass)
        if not self.blocks.unsafe or not bool(xp.any(mass == 0)):
            return mass
        lost = (mass == 0) & self.blocks.sees(head, indices, chunks)
        return xp.where(lost, xp.full_like(mass, float("nan")), mass)

    def rows(self, indices: Array) -> Array:
        """Return the weights of the given queries, (..., G, R, b, n_k), of indices (b,) or (..., G, R, b).

        Negative indices count from the end. Queries that differ between the heads cost products with unit vectors.

        Raises
        ------
        TypeError
            If ``indices`` is no array of integers.
        """
        xp = array_namespace(self.like, indices)
        if not xp.isdtype(indices.dtype, "integral") or indices.ndim not in (1, len(self.shape) - 1):
            raise TypeError(f"indices must be a vector of integers; got {indices.dtype} of shape {indices.shape}")
        n_q, n_k = self.shape[-2:]
        indices = xp.where(indices < 0, indices + n_q, indices)
        if indices.ndim != 1:
            return super().rows(indices)
        with quiet_overflow():
            kernel = self.blocks.rows(indices)
            kernel -= _finite(xp.max(kernel, axis=-1, keepdims=True))
            kernel = exp_in_place(kernel)
            mass = self._checked(xp.sum(kernel, axis=-1, keepdims=True), (), indices, [slice(0, n_k)])
        weights = kernel / xp.where(mass == 0, xp.ones_like(mass), mass)
        return xp.astype(weights, self.like.dtype, copy=False)

    def scores(self, rows: slice, columns: slice) -> Array:
        """Return masked scores of a block, (..., G, R, rows, columns), in float32 for half precision.

        Raises
        ------
        ValueError
            If a slice has a step other than one.
        """
        n_q, n_k = self.shape[-2:]
        rows, columns = _consecutive(rows, n_q), _consecutive(columns, n_k)
        with quiet_overflow():
            return self.blocks.block(self.blocks.query((), rows), (), rows, columns)

    def to_dense(self) -> Array:
        return self.rows(span(slice(0, self.shape[-2]), self.like))


def _taken(memory: list[Array]) -> Array | None:
    """Take an array out of a list that threads share, or None from an empty one."""
    try:
        return memory.pop()
    except IndexError:
        return None


def _larger(a: Array | None, b: Array) -> Array:
    return b if a is None or math.prod(a.shape) < math.prod(b.shape) else a


def _finite(highest: Array) -> Array:
    """Return row maxima as shifts: zero where there is no key, or no number, to shift by."""
    xp = array_namespace(highest)
    return xp.where(xp.isfinite(highest), highest, xp.zeros_like(highest))


def _consecutive(part: slice, n: int) -> slice:
    """Return a slice of n queries or keys with both limits filled in."""
    start, stop, step = part.indices(n)
    if step != 1:
        raise ValueError(f"a block has consecutive queries and keys, with step 1; got {part}; slice the block instead")
    return slice(start, stop)
