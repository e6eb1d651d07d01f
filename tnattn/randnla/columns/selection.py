"""Ways to choose columns of a matrix: the contract, and the choices that need not look at it."""

from __future__ import annotations

import abc
from dataclasses import dataclass

from tnattn.arrays import Array, Rng, array_namespace, device, require_rng, uniform
from tnattn.randnla.arguments import require_count
from tnattn.scalars import Parameters, as_integer
from tnattn.structured.base import StructuredMatrix


class ColumnSelection(Parameters, abc.ABC):
    """A rule that picks columns; applied to the transpose it picks rows. A subclass is a frozen dataclass."""

    @abc.abstractmethod
    def select(self, a: StructuredMatrix, size: int, *, rng: Rng | None) -> Array:
        """Choose columns of every matrix of a stack.

        Parameters
        ----------
        a : StructuredMatrix, (..., m, n)
        size : int
            Positive.
        rng : numpy.random.Generator or DeviceDraws
            Needed by randomized rules only.

        Returns
        -------
        Array, (..., size), int64
            Distinct unless the rule draws with replacement.

        Raises
        ------
        ValueError
            If the matrix has not so many columns to choose.
        """


def admissible_columns(size: int, n: int) -> int:
    """Return a number of distinct columns as a Python number; raise ValueError if there are not as many."""
    number = as_integer(size, "size", least=1)
    if number > n:
        raise ValueError(f"{number} distinct columns cannot be chosen from {n}; reduce the number")
    return number


@dataclass(frozen=True)
class UniformColumns(ColumnSelection):
    """Draws columns uniformly without replacement, the same for all matrices of a stack."""

    def select(self, a: StructuredMatrix, size: int, *, rng: Rng | None) -> Array:
        n = a.shape[-1]
        size = admissible_columns(size, n)
        xp = array_namespace(a.like)
        keys = uniform(require_rng(rng, "UniformColumns"), (n,), like=a.like)
        return for_every_matrix(xp.argsort(keys)[:size], a)


@dataclass(frozen=True)
class GivenColumns(ColumnSelection):
    """The first columns of a list that the caller knows to be good, the same for all matrices of a stack.

    Parameters
    ----------
    indices : tuple of int
        Distinct and non-negative.
    """

    indices: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        for index in self.indices:
            require_count(index, "an index", least=0)
        if not self.indices or len(set(self.indices)) != len(self.indices):
            raise ValueError(f"indices are {self.indices}; distinct ones are needed, at least one")

    def select(self, a: StructuredMatrix, size: int, *, rng: Rng | None) -> Array:
        size = admissible_columns(size, len(self.indices))
        if max(self.indices[:size]) >= a.shape[-1]:
            raise ValueError(f"indices are {self.indices}; the {a.shape} stack has {a.shape[-1]} columns")
        xp = array_namespace(a.like)
        chosen = xp.asarray(self.indices[:size], dtype=xp.int64, device=device(a.like))
        return for_every_matrix(chosen, a)


def for_every_matrix(indices: Array, a: StructuredMatrix) -> Array:
    """Return indices (size,) as (..., size), each matrix of a stack having a copy of its own."""
    xp = array_namespace(indices)
    return xp.asarray(xp.broadcast_to(indices, (*a.batch, *indices.shape)), copy=True)


def with_unused(pivots: Array, n: int) -> Array:
    """Return pivots (..., size) with every -1 replaced by an index below n that is not among them, in order."""
    xp = array_namespace(pivots)
    place = device(pivots)
    used = xp.any(pivots[..., None] == xp.arange(n, device=place), axis=-2)  # (..., n)
    unused = xp.argsort(xp.astype(used, xp.int64), axis=-1, stable=True)
    missing = pivots < 0
    position = xp.cumulative_sum(xp.astype(missing, xp.int64), axis=-1) - 1
    position = xp.where(missing, position, xp.zeros_like(position))
    return xp.where(missing, xp.take_along_axis(unused, position, axis=-1), pivots)
