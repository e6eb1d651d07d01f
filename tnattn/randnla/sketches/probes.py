"""Test matrices with independent columns other than Gaussian ones: random signs, and points of a sphere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tnattn.arrays import Array, Rng, array_namespace, normal, require_rng, signs
from tnattn.randnla.sketches.base import Sketch, admissible_sizes
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense

__all__ = ["Probes", "Rademacher", "Sphere", "require_probes"]


@dataclass(frozen=True)
class Rademacher(Sketch):
    """Independent fair signs over the square root of the number of columns.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Rademacher
    >>> omega = Rademacher().draw(50, 4, rng=np.random.default_rng(0), like=np.zeros(1))
    >>> print(np.unique(omega.to_dense()), np.linalg.norm(omega.to_dense(), axis=1)[:3])
    [-0.5  0.5] [1. 1. 1.]
    """

    def draw(self, n: int, size: int, *, rng: Rng | None, like: Array) -> StructuredMatrix:
        n, size = admissible_sizes(n, size, like)
        return Dense((signs(require_rng(rng, "a Rademacher sketch"), (size, n), like=like) * size**-0.5).mT)


@dataclass(frozen=True)
class Sphere(Sketch):
    """Independent columns, uniform on the sphere of radius sqrt(n / size).

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Sphere
    >>> omega = Sphere().draw(100, 4, rng=np.random.default_rng(0), like=np.zeros(1))
    >>> print(np.linalg.norm(omega.to_dense(), axis=0))
    [5. 5. 5. 5.]
    """

    def draw(self, n: int, size: int, *, rng: Rng | None, like: Array) -> StructuredMatrix:
        n, size = admissible_sizes(n, size, like)
        # a normalised Gaussian vector is uniform on the sphere
        drawn = normal(require_rng(rng, "a spherical sketch"), (size, n), like=like)
        lengths = array_namespace(drawn).linalg.vector_norm(drawn, axis=-1, keepdims=True)
        return Dense((drawn / lengths * (n / size) ** 0.5).mT)


Probes = Gaussian | Rademacher | Sphere
"""Distributions with independent columns, for sample variances and leave-one-out estimates."""


def require_probes(distribution: Any, name: str) -> None:
    """Raise TypeError unless a distribution has independent columns."""
    if not isinstance(distribution, (Gaussian, Rademacher, Sphere)):
        raise TypeError(
            f"{name} is {distribution!r}; Gaussian(), Rademacher() or Sphere() is needed, whose columns are independent"
        )
