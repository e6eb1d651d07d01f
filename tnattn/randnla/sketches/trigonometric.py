"""Subsampled randomized trigonometric and Hadamard transforms."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, Rng, array_namespace, choice, device, require_rng, signs
from tnattn.randnla.sketches.base import Sketch, admissible_sizes
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.transform import Cosine, FastTransform, SubsampledTransform, WalshHadamard


@dataclass(frozen=True)
class SubsampledCosine(Sketch):
    """Random signs, a discrete cosine transform, and a uniform choice of its rows, without replacement.

    Notes
    -----
    A product with m rows costs O(m n log n), whatever the number of columns. As many columns as rows give an
    orthonormal test matrix; beyond that rows repeat. Halko, Martinsson & Tropp 2011, Section 4.6; Avron, Maymounkov &
    Toledo 2010 for the cosine transform.
    """

    def draw(self, n: int, size: int, *, rng: Rng | None, like: Array) -> StructuredMatrix:
        n, size = admissible_sizes(n, size, like)
        return _drawn(Cosine(), n, size, require_rng(rng, "a subsampled cosine transform"), like)


@dataclass(frozen=True)
class SubsampledHadamard(Sketch):
    """Random signs, a Walsh-Hadamard transform, and a uniform choice of its rows, without replacement.

    Notes
    -----
    A product with m rows costs O(m n log n), whatever the number of columns; n is rounded up to a power of two inside.
    Tropp 2011.
    """

    def draw(self, n: int, size: int, *, rng: Rng | None, like: Array) -> StructuredMatrix:
        n, size = admissible_sizes(n, size, like)
        return _drawn(WalshHadamard(), n, size, require_rng(rng, "a subsampled Hadamard transform"), like)


def _drawn(transform: FastTransform, n: int, size: int, rng: Rng, like: Array) -> SubsampledTransform:
    """Draw signs and rows; columns beyond the length of the transform go through all of it once more."""
    xp = array_namespace(like)
    length = transform.length(n)
    rounds, rest = divmod(size, length)
    flips = signs(rng, (n,), like=like)
    whole = [xp.arange(length, dtype=xp.int64, device=device(like))] * rounds
    chosen = xp.concat([*whole, choice(rng, length, rest, replace=False, like=like)])
    return SubsampledTransform(transform, flips, chosen, (length / size) ** 0.5)
