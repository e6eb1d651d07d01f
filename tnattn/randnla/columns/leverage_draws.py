"""Columns drawn by the leverage scores of a leading singular subspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, require_rng, uniform
from tnattn.randnla.columns.selection import SubspaceSelection
from tnattn.randnla.scores.leverage import sample_indices
from tnattn.scalars import require_count


@dataclass(frozen=True)
class LeverageDraws(SubspaceSelection):
    """Draws columns with replacement, with probability proportional to their leverage scores.

    Parameters
    ----------
    svd : TruncatedSVD or RandomizedSVD
    subspace : int
        Dimension of the leading right singular subspace whose scores are used; no more than columns are drawn.

    Notes
    -----
    The decomposition, and O(n (subspace + log n)). Mahoney & Drineas 2009. The uniform numbers are shared by the
    matrices of a stack.
    """

    subspace: int = 8

    repeats: ClassVar = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(self.subspace, "subspace", least=1)

    def dimension(self, size: int) -> int:
        return min(self.subspace, size)

    def points(self, v: Array, size: int, *, rng: Rng | None) -> Array:
        xp = array_namespace(v)
        scores = xp.sum(v * v, axis=-1)
        return sample_indices(scores, uniform(require_rng(rng, "LeverageDraws"), (size,), like=v))
