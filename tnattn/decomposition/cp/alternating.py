"""Base of canonical polyadic fits by alternating least squares: common parameters and their validation."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Sequence
from typing import ClassVar, Self

from tnattn.arrays import Array, Rng
from tnattn.decomposition.base import Decomposition, as_rank, require_at_least
from tnattn.decomposition.cp.fitted_cp import FittedCP
from tnattn.decomposition.cp.start import CPStart
from tnattn.decomposition.fewest_terms import fewest_terms
from tnattn.decomposition.history import require_stagnation
from tnattn.decomposition.multilinear import mode_sizes
from tnattn.decomposition.tensor_units import unit
from tnattn.randnla.accuracy import RankOrTolerance, require_above_rounding

__all__ = ["AlternatingLeastSquares"]


class AlternatingLeastSquares(RankOrTolerance, Decomposition):
    """Base of fits that solve for one factor at a time, the others fixed.

    A subclass is a frozen dataclass with the fields

    rank : int
        Number of terms; at most, if there is a tolerance on the error.
    sweeps : int
        Positive.
    stagnation : float
        A change of the relative error by at most this is none.
    start : CPStart
        Rule of the initial guess.
    rtol : float, optional
        Fewer terms are used where they leave a relative error of at most this; see ``fewest_terms``.
    """

    recovery: ClassVar[float] = 1e-3  # iterations stop once a sweep changes little, not at rounding

    rank: int
    sweeps: int
    stagnation: float
    start: CPStart
    rtol: float | None

    def __post_init__(self) -> None:
        RankOrTolerance.__post_init__(self)
        Decomposition.__post_init__(self)
        require_at_least("sweeps", self.sweeps, low=1, cure="without a sweep there is no fit")
        require_stagnation(self.stagnation)
        require_start(self.start)

    def with_rank(self, rank: int, sizes: Sequence[int]) -> Self:
        return dataclasses.replace(self, rank=min(as_rank(rank), largest_rank(sizes)), rtol=None)  # type: ignore[call-arg]

    def _require_fit(self, tensor: Array) -> None:
        # a rank is a demand: refused here, lowered by ``with_rank`` only
        require_cp_rank(self.rank, mode_sizes(tensor, order=self.order))
        require_above_rounding(self.rtol or 0.0, tensor)

    def decompose(self, tensor: Array, *, rng: Rng | None) -> FittedCP:
        return fewest_terms(lambda rank: self.fitted(tensor, rank, rng=rng), self.rank, self.rtol)

    @abc.abstractmethod
    def fitted(self, tensor: Array, rank: int, *, rng: Rng | None) -> FittedCP:
        """Fit a number of terms to a tensor that has been checked and scaled; see ``Decomposition.decompose``."""

    def _initial_factors(self, tensor: Array, rank: int, *, rng: Rng | None) -> list[Array]:
        """Return the factors of the initial guess, each up to a power of two: only their ranges matter."""
        given = self.start.factors(tensor, rank=rank, order=self.order, rng=rng)
        return [unit(factor, order=2)[0] for factor in given]


def require_start(start: CPStart) -> None:
    """Raise TypeError unless an initial guess is a rule that gives one."""
    if not isinstance(start, CPStart):
        raise TypeError(f"start must be a CPStart, such as GaussianStart(); got {type(start).__name__}")


def largest_rank(sizes: Sequence[int]) -> int:
    """Return a number of terms with which every tensor of the given sizes is exact."""
    sizes = [int(n) for n in sizes]
    return math.prod(sizes) // max(sizes)  # one term for each fibre of the longest mode


def require_cp_rank(rank: int, sizes: Sequence[int]) -> None:
    """Raise ValueError if there are more terms than any tensor of the given sizes can need."""
    if rank > largest_rank(sizes):
        raise ValueError(
            f"rank {rank} exceeds {largest_rank(sizes)}, with which every tensor of sizes {sizes} is exact; reduce it"
        )
