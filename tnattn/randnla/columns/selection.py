"""Rules that choose columns of a matrix: the contracts, and the rules that do not look at the matrix."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import ClassVar, Literal, final

from tnattn.arrays import Array, Rng, array_namespace, device, require_rng, uniform
from tnattn.randnla.accuracy import require_rank
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD, RandomizedSVDResult
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
from tnattn.scalars import Parameters, as_integer, require_count
from tnattn.structured.base import StructuredMatrix


class ColumnSelection(Parameters, abc.ABC):
    """A rule that picks columns; applied to the transpose it picks rows. A subclass is a frozen dataclass."""

    domain: ClassVar[Literal["any", "semidefinite"]] = "any"  # matrices that it takes
    reads_matrix: ClassVar[bool] = True  # columns of zeros are not selected while there are others
    repeats: ClassVar[bool] = False  # draws with replacement: any number of columns, some more than once

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

    reads_matrix: ClassVar = False

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

    reads_matrix: ClassVar = False

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


@dataclass(frozen=True)
class SubspaceSelection(ColumnSelection):
    """A rule that depends on the leading right singular vectors only. A subclass is a frozen dataclass.

    Parameters
    ----------
    svd : TruncatedSVD or RandomizedSVD
        Method that computes them; its rank is set by the selection.
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
        """Return the singular vectors on which the choice of columns, or of rows, depends."""
        rank = self.dimension(size)
        require_rank(rank, a.shape)
        return self.svd.with_rank(rank).factorise(a, rng=rng)

    @final
    def select(self, a: StructuredMatrix, size: int, *, rng: Rng | None) -> Array:
        return self.points(self.decompose(a, size, rng=rng).vt.mT, size, rng=rng)


def require_selection(selection: ColumnSelection) -> None:
    """Raise TypeError unless something is a rule that chooses columns."""
    if not isinstance(selection, ColumnSelection):
        raise TypeError(f"selection is {selection!r}; a ColumnSelection such as QRColumns() is needed")


def for_every_matrix(indices: Array, a: StructuredMatrix) -> Array:
    """Return indices (size,) as (..., size), each matrix of a stack having a copy of its own."""
    xp = array_namespace(indices)
    return xp.asarray(xp.broadcast_to(indices, (*a.batch, *indices.shape)), copy=True)
