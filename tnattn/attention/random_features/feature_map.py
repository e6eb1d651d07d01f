"""Drawn feature maps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from tnattn.arrays import Array, array_namespace, matmul_into
from tnattn.attention.kernel_features import KernelFeatures
from tnattn.attention.random_features.features import FeatureKind
from tnattn.display import Displayed
from tnattn.scalars import Parameters


@dataclass(frozen=True, eq=False, repr=False)
class FeatureMap(KernelFeatures, Parameters, Displayed):
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

    def per_head(self, change: Callable[[Array], Array]) -> FeatureMap:
        return self if self.origin is None else replace(self, origin=change(self.origin))

    def of_queries(self, queries: Array, spare: Array | None = None) -> tuple[Array, Array | None]:
        return self._parts(queries * math.sqrt(self.scale), spare)

    def of_keys(self, keys: Array, spare: Array | None = None) -> tuple[Array, Array | None]:
        if self.origin is None:
            return self._parts(keys * math.sqrt(self.scale), spare)
        moved = keys - self.origin  # before the scale, so that nothing is lost where keys are close to their origin
        moved *= math.sqrt(self.scale)
        return self._parts(moved, spare)

    def offset(self, queries: Array) -> Array | float:
        """Return the logarithm of the factor of every kernel row, (..., n)."""
        constant = -math.log(self.kind.divisor(self.features))
        if self.origin is None:
            return constant
        return self.scale * (queries @ self.origin.mT)[..., 0] + constant

    @property
    def flops(self) -> int:
        return int(2 * math.prod(self.directions.shape))

    @property
    def storage(self) -> int:
        parts = (self.directions, *(() if self.origin is None else (self.origin,)))
        return sum(math.prod(part.shape) for part in parts)

    def _parts(self, scaled: Array, spare: Array | None) -> tuple[Array, Array | None]:
        """Return the parts of vectors times sqrt(scale): exp(scale q . k) = exp(x . y) for both sides scaled so."""
        half_squares = array_namespace(scaled).vecdot(scaled, scaled)[..., None] / 2
        return self.kind.parts(matmul_into(scaled, self.directions.mT, spare), half_squares)
