"""Result types of tensor-train decompositions with orthonormal cores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, to_host
from tnattn.decomposition.tensor_units import norm
from tnattn.randnla.accuracy import Accuracy
from tnattn.structured.tensor_train import TensorTrain

__all__ = ["OrthonormalTensorTrain", "SketchedTensorTrain", "TruncatedTensorTrain"]


@dataclass(frozen=True, eq=False, repr=False)
class OrthonormalTensorTrain(Accuracy, TensorTrain):
    """A tensor train whose cores, but for the last, have orthonormal columns; a stack is padded with zeros.

    Parameters
    ----------
    cores
        See ``TensorTrain``.
    ranks : Array, (..., d - 1), integer
        Ranks of the inner bonds of each tensor of the stack; the cores have the largest.
    residual, converged
        See ``Accuracy``.
    """

    @property
    def storage(self) -> int:
        """Scalars that the true ranks need, without the zeros that pad a stack."""
        return true_storage(self.ranks, self.sizes)

    def norm(self) -> Array:
        """Return the Frobenius norms (...): those of the last core, for the others are orthonormal."""
        return norm(self.cores[-1], order=3)


@dataclass(frozen=True, eq=False, repr=False)
class TruncatedTensorTrain(OrthonormalTensorTrain):
    """The result of a truncation to a tensor train, one bond after the other.

    Parameters
    ----------
    cores, ranks, residual, converged
        See ``OrthonormalTensorTrain``; the residual is that of the ``error_certificate``.
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
    cores, ranks, residual, converged
        See ``OrthonormalTensorTrain``; the residual is that of the ``error_certificate``, None where that is NaN.
    error_certificate : Array, (...)
        Bound on the Frobenius error: what the sketch misses, measured, plus what the truncation discards; NaN where the
        sketch was not measured.
    """

    error_certificate: Array

    degrees: ClassVar[Mapping[str, float]] = {**OrthonormalTensorTrain.degrees, "error_certificate": 1.0}


def true_storage(ranks: Array, sizes: Sequence[int]) -> int:
    """Return the scalars of a stack of trains of the given sizes with ranks (..., d - 1), without any padding."""
    bonds = [1, *to_host(ranks).reshape(-1, len(sizes) - 1).T, 1]
    total = sum(left * n * right for left, n, right in zip(bonds, sizes, bonds[1:], strict=False))
    return int(total.sum())
