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

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tensor_train import TTSVD
    >>> i, j, k = np.ogrid[:12, :12, :12]
    >>> train = TTSVD(ranks=3)(1 / (1.0 + i + j + k))
    >>> core = train.cores[1].reshape(3 * 12, 3)
    >>> bool(np.allclose(core.T @ core, np.eye(3))), round(float(train.norm()), 3)
    (True, 3.413)
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
        Frobenius norm of the part discarded at each bond.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tensor_train import TTSVD
    >>> i, j, k = np.ogrid[:12, :12, :12]
    >>> tensor = 1 / (1.0 + i + j + k)
    >>> train = TTSVD(ranks=2)(tensor)
    >>> error = np.linalg.norm(tensor - train.to_dense())
    >>> train.discarded.round(3), round(float(error), 3), round(float(train.error_certificate), 3)
    (array([0.106, 0.088]), 0.138, 0.138)
    """

    discarded: Array

    degrees: ClassVar[Mapping[str, float]] = {**OrthonormalTensorTrain.degrees, "discarded": 1.0}

    @property
    def error_certificate(self) -> Array:
        """Frobenius error (...), exact: the discarded parts are orthogonal to each other."""
        return norm(self.discarded, order=1)


@dataclass(frozen=True, eq=False, repr=False)
class SketchedTensorTrain(OrthonormalTensorTrain):
    """The result of a truncation of a sketch of a train.

    Parameters
    ----------
    cores, ranks, residual, converged
        See ``OrthonormalTensorTrain``; the residual is that of the ``error_certificate``, None where that is NaN.
    error_certificate : Array, (...)
        Bound on the Frobenius error: the measured residual of the sketch plus the error of the truncation; NaN where
        the residual was not measured.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tensor_train import RandomizedTTRounding, TTSVD
    >>> i, j, k = np.ogrid[:12, :12, :12]
    >>> train = TTSVD(rtol=1e-8)(1 / (1.0 + i + j + k))
    >>> rounded = RandomizedTTRounding(ranks=2)(train, rng=np.random.default_rng(0))
    >>> error = np.linalg.norm(train.to_dense() - rounded.to_dense())
    >>> bool(error <= rounded.error_certificate * (1 + 1e-6)), round(float(rounded.error_certificate), 2)
    (True, 0.14)
    """

    error_certificate: Array

    degrees: ClassVar[Mapping[str, float]] = {**OrthonormalTensorTrain.degrees, "error_certificate": 1.0}


def true_storage(ranks: Array, sizes: Sequence[int]) -> int:
    """Return the scalars of a stack of trains of the given sizes with ranks (..., d - 1), without any padding."""
    # one array of ranks for each bond, one entry for each train of the stack
    bonds = [1, *to_host(ranks).reshape(-1, len(sizes) - 1).T, 1]
    total = sum(left * n * right for left, n, right in zip(bonds, sizes, bonds[1:], strict=False))
    return int(total.sum())
