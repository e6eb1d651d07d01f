"""The kernel exp(q . k - shift) of queries with few keys, whose entries exist tile by tile."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from tnattn.arrays import Array, array_namespace, broadcast_shape, exp_in_place, matmul_into, widened
from tnattn.structured.gather import take_rows
from tnattn.structured.row_tiles import RowTiles, Stack, swept, tiles

_KEYS = 1024  # keys of a tile, at most: with more, tiles would have too few queries for fast products


@dataclass(frozen=True, eq=False, repr=False)
class ExponentialKernel(RowTiles):
    """exp(queries keys^T + bias - shift) for each matrix of a stack, (..., n, m), never formed.

    Parameters
    ----------
    queries : Array, (..., n, d)
        Scaled.
    keys : Array, (..., m, d)
        Batch axes broadcast against those of the queries.
    shift : Array, (..., n)
        NaN makes its row NaN.
    bias : Array, (m,), optional
    softcap : float, optional
        Scores s become softcap * tanh(s / softcap), before the bias.

    Notes
    -----
    A product with c columns costs 2 n m (d + c) operations and memory for the result only: tiles are cut along both
    axes, and each is finished while it lies in a core's cache.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.structured import ExponentialKernel
    >>> q, k = np.random.default_rng(0).standard_normal((2, 3, 5, 4))
    >>> kernel, sums = ExponentialKernel.shifted(q, k, times=(np.ones((3, 5, 1)),))
    >>> bool(np.allclose(kernel.shift, (q @ k.mT).max(axis=-1)))
    True
    >>> bool(np.allclose(sums[0], np.exp(q @ k.mT - kernel.shift[..., None]).sum(axis=-1, keepdims=True)))
    True
    """

    queries: Array
    keys: Array
    shift: Array
    bias: Array | None = None
    softcap: float | None = None

    @classmethod
    def shifted(
        cls,
        queries: Array,
        keys: Array,
        *,
        times: tuple[Array, ...],
        bias: Array | None = None,
        softcap: float | None = None,
    ) -> tuple[ExponentialKernel, tuple[Array, ...]]:
        """Return the kernel whose shifts are the largest scores of its rows, and its products with arrays.

        Parameters
        ----------
        queries, keys, bias, softcap
            As for the class. Half precision is widened, and so are the results.
        times : tuple of Array, (..., m, c)

        Returns
        -------
        kernel : ExponentialKernel, (..., n, m)
            Entries in [0, 1], with a one in every row. A shift is NaN where the largest score is not finite.
        products : tuple of Array, (..., n, c)
            From the sweep that finds the shifts.
        """
        queries, keys = widened(queries), widened(keys)
        xp = array_namespace(queries, keys)
        batch = broadcast_shape(queries.shape[:-2], keys.shape[:-2], *(x.shape[:-2] for x in times))
        unknown = cls(queries, keys, xp.zeros_like(queries[..., 0]), bias, softcap)
        *products, shift = unknown._swept(times, Stack(batch), own=True)
        return replace(unknown, shift=shift[..., 0]), tuple(products)

    @property
    def shape(self) -> tuple[int, ...]:
        batch = broadcast_shape(self.queries.shape[:-2], self.keys.shape[:-2], self.shift.shape[:-1])
        return (*batch, self.queries.shape[-2], self.keys.shape[-2])

    @property
    def like(self) -> Array:
        return self.queries

    @property
    def storage(self) -> int:
        parts = (self.queries, self.keys, self.shift, *(() if self.bias is None else (self.bias,)))
        return sum(math.prod(part.shape) for part in parts)

    def matmul_flops(self, columns: int) -> int:
        return int(2 * math.prod(self.shape) * (self.queries.shape[-1] + columns))

    def _matmul(self, x: Array) -> Array:
        return self._swept((x,), Stack(broadcast_shape(self.batch, x.shape[:-2])), own=False)[0]

    def rows(self, indices: Array) -> Array:
        chosen = [take_rows(x, indices) for x in (self.queries, self.shift[..., None])]
        return replace(self, queries=chosen[0], shift=chosen[1][..., 0]).to_dense()

    def columns(self, indices: Array) -> Array:
        xp = array_namespace(indices)
        bias = None if self.bias is None else xp.take(self.bias, xp.reshape(indices, (-1,)))
        if bias is not None and indices.ndim > 1:
            return super().columns(indices)  # a bias belongs to a key of all matrices
        return replace(self, keys=take_rows(self.keys, indices), bias=bias).to_dense()

    def blocks(self, stack: Stack) -> Callable[[slice, slice], Array]:
        queries, keys, shift = (stack.flat(x) for x in (self.queries, self.keys, self.shift[..., None]))

        def block(heads: slice, rows: slice) -> Array:
            scores = self._scores(queries[heads, rows, :], keys[heads, ...], slice(None), None)
            scores -= shift[heads, rows, :]
            return exp_in_place(scores)

        return block

    def _scores(self, queries: Array, keys: Array, columns: slice, spare: Array | None) -> Array:
        scores = matmul_into(queries, keys.mT, spare)
        if self.softcap is not None:
            scores = self.softcap * array_namespace(scores).tanh(scores / self.softcap)
        if self.bias is not None:
            scores += self.bias[columns]
        return scores

    def _swept(self, times: tuple[Array, ...], stack: Stack, *, own: bool) -> tuple[Array, ...]:
        """Return the products with arrays and the shifts (..., n, 1): those of the kernel, or, if ``own``, new ones."""
        n, m = self.shape[-2:]
        queries, keys, shift = (stack.flat(x) for x in (self.queries, self.keys, self.shift[..., None]))
        factors = [stack.flat(x) for x in times]
        chunks = [slice(start, min(start + _KEYS, m)) for start in range(0, m, _KEYS)]
        spare = threading.local()  # memory of the last tile of a thread, for the next one: fresh memory costs a product

        def work(heads: slice, rows: slice, outs: tuple[Array, ...]) -> tuple[Array, ...]:
            query, top = queries[heads, rows, :], None if own else shift[heads, rows, :]
            sums: list[Array] = []
            kernel: Array | None = getattr(spare, "array", None)
            for columns in chunks:
                kernel = self._scores(query, keys[heads, columns, :], columns, kernel)
                decay = None
                if own:
                    top, decay = _raised(kernel, top)
                kernel = exp_in_place(less_maximum(kernel, top))
                for index, factor in enumerate(factors):
                    # the first chunk, in most cases the only one, is written to its place
                    first = len(sums) <= index
                    part = matmul_into(kernel, factor[heads, columns, :], outs[index] if first else None)
                    if first:
                        sums.append(part)
                    else:
                        sums[index] = part + (sums[index] if decay is None else decay * sums[index])
            spare.array = kernel
            return (*sums, _finite_or_nan(top))

        places = tiles(stack.count, n, min(m, _KEYS), like=self.queries)
        shapes = (*((stack.count, n, factor.shape[-1]) for factor in factors), (stack.count, n, 1))
        operations = stack.count * n * m * (self.queries.shape[-1] + sum(x.shape[-1] for x in times))
        found = swept(work, places, shapes, like=self.queries, operations=operations)
        return tuple(stack.restored(x) for x in found)


def _raised(scores: Array, top: Array | None) -> tuple[Array, Array | None]:
    """Return the running maximum of the rows, and the factor of what was summed in units of the former one."""
    xp = array_namespace(scores)
    highest = xp.max(scores, axis=-1, keepdims=True)
    if top is None:
        return highest, None
    highest = xp.maximum(highest, top)
    return highest, xp.exp(less_maximum(top, highest))


def less_maximum(scores: Array, top: Array) -> Array:
    """Return scores less their maximum, in place; a maximum of minus infinity is no unit and stays out."""
    xp = array_namespace(scores)
    scores -= xp.where(top == -float("inf"), xp.zeros_like(top), top)
    return scores


def _finite_or_nan(top: Array) -> Array:
    xp = array_namespace(top)
    return xp.where(xp.isfinite(top), top, xp.full_like(top, float("nan")))
