"""Column selection: base classes, and rules that do not read the matrix."""

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
    """Rule that selects columns or, applied to the transpose, rows. A subclass is a frozen dataclass."""

    domain: ClassVar[Literal["any", "semidefinite"]] = "any"  # matrices that it takes
    reads_matrix: ClassVar[bool] = True  # columns of zeros are selected only after all others
    repeats: ClassVar[bool] = False  # samples with replacement: any number of columns, some more than once

    @abc.abstractmethod
    def select(self, a: StructuredMatrix, size: int, *, rng: Rng | None) -> Array:
        """Select columns of every matrix of a stack.

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
            Distinct unless the rule samples with replacement.

        Raises
        ------
        ValueError
            If the matrix has fewer columns to select from.
        """


def admissible_columns(size: int, n: int) -> int:
    """Return a number of distinct columns as a Python number; raise ValueError if it exceeds n."""
    number = as_integer(size, "size", least=1)
    if number > n:
        raise ValueError(f"{number} distinct columns cannot be chosen from {n}; reduce the number")
    return number


@dataclass(frozen=True)
class UniformColumns(ColumnSelection):
    """Columns sampled uniformly without replacement, the same for all matrices of a stack.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Dense, UniformColumns
    >>> print(UniformColumns().select(Dense(np.ones((2, 6))), 3, rng=np.random.default_rng(0)))
    [3 2 1]
    """

    reads_matrix: ClassVar = False

    def select(self, a: StructuredMatrix, size: int, *, rng: Rng | None) -> Array:
        n = a.shape[-1]
        size = admissible_columns(size, n)
        xp = array_namespace(a.like)
        keys = uniform(require_rng(rng, "UniformColumns"), (n,), like=a.like)
        # the order of independent uniform keys is a uniform permutation
        return for_every_matrix(xp.argsort(keys)[:size], a)


@dataclass(frozen=True)
class GivenColumns(ColumnSelection):
    """The first columns of a given list, the same for all matrices of a stack.

    Parameters
    ----------
    indices : tuple of int
        Distinct and non-negative.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import GivenColumns, InterpolativeDecomposition
    >>> a = np.diag([1.0, 4.0, 2.0, 0.1])
    >>> result = InterpolativeDecomposition(rank=2, selection=GivenColumns((1, 2)))(a)
    >>> print(result.indices, round(float(np.linalg.norm(a - result.to_dense())), 2))
    [1 2] 1.0
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
    """Base of rules that depend on the leading right singular vectors only. A subclass is a frozen dataclass.

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
        """Return the number of singular vectors from which ``size`` columns are selected."""

    @abc.abstractmethod
    def points(self, v: Array, size: int, *, rng: Rng | None) -> Array:
        """Select rows (..., size) of matrices v (..., n, dimension) with orthonormal columns."""

    @final
    def decompose(self, a: StructuredMatrix, size: int, *, rng: Rng | None) -> RandomizedSVDResult:
        """Return the singular vectors on which the selection of columns, or of rows, depends."""
        rank = self.dimension(size)
        require_rank(rank, a.shape)
        return self.svd.with_rank(rank).factorise(a, rng=rng)

    @final
    def select(self, a: StructuredMatrix, size: int, *, rng: Rng | None) -> Array:
        return self.points(self.decompose(a, size, rng=rng).vt.mT, size, rng=rng)


def require_selection(selection: ColumnSelection) -> None:
    """Raise TypeError unless ``selection`` is a rule that selects columns."""
    if not isinstance(selection, ColumnSelection):
        raise TypeError(f"selection is {selection!r}; a ColumnSelection such as QRColumns() is needed")


def for_every_matrix(indices: Array, a: StructuredMatrix) -> Array:
    """Return indices (size,) repeated for every matrix of a stack, (..., size)."""
    xp = array_namespace(indices)
    # a copy: callers may write to the indices of one matrix
    return xp.asarray(xp.broadcast_to(indices, (*a.batch, *indices.shape)), copy=True)
