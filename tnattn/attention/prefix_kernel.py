"""Causal kernels whose entries are products of features before the leaf of a query, and exact within it."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, broadcast_shape, device, parallel_map, quiet_overflow, runs_on_host
from tnattn.attention.exact_leaves import Leaves
from tnattn.attention.kernel_features import KernelFeatures
from tnattn.attention.prefix_scan import Scan, by_heads
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.workspace import Workspace
from tnattn.structured import StructuredMatrix
from tnattn.structured.row_tiles import DEVICE_TILE, HOST_TILE

_COLUMNS = 256  # of the dense form at a time: the features of one sweep serve all of them


@dataclass(frozen=True, eq=False, repr=False)
class PrefixKernel(StructuredMatrix):
    """Kernel of causal attention, (..., G, R, n_q, n_k): phi(q) . phi(k) before the leaf of a query, exact within it.

    Leaves are runs of ``leaf`` positions from the first one on. A row is in units of exp of its largest exponent, which
    depends on the query and its past only.

    Parameters
    ----------
    features : KernelFeatures
        The kernel itself if they are exact, an estimate of exp(scores) otherwise.
    problem : AttentionProblem
        Queries are the last positions; its mask and values are not read.
    leaf : int

    Notes
    -----
    A product with c columns is one sweep over the positions, with a state of m c scalars per key head that only grows:
    2 (n_q + n_k) m c operations beside those of the features, and 2 n_q leaf (d + c) for the leaves. The dense form and
    products with the transpose cost one sweep for every 256 keys: they serve inspection.

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

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.problem.batch, self.problem.n_q, self.problem.n_k)

    @property
    def like(self) -> Array:
        return self.problem.q

    @property
    def storage(self) -> int:
        problem = self.problem
        return int(math.prod(problem.q.shape) + math.prod(problem.k.shape) + self.features.storage)

    def matmul_flops(self, columns: int) -> int:
        problem, (*outer, ratio) = self.problem, self.problem.batch
        per_vector = self.features.flops + 2 * self.features.features * columns
        width = self.features.features if self.features.exact else problem.width
        leaves = 2 * problem.n_q * min(self.leaf, problem.n_k) * (width + columns)
        return math.prod(outer) * (ratio * (problem.n_q * per_vector + leaves) + problem.n_k * per_vector)

    def _matmul(self, x: Array) -> Array:
        return self.swept((x,))[0][0]

    def _rmatmul(self, y: Array) -> Array:
        xp = array_namespace(y)
        return xp.concat([block.mT @ y for block in self._blocks()], axis=-2)

    def to_dense(self) -> Array:
        return array_namespace(self.like).concat(list(self._blocks()), axis=-1)

    def _blocks(self) -> Iterator[Array]:
        """Yield columns of the dense form, as products with columns of the identity."""
        xp, n = array_namespace(self.like), self.shape[-1]
        for start in range(0, n, _COLUMNS):
            width = min(_COLUMNS, n - start)
            yield self._matmul(xp.eye(n, width, k=-start, dtype=self.like.dtype, device=device(self.like)))

    def swept(self, times: tuple[Array, ...]) -> tuple[tuple[Array, ...], Array]:
        """Return products with arrays (..., n_k, c), and the shifts of the units of the rows, (..., G, R, n_q)."""
        problem, xp = self.problem, array_namespace(self.like)
        *outer, ratio = broadcast_shape(problem.batch, *(x.shape[:-2] for x in times))
        groups = tuple(outer)
        queries, keys = (by_heads(x, groups) for x in (problem.queries, problem.keys))
        features, factors = self.features.per_head(lambda x: by_heads(x, groups)), [by_heads(x, groups) for x in times]
        sizes, widths = (queries.shape[0], ratio, problem.n_q), [*(x.shape[-1] for x in times), 1]
        *outs, shift = (xp.empty((*sizes, c), dtype=self.like.dtype, device=device(self.like)) for c in widths)
        leaves = Leaves(self.leaf, problem.score_scale, not self.features.exact and problem.weights.blocks.unsafe)
        together, most = self._tile(sizes[0], ratio, sum(widths))
        local = threading.local()

        def work(heads: slice) -> None:
            if not hasattr(local, "space"):
                local.space = Workspace()
            mine, rows = features.per_head(lambda x: x[heads, ...]), [x[heads, ...] for x in factors]
            scan = Scan(mine, queries[heads, ...], keys[heads, ...], rows, leaves=leaves, space=local.space)
            for place, products, units in scan.parts(most):
                shift[heads, :, place, 0] = units
                first = 0
                for out, width in zip(outs, widths, strict=False):
                    out[heads, :, place, :] = products[..., first : first + width]
                    first += width

        with quiet_overflow():  # the caller examines the results
            parallel_map(work, [slice(h, min(h + together, sizes[0])) for h in range(0, sizes[0], together)], like=keys)
        products = tuple(xp.reshape(x, (*groups, *x.shape[1:])) for x in outs)
        if 0 in groups:
            return products, xp.zeros(self.shape[:-1], dtype=self.like.dtype, device=device(self.like))
        # further batch axes of the factors repeat the units
        units = shift[: math.prod(problem.batch[:-1]), : problem.batch[-1], :, 0]
        return products, xp.reshape(units, self.shape[:-1])

    def _tile(self, count: int, ratio: int, columns: int) -> tuple[int, int]:
        """Return how many key heads and leaves are evaluated at a time."""
        m, n_k = self.features.features, self.problem.n_k
        per_leaf = m * max(min(self.leaf, n_k) * ratio, columns)  # the larger of features and sums
        if not runs_on_host(self.like):
            return max(1, count), max(1, DEVICE_TILE // (max(1, count) * per_leaf))
        leaves = math.ceil(n_k / self.leaf)
        return max(1, HOST_TILE // (per_leaf * leaves)), max(1, HOST_TILE // per_leaf)
