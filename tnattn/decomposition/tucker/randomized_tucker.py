"""Randomized truncations to Tucker form: a range finder for every unfolding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, eps, require_rng
from tnattn.decomposition.multilinear import fold, mode_product, mode_sizes, unfold
from tnattn.decomposition.subspace import Subspace, column_signs, energy_outside, leading_subspace, mode_subspace
from tnattn.decomposition.tensor_units import energy as energy_of
from tnattn.decomposition.tucker.sequential import cheapest_order, require_mode_order
from tnattn.decomposition.tucker.truncated_tucker import TruncatedTucker, truncated_tucker
from tnattn.decomposition.tucker.tucker_truncation import TuckerTruncation
from tnattn.linalg import transposed_product
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.randnla.sketches.base import Sketch
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.structured.dense import Dense

FIRST_RANK = 16  # of the range finder if a tolerance is given; doubled until the tolerance is met


@dataclass(frozen=True)
class RandomizedTruncation(TuckerTruncation):
    """A truncation to Tucker form by a range finder for each unfolding.

    Parameters
    ----------
    oversampling : int
        Columns of the test matrix beyond the rank.
    power_iterations : int
        Each one costs two more products with the unfolding; with none the error is a third larger for slowly decaying
        spectra.
    sketch : Sketch
        Distribution of the test matrices.
    recompress : bool
        Truncate the basis to the rank, by the singular vectors of its coefficients. Without, every mode keeps rank
        plus oversampling, as in the published theorems; with a tolerance the basis is always truncated.
    exact_below : float
        An unfolding whose shorter side is at most this many times rank plus oversampling is truncated without a
        sketch, which would cost more than its Gram matrix. 0 sketches all.

    Examples
    --------
    >>> from tnattn.decomposition.tucker import RandomizedSTHOSVD, RandomizedTruncation
    >>> method = RandomizedSTHOSVD(ranks=4, oversampling=6)
    >>> isinstance(method, RandomizedTruncation), method.range_finder(4).size
    (True, 10)
    """

    oversampling: int = field(default=12, kw_only=True)
    power_iterations: int = field(default=1, kw_only=True)
    sketch: Sketch = field(default_factory=Gaussian, kw_only=True)
    recompress: bool = field(default=True, kw_only=True)
    exact_below: float = field(default=6.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.range_finder(1)  # its constructor validates oversampling, power iterations and sketch
        if not self.exact_below >= 0:
            raise ValueError(f"exact_below is {self.exact_below}; a number that is not negative is needed")

    def range_finder(self, rank: int) -> RangeFinder:
        """Return the range finder for a mode of the given rank."""
        return RangeFinder(rank, self.oversampling, self.power_iterations, self.sketch)

    def _projected(
        self, core: Array, mode: int, *, rank: int | None, allowed: Array | None, rng: Rng
    ) -> tuple[Subspace, Array]:
        """Return a subspace for a mode of a tensor and the projection of the tensor onto it."""
        xp, sizes = array_namespace(core), mode_sizes(core, order=self.order)
        if rank == sizes[mode]:  # the basis is the identity
            return mode_subspace(core, mode, order=self.order, rank=rank), core
        # a sketch pays only for long sides: a Gram matrix takes one product, the range finder several
        side = min(sizes[mode], math.prod(sizes) // sizes[mode])
        if side > self.exact_below * ((rank or FIRST_RANK) + self.oversampling):
            a = unfold(core, mode, order=self.order)
            found = self._of_rank(a, rank, rng=rng) if rank else self._within(a, allowed, rng=rng)
            if found is not None:
                subspace, projected = found
                left = [*sizes[:mode], projected.shape[-2], *sizes[mode + 1 :]]
                return subspace, fold(projected, mode, left)
        subspace = mode_subspace(core, mode, order=self.order, rank=rank, energy=allowed)
        return subspace, mode_product(core, xp.matrix_transpose(subspace.basis), mode, order=self.order)

    def _of_rank(self, a: Array, rank: int, *, rng: Rng) -> tuple[Subspace, Array]:
        basis = self.range_finder(rank).basis(Dense(a), rng=rng)
        captured = _captured(a, basis)
        # measured, not bounded: the projection is known, and its error is a difference of two known energies
        residual_squared = energy_outside(a, basis, captured)
        kept = rank if self.recompress else captured.shape[-2]
        return _cut_down(basis, captured, residual_squared, leading_subspace(captured, rank=kept))

    def _within(self, a: Array, allowed: Array, *, rng: Rng) -> tuple[Subspace, Array] | None:
        """Double the sketch until its residual is half of the allowed energy; None if a sketch costs too much."""
        xp, rank = array_namespace(a), FIRST_RANK
        if not bool(xp.all(allowed >= 64 * max(a.shape[-2:]) * eps(a) * energy_of(a, order=2))):
            return None  # the tolerance is close to the rounding of the energies that it is compared with
        while (rank + self.oversampling) * max(self.exact_below, 1.0) < min(a.shape[-2:]):
            basis = self.range_finder(rank).basis(Dense(a), rng=rng)
            captured = _captured(a, basis)
            residual_squared = energy_outside(a, basis, captured)
            if bool(xp.all(residual_squared <= allowed / 2)):  # the other half is for the truncation of the basis
                inner = leading_subspace(captured, energy=allowed - residual_squared)
                return _cut_down(basis, captured, residual_squared, inner)
            rank *= 2
        return None


@dataclass(frozen=True)
class RandomizedSTHOSVD(RandomizedTruncation):
    """Truncate one mode after the other, each time by a range finder on the core that the modes before have left.

    Parameters
    ----------
    ranks, rtol, oversampling, power_iterations, sketch, recompress, exact_below, order
        See ``RandomizedTruncation`` and ``STHOSVD``.
    mode_order : tuple of int, optional
        Order in which the modes are processed; if None the one that costs least, or by increasing size if the tolerance
        decides the ranks.

    Notes
    -----
    O((r_j + p) prod(n)) for the first mode that is sketched, less for each that follows. Minster, Saibaba and Kilmer
    2020, Algorithm 3.2. Deviations: power iterations, the recompression, and short modes that are not sketched. With
    a tolerance the sketch is doubled until it suffices. The discarded energies add up to the square of the error,
    whatever the bases are.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tucker import RandomizedSTHOSVD
    >>> i, j, k = np.ogrid[:40, :40, :40]
    >>> method = RandomizedSTHOSVD(ranks=4, oversampling=4, exact_below=0)
    >>> result = method(1 / (1.0 + i + j + k), rng=np.random.default_rng(0))
    >>> result.core.shape, round(float(result.residual), 3)
    ((4, 4, 4), 0.003)
    """

    mode_order: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_mode_order(self.mode_order, self.order)

    def modes(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Return the order in which the modes of a tensor of the given sizes are processed."""
        return self.mode_order or cheapest_order(sizes, self.ranks_for(sizes), range(self.order))

    def decompose(self, tensor: Array, *, rng: Rng | None) -> TruncatedTucker:
        rng = require_rng(rng, "RandomizedSTHOSVD")
        sizes = mode_sizes(tensor, order=self.order)
        ranks, modes = self.ranks_for(sizes), self.modes(sizes)
        core = tensor
        allowed = None if self.rtol is None else self.rtol**2 / self.order * energy_of(core, order=self.order)
        found = {}
        for mode in modes:  # Algorithm 3.2: each sketch multiplies the core that the modes before have compressed
            rank = None if ranks is None else ranks[mode]
            found[mode], core = self._projected(core, mode, rank=rank, allowed=allowed, rng=rng)
        return truncated_tucker(core, [found[j] for j in range(self.order)], mode_order=modes, rtol=self.rtol)


