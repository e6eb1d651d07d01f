"""Columns chosen through the leading right singular vectors."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import final

from tnattn.arrays import Array, Rng
from tnattn.randnla.arguments import require_rank
from tnattn.randnla.columns.selection import ColumnSelection
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD, RandomizedSVDResult
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
from tnattn.structured.base import StructuredMatrix


@dataclass(frozen=True)
class SubspaceSelection(ColumnSelection):
    """A rule that looks at the leading right singular vectors only. A subclass is a frozen dataclass.

    Parameters
    ----------
    svd : TruncatedSVD or RandomizedSVD
        What computes them; its rank is set by the selection.
    """

    svd: TruncatedSVD | RandomizedSVD = field(default_factory=TruncatedSVD)

    def __post_init__(self) -> None:
        if not isinstance(self.svd, (TruncatedSVD, RandomizedSVD)):
            raise TypeError(f"svd is {self.svd!r}; TruncatedSVD() or RandomizedSVD() is needed")

    @abc.abstractmethod
    def dimension(self, size: int) -> int:
        """Number of singular vectors that a choice of that many columns needs."""

    @abc.abstractmethod
    def points(self, v: Array, size: int, *, rng: Rng | None) -> Array:
        """Choose rows (..., size) of matrices v (..., n, dimension) with orthonormal columns."""

    @final
    def decompose(self, a: StructuredMatrix, size: int, *, rng: Rng | None) -> RandomizedSVDResult:
        """Return the singular vectors that the choice of columns, or of rows, looks at."""
        rank = self.dimension(size)
        require_rank(rank, a.shape)
        return self.svd.with_rank(rank).factorise(a, rng=rng)

    @final
    def select(self, a: StructuredMatrix, size: int, *, rng: Rng | None) -> Array:
        return self.points(self.decompose(a, size, rng=rng).vt.mT, size, rng=rng)
