"""Causal kernels whose entries are products of features before the leaf of a query, and exact within it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from tnattn.arrays import Array, array_namespace, broadcast_shape, device, parallel_map, quiet_overflow, runs_on_host
from tnattn.attention.approximation import Approximation
from tnattn.attention.kernel_features import KernelFeatures
from tnattn.attention.masks import CausalMask
from tnattn.attention.prefix_scan import Scan, Workspace, by_heads, in_common_units, key_features, query_features, runs
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import RowTiles
from tnattn.structured.row_tiles import DEVICE_TILE, HOST_TILE, Stack, Tile


@dataclass(frozen=True, eq=False, repr=False)
class PrefixKernel(RowTiles):
    """Kernel of causal attention, (..., G, R, n_q, n_k): phi(q) . phi(k) before the leaf of a query, exact within it.

    Leaves are runs of ``leaf`` positions from the first one on. A row is in units of exp of its largest exponent, which
    depends on the query and its past only.

    Parameters
    ----------
    features : KernelFeatures
    problem : AttentionProblem
        Queries are the last positions; its mask and values are not read.
    leaf : int
    exact : callable
        Returns the exact piece of a problem, with one column for each key, in the units of the features.

    Notes
    -----
    A product with c columns is one sweep over the positions, with a state of m c scalars per key head that only grows:
    2 (n_q + n_k) m c operations beside those of the features, and 2 n_q leaf (d + c) for the leaves. The dense form and
    products with the transpose evaluate all entries: they serve inspection.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Causal, CausalMask, LinearAttention
    >>> problem = AttentionProblem(*np.ones((3, 1, 5, 2)), mask=CausalMask())
    >>> kernel = Causal(LinearAttention(), leaf=2)(problem).kernel
    >>> type(kernel).__name__, kernel.shape
    ('PrefixKernel', (1, 1, 5, 5))
    >>> np.count_nonzero(kernel.to_dense(), axis=-1).tolist()  # every query sees its past and itself
    [[[1, 2, 3, 4, 5]]]
    """

    features: KernelFeatures
    problem: AttentionProblem
    leaf: int
    exact: Callable[[AttentionProblem], Approximation]

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.problem.batch, self.problem.n_q, self.problem.n_k)

    @property
    def like(self) -> Array:
        return self.problem.q

    @property
    def storage(self) -> int:
        return math.prod(self.problem.q.shape) + math.prod(self.problem.k.shape)

    def matmul_flops(self, columns: int) -> int:
        problem, *outer, ratio = self.problem, *self.problem.batch
        per_vector = self.features.flops + 2 * self.features.features * columns
        leaves = 2 * problem.n_q * min(self.leaf, problem.n_k) * (problem.width + columns)
        return math.prod(outer) * (ratio * (problem.n_q * per_vector + leaves) + problem.n_k * per_vector)

    def _matmul(self, x: Array) -> Array:
        return self.swept((x,))[0][0]

    def swept(self, times: tuple[Array, ...]) -> tuple[tuple[Array, ...], Array]:
        """Return products with arrays (..., n_k, c), and the shifts of the units of the rows, (..., G, R, n_q)."""
        problem, xp = self.problem, array_namespace(self.like)
        *outer, ratio = broadcast_shape(problem.batch, *(x.shape[:-2] for x in times))
        groups = tuple(outer)
        queries, keys = (by_heads(x, groups) for x in (problem.queries, problem.keys))
        features, factors = self.features.per_head(lambda x: by_heads(x, groups)), [by_heads(x, groups) for x in times]
        sizes = (*queries.shape[:1], ratio, problem.n_q)
        widths = [*(x.shape[-1] for x in times), 1]
        *outs, shift = (xp.empty((*sizes, c), dtype=self.like.dtype, device=device(self.like)) for c in widths)
        local = threading.local()
        together, most = self._tile(queries.shape[0], ratio, sum(widths))

        def work(heads: slice) -> None:
            mine, rows = features.per_head(lambda x: x[heads, ...]), [x[heads, ...] for x in factors]
            parts = queries[heads, ...], keys[heads, ...], rows
            if not hasattr(local, "space"):
                local.space = Workspace()
            scan = Scan(mine, *parts, leaf=self.leaf, exact=self._leaves, space=local.space)
            for place, products, units in scan.parts(most):
                shift[heads, :, place, 0] = units
                first = 0
                for out, width in zip(outs, widths, strict=False):
                    out[heads, :, place, :] = products[..., first : first + width]
                    first += width

        items = [slice(h, min(h + together, sizes[0])) for h in range(0, sizes[0], together)]
        with quiet_overflow():  # the caller examines the results
            parallel_map(work, items, like=self.like)
        one = shift[: math.prod(problem.batch[:-1]), :, :, 0]  # further batch axes of the factors repeat the units
        found = xp.reshape(one[:, : problem.batch[-1], :], (*problem.batch, problem.n_q))
        return tuple(xp.reshape(out, (*groups, *out.shape[1:])) for out in outs), found

    def _tile(self, count: int, ratio: int, columns: int) -> tuple[int, int]:
        """Return how many key heads and leaves are evaluated at a time."""
        m, n_k = self.features.features, self.problem.n_k
        per_leaf = m * max(min(self.leaf, n_k) * ratio, columns)  # the larger of features and sums
        if not runs_on_host(self.like):
            return count, max(1, DEVICE_TILE // (count * per_leaf))
        leaves = math.ceil(n_k / self.leaf)
        return max(1, HOST_TILE // (per_leaf * leaves)), max(1, HOST_TILE // per_leaf)

    def _leaves(self, queries: Array, keys: Array) -> tuple[Array, Array]:
        """Return exact entries (g, L, R, r', r) and shifts of leaves of queries and keys, in the layout of ``Scan``."""
        scale = self.problem.score_scale
        leaves = replace(
            self.problem, q=queries, k=keys, v=keys, mask=CausalMask(), scale=scale, check_finite=False
        )  # g and L are batch axes, one key head each
        piece = self.exact(leaves)
        return piece.kernel.dense_view()[:, :, 0, ...], piece.shift[:, :, 0, ...]

    # entries, for inspection

    def _tiles(self, stack: Stack) -> list[Tile]:
        leaves = [run.queries for run in runs(*self.shape[-2:], leaf=self.leaf, most=1)]
        rows = [part for part in leaves if part.stop > part.start]
        return [(slice(h, h + 1), part) for h in range(stack.count) for part in rows]

    def blocks(self, stack: Stack) -> Callable[[slice, slice], Array]:
        n_k, before = self.problem.n_k, self.problem.n_k - self.problem.n_q
        xp = array_namespace(self.like)
        queries, keys = (stack.flat(x)[:, None, ...] for x in (self.problem.queries, self.problem.keys))
        features = self.features.per_head(lambda x: stack.flat(x)[:, None, ...])

        def block(heads: slice, rows: slice) -> Array:
            start = (rows.start + before) // self.leaf * self.leaf
            stop = min(start + self.leaf, n_k)
            query, mine = queries[heads, :, rows, :], features.per_head(lambda x: x[heads, ...])
            near, shift = self._leaves(query[:, None, ...], keys[heads, None, :, start:stop, :])
            parts = [near]
            if start:
                past, peak = key_features(mine, keys[heads, :, :start, :])
                phi, top = query_features(mine, query, 1, None if peak is None else peak[:, None, ...], Workspace())
                parts = in_common_units([(phi @ past.mT[:, None, ...], top), (near, shift)])[0]
            later = xp.zeros((*near.shape[:-1], n_k - stop), dtype=near.dtype, device=device(near))
            return xp.concat([*parts, later], axis=-1)[:, 0, 0, ...]

        return block
