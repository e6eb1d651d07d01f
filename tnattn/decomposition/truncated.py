"""What truncations return: a structured tensor with the realised ranks and the energies that were discarded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, to_host
from tnattn.decomposition.scaling import norm
from tnattn.decomposition.subspace import Subspace
from tnattn.structured.tucker import TuckerTensor


@dataclass(frozen=True, eq=False, repr=False)
class TruncatedTucker(TuckerTensor):
    """A Tucker tensor with orthonormal factors; columns beyond the rank of a tensor of the stack are zero.

    Parameters
    ----------
    core, factors
        See ``TuckerTensor``.
    discarded : Array, (..., d)
        Frobenius norm of what was discarded in each mode: from the core of the moment where modes were truncated one after the other,
        from the whole tensor where they were truncated at once.
    mode_ranks : Array, (..., d), integer
        Ranks of each tensor of the stack; the core has the largest.
    mode_order : tuple of int or None
        Order in which the modes were truncated; None if at once.
    """

    discarded: Array
    mode_ranks: Array
    mode_order: tuple[int, ...] | None

    @property
    def error_certificate(self) -> Array:
        """Frobenius error (...): exact for modes truncated one after the other, else an upper bound.

        The root of the sum of the squares of what was discarded.
        """
        return norm(self.discarded, order=1)

    @property
    def storage(self) -> int:
        """Scalars that the true ranks need, without the zeros that pad a stack."""
        ranks = to_host(self.mode_ranks).reshape(-1, self.order)
        return int(ranks.prod(axis=-1).sum() + (ranks * self.sizes).sum())

    def norm(self) -> Array:
        """Return the Frobenius norms (...): those of the core, for the factors are orthonormal."""
        return norm(self.core, order=self.order)


def truncated_tucker(
    core: Array, scale: Array, steps: Sequence[Subspace], *, mode_order: tuple[int, ...] | None
) -> TruncatedTucker:
    """Return the result of a truncation of a tensor that was scaled, given the subspaces in the order of the modes."""
    xp = array_namespace(core)
    discarded = xp.sqrt(xp.stack([step.discarded for step in steps], axis=-1))
    return TruncatedTucker(
        core=core * scale,
        factors=tuple(step.basis for step in steps),
        discarded=discarded * xp.reshape(scale, (*discarded.shape[:-1], 1)),
        mode_ranks=xp.stack([step.ranks for step in steps], axis=-1),
        mode_order=mode_order,
    )
