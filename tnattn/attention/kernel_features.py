"""Features whose inner products are a kernel: what a causal scan needs of a method."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import ClassVar, Self

from tnattn.arrays import Array
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
    units: ClassVar[str] = SOFTMAX

    @abc.abstractmethod
    def of_queries(self, queries: Array, spare: Array | None = None) -> tuple[Array | None, Array | None]:
        """Return exponents and factors of the features of queries (..., n, d).

        Parameters
        ----------
        queries : Array
        spare : Array, optional
            An array that may be overwritten with a result.

        Returns
        -------
        exponents : Array, (..., n, m) or (..., n, 1), or None for zeros
            The caller may write into it.
        factors : Array, (..., n, m), or None for ones
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
        """Operations that give the features of one vector."""
