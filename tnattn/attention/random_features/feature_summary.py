"""Summary of random-feature attention: a state of as many columns as features, for any number of keys."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tnattn.arrays import Array, Rng
from tnattn.attention.approximation import Approximation
from tnattn.attention.feature_matrices import KeyFeatures, QueryFeatures
from tnattn.attention.feature_sums import FeatureSums
from tnattn.attention.random_features.feature_map import FeatureMap
from tnattn.attention.summary import KeySet, Summary, bytes_of
from tnattn.structured import StructuredMatrix


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
        """Sum the features of keys, tile by tile: O(n (p d + m d_v)) per key head."""
        sums = FeatureSums.of(map, keys)
        assert sums.peak is not None
        return cls(map, sums.peak, sums.values, sums.mass, KeyFeatures(map, keys.owned, sums.peak))

    @property
    def nbytes(self) -> int:
        scalars = [self.peak, self.values, self.mass, self.map.directions]
        if self.map.origin is not None:
            scalars.append(self.map.origin)
        return bytes_of(*scalars)

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
        sums = FeatureSums(self.peak, self.values, self.mass).plus(FeatureSums(new.peak, new.values, new.mass))
        assert sums.peak is not None
        return replace(self, peak=sums.peak, values=sums.values, mass=sums.mass, lift=None)
