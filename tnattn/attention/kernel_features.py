"""Features whose inner products are a kernel, or an estimate of one."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import ClassVar, Self

from tnattn.arrays import Array, exp_in_place
from tnattn.attention.approximation import SOFTMAX


class KernelFeatures(abc.ABC):
    """Base class of kernels exp(offset(q)) phi(q) . phi(k) whose features are factors times exp(exponents).

    Exponents stay apart from factors, so that a shift can be taken out before exp is evaluated.

    Parameters
    ----------
    features : int
        Length m of a feature vector.
    """

    features: int
    exact: ClassVar[bool] = False  # the inner products are the kernel of the method's exact pieces
    units: ClassVar[str] = SOFTMAX  # of the sums, as in ``Approximation``

    @abc.abstractmethod
    def of_queries(self, queries: Array, spare: Array | None = None) -> tuple[Array | None, Array | None]:
        """Return exponents and factors of the features of queries (..., n, d).

        Parameters
        ----------
        queries : Array
        spare : Array, optional
            May be overwritten with the exponents, or with the factors where there are none.

        Returns
        -------
        exponents : Array, (..., n, m) or (..., n, 1), or None for zeros
        factors : Array, (..., n, m), or None for ones
            Not both are None. The caller may write into the exponents, or into the factors where there are none.
        """

    @abc.abstractmethod
    def of_keys(self, keys: Array, spare: Array | None = None) -> tuple[Array | None, Array | None]:
        """Return exponents and factors of the features of keys (..., n, d), as ``of_queries`` does."""

    @abc.abstractmethod
    def offset(self, queries: Array) -> Array | float:
        """Return the logarithm of the factor of every kernel row, (..., n)."""

    @abc.abstractmethod
    def per_head(self, change: Callable[[Array], Array]) -> Self:
        """Return the features with another form of every array that differs between heads, (..., a, b)."""

    @property
    @abc.abstractmethod
    def flops(self) -> int:
        """Operations of the products that give the features of one vector."""

    @property
    @abc.abstractmethod
    def storage(self) -> int:
        """Stored scalars."""


def feature_entries(exponents: Array | None, factors: Array | None, unit: Array | None) -> Array:
    """Return features in units of exp(unit), written over the exponents; without exponents the unit is one.

    Parameters
    ----------
    exponents, factors
        As ``KernelFeatures`` returns them.
    unit : Array
        Broadcasts to the exponents.
    """
    if exponents is None:
        assert factors is not None
        return factors
    exponents -= unit
    features = exp_in_place(exponents)
    return features if factors is None else features * factors
