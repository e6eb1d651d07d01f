"""Feature maps, and the features of queries and of keys as matrices that are evaluated when they are multiplied."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from tnattn.arrays import Array, array_namespace, broadcast_shape, exp_in_place
from tnattn.attention.random_features.features import FeatureKind
from tnattn.display import Displayed
from tnattn.scalars import Parameters
from tnattn.structured import RowTiles, StructuredMatrix
from tnattn.structured.row_tiles import Stack, swept, tiles


@dataclass(frozen=True, eq=False, repr=False)
class FeatureMap(Parameters, Displayed):
    """A drawn feature map for the kernel exp(scale q . (k - origin)).

    Parameters
    ----------
    kind : FeatureKind
    features : int
    directions : Array, (p, d)
    scale : float
    origin : Array, (..., G, 1, 1, d), optional
        Subtracted from the keys; the scores lose scale q . origin, which the row shift gives back.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import KeySet, Performer
    >>> rng = np.random.default_rng(0)
    >>> q, k = rng.standard_normal((2, 1, 1, 3, 2)) / 2  # (G, 1, n, d)
    >>> map = Performer(features=4096).draw(KeySet(k, k, 1.0), rng=rng)
    >>> phi_q, phi_k = np.exp(map.of_queries(q)[0]), np.exp(map.of_keys(k)[0])
    >>> estimate = phi_q @ phi_k.mT * np.exp(map.offset(q))[..., None]
    >>> round(float(np.max(np.abs(estimate / np.exp(q @ k.mT) - 1))), 1)  # largest relative error
    0.0
    """

    kind: FeatureKind
    features: int
    directions: Array
    scale: float
    origin: Array | None

    def flat(self, stack: Stack) -> FeatureMap:
        """Return the map of the key heads of a stack, counted along one axis."""
        return self if self.origin is None else replace(self, origin=stack.flat(self.origin))

    def at(self, heads: slice) -> FeatureMap:
        """Return the map of some key heads of a flat one."""
        return self if self.origin is None else replace(self, origin=self.origin[heads, ...])

    def of_queries(self, queries: Array) -> tuple[Array, Array | None]:
        """Return exponents and factors of the features of queries (..., n, d)."""
        return self._parts(queries)

    def of_keys(self, keys: Array) -> tuple[Array, Array | None]:
        """Return exponents and factors of the features of keys (..., n, d)."""
        return self._parts(keys if self.origin is None else keys - self.origin)

    def offset(self, queries: Array) -> Array | float:
        """Return the logarithm of the factor of every kernel row, (..., n)."""
        constant = -math.log(self.kind.divisor(self.features))
        if self.origin is None:
            return constant
        return self.scale * (queries @ self.origin.mT)[..., 0] + constant

    @staticmethod
    def entries(exponents: Array, factors: Array | None, unit: Array) -> Array:
        """Return features in units of exp(unit): factors times exp(exponents - unit)."""
        features = exp_in_place(exponents - unit)
        return features if factors is None else factors * features

    def _parts(self, x: Array) -> tuple[Array, Array | None]:
        xp = array_namespace(x)
        scaled = x * math.sqrt(self.scale)  # exp(scale q . k) = exp(x . y) for both sides scaled so
        return self.kind.parts(scaled @ self.directions.mT, xp.sum(scaled * scaled, axis=-1, keepdims=True) / 2)


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

    def __init__(self, map: FeatureMap, keys: Array, peak: Array) -> None:
        self._map, self._keys, self._peak = map, keys, peak

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self._keys.shape[:-2], self._map.features, self._keys.shape[-2])

    @property
    def like(self) -> Array:
        return self._keys

    @property
    def storage(self) -> int:
        parts = (self._keys, self._map.directions, self._peak)
        return int(sum(math.prod(part.shape) for part in parts))

    @property
    def mT(self) -> KeyRows:
        return KeyRows(self._map, self._keys, self._peak)

    def _matmul(self, x: Array) -> Array:
        return self.mT._rmatmul(x)

    def _rmatmul(self, y: Array) -> Array:
        return self.mT._matmul(y)

    def to_dense(self) -> Array:
        return self.mT.to_dense().mT

    def matmul_flops(self, columns: int) -> int:
        n, d = self._keys.shape[-2:]
        return int(2 * self.count * n * (self._map.directions.shape[0] * d + self._map.features * columns))


@dataclass(frozen=True, eq=False, repr=False)
class KeyRows(RowTiles):
    """Features of keys in units of exp(peak), (..., G, 1, n, m), evaluated on use.

    Parameters
    ----------
    map : FeatureMap
    keys : Array, (..., G, 1, n, d)
    peak : Array, (..., G, 1, 1, m) or (..., G, 1, 1, 1)

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

    map: FeatureMap
    keys: Array
    peak: Array

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.keys.shape[:-1], self.map.features)

    @property
    def like(self) -> Array:
        return self.keys

    @property
    def storage(self) -> int:
        parts = (self.keys, self.map.directions, self.peak)
        return int(sum(math.prod(part.shape) for part in parts))

    def matmul_flops(self, columns: int) -> int:
        per_row = self.map.directions.shape[0] * self.keys.shape[-1] + self.map.features * columns
        return int(2 * math.prod(self.keys.shape[:-1]) * per_row)

    def blocks(self, stack: Stack) -> Callable[[slice, slice], Array]:
        maps, points, peaks = self.map.flat(stack), stack.flat(self.keys), stack.flat(self.peak)

        def block(heads: slice, rows: slice) -> Array:
            exponents, factors = maps.at(heads).of_keys(points[heads, rows, :])
            return self.map.entries(exponents, factors, peaks[heads, ...])

        return block


