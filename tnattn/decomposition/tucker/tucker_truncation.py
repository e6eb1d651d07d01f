"""Base of truncations to Tucker form: one rank for each mode, and the admissible multilinear ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tnattn.decomposition.truncation import Truncation


@dataclass(frozen=True)
class TuckerTruncation(Truncation):
    """A truncation to Tucker form: one rank for each mode.

    Examples
    --------
    >>> from tnattn.decomposition.tucker import STHOSVD, TuckerTruncation
    >>> isinstance(STHOSVD(), TuckerTruncation), STHOSVD().rank_limits((4, 5, 30))
    (True, (4, 5, 20))
    >>> STHOSVD().with_rank(8, (4, 5, 30)).ranks
    (4, 5, 8)
    """

    @property
    def _rank_count(self) -> int:
        return self.order

    def rank_limits(self, sizes: Sequence[int]) -> tuple[int, ...]:
        return tuple(min(n, math.prod(sizes[:j]) * math.prod(sizes[j + 1 :])) for j, n in enumerate(sizes))

    def _require_consistent(self, ranks: tuple[int, ...], sizes: Sequence[int]) -> None:
        # the unfolding (r_j, product of the other ranks) of a core of full rank has at least as many columns as rows
        for mode, rank in enumerate(ranks):
            product = math.prod(ranks[:mode]) * math.prod(ranks[mode + 1 :])
            if rank > product:
                raise ValueError(
                    f"rank {rank} of mode {mode} exceeds {product}, the product of the other ranks of {ranks}: no core "
                    "has such ranks; reduce it, or raise another"
                )
