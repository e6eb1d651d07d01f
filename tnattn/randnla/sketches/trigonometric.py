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
    orthogonal test matrix; beyond that rows repeat. Halko, Martinsson & Tropp 2011, Section 4.6; Avron, Maymounkov &
    Toledo 2010 for the cosine transform.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import SubsampledCosine
    >>> omega = SubsampledCosine().draw(64, 16, rng=np.random.default_rng(0), like=np.zeros(1))
    >>> x = omega.to_dense()
    >>> print(omega.storage, np.allclose(x.T @ x, 4 * np.eye(16)))
    80 True
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

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import SubsampledHadamard
    >>> omega = SubsampledHadamard().draw(64, 16, rng=np.random.default_rng(0), like=np.zeros(1))
    >>> print(omega.storage, np.unique(np.round(omega.to_dense(), 12)))
    80 [-0.25  0.25]
    """

    def draw(self, n: int, size: int, *, rng: Rng | None, like: Array) -> StructuredMatrix:
        n, size = admissible_sizes(n, size, like)
        return _drawn(WalshHadamard(), n, size, require_rng(rng, "a subsampled Hadamard transform"), like)


def _drawn(transform: FastTransform, n: int, size: int, rng: Rng, like: Array) -> SubsampledTransform:
    """Sample signs and rows of the transform; more columns than its length repeat all rows first."""
    xp = array_namespace(like)
    length = transform.length(n)
    repeats, sampled = divmod(size, length)
    flips = signs(rng, (n,), like=like)
    every_row = [xp.arange(length, dtype=xp.int64, device=device(like))] * repeats
    chosen = xp.concat([*every_row, choice(rng, length, sampled, replace=False, like=like)])
    # an orthonormal transform sampled at a rate of size / length: the scale restores E[Omega Omega^T] = I
    return SubsampledTransform(transform, flips, chosen, (length / size) ** 0.5)
