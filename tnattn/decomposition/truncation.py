"""What decompositions by truncated singular value decompositions share: ranks or a tolerance, and their checks."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from tnattn.arrays import Array, dtype_name, eps
from tnattn.decomposition.base import Decomposition, as_rank
from tnattn.decomposition.entries import EntryTensor

DEFAULT_TOLERANCE = 1e-2


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
        if self.ranks is not None and self.rtol is not None:
            raise ValueError(f"ranks {self.ranks} and rtol {self.rtol} are both given; set one of them to None")
        if self.ranks is None and self.rtol is None:
            object.__setattr__(self, "rtol", DEFAULT_TOLERANCE)
        if self.rtol is not None and not 0 < self.rtol < 1:
            raise ValueError(f"rtol is {self.rtol}; 0 < rtol < 1 is needed; give ranks for an exact decomposition")
        for rank in self.ranks if isinstance(self.ranks, tuple) else (self.ranks,):
            if rank is not None:
                as_rank(rank)
        if isinstance(self.ranks, tuple) and len(self.ranks) != self._rank_count:
            raise ValueError(
                f"ranks {self.ranks} are {len(self.ranks)} numbers; {self._rank_count} are needed at order {self.order}"
            )

    @property
    @abc.abstractmethod
    def _rank_count(self) -> int:
        """How many ranks there are."""

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
        like = tensor.like if isinstance(tensor, EntryTensor) else tensor
        floor = max(sizes) * eps(like)
        if self.rtol is not None and self.rtol < floor:
            raise ValueError(
                f"rtol {self.rtol} is below {floor:.2g}, what {dtype_name(like.dtype)} resolves in a tensor of sizes "
                f"{sizes}; raise it, use a wider dtype or give ranks"
            )


@dataclass(frozen=True)
class TuckerTruncation(Truncation):
    """A truncation to Tucker form: one rank for each mode."""

    @property
    def _rank_count(self) -> int:
        return self.order

    def rank_limits(self, sizes: Sequence[int]) -> tuple[int, ...]:
        return tuple(min(n, math.prod(sizes[:j]) * math.prod(sizes[j + 1 :])) for j, n in enumerate(sizes))

    def _require_consistent(self, ranks: tuple[int, ...], sizes: Sequence[int]) -> None:
        for mode, rank in enumerate(ranks):
            product = math.prod(ranks[:mode]) * math.prod(ranks[mode + 1 :])
            if rank > product:
                raise ValueError(
                    f"rank {rank} of mode {mode} exceeds {product}, the product of the other ranks of {ranks}: no core "
                    "has such ranks; reduce it, or raise another"
                )
