"""Features of queries and of keys as matrices that are evaluated when they are multiplied."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, broadcast_shape, matmul_into
from tnattn.attention.kernel_features import KernelFeatures, feature_entries
from tnattn.structured import RowTiles, StructuredMatrix
from tnattn.structured.row_tiles import Stack, swept, tiles


class KeyFeatures(StructuredMatrix):
    """Transposed features of keys in units of exp(peak), (..., G, 1, m, n), evaluated on use.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import KeySet, Performer
    >>> rng = np.random.default_rng(0)
    >>> k, v = rng.standard_normal((2, 1, 100, 4))
    >>> summary = Performer(features=8).summarise(KeySet.from_arrays(k, v), rng=rng)
    >>> type(summary.lift).__name__, summary.lift.shape
    ('KeyFeatures', (1, 1, 8, 100))
    >>> bool(np.allclose(summary.lift @ v, summary.values[0]))  # the sums of feature times value
    True
    """

    def __init__(self, features: KernelFeatures, keys: Array, peak: Array | None) -> None:
        self._features, self._keys, self._peak = features, keys, peak

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self._keys.shape[:-2], self._features.features, self._keys.shape[-2])

    @property
    def like(self) -> Array:
        return self._keys

    @property
    def storage(self) -> int:
        peak = 0 if self._peak is None else math.prod(self._peak.shape)
        return int(math.prod(self._keys.shape) + self._features.storage + peak)

    @property
    def mT(self) -> KeyRows:
        return KeyRows(self._features, self._keys, self._peak)

    def _matmul(self, x: Array) -> Array:
        return self.mT._rmatmul(x)

    def _rmatmul(self, y: Array) -> Array:
        return self.mT._matmul(y)

    def to_dense(self) -> Array:
        return self.mT.to_dense().mT

    def matmul_flops(self, columns: int) -> int:
        per_key = self._features.flops + 2 * self._features.features * columns
        return int(self.count * self._keys.shape[-2] * per_key)


@dataclass(frozen=True, eq=False, repr=False)
class KeyRows(RowTiles):
    """Features of keys in units of exp(peak), (..., G, 1, n, m), evaluated on use.

    Parameters
    ----------
    features : KernelFeatures
    keys : Array, (..., G, 1, n, d)
    peak : Array, (..., G, 1, 1, m) or (..., G, 1, 1, 1), or None

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import KeySet, Performer
    >>> rng = np.random.default_rng(0)
    >>> k, v = rng.standard_normal((2, 1, 100, 4))
    >>> rows = Performer(features=8).summarise(KeySet.from_arrays(k, v), rng=rng).lift.mT
    >>> rows.shape, float(rows.to_dense().max())
    ((1, 1, 100, 8), 1.0)
    """

    features: KernelFeatures
    keys: Array
    peak: Array | None

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.keys.shape[:-1], self.features.features)

    @property
    def like(self) -> Array:
        return self.keys

    @property
    def storage(self) -> int:
        peak = 0 if self.peak is None else math.prod(self.peak.shape)
        return int(math.prod(self.keys.shape) + self.features.storage + peak)

    def matmul_flops(self, columns: int) -> int:
        per_key = self.features.flops + 2 * self.features.features * columns
        return int(math.prod(self.keys.shape[:-1]) * per_key)

    def blocks(self, stack: Stack) -> Callable[[slice, slice], Array]:
        every, points = self.features.per_head(stack.flat), stack.flat(self.keys)
        peaks = None if self.peak is None else stack.flat(self.peak)

        def block(heads: slice, rows: slice) -> Array:
            own = every.per_head(lambda x: x[heads, ...])
            unit = None if peaks is None else peaks[heads, ...]
            return feature_entries(*own.of_keys(points[heads, rows, :]), unit)

        return block


@dataclass(frozen=True, eq=False, repr=False)
class QueryFeatures(RowTiles):
    """Features of queries in units of exp(top), the keys' peaks put back, (..., G, R, n, m), evaluated on use.

    Parameters
    ----------
    features : KernelFeatures
    queries : Array, (..., G, R, n, d)
    peak : Array, (..., G, 1, 1, m) or (..., G, 1, 1, 1), or None
        Exponents of the units of the sums over the keys.
    top : Array, (..., G, R, n)
        Exponents of the units of the rows; zero where the features have no exponents.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Performer
    >>> rng = np.random.default_rng(0)
    >>> kernel = Performer(features=8)(AttentionProblem(*rng.standard_normal((3, 1, 100, 4))), rng=rng).kernel
    >>> type(kernel).__name__, kernel.shape, float(kernel.to_dense().max())
    ('QueryFeatures', (1, 1, 100, 8), 1.0)
    """

    features: KernelFeatures
    queries: Array
    peak: Array | None
    top: Array

    @classmethod
    def shifted(
        cls, features: KernelFeatures, queries: Array, peak: Array | None, *, times: tuple[Array, ...]
    ) -> tuple[QueryFeatures, tuple[Array, ...]]:
        """Return the features whose largest exponent in every row is zero, and their products with arrays (..., m, c).

        One sweep gives both.
        """
        xp = array_namespace(queries)
        batch = broadcast_shape(queries.shape[:-2], *(x.shape[:-2] for x in times))
        stack, n = Stack(batch), queries.shape[-2]
        parts, factors = _exponents(features, queries, peak, stack), [stack.flat(x) for x in times]

        def work(heads: slice, rows: slice, outs: tuple[Array, ...]) -> tuple[Array, ...]:
            exponents, signs = parts(heads, rows)
            # one number per row leaves the exponents and enters the shift, so that the largest feature is exp(0)
            top = None if exponents is None else xp.max(exponents, axis=-1, keepdims=True)
            entries = feature_entries(exponents, signs, top)
            products = (matmul_into(entries, x[heads, ...], out) for x, out in zip(factors, outs, strict=False))
            return (*products, xp.zeros_like(entries[..., :1]) if top is None else top)

        shapes = (*((stack.count, n, x.shape[-1]) for x in times), (stack.count, n, 1))
        places = tiles(stack.count, n, features.features, like=queries)
        *products, top = (stack.restored(x) for x in swept(work, places, shapes, like=queries))
        return cls(features, queries, peak, top[..., 0]), tuple(products)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.top.shape, self.features.features)

    @property
    def like(self) -> Array:
        return self.queries

    @property
    def storage(self) -> int:
        parts = (self.queries, self.top, *(() if self.peak is None else (self.peak,)))
        return int(self.features.storage + sum(math.prod(part.shape) for part in parts))

    def matmul_flops(self, columns: int) -> int:
        return int(math.prod(self.top.shape) * (self.features.flops + 2 * self.features.features * columns))

    def blocks(self, stack: Stack) -> Callable[[slice, slice], Array]:
        parts, top = _exponents(self.features, self.queries, self.peak, stack), stack.flat(self.top[..., None])
        return lambda heads, rows: feature_entries(*parts(heads, rows), top[heads, rows, :])


def _exponents(
    features: KernelFeatures, queries: Array, peak: Array | None, stack: Stack
) -> Callable[[slice, slice], tuple[Array | None, Array | None]]:
    """Return the function of matrices and rows that gives exponents, in units of the peaks, and factors of features.

    The exponents of a tile are overwritten by the next one of the same thread: fresh memory for each costs the host
    more than the product that fills it.
    """
    flat, peaks = stack.flat(queries), None if peak is None else stack.flat(peak)
    spare = threading.local()

    def parts(heads: slice, rows: slice) -> tuple[Array | None, Array | None]:
        exponents, factors = features.of_queries(flat[heads, rows, :], getattr(spare, "array", None))
        spare.array = factors if exponents is None else exponents
        if exponents is not None and peaks is not None:
            exponents += peaks[heads, ...]
        return exponents, factors

    return parts
