"""Summary of random-feature attention: a state of as many columns as features, for any number of keys."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product

from tnattn.arrays import Array, Rng, array_namespace, dtype_name, exp_in_place, parallel_map, prefers_host_tiles
from tnattn.attention.approximation import Approximation
from tnattn.attention.broadcasting import copied
from tnattn.attention.random_features.features import FeatureKind
from tnattn.attention.summary import KeySet, Summary
from tnattn.display import Displayed
from tnattn.scalars import Parameters
from tnattn.structured import Dense, StructuredMatrix

_TILE = 1 << 16  # features that a thread of the host holds at a time: 256 KB of float32, in its cache


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

    def at(self, head: tuple[int, ...]) -> FeatureMap:
        """Return the map of one key head, given by its index, or the map itself for ()."""
        return self if self.origin is None else replace(self, origin=self.origin[(*head, ...)])

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

    def _matmul(self, x: Array) -> Array:
        return self.to_dense() @ x

    def _rmatmul(self, y: Array) -> Array:
        return self.to_dense().mT @ y

    def to_dense(self) -> Array:
        return _evaluated(*self._map.of_keys(self._keys), self._peak).mT

    def matmul_flops(self, columns: int) -> int:
        n, d = self._keys.shape[-2:]
        return int(2 * self.count * n * (self._map.directions.shape[0] * d + self._map.features * columns))


@dataclass(frozen=True, eq=False, repr=False)
class FeatureSummary(Summary):
    """Sums over the keys of feature times value and of feature, per feature.

    Parameters
    ----------
    map : FeatureMap
    peak : Array, (..., G, 1, 1, m) or (..., G, 1, 1, 1)
        Largest exponent of every feature over the keys; the sums are in units of exp(peak), and queries put it back.
    values : Array, (..., G, 1, m, d_v)
    mass : Array, (..., G, 1, m)
    lift : StructuredMatrix, optional
        Features of the keys, for inspection of the weights: holds a view of the keys, is not counted as state, and is
        dropped by ``extend``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import KeySet, Performer
    >>> rng = np.random.default_rng(0)
    >>> k, v = rng.standard_normal((2, 1, 100, 4))
    >>> summary = Performer(features=8).summarise(KeySet.from_arrays(k, v), rng=rng)
    >>> summary.nbytes, summary.extend(k, v).nbytes  # independent of the number of keys
    (672, 672)
    """

    map: FeatureMap
    peak: Array
    values: Array
    mass: Array
    lift: StructuredMatrix | None = None

    @classmethod
    def of(cls, map: FeatureMap, keys: KeySet) -> FeatureSummary:
        """Sum the features of keys: O(n (p d + m d_v)) per key head."""
        xp = array_namespace(keys.keys)
        batch = keys.keys.shape[:-2]

        def work(head: tuple[int, ...]) -> tuple[Array, Array, Array]:
            exponents, factors = map.at(head).of_keys(keys.keys[(*head, ...)])
            peak = xp.max(exponents, axis=-2, keepdims=True)  # features stay within [0, 1] over the keys
            features = _evaluated(exponents, factors, peak)  # (..., n, m)
            return peak, features.mT @ keys.values[(*head, ...)], xp.sum(features, axis=-2)

        if prefers_host_tiles(keys.keys):  # one head per thread: features of few heads exist at a time
            parts = parallel_map(work, list(product(*(range(size) for size in batch))), like=keys.keys)
            peak, values, mass = (xp.reshape(xp.stack(x), (*batch, *x[0].shape)) for x in zip(*parts, strict=True))
        else:
            peak, values, mass = work(())
        return cls(map, peak, values, mass, KeyFeatures(map, copied(keys.keys), peak))

    @property
    def nbytes(self) -> int:
        scalars = [self.peak, self.values, self.mass, self.map.directions]
        if self.map.origin is not None:
            scalars.append(self.map.origin)
        width = {"float64": 8, "float32": 4}.get(dtype_name(self.values.dtype), 2)
        return width * int(sum(math.prod(part.shape) for part in scalars))

    @property
    def like(self) -> Array:
        return self.values

    @property
    def width(self) -> int:
        return int(self.map.directions.shape[-1])

    def approximate(self, queries: Array) -> Approximation:
        xp = array_namespace(queries)

        def work(rows: Array, peak: Array) -> tuple[Array, Array]:
            exponents, factors = self.map.of_queries(rows)
            exponents = exponents + peak
            # one number per row leaves the exponents and enters the shift, so that the largest feature is exp(0)
            top = xp.max(exponents, axis=-1, keepdims=True)
            return _evaluated(exponents, factors, top), top[..., 0]

        if prefers_host_tiles(queries):
            *batch, n_q, _ = queries.shape
            peaks = xp.broadcast_to(self.peak, (*batch, *self.peak.shape[-2:]))
            features = xp.empty((*batch, n_q, self.map.features), dtype=queries.dtype)
            top = xp.empty((*batch, n_q), dtype=queries.dtype)

            def fill(tile: tuple[tuple[int, ...], slice]) -> None:
                head, rows = tile
                features[(*head, rows)], top[(*head, rows)] = work(queries[(*head, rows)], peaks[head])

            step = max(1, _TILE // self.map.features)
            blocks = [slice(start, min(start + step, n_q)) for start in range(0, n_q, step)]
            parallel_map(fill, list(product(product(*(range(size) for size in batch)), blocks)), like=queries)
        else:
            features, top = work(queries, self.peak)
        return Approximation(
            kernel=Dense(features),
            shift=top + self.map.offset(queries),
            values=self.values,
            mass=self.mass,
            expand=self.lift,
        )

    def _extended(self, k: Array, v: Array, *, rng: Rng | None) -> FeatureSummary:
        """Add further keys: no draw is made, origin and directions stay."""
        xp = array_namespace(k, v)
        new = FeatureSummary.of(self.map, KeySet.from_arrays(k, v, scale=self.map.scale, check_finite=False))
        peak = xp.maximum(self.peak, new.peak)
        # both sums are brought to the common unit exp(peak); no factor exceeds one
        parts = []
        for part in (self, new):
            factor = xp.exp(part.peak - peak)[..., 0, :]  # (..., G, 1, m) or (..., G, 1, 1)
            parts.append((factor[..., None] * part.values, factor * part.mass))
        (values, mass), (more_values, more_mass) = parts
        return replace(self, peak=peak, values=values + more_values, mass=mass + more_mass, lift=None)


def _evaluated(exponents: Array, factors: Array | None, shift: Array) -> Array:
    kernel = exp_in_place(exponents - shift)
    return kernel if factors is None else factors * kernel
