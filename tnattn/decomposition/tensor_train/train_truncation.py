"""Base of truncations to tensor trains: one rank for each bond, and the admissible ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tnattn.decomposition.truncation import Truncation


@dataclass(frozen=True)
class TrainTruncation(Truncation):
    """A decomposition into a tensor train: one rank for each of the ``order - 1`` inner bonds.

    Examples
    --------
    >>> from tnattn.decomposition.tensor_train import TrainTruncation, TTSVD
    >>> isinstance(TTSVD(), TrainTruncation), TTSVD(order=4).rank_limits((2, 3, 4, 5))
    (True, (2, 6, 5))
    >>> TTSVD(order=4).with_rank(4, (2, 3, 4, 5)).ranks
    (2, 4, 4)
    """

    @property
    def _rank_count(self) -> int:
        return self.order - 1

    def rank_limits(self, sizes: Sequence[int]) -> tuple[int, ...]:
        return tuple(min(math.prod(sizes[:k]), math.prod(sizes[k:])) for k in range(1, len(sizes)))

    def _require_consistent(self, ranks: tuple[int, ...], sizes: Sequence[int]) -> None:
        bonds = (1, *ranks, 1)
        # a core of full rank has linearly independent rows and columns as a matrix, unfolded to either side
        for mode, n in enumerate(sizes):
            left, right = bonds[mode], bonds[mode + 1]
            if right > left * n or left > n * right:
                raise ValueError(
                    f"ranks {left} and {right} at the two ends of mode {mode}, of size {n}, differ by more than a "
                    f"factor {n}: no core in {ranks} has such ranks; bring them closer"
                )
