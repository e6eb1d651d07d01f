"""Result types of Tucker decompositions with orthonormal factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, to_host
from tnattn.decomposition.subspace import Subspace
from tnattn.decomposition.tensor_units import norm
from tnattn.decomposition.truncation import truncation_record
from tnattn.randnla.accuracy import Accuracy
from tnattn.structured.tucker import TuckerTensor

__all__ = ["OrthonormalTucker", "TruncatedTucker"]


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

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tucker import STHOSVD
    >>> i, j, k = np.ogrid[:20, :20, :20]
    >>> result = STHOSVD(ranks=(2, 3, 3))(1 / (1.0 + i + j + k))
    >>> basis = result.factors[1]
    >>> bool(np.allclose(basis.T @ basis, np.eye(3))), bool(np.isclose(result.norm(), np.linalg.norm(result.core)))
    (True, True)
    """

    @property
    def storage(self) -> int:
        """Scalars that the true ranks need, without the zeros that pad a stack."""
        ranks = to_host(self.ranks).reshape(-1, self.order)  # one row for each tensor of the stack
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
        Frobenius norm of the part discarded in each mode: of the core of the modes before, or of the tensor itself if
        all modes were truncated at once.
    mode_order : tuple of int or None
        Order in which the modes were truncated; None if at once.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tucker import STHOSVD
    >>> i, j, k = np.ogrid[:20, :20, :20]
    >>> result = STHOSVD(ranks=2)(1 / (1.0 + i + j + k))
    >>> result.discarded.round(3), round(float(result.error_certificate), 3)
    (array([0.189, 0.154, 0.11 ]), 0.268)
    """

    discarded: Array
    mode_order: tuple[int, ...] | None

    degrees: ClassVar[Mapping[str, float]] = {**OrthonormalTucker.degrees, "discarded": 1.0}

    @property
    def error_certificate(self) -> Array:
        """Frobenius error (...): exact for modes truncated one after the other, else an upper bound.

        The root of the sum of the squares of what was discarded.
        """
        return norm(self.discarded, order=1)  # sequential projections discard orthogonal parts; others at most these


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
