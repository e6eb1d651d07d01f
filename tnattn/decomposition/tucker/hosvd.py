"""The truncated higher-order singular value decomposition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.decomposition.multilinear import mode_product, mode_sizes
from tnattn.decomposition.subspace import mode_subspace
from tnattn.decomposition.tensor_units import energy
from tnattn.decomposition.tucker.truncated_tucker import TruncatedTucker, truncated_tucker
from tnattn.decomposition.tucker.tucker_truncation import TuckerTruncation


@dataclass(frozen=True)
class HOSVD(TuckerTruncation):
    """Project every mode on the leading left singular vectors of its unfolding.

    Parameters
    ----------
    ranks : int or tuple of int, optional
        Multilinear ranks, one for all modes or one for each.
    rtol : float, optional
        Bound on the relative error; every mode may discard ``rtol^2 / d`` of the energy.
    order : int
        Number of modes.

    Notes
    -----
    O(sum_j n_j prod(n)): every mode passes over the tensor, where ``STHOSVD`` passes over the truncated core. De
    Lathauwer, De Moor and Vandewalle 2000, Definition 2 and Property 10; Kolda and Bader 2009, Figure 4.3. Deviation:
    singular subspaces as in ``STHOSVD``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tucker import HOSVD
    >>> i, j, k = np.ogrid[:20, :20, :20]
    >>> tensor = 1 / (1.0 + i + j + k)
    >>> result = HOSVD(ranks=2)(tensor)
    >>> error = np.linalg.norm(tensor - result.to_dense())
    >>> round(float(error), 3), round(float(result.error_certificate), 3)
    (0.268, 0.328)
    """

    quasi_optimal: ClassVar[bool] = True
    residual_is: ClassVar = "an upper bound"  # modes are truncated at once

    def decompose(self, tensor: Array, *, rng: Rng | None) -> TruncatedTucker:
        xp = array_namespace(tensor)
        sizes = mode_sizes(tensor, order=self.order)
        ranks = self.ranks_for(sizes) or (None,) * self.order
        norm_squared = energy(tensor, order=self.order)
        # the squared errors of the modes add up to at least that of the result: an equal share for each
        allowed = None if self.rtol is None else self.rtol**2 / self.order * norm_squared
        steps = [
            mode_subspace(tensor, mode, order=self.order, rank=rank, energy=allowed) for mode, rank in enumerate(ranks)
        ]
        core = tensor
        # G = X x_1 U_1^T ... x_d U_d^T, the strongest compression first
        for mode in sorted(range(self.order), key=lambda j: steps[j].basis.shape[-1] / sizes[j]):
            core = mode_product(core, xp.matrix_transpose(steps[mode].basis), mode, order=self.order)
        return truncated_tucker(core, steps, mode_order=None, rtol=self.rtol, size=xp.sqrt(norm_squared))
