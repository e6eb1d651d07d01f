"""Result types of truncated Tucker and tensor-train decompositions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import Array, array_namespace, eps, to_host
from tnattn.decomposition.scaling import norm
from tnattn.decomposition.subspace import Subspace
from tnattn.randnla.accuracy import Accuracy, within
from tnattn.structured.tensor_train import TensorTrain
from tnattn.structured.tucker import TuckerTensor


@dataclass(frozen=True, eq=False, repr=False)
class OrthonormalTucker(Accuracy, TuckerTensor):
    """A Tucker tensor with orthonormal factors; columns beyond the rank of a tensor of the stack are zero.

    Parameters
    ----------
    core, factors
        See ``TuckerTensor``.
    ranks : Array, (..., d), integer
        Multilinear ranks of each tensor of the stack; the core has the largest.
    residual, converged
        See ``Accuracy``.
    """

    @property
    def storage(self) -> int:
        """Scalars that the true ranks need, without the zeros that pad a stack."""
        ranks = to_host(self.ranks).reshape(-1, self.order)
        return int(ranks.prod(axis=-1).sum() + (ranks * self.sizes).sum())

    def norm(self) -> Array:
        """Return the Frobenius norms (...): those of the core, for the factors are orthonormal."""
        return norm(self.core, order=self.order)


@dataclass(frozen=True, eq=False, repr=False)
class TruncatedTucker(OrthonormalTucker):
    """The result of a truncation to Tucker form.

    Parameters
    ----------
    core, factors, ranks, residual, converged
        See ``OrthonormalTucker``; the residual is that of the ``error_certificate``.
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


def truncated_tucker(
    core: Array,
    steps: Sequence[Subspace],
    *,
    mode_order: tuple[int, ...] | None,
    rtol: float | None,
    size: Array | None = None,
) -> TruncatedTucker:
    """Return the result of a truncation, given the subspaces in the order of the modes; see ``truncation_record``."""
    return TruncatedTucker(
        core=core,
        factors=tuple(step.basis for step in steps),
        mode_order=mode_order,
        **truncation_record(steps, norm(core, order=len(steps)), rtol, size=size),
    )


def truncation_record(
    steps: Sequence[Subspace], approximation: Array, rtol: float | None, *, size: Array | None = None
) -> dict[str, Any]:
    """Return the field ``discarded`` and those of an ``Accuracy`` by name, for a truncation in several steps.

    Parameters
    ----------
    steps : sequence of Subspace
        In the order of modes or bonds.
    approximation : Array, (...)
        Norms of the results.
    rtol : float, optional
    size : Array, (...), optional
        Norms of the tensors. By default the steps are orthogonal projections, one after the other, so that the squares
        of what they discard and of the result add up to that of the norm.
    """
    xp = array_namespace(approximation)
    discarded = xp.sqrt(xp.stack([step.discarded for step in steps], axis=-1))
    error = norm(discarded, order=1)
    size = norm(xp.stack([error, approximation], axis=-1), order=1) if size is None else size
    ranks = xp.stack([step.ranks for step in steps], axis=-1)
    return {"discarded": discarded, **relative_accuracy(error, size, ranks, rtol)}


def relative_accuracy(error: Array, size: Array, ranks: Array, rtol: float | None) -> dict[str, Any]:
    """Return the fields of an ``Accuracy`` by name, for an error (...) that ranks were chosen to keep small enough."""
    xp = array_namespace(error)
    residual = error / xp.where(size > 0, size, xp.ones_like(size))
    # the sums of squares by which ranks are chosen are rounded: a residual may exceed the tolerance by as much
    return {"ranks": ranks, "residual": residual, "converged": within(residual, (rtol or 0.0) * (1 + 64 * eps(error)))}
