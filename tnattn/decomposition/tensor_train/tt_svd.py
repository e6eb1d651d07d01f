"""The tensor-train decomposition by successive singular value decompositions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.decomposition.multilinear import mode_sizes
from tnattn.decomposition.subspace import leading_subspace
from tnattn.decomposition.tensor_train.train_truncation import TrainTruncation
from tnattn.decomposition.tensor_train.truncated_train import TruncatedTensorTrain
from tnattn.decomposition.tensor_units import energy, norm
from tnattn.decomposition.truncation import truncation_record


@dataclass(frozen=True)
class TTSVD(TrainTruncation):
    """Split one mode after the other off a tensor, from the left.

    Parameters
    ----------
    ranks : int or tuple of int, optional
        Ranks of the ``order - 1`` inner bonds, one for all or one for each.
    rtol : float, optional
        Bound on the relative error; every step may discard ``rtol^2 / (d - 1)`` of the energy.
    order : int
        Number of modes.

    Notes
    -----
    O(prod(n) max_k min(r_k n_k, n_{k+1} ... n_d)). Oseledets 2011, Algorithm 1; the discarded energies add up to the
    square of the error. Deviation: singular subspaces as in ``STHOSVD``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tensor_train import TTSVD
    >>> i, j, k, l = np.ogrid[:12, :12, :12, :12]
    >>> train = TTSVD(order=4, rtol=1e-3)(1 / (1.0 + i + j + k + l))
    >>> train.ranks.tolist(), train.storage, bool(train.residual <= 1e-3)
    ([4, 4, 4], 480, True)
    """

    quasi_optimal: ClassVar[bool] = True

    def decompose(self, tensor: Array, *, rng: Rng | None) -> TruncatedTensorTrain:
        xp = array_namespace(tensor)
        sizes, batch = mode_sizes(tensor, order=self.order), tuple(tensor.shape[: tensor.ndim - self.order])
        ranks = self.ranks_for(sizes) or (None,) * (self.order - 1)
        remainder = tensor
        # the discarded energies add up exactly to the squared error: an equal share for each bond
        allowed = None if self.rtol is None else self.rtol**2 / (self.order - 1) * energy(remainder, order=self.order)
        cores, steps, bond = [], [], 1
        for size, rank in zip(sizes, ranks, strict=False):
            remainder = xp.reshape(remainder, (*batch, bond * size, -1))  # (..., r_{k-1} n_k, n_{k+1} ... n_d)
            steps.append(leading_subspace(remainder, rank=rank, energy=allowed))
            basis = steps[-1].basis
            cores.append(xp.reshape(basis, (*batch, bond, size, basis.shape[-1])))
            if rank != bond * size:  # else the basis is the identity
                remainder = xp.matmul(xp.matrix_transpose(basis), remainder)
            bond = basis.shape[-1]
        return TruncatedTensorTrain(
            cores=(*cores, xp.reshape(remainder, (*batch, bond, sizes[-1], 1))),
            **truncation_record(steps, norm(remainder, order=2), self.rtol),
        )
