"""The feature map elu + 1 of linear attention."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, array_namespace, device, exp_in_place
from tnattn.attention.broadcasting import copied
from tnattn.attention.kernel_features import KernelFeatures
from tnattn.scalars import Parameters

UNITS = "phi(q) . phi(k), phi = elu + 1"  # pieces of other kernels must not be added to these


def elu_plus_one(x: Array) -> Array:
    """Return x + 1 for positive and exp(x) for other entries: continuous, positive."""
    return _elu_plus_one(copied(x))


def _elu_plus_one(x: Array) -> Array:
    """Return ``elu_plus_one(x)``, written over ``x`` where the library can."""
    xp = array_namespace(x)
    positive = xp.maximum(x, xp.zeros((), dtype=x.dtype, device=device(x)))
    x -= positive
    # exp(min(x, 0)) + max(x, 0): one of the terms is constant, and a large positive entry does not overflow
    x = exp_in_place(x)
    x += positive
    return x


@dataclass(frozen=True)
class EluFeatures(KernelFeatures, Parameters):
    """The features elu(sqrt(scale) x) + 1 of queries and of keys.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.kernel import EluFeatures
    >>> EluFeatures(features=2, scale=4.0).of_keys(np.asarray([[1.0, 0.0]]))[1].tolist()
    [[3.0, 1.0]]
    """

    features: int
    scale: float

    exact: ClassVar[bool] = True
    units: ClassVar[str] = UNITS

    def of_queries(self, queries: Array, spare: Array | None = None) -> tuple[None, Array]:
        if spare is None or spare.shape != queries.shape:
            return None, _elu_plus_one(queries * math.sqrt(self.scale))
        spare[...] = queries
        spare *= math.sqrt(self.scale)
        return None, _elu_plus_one(spare)

    def of_keys(self, keys: Array, spare: Array | None = None) -> tuple[None, Array]:
        return self.of_queries(keys, spare)

    def offset(self, queries: Array) -> float:
        return 0.0

    def per_head(self, change: Callable[[Array], Array]) -> EluFeatures:
        return self

    @property
    def flops(self) -> int:
        return 0

    @property
    def storage(self) -> int:
        return 0