@dataclass(frozen=True)
class RandomizedHOSVD(RandomizedTruncation):
    """Project every mode on the basis of a range finder for its unfolding of the tensor.

    Parameters
    ----------
    ranks, rtol, oversampling, power_iterations, sketch, recompress, exact_below, order
        See ``RandomizedTruncation`` and ``HOSVD``.

    Notes
    -----
    O(sum_j (r_j + p) prod(n)). Minster, Saibaba and Kilmer 2020, Algorithm 3.1; deviations as ``RandomizedSTHOSVD``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tucker import RandomizedHOSVD
    >>> i, j, k = np.ogrid[:40, :40, :40]
    >>> method = RandomizedHOSVD(ranks=4, oversampling=4, exact_below=0)
    >>> result = method(1 / (1.0 + i + j + k), rng=np.random.default_rng(0))
    >>> result.core.shape, round(float(result.residual), 3)
    ((4, 4, 4), 0.003)
    """

    residual_is: ClassVar = "an upper bound"  # modes are truncated at once

    def decompose(self, tensor: Array, *, rng: Rng | None) -> TruncatedTucker:
        rng = require_rng(rng, "RandomizedHOSVD")
        xp, sizes = array_namespace(tensor), mode_sizes(tensor, order=self.order)
        ranks = self.ranks_for(sizes) or (None,) * self.order
        norm_squared = energy_of(tensor, order=self.order)
        allowed = None if self.rtol is None else self.rtol**2 / self.order * norm_squared
        # Algorithm 3.1: every sketch multiplies the tensor itself
        steps = [
            self._projected(tensor, mode, rank=rank, allowed=allowed, rng=rng)[0] for mode, rank in enumerate(ranks)
        ]
        core = tensor
        for mode in sorted(range(self.order), key=lambda j: steps[j].basis.shape[-1] / sizes[j]):
            core = mode_product(core, xp.matrix_transpose(steps[mode].basis), mode, order=self.order)
        return truncated_tucker(core, steps, mode_order=None, rtol=self.rtol, size=xp.sqrt(norm_squared))


def _captured(a: Array, basis: Array) -> Array:
    """Return ``basis^T a`` (..., s, n)."""
    return array_namespace(a).matrix_transpose(transposed_product(a, basis))


def _cut_down(basis: Array, captured: Array, residual_squared: Array, inner: Subspace) -> tuple[Subspace, Array]:
    """Restrict a basis to an inner subspace of its coefficients; return it with the projection onto it."""
    xp = array_namespace(basis)
    cut = xp.matmul(basis, inner.basis)
    signs = column_signs(cut)  # the same basis on every library
    projected = xp.matmul(xp.matrix_transpose(inner.basis * signs), captured)
    return Subspace(cut * signs, residual_squared + inner.discarded, inner.ranks), projected
