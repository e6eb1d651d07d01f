"""Gaussian test matrices."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, Rng, normal, require_rng
from tnattn.randnla.sketches.base import Sketch, admissible_sizes
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense


@dataclass(frozen=True)
class Gaussian(Sketch):
    """Independent normal entries of variance 1 / size, stored as rows.

    The entries of the transpose follow each other in memory: a product that reads ``a`` once walks along both.
    """

    def draw(self, n: int, size: int, *, rng: Rng | None, like: Array) -> StructuredMatrix:
        n, size = admissible_sizes(n, size, like)
        drawn = normal(require_rng(rng, "a Gaussian sketch"), (size, n), like=like)
        return Dense((drawn * size**-0.5).mT)
