"""Summary of random-feature attention: a state of as many columns as features, for any number of keys."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

from tnattn.arrays import Array, Rng, array_namespace, dtype_name, parallel_map
from tnattn.attention.approximation import Approximation
from tnattn.attention.broadcasting import copied
from tnattn.attention.random_features.feature_map import FeatureMap, KeyFeatures, QueryFeatures
from tnattn.attention.summary import KeySet, Summary
from tnattn.structured import StructuredMatrix
from tnattn.structured.row_tiles import Stack, by_matrices, tiles


class _Sums(NamedTuple):
    """_Sums of features of keys in units of exp(peak): largest exponents, sums with values, sums of features."""

    peak: Array
    values: Array
    mass: Array

    def plus(self, other: _Sums) -> _Sums:
        """Return the sums over the keys of both."""
        xp = array_namespace(self.values)
        peak = xp.maximum(self.peak, other.peak)
        # both are brought to the common unit exp(peak); no factor exceeds one
        mine, theirs = (xp.exp(part.peak - peak)[..., 0, :] for part in (self, other))  # (..., m) or (..., 1)
        values = mine[..., None] * self.values + theirs[..., None] * other.values
        return _Sums(peak, values, mine * self.mass + theirs * other.mass)


@dataclass(frozen=True, eq=False, repr=False)
class FeatureSummary(Summary):
    """_Sums over the keys of feature times value and of feature, per feature.

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
        """Sum the features of keys, tile by tile: O(n (p d + m d_v)) per key head."""
        xp = array_namespace(keys.keys)
        stack = Stack(tuple(keys.keys.shape[:-2]))
        points, values = stack.flat(keys.keys), stack.flat(keys.values)
        maps = map.per_head(stack.flat)
        groups = by_matrices(tiles(stack.count, keys.n, map.features, like=keys.keys))

        def work(item: tuple[slice, list[slice]]) -> _Sums:
            heads, blocks = item
            parts = []
            for rows in blocks:
                exponents, factors = maps.per_head(lambda x: x[heads, ...]).of_keys(points[heads, rows, :])
                peak = xp.max(exponents, axis=-2, keepdims=True)  # features stay within [0, 1] over the keys
                features = map.entries(exponents, factors, peak)  # (..., rows, m)
                parts.append(_Sums(peak, features.mT @ values[heads, rows, :], xp.sum(features, axis=-2)))
            return reduce(_Sums.plus, parts)

        found = parallel_map(work, groups, like=keys.keys)
        peak, sums, mass = (stack.restored(xp.concat(list(parts))) for parts in zip(*found, strict=True))
        return cls(map, peak, sums, mass, KeyFeatures(map, copied(keys.keys), peak))

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
        kernel, (numerators, denominators) = QueryFeatures.shifted(
            self.map, queries, self.peak, times=(self.values, self.mass[..., None])
        )
        piece = Approximation(
            kernel=kernel,
            shift=kernel.top + self.map.offset(queries),
            values=self.values,
            mass=self.mass,
            expand=self.lift,
        )
        return piece.holding(numerators, denominators[..., 0])

    def _extended(self, k: Array, v: Array, *, rng: Rng | None) -> FeatureSummary:
        """Add further keys: no draw is made, origin and directions stay."""
        new = FeatureSummary.of(self.map, KeySet.from_arrays(k, v, scale=self.map.scale, check_finite=False))
        peak, values, mass = _Sums(self.peak, self.values, self.mass).plus(_Sums(new.peak, new.values, new.mass))
        return replace(self, peak=peak, values=values, mass=mass, lift=None)
