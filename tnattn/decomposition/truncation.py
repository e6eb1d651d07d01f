"""Decompositions by truncated SVDs: prescribed ranks or tolerance, and the accuracy achieved."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from tnattn.arrays import Array, array_namespace, dtype_name, eps
from tnattn.decomposition.base import Decomposition, as_rank
from tnattn.decomposition.entries import EntryTensor
from tnattn.decomposition.subspace import Subspace
from tnattn.decomposition.tensor_units import norm
from tnattn.randnla.accuracy import require_optional_tolerance, within

DEFAULT_TOLERANCE = 1e-2  # where neither ranks nor a tolerance are given: one percent of the norm


@dataclass(frozen=True)
class Truncation(Decomposition):
    """A decomposition that truncates singular value decompositions, to given ranks or to a tolerance.

    Parameters
    ----------
    ranks : int or tuple of int, optional
        One for all, or one for each mode (Tucker) or bond (tensor train). Not lowered to what a tensor admits: that is
        an error; ``with_rank`` lowers.
    rtol : float, optional
        Bound on the relative error in the Frobenius norm, each tensor of a stack for itself. 0.01 if neither is given.
    """

    ranks: int | tuple[int, ...] | None = None
    rtol: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "rtol", chosen_tolerance(self.ranks, self.rtol))
        require_ranks(self.ranks, count=self._rank_count, order=self.order)

    @property
    @abc.abstractmethod
    def _rank_count(self) -> int:
        """The number of ranks."""

    @abc.abstractmethod
    def rank_limits(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Return the largest ranks that a tensor with the given mode sizes can have."""

    @abc.abstractmethod
    def _require_consistent(self, ranks: tuple[int, ...], sizes: Sequence[int]) -> None:
        """Raise ValueError if no tensor has all these ranks at once."""

    def ranks_for(self, sizes: Sequence[int]) -> tuple[int, ...] | None:
        """Return one rank for each mode or bond of a tensor of the given sizes; None where the tolerance decides.

        Raises
        ------
        ValueError
            If a rank exceeds what the unfoldings admit.
        """
        if self.ranks is None:
            return None
        limits = self.rank_limits(sizes)
        ranks = self.ranks if isinstance(self.ranks, tuple) else (self.ranks,) * len(limits)
        for place, (rank, limit) in enumerate(zip(ranks, limits, strict=True)):
            if rank > limit:
                raise ValueError(
                    f"rank {rank} at place {place} of {ranks} exceeds {limit}, the largest rank there of a tensor of "
                    f"sizes {tuple(sizes)}; reduce it, or use with_rank({rank}, sizes)"
                )
        self._require_consistent(ranks, sizes)
        return ranks

    def with_rank(self, rank: int, sizes: Sequence[int]) -> Self:
        rank = as_rank(rank)
        limits = self.rank_limits([int(n) for n in sizes])
        return dataclasses.replace(self, ranks=tuple(min(rank, n) for n in limits), rtol=None)

    def _require_fit(self, tensor: Array | EntryTensor) -> None:
        sizes = tuple(int(n) for n in tensor.shape[len(tensor.shape) - self.order :])
        self.ranks_for(sizes)
        require_tolerance_for(self.rtol, sizes, tensor.like if isinstance(tensor, EntryTensor) else tensor)


def chosen_tolerance(ranks: int | tuple[int, ...] | None, rtol: float | None) -> float | None:
    """Return the tolerance that decides the ranks, the default if neither is given; None where ranks are.

    Raises
    ------
    ValueError
        If both are given, or the tolerance is not in (0, 1).
    """
    if ranks is not None and rtol is not None:
        raise ValueError(f"ranks {ranks} and rtol {rtol} are both given; set one of them to None")
    require_optional_tolerance(rtol)
    return DEFAULT_TOLERANCE if ranks is None and rtol is None else rtol


def require_ranks(ranks: int | tuple[int, ...] | None, *, count: int | None = None, order: int | None = None) -> None:
    """Raise unless ranks are positive integers, one for all or ``count`` of them, and ValueError names the order."""
    for rank in ranks if isinstance(ranks, tuple) else (ranks,):
        if rank is not None:
            as_rank(rank)
    if isinstance(ranks, tuple) and count not in (None, len(ranks)):
        raise ValueError(f"ranks {ranks} are {len(ranks)} numbers; {count} are needed at order {order}")


def require_tolerance_for(rtol: float | None, sizes: Sequence[int], like: Array) -> None:
    """Raise ValueError if a tolerance is below the rounding of a tensor of given sizes, of the dtype of ``like``."""
    least = max(sizes) * eps(like)  # backward error of an orthogonal factorisation, relative to the norm
    if rtol is not None and rtol < least:
        raise ValueError(
            f"rtol {rtol} is below {least:.2g}, what {dtype_name(like.dtype)} resolves in a tensor of sizes "
            f"{tuple(sizes)}; raise it, use a wider dtype or give ranks"
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
    error = norm(discarded, order=1)  # the steps discard mutually orthogonal parts
    # Pythagoras: the norm of the tensor costs no further pass over it
    size = norm(xp.stack([error, approximation], axis=-1), order=1) if size is None else size
    ranks = xp.stack([step.ranks for step in steps], axis=-1)
    return {"discarded": discarded, **relative_accuracy(error, size, ranks, rtol)}


def relative_accuracy(error: Array, size: Array, ranks: Array, rtol: float | None) -> dict[str, Any]:
    """Return the fields of an ``Accuracy`` by name, for the error (...) of ranks chosen by a tolerance."""
    xp = array_namespace(error)
    residual = error / xp.where(size > 0, size, xp.ones_like(size))  # 0 for a zero tensor, whose error is 0
    # ranks are chosen by rounded sums of squares: a residual may exceed the tolerance by that rounding
    return {"ranks": ranks, "residual": residual, "converged": within(residual, (rtol or 0.0) * (1 + 64 * eps(error)))}
