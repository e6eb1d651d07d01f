"""The sequentially truncated higher-order singular value decomposition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng
from tnattn.decomposition.multilinear import mode_sizes
from tnattn.decomposition.tensor_units import energy
from tnattn.decomposition.tucker.sequential import cheapest_order, require_mode_order, truncated_modes
from tnattn.decomposition.tucker.truncated_tucker import TruncatedTucker, truncated_tucker
from tnattn.decomposition.tucker.tucker_truncation import TuckerTruncation


@dataclass(frozen=True)
class STHOSVD(TuckerTruncation):
    """Truncate one mode after the other, each time in the core of the modes before.

    Parameters
    ----------
    ranks : int or tuple of int, optional
        Multilinear ranks, one for all modes or one for each.
    rtol : float, optional
        Bound on the relative error; every mode may discard ``rtol^2 / d`` of the energy.
    mode_order : tuple of int, optional
        Order in which the modes are processed; if None the one that costs least, or by increasing size if the tolerance
        decides the ranks.
    order : int
        Number of modes.

    Notes
    -----
    O(n_0 prod(n)) for the first mode, less for each that follows. Vannieuwenhoven, Vandebril and Meerbergen 2012: the
    discarded energies add up to the square of the error. Deviation: singular subspaces come from Gram matrices where
    the energy to be discarded is well above their rounding, and a mode of full rank is not multiplied.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tucker import STHOSVD
    >>> i, j, k = np.ogrid[:20, :20, :20]
    >>> result = STHOSVD(rtol=1e-3)(1 / (1.0 + i + j + k))
    >>> result.core.shape, result.storage, bool(result.residual <= 1e-3)
    ((5, 5, 5), 425, True)
    """

    mode_order: tuple[int, ...] | None = None

    quasi_optimal: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_mode_order(self.mode_order, self.order)

    def modes(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Return the order in which the modes of a tensor of the given sizes are processed."""
        return self.mode_order or cheapest_order(sizes, self.ranks_for(sizes), range(self.order))

    def decompose(self, tensor: Array, *, rng: Rng | None) -> TruncatedTucker:
        sizes = mode_sizes(tensor, order=self.order)
        ranks, modes = self.ranks_for(sizes), self.modes(sizes)
        # the discarded energies add up exactly to the squared error: an equal share for each mode
        allowed = None if self.rtol is None else self.rtol**2 / self.order * energy(tensor, order=self.order)
        core, found = truncated_modes(tensor, modes, order=self.order, ranks=ranks, allowed=allowed)
        return truncated_tucker(core, [found[j] for j in range(self.order)], mode_order=modes, rtol=self.rtol)
