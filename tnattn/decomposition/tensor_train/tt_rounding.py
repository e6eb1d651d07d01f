"""Rounding of tensor trains: truncation to lower ranks without forming the tensor."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, check_finite, contract, device
from tnattn.decomposition.base import require_single_or_double
from tnattn.decomposition.subspace import leading_subspace
from tnattn.decomposition.tensor_train.truncated_train import TruncatedTensorTrain
from tnattn.decomposition.tensor_train.tt_svd import TTSVD
from tnattn.decomposition.tensor_units import energy, norm, restored_tensor, unit
from tnattn.decomposition.truncation import (
    chosen_tolerance,
    require_ranks,
    require_tolerance_for,
    truncation_record,
)
from tnattn.linalg import orthonormalise_with_factor
from tnattn.scalars import Parameters
from tnattn.structured.tensor_train import TensorTrain

__all__ = ["TTRounding"]


@dataclass(frozen=True)
class TTRounding(Parameters):
    """Lower the ranks of a tensor train: orthogonalise its cores from the right, then truncate from the left.

    Parameters
    ----------
    ranks : int or tuple of int, optional
        One for each inner bond; a bond of the train that is smaller stays as it is.
    rtol : float, optional
        Bound on the relative error; every bond may discard ``rtol^2 / (d - 1)`` of the energy. 0.01 if neither
        is given.

    Notes
    -----
    O(d n r^3). Oseledets 2011, Algorithm 2: the same result as TT-SVD of the formed tensor, and the same identity: the
    discarded energies add up to the square of the error.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tensor_train import TTRounding, TTSVD
    >>> i, j, k = np.ogrid[:12, :12, :12]
    >>> train = TTSVD(rtol=1e-8)(1 / (1.0 + i + j + k))
    >>> rounded = TTRounding(rtol=1e-3)(train)
    >>> train.largest_ranks, rounded.largest_ranks, bool(rounded.residual <= 1e-3)
    ((8, 8), (4, 4), True)
    """

    ranks: int | tuple[int, ...] | None = None
    rtol: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rtol", chosen_tolerance(self.ranks, self.rtol))
        require_ranks(self.ranks)

    def truncation(self, order: int) -> TTSVD:
        """Return the decomposition of a formed tensor that gives the same result."""
        return TTSVD(ranks=self.ranks, rtol=self.rtol, order=order)

    def __call__(self, train: TensorTrain) -> TruncatedTensorTrain:
        """Round a stack of trains.

        Raises
        ------
        TypeError
            If ``train`` is no tensor train, or its cores are not of float32 or float64.
        ValueError
            If it has a single core, the number of ranks does not fit its order, the tolerance is below rounding, or
            cores or result are not finite.
        """
        train = admitted(train)
        require_tolerance_for(self.rtol, train.sizes, train.like)
        ranks = bounded_ranks(self.ranks, train)
        xp = array_namespace(*train.cores)
        cores, exponent = orthogonalised_from_right(train)
        norm_squared = energy(cores[0], order=3)  # all other cores have orthonormal rows
        allowed = None if self.rtol is None else self.rtol**2 / (train.order - 1) * norm_squared
        done, steps = [], []
        for place in range(train.order - 1):
            core = cores[place]
            batch, (left, n, right) = tuple(core.shape[:-3]), core.shape[-3:]
            matrix = xp.reshape(core, (*batch, left * n, right))
            rank = None if ranks is None else min(ranks[place], left * n, right)  # earlier bonds may have shrunk
            # through its triangular factor: sums over a long mode would lose digits that the short ones keep
            tall = left * n > right
            basis, short = orthonormalise_with_factor(matrix) if tall else (None, matrix)
            step = leading_subspace(short, rank=rank, energy=allowed)
            remainder = xp.matmul(xp.matrix_transpose(step.basis), short)  # (..., rank, right)
            cores[place + 1] = contract("...ab,...bnc->...anc", remainder, cores[place + 1])
            kept = step.basis if basis is None else xp.matmul(basis, step.basis)  # (..., left n, rank)
            done.append(xp.reshape(kept, (*batch, left, n, kept.shape[-1])))
            steps.append(step)
        found = TruncatedTensorTrain(
            cores=(*done, cores[-1]), **truncation_record(steps, norm(cores[-1], order=3), self.rtol)
        )
        return restored_tensor(found, exponent)


def orthogonalised_from_right(train: TensorTrain) -> tuple[list[Array], Array]:
    """Return cores of the same tensor up to powers of two, and the exponents (...) that restore it.

    All but the first have orthonormal rows; bonds shrink to what cores admit. The largest entry of the first is between
    1 and 2, whatever the sizes of the cores: a product of many harmless ones is not.
    """
    xp = array_namespace(*train.cores)
    batch = train.batch
    pairs = [unit(xp.broadcast_to(core, (*batch, *core.shape[-3:])), order=3) for core in train.cores]
    cores, exponent = [core for core, _ in pairs], sum((e for _, e in pairs[1:]), start=pairs[0][1])
    for place in range(len(cores) - 1, 0, -1):
        left, n, right = cores[place].shape[-3:]
        columns = xp.matrix_transpose(xp.reshape(cores[place], (*batch, left, n * right)))
        if left > n * right:  # the bond exceeds the rank of the core, which is absorbed by its neighbour
            factor, kept = columns, None
        else:
            kept, factor = orthonormalise_with_factor(columns)
        width = n * right if kept is None else left
        identity = xp.eye(width, dtype=columns.dtype, device=device(columns))
        rows = xp.broadcast_to(identity, (*batch, width, width)) if kept is None else xp.matrix_transpose(kept)
        cores[place] = xp.reshape(rows, (*batch, width, n, right))
        cores[place - 1], growth = unit(contract("...anb,...cb->...anc", cores[place - 1], factor), order=3)
        exponent = exponent + growth
    return cores, exponent


def bounded_ranks(ranks: int | tuple[int, ...] | None, train: TensorTrain) -> tuple[int, ...] | None:
    """Return one rank for each inner bond of a train, none above the bond; None where a tolerance decides.

    Raises
    ------
    ValueError
        If the number of ranks is not that of the inner bonds.
    """
    if ranks is None:
        return None
    wanted = ranks if isinstance(ranks, tuple) else (ranks,) * (train.order - 1)
    if len(wanted) != train.order - 1:
        raise ValueError(f"ranks {wanted} are {len(wanted)} numbers; a train of {train.order} cores has one bond less")
    return tuple(min(rank, bond) for rank, bond in zip(wanted, train.largest_ranks, strict=True))


def admitted(train: TensorTrain) -> TensorTrain:
    """Return a train that can be rounded.

    Raises
    ------
    TypeError
        If it is no tensor train, or its cores are not of float32 or float64.
    ValueError
        If there is no inner bond, or an entry of a core is not finite.
    """
    if not isinstance(train, TensorTrain):
        raise TypeError(f"train must be a TensorTrain; got {type(train).__name__}; decompose an array with TTSVD")
    if train.order < 2:
        raise ValueError("a train of one core has no bond to round; use its core as it is")
    for place, core in enumerate(train.cores):
        require_single_or_double(core, f"core {place} of the train")
        check_finite(core, f"core {place} of the train")
    return train