@dataclass(frozen=True, eq=False, repr=False)
class QueryFeatures(RowTiles):
    """Features of queries in units of exp(top), the keys' peaks put back, (..., G, R, n, m), evaluated on use.

    Parameters
    ----------
    map : FeatureMap
    queries : Array, (..., G, R, n, d)
    peak : Array, (..., G, 1, 1, m) or (..., G, 1, 1, 1)
        Exponents of the units of the sums over the keys.
    top : Array, (..., G, R, n)
        Exponents of the units of the rows.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Performer
    >>> rng = np.random.default_rng(0)
    >>> kernel = Performer(features=8)(AttentionProblem(*rng.standard_normal((3, 1, 100, 4))), rng=rng).kernel
    >>> type(kernel).__name__, kernel.shape, float(kernel.to_dense().max())
    ('QueryFeatures', (1, 1, 100, 8), 1.0)
    """

    map: FeatureMap
    queries: Array
    peak: Array
    top: Array

    @classmethod
    def shifted(
        cls, map: FeatureMap, queries: Array, peak: Array, *, times: tuple[Array, ...]
    ) -> tuple[QueryFeatures, tuple[Array, ...]]:
        """Return the features whose largest exponent in every row is zero, and their products with arrays (..., m, c).

        One sweep gives both.
        """
        xp = array_namespace(queries)
        batch = broadcast_shape(queries.shape[:-2], *(x.shape[:-2] for x in times))
        stack, n = Stack(batch), queries.shape[-2]
        parts, factors = _exponents(map, queries, peak, stack), [stack.flat(x) for x in times]

        def work(heads: slice, rows: slice) -> tuple[Array, ...]:
            exponents, signs = parts(heads, rows)
            # one number per row leaves the exponents and enters the shift, so that the largest feature is exp(0)
            top = xp.max(exponents, axis=-1, keepdims=True)
            features = map.entries(exponents, signs, top)
            return (*(features @ factor[heads, ...] for factor in factors), top)

        shapes = (*((stack.count, n, x.shape[-1]) for x in times), (stack.count, n, 1))
        places = tiles(stack.count, n, map.features, like=queries)
        *products, top = (stack.restored(x) for x in swept(work, places, shapes, like=queries))
        return cls(map, queries, peak, top[..., 0]), tuple(products)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.top.shape, self.map.features)

    @property
    def like(self) -> Array:
        return self.queries

    @property
    def storage(self) -> int:
        parts = (self.queries, self.map.directions, self.peak, self.top)
        return int(sum(math.prod(part.shape) for part in parts))

    def matmul_flops(self, columns: int) -> int:
        per_row = self.map.directions.shape[0] * self.queries.shape[-1] + self.map.features * columns
        return int(2 * math.prod(self.top.shape) * per_row)

    def blocks(self, stack: Stack) -> Callable[[slice, slice], Array]:
        parts, top = _exponents(self.map, self.queries, self.peak, stack), stack.flat(self.top[..., None])
        return lambda heads, rows: self.map.entries(*parts(heads, rows), top[heads, rows, :])


def _exponents(
    map: FeatureMap, queries: Array, peak: Array, stack: Stack
) -> Callable[[slice, slice], tuple[Array, Array | None]]:
    """Return the function of matrices and rows that gives exponents, in units of the peaks, and factors of features."""
    flat, peaks = stack.flat(queries), stack.flat(peak)

    def parts(heads: slice, rows: slice) -> tuple[Array, Array | None]:
        exponents, factors = map.of_queries(flat[heads, rows, :])
        return exponents + peaks[heads, ...], factors

    return parts
