"""Result type of cross interpolation: a train, the entries it was fitted to, and an estimate of its error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, array_namespace, contract
from tnattn.decomposition.tensor_train.truncated_train import true_storage
from tnattn.randnla.accuracy import Accuracy
from tnattn.structured.tensor_train import TensorTrain

__all__ = ["CrossFit", "CrossTrain"]


@dataclass(frozen=True, eq=False, repr=False)
class CrossTrain(Accuracy, TensorTrain):
    """A train fitted to entries of a tensor that was not formed.

    Parameters
    ----------
    cores
        See ``TensorTrain``; a stack of different ranks is padded with zeros.
    ranks : Array, (..., d - 1), integer
        Ranks of the inner bonds of each tensor of the stack; the cores have the largest.
    fit : CrossFit
        The cross through which the train was laid, before its bonds were rounded.
    evaluations : int
        Entries that were computed, over the whole stack, those of the checks included.
    residual : Array, (...)
        Estimated relative error, on fibres sampled after the train was made, which makes it unbiased. An error in few
        entries that no fibre meets is not detected.
    interval : tuple of Array, (...) each
        Lowest and highest relative error that agree with these fibres; see ``SampledFibres.interval``.
    converged : Array, (...), bool
        Whether the highest is within the tolerance, or rounding where none was given.
    sampled_fibres : int
        Number of fibres.
    sweeps : int
        Passes from the left that were made.
    """

    fit: CrossFit
    evaluations: int
    interval: tuple[Array, Array]
    sampled_fibres: int
    sweeps: int

    degrees: ClassVar[Mapping[str, float]] = {**TensorTrain.degrees, "fit": 1.0}

    @property
    def storage(self) -> int:
        """Scalars that the true ranks need, without the zeros that pad a stack."""
        return true_storage(self.ranks, self.sizes)


@dataclass(frozen=True, eq=False)
class CrossFit:
    """Rows chosen for every bond, and how a bond is fitted to them.

    Level k of a tensor is the matrix A_k of its entries at the rows chosen for bond k with all indices of the modes to
    the right, A_0 the tensor itself, and ``B_k = inverses[k] A_k`` what the train holds of it. Core k, as a matrix
    (r_k n_k, r_{k+1}), stands for ``B_k ~ core_k B_{k+1}``; the last core is B of the last bond.

    Parameters
    ----------
    train : TensorTrain
    rows : tuple of Array, (..., s_k, k), integer
        Multi-indices of the first k modes for the bonds k = 1, ..., d - 1, nested.
    inverses : tuple of Array, (..., r_k, s_k)
        Pseudo-inverses of the coefficients of these rows; the identity where a bond interpolates.
    """

    train: TensorTrain
    rows: tuple[Array, ...]
    inverses: tuple[Array, ...]

    degrees: ClassVar[Mapping[str, float]] = {"train": 1.0}

    @property
    def interpolates(self) -> bool:
        """Whether every bond has as many rows as columns."""
        return all(inverse.shape[-2] == inverse.shape[-1] for inverse in self.inverses)


def solved(inverse: Array | None, matrix: Array, n: int) -> Array:
    """Return the core (..., r, n, c): the inverse (..., r, s) times a matrix (..., s n, c); None for the identity."""
    xp = array_namespace(matrix)
    core = xp.reshape(matrix, (*matrix.shape[:-2], matrix.shape[-2] // n, n, matrix.shape[-1]))
    if inverse is None or inverse.shape[-1] == inverse.shape[-2]:
        return core
    return contract("...ab,...bnc->...anc", inverse, core)
