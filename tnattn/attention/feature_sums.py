"""Sums over keys of features times values, and of features, tile by tile."""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

from tnattn.arrays import Array, array_namespace, parallel_map, quiet_overflow
from tnattn.attention.kernel_features import KernelFeatures, feature_entries
from tnattn.attention.summary import KeySet
from tnattn.structured.row_tiles import Stack, by_matrices, tiles


class FeatureSums(NamedTuple):
    """Sums over keys in units of exp(peak), or of one where the features have no exponents.

    Parameters
    ----------
    peak : Array, (..., G, 1, 1, m) or (..., G, 1, 1, 1), or None
        Largest exponent of every feature over the keys: features stay within [0, 1] times their factors.
    values : Array, (..., G, 1, m, d_v)
        Of feature times value.
    mass : Array, (..., G, 1, m)
        Of features.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import KeySet
    >>> from tnattn.attention.feature_sums import FeatureSums
    >>> from tnattn.attention.kernel import EluFeatures
    >>> k = np.asarray([[[1.0], [0.0], [2.0]]])  # one head, features 2, 1 and 3
    >>> sums = FeatureSums.of(EluFeatures(1, scale=1.0), KeySet.from_arrays(k, k))
    >>> sums.mass.item(), sums.values.item()
    (6.0, 8.0)
    """

    peak: Array | None
    values: Array
    mass: Array

    @classmethod
    def of(cls, features: KernelFeatures, keys: KeySet) -> FeatureSums:
        """Sum the features of keys: 2 n m (d_v + 1) operations per key head beside those of the features."""
        xp = array_namespace(keys.keys)
        stack = Stack(tuple(keys.keys.shape[:-2]))
        points, values = stack.flat(keys.keys), stack.flat(keys.values)
        flat = features.per_head(stack.flat)
        groups = by_matrices(tiles(stack.count, keys.n, features.features, like=keys.keys))

        def work(item: tuple[slice, list[slice]]) -> FeatureSums:
            heads, blocks = item
            mine, spare, parts = flat.per_head(lambda x: x[heads, ...]), None, []
            for rows in blocks:
                exponents, factors = mine.of_keys(points[heads, rows, :], spare)
                spare = factors if exponents is None else exponents  # its memory serves the next tile
                peak = None if exponents is None else xp.max(exponents, axis=-2, keepdims=True)
                entries = feature_entries(exponents, factors, peak)  # (..., rows, m)
                parts.append(cls(peak, entries.mT @ values[heads, rows, :], xp.sum(entries, axis=-2)))
            return reduce(cls.plus, parts)

        with quiet_overflow():
            found = parallel_map(work, groups, like=keys.keys)
        peaks = [part.peak for part in found if part.peak is not None]
        peak = stack.restored(xp.concat(peaks)) if peaks else None
        return cls(peak, *(stack.restored(xp.concat([part[i] for part in found])) for i in (1, 2)))

    def plus(self, other: FeatureSums) -> FeatureSums:
        """Return the sums over the keys of both."""
        if self.peak is None or other.peak is None:
            return FeatureSums(None, self.values + other.values, self.mass + other.mass)
        xp = array_namespace(self.values)
        peak = xp.maximum(self.peak, other.peak)
        # both are brought to the common unit exp(peak); no factor exceeds one
        mine, theirs = (xp.exp(part - peak)[..., 0, :] for part in (self.peak, other.peak))  # (..., m) or (..., 1)
        values = mine[..., None] * self.values + theirs[..., None] * other.values
        return FeatureSums(peak, values, mine * self.mass + theirs * other.mass)
