"""What truncations return: a structured tensor with the realised ranks and the energies that were discarded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, array_namespace, to_host
from tnattn.decomposition.scaling import norm
from tnattn.decomposition.subspace import Subspace
from tnattn.structured.tensor_train import TensorTrain
from tnattn.structured.tucker import TuckerTensor


@dataclass(frozen=True, eq=False, repr=False)
class OrthonormalTucker(TuckerTensor):
    """A Tucker tensor with orthonormal factors; columns beyond the rank of a tensor of the stack are zero.

    Parameters
    ----------
    core, factors
        See ``TuckerTensor``.
    mode_ranks : Array, (..., d), integer
        Ranks of each tensor of the stack; the core has the largest.
    """

    mode_ranks: Array

    @property
    def storage(self) -> int:
        """Scalars that the true ranks need, without the zeros that pad a stack."""
        ranks = to_host(self.mode_ranks).reshape(-1, self.order)
        return int(ranks.prod(axis=-1).sum() + (ranks * self.sizes).sum())

    def norm(self) -> Array:
        """Return the Frobenius norms (...): those of the core, for the factors are orthonormal."""
        return norm(self.core, order=self.order)


@dataclass(frozen=True, eq=False, repr=False)
class TruncatedTucker(OrthonormalTucker):
    """The result of a truncation to Tucker form.

    Parameters
    ----------
    core, factors, mode_ranks
        See ``OrthonormalTucker``.
    discarded : Array, (..., d)
        Frobenius norm of what was discarded in each mode: from the core that the modes before had left, or from the
        whole tensor if modes were truncated at once.
    mode_order : tuple of int or None
        Order in which the modes were truncated; None if at once.
    """

    discarded: Array
    mode_order: tuple[int, ...] | None

    degrees: ClassVar[Mapping[str, float]] = {**OrthonormalTucker.degrees, "discarded": 1.0}

    @property
    def error_certificate(self) -> Array:
        """Frobenius error (...): exact for modes truncated one after the other, else an upper bound.

        The root of the sum of the squares of what was discarded.
        """
        return norm(self.discarded, order=1)


@dataclass(frozen=True, eq=False, repr=False)
class OrthonormalTensorTrain(TensorTrain):
    """A tensor train whose cores, but for the last, have orthonormal columns; a stack is padded with zeros.

    Parameters
    ----------
    cores
        See ``TensorTrain``.
    bond_ranks : Array, (..., d - 1), integer
        Ranks of each tensor of the stack; the cores have the largest.
    """

    bond_ranks: Array

    @property
    def storage(self) -> int:
        """Scalars that the true ranks need, without the zeros that pad a stack."""
        return true_storage(self.bond_ranks, self.sizes)

    def norm(self) -> Array:
        """Return the Frobenius norms (...): those of the last core, for the others are orthonormal."""
        return norm(self.cores[-1], order=3)


@dataclass(frozen=True, eq=False, repr=False)
class TruncatedTensorTrain(OrthonormalTensorTrain):
    """The result of a truncation to a tensor train, one bond after the other.

    Parameters
    ----------
    cores, bond_ranks
        See ``OrthonormalTensorTrain``.
    discarded : Array, (..., d - 1)
        Frobenius norm of what each step discarded.
    """

    discarded: Array

    degrees: ClassVar[Mapping[str, float]] = {**OrthonormalTensorTrain.degrees, "discarded": 1.0}

    @property
    def error_certificate(self) -> Array:
        """Frobenius error (...), exact: the root of the sum of the squares of what was discarded."""
        return norm(self.discarded, order=1)


@dataclass(frozen=True, eq=False, repr=False)
class SketchedTensorTrain(OrthonormalTensorTrain):
    """The result of a truncation of a sketch of a train.

    Parameters
    ----------
    cores, bond_ranks
        See ``OrthonormalTensorTrain``.
    error_certificate : Array, (...)
        Bound on the Frobenius error: what the sketch misses, measured, plus what the truncation discards; NaN where the
        sketch was not measured.
    """

    error_certificate: Array

    degrees: ClassVar[Mapping[str, float]] = {**OrthonormalTensorTrain.degrees, "error_certificate": 1.0}


def true_storage(bond_ranks: Array, sizes: Sequence[int]) -> int:
    """Return the scalars of a stack of trains of the given sizes with ranks (..., d - 1), without any padding."""
    ranks = to_host(bond_ranks).reshape(-1, len(sizes) - 1)
    bonds = [1, *ranks.T, 1]
    total = sum(left * n * right for left, n, right in zip(bonds, sizes, bonds[1:], strict=False))
    return int(total.sum())


def truncated_tucker(core: Array, steps: Sequence[Subspace], *, mode_order: tuple[int, ...] | None) -> TruncatedTucker:
    """Return the result of a truncation, given the subspaces in the order of the modes."""
    xp = array_namespace(core)
    discarded = xp.sqrt(xp.stack([step.discarded for step in steps], axis=-1))
    return TruncatedTucker(
        core=core,
        factors=tuple(step.basis for step in steps),
        discarded=discarded,
        mode_ranks=xp.stack([step.ranks for step in steps], axis=-1),
        mode_order=mode_order,
    )
