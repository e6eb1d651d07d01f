"""The sequentially truncated higher-order singular value decomposition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.decomposition.multilinear import mode_product, mode_sizes
from tnattn.decomposition.scaling import energy, scaled
from tnattn.decomposition.subspace import mode_subspace
from tnattn.decomposition.truncated import TruncatedTucker, truncated_tucker
from tnattn.decomposition.truncation import TuckerTruncation


@dataclass(frozen=True)
class STHOSVD(TuckerTruncation):
    """Truncate one mode after the other, each time in the core that the modes before have left.

    Parameters
    ----------
    ranks : int or tuple of int, optional
        Multilinear ranks, one for all modes or one for each.
    rtol : float, optional
        Bound on the relative error; every mode may discard ``rtol^2 / d`` of the energy.
    mode_order : tuple of int, optional
        Order in which the modes are processed; by increasing size, the cheapest, if None.
    order : int
        Number of modes.

    Notes
    -----
    O(n_0 prod(n)) for the first mode, less for each that follows. Vannieuwenhoven, Vandebril and Meerbergen 2012: the
    discarded energies add up to the square of the error. Deviation: singular subspaces come from Gram matrices where
    the energy to be discarded stands above their rounding, and a mode kept whole is left as it is.
    """

    mode_order: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode_order is not None and sorted(self.mode_order) != list(range(self.order)):
            raise ValueError(
                f"mode_order is {self.mode_order}; it must name each of the modes 0 ... {self.order - 1} once"
            )

    def modes(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Return the order in which the modes of a tensor of the given sizes are processed."""
        return self.mode_order or tuple(sorted(range(self.order), key=lambda j: sizes[j]))

    def decompose(self, tensor: Array, *, rng: Rng | None) -> TruncatedTucker:
        xp = array_namespace(tensor)
        sizes = mode_sizes(tensor, order=self.order)
        ranks = self.ranks_for(sizes)
        core, scale = scaled(tensor, order=self.order)
        allowed = None if self.rtol is None else self.rtol**2 / self.order * energy(core, order=self.order)
        found = {}
        modes = self.modes(sizes)
        for mode in modes:
            rank = None if ranks is None else ranks[mode]
            found[mode] = mode_subspace(core, mode, order=self.order, rank=rank, energy=allowed)
            if rank != sizes[mode]:  # else the basis is the identity
                core = mode_product(core, xp.matrix_transpose(found[mode].basis), mode, order=self.order)
        return truncated_tucker(core, scale, [found[j] for j in range(self.order)], mode_order=modes)
