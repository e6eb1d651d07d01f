"""Base class of the distributions over test matrices."""

from __future__ import annotations

import abc
from typing import Any

from tnattn.arrays import Array, Rng
from tnattn.scalars import Parameters, as_integer
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.conversion import require_precision


class Sketch(Parameters, abc.ABC):
    """A distribution over n-by-size test matrices Omega with ``E[Omega Omega^T] = I``.

    A subclass is a frozen dataclass; ``cls()`` must work.
    """

    @abc.abstractmethod
    def draw(self, n: int, size: int, *, rng: Rng | None, like: Array) -> StructuredMatrix:
        """Draw a test matrix.

        Parameters
        ----------
        n, size : int
            Rows and columns, both positive.
        rng : numpy.random.Generator or DeviceDraws
        like : Array
            Array whose library, device and floating dtype the test matrix has.

        Returns
        -------
        StructuredMatrix, (n, size)
            One matrix, which all matrices of a stack share.

        Raises
        ------
        TypeError
            If ``rng`` is no generator, or ``like`` is neither float32 nor float64.
        ValueError
            If ``n`` or ``size`` is not positive.
        """


def require_sketch(sketch: Any) -> None:
    """Raise TypeError unless ``sketch`` is a distribution of test matrices."""
    if not isinstance(sketch, Sketch):
        raise TypeError(f"sketch is {sketch!r}; a Sketch such as Gaussian() is needed")


def admissible_sizes(n: int, size: int, like: Array) -> tuple[int, int]:
    """Return the rows and columns of a test matrix as Python numbers; raise unless both are positive.

    Half precision is refused, by TypeError: products with the test matrix would be rounded to three digits.
    """
    require_precision(like, "like")
    return as_integer(n, "n", least=1), as_integer(size, "size", least=1)


class AdaptiveTestMatrix(StructuredMatrix):
    """A test matrix that depends on the matrix it is multiplied with."""

    @abc.abstractmethod
    def adapted_to(self, a: StructuredMatrix) -> StructuredMatrix:
        """Return the test matrix (..., n, size) for matrices (..., m, n)."""


def adapted_to(omega: StructuredMatrix, a: StructuredMatrix) -> StructuredMatrix:
    """Return a test matrix adapted to matrices (..., m, n): itself, unless it is an ``AdaptiveTestMatrix``."""
    return omega.adapted_to(a) if isinstance(omega, AdaptiveTestMatrix) else omega
