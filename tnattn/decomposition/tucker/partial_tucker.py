"""Tucker decompositions that compress some modes and keep the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from tnattn.arrays import Array, Rng, to_host
from tnattn.decomposition.multilinear import mode_sizes
from tnattn.decomposition.tensor_units import energy, norm
from tnattn.decomposition.truncation import Truncation, truncation_record
from tnattn.decomposition.tucker.sequential import cheapest_order, truncated_modes
from tnattn.randnla.accuracy import Accuracy
from tnattn.structured.partial_tucker import PartialTuckerTensor

__all__ = ["PartialTucker", "TruncatedPartialTucker"]


@dataclass(frozen=True, eq=False, repr=False)
class TruncatedPartialTucker(Accuracy, PartialTuckerTensor):
    """A partial Tucker tensor with orthonormal factors; columns beyond the rank of a tensor of the stack are zero.

    Parameters
    ----------
    core, factors, modes, mode_count
        See ``PartialTuckerTensor``.
    discarded : Array, (..., factors)
        Frobenius norm of what was discarded in each of ``modes``, from what the modes before had left.
    ranks : Array, (..., factors), integer
        Ranks of ``modes`` of each tensor of the stack; the core has the largest.
    residual, converged
        See ``Accuracy``.
    mode_order : tuple of int
        Order in which the modes were truncated.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tucker import PartialTucker
    >>> tensor = np.random.default_rng(0).standard_normal((4, 8, 9))
    >>> result = PartialTucker(ranks=(3, 4), modes=(1, 2))(tensor)
    >>> error = np.linalg.norm(tensor - result.to_dense())
    >>> result.storage, bool(np.isclose(error, result.error_certificate))
    (108, True)
    """

    discarded: Array
    mode_order: tuple[int, ...]

    degrees: ClassVar[Mapping[str, float]] = {**PartialTuckerTensor.degrees, "discarded": 1.0}

    @property
    def error_certificate(self) -> Array:
        """Frobenius error (...), exact: the root of the sum of the squares of what was discarded."""
        return norm(self.discarded, order=1)

    @property
    def storage(self) -> int:
        """Scalars that the true ranks need, without the zeros that pad a stack."""
        ranks = to_host(self.ranks).reshape(-1, len(self.modes))
        kept = math.prod(n for j, n in enumerate(self.sizes) if j not in self.modes)  # modes without a factor
        lengths = [self.sizes[j] for j in self.modes]
        return int(kept * ranks.prod(axis=-1).sum() + (ranks * lengths).sum())

    def norm(self) -> Array:
        """Return the Frobenius norms (...): those of the core, for the factors are orthonormal."""
        return norm(self.core, order=self.order)


@dataclass(frozen=True)
class PartialTucker(Truncation):
    """Truncate some modes one after the other and keep the others: Tucker-1, Tucker-2 and the like.

    Parameters
    ----------
    ranks : int or tuple of int, optional
        One for all compressed modes, or one for each.
    rtol : float, optional
        Bound on the relative error; every compressed mode may discard an equal part of the energy.
    modes : tuple of int, optional
        The modes that are compressed; all but the first if None.
    order : int
        Number of modes.

    Notes
    -----
    As ``STHOSVD`` with full rank in the other modes, of which it stores no factor. With one mode the result is the best
    one (Eckart and Young). Kolda and Bader 2009, Section 4, Tucker1 and Tucker2.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tucker import PartialTucker
    >>> head, i, j = np.ogrid[:4, :20, :20]
    >>> result = PartialTucker(rtol=1e-2, modes=(1, 2))(np.cos((head + 1) * (i - j) / 20))
    >>> result.core.shape, [factor.shape for factor in result.factors]
    ((4, 4, 4), [(20, 4), (20, 4)])
    """

    modes: tuple[int, ...] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.modes is not None:
            object.__setattr__(self, "modes", tuple(self.modes))
            require_distinct_modes(self.modes, self.order)
        super().__post_init__()

    @property
    def compressed(self) -> tuple[int, ...]:
        """The modes that are compressed."""
        return self.modes or tuple(range(1, self.order))  # mode 0 usually numbers the members of a stack

    @property
    def _rank_count(self) -> int:
        return len(self.compressed)

    def rank_limits(self, sizes: Sequence[int]) -> tuple[int, ...]:
        return tuple(min(sizes[j], math.prod(sizes) // sizes[j]) for j in self.compressed)

    def _require_consistent(self, ranks: tuple[int, ...], sizes: Sequence[int]) -> None:
        left = self._core_sizes(sizes, ranks)  # a mode of the core is no longer than all others together
        for mode, rank in zip(self.compressed, ranks, strict=True):
            product = math.prod(left) // rank
            if rank > product:
                raise ValueError(
                    f"rank {rank} of mode {mode} exceeds {product}, the product of the other sizes of the core {left}: "
                    "no core has such ranks; reduce it, or raise another"
                )

    def _core_sizes(self, sizes: Sequence[int], ranks: Sequence[int]) -> tuple[int, ...]:
        chosen = dict(zip(self.compressed, ranks, strict=True))
        return tuple(chosen.get(j, n) for j, n in enumerate(sizes))

    def decompose(self, tensor: Array, *, rng: Rng | None) -> TruncatedPartialTucker:
        order, compressed = self.order, self.compressed
        sizes = mode_sizes(tensor, order=order)
        ranks = self.ranks_for(sizes)
        wanted = None if ranks is None else self._core_sizes(sizes, ranks)
        # the discarded energies add up exactly to the squared error: an equal share for each mode
        allowed = None if self.rtol is None else self.rtol**2 / len(compressed) * energy(tensor, order=order)
        modes = cheapest_order(sizes, wanted, compressed)
        core, found = truncated_modes(tensor, modes, order=order, ranks=wanted, allowed=allowed)
        return TruncatedPartialTucker(
            core=core,
            factors=tuple(found[j].basis for j in compressed),
            modes=compressed,
            mode_count=order,
            mode_order=modes,
            **truncation_record([found[j] for j in compressed], norm(core, order=order), self.rtol),
        )


def require_distinct_modes(modes: tuple[int, ...], order: int) -> None:
    """Raise ValueError unless some modes are named, in ascending order."""
    if list(modes) != sorted({j for j in modes if 0 <= j < order}) or not modes:
        raise ValueError(f"modes are {modes}; name some of 0 ... {order - 1}, ascending, each once")
