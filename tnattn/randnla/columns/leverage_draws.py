"""Column selection by the leverage scores of a leading singular subspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, require_rng, uniform
from tnattn.randnla.columns.selection import SubspaceSelection
from tnattn.randnla.scores.leverage import sample_indices
from tnattn.scalars import require_count


@dataclass(frozen=True)
class LeverageDraws(SubspaceSelection):
    """Columns sampled with replacement, with probabilities proportional to their leverage scores.

    Parameters
    ----------
    svd : TruncatedSVD or RandomizedSVD
    subspace : int
        Dimension of the leading right singular subspace whose scores are used; at most the number of columns.

    Notes
    -----
    The decomposition, and O(n (subspace + log n)). Mahoney & Drineas 2009. The uniform numbers are shared by the
    matrices of a stack.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import CUR, LeverageDraws
    >>> a = np.diag([3.0, 2.0, 0.1, 0.1])
    >>> result = CUR(rank=3, selection=LeverageDraws(subspace=2))(a, rng=np.random.default_rng(0))
    >>> print(result.column_indices, result.ranks)
    [1 0 0] 2
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
        scores = xp.sum(v * v, axis=-1)  # v has orthonormal columns: squared row norms are the scores
        return sample_indices(scores, uniform(require_rng(rng, "LeverageDraws"), (size,), like=v))
