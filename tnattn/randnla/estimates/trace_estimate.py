"""Trace estimates with their standard error, and the base class of the methods that compute them."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

from scipy.special import stdtrit

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.randnla.units import in_units, restored
from tnattn.scalars import Parameters, as_real
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.conversion import as_structured


@dataclass(frozen=True, eq=False)
class TraceEstimate(Parameters):
    """Estimated traces of a stack of matrices.

    Parameters
    ----------
    samples : Array, (..., count)
        Unbiased estimates of the trace, of one distribution; at least two.
    products : int
        Number of products of the matrix with a vector.
    dependence : float
        Factor of the variance of the mean due to dependence of the samples; 1 for independent samples.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.randnla.estimates import TraceEstimate
    >>> estimate = TraceEstimate(np.array([9.0, 11.0, 10.0, 10.0]), products=4)
    >>> print(estimate.value, round(float(estimate.standard_error), 2), np.round(estimate.interval(0.05), 1))
    10.0 0.41 [ 8.7 11.3]
    """

    degrees: ClassVar[Mapping[str, float]] = {"samples": 1.0}

    samples: Array
    products: int
    dependence: float = 1.0

    @property
    def value(self) -> Array:
        """Mean of the samples, (...)."""
        return array_namespace(self.samples).mean(self.samples, axis=-1)

    @property
    def standard_error(self) -> Array:
        """Standard deviation of the samples times ``sqrt(dependence / count)``, (...)."""
        xp = array_namespace(self.samples)
        largest = xp.max(xp.abs(self.samples), axis=-1)  # the unit: squares neither overflow nor vanish
        unit = xp.where(largest > 0, largest, xp.ones_like(largest))
        spread = unit * xp.std(self.samples / unit[..., None], axis=-1, correction=1)
        return spread * (self.dependence / self.samples.shape[-1]) ** 0.5

    def interval(self, failure: float = 0.05) -> tuple[Array, Array]:
        """Return the ends (...) of Student's confidence interval, which fails with about the given probability.

        Notes
        -----
        Asymptotic: it fails more often for few samples of a skew distribution, and about twice as often for XTrace,
        whose samples are dependent.
        """
        failure = as_real(failure, "failure")
        if not 0 < failure < 1:
            raise ValueError(f"failure is {failure}; a probability strictly between 0 and 1 is needed")
        reach = float(stdtrit(self.samples.shape[-1] - 1, 1 - failure / 2)) * self.standard_error
        return self.value - reach, self.value + reach


class TraceMethod(Parameters, abc.ABC):
    """Base of the methods that estimate traces. A subclass is a frozen dataclass; ``cls()`` must work."""

    @final
    def __call__(self, a: Any, *, rng: Rng | None = None) -> TraceEstimate:
        """Estimate the trace of a matrix or of each matrix of a stack.

        Parameters
        ----------
        a : as for a MatrixMethod, (..., n, n)
            Square; it need not be symmetric.
        rng : numpy.random.Generator or DeviceDraws
            All matrices of a stack share the random numbers.

        Raises
        ------
        TypeError
            If ``a`` is of another kind or not floating, or ``rng`` is no generator.
        ValueError
            If ``a`` is not square, empty or not finite, or the trace leaves the range of the dtype.
        """
        matrix = as_structured(a)
        if matrix.shape[-1] != matrix.shape[-2]:
            raise ValueError(f"a has shape {matrix.shape}; only a square matrix has a trace")
        scaled, unit = in_units(matrix)
        return restored(self.estimate(scaled, rng=rng), unit)

    @abc.abstractmethod
    def estimate(self, a: StructuredMatrix, *, rng: Rng | None) -> TraceEstimate:
        """Estimate the traces of matrices that have been checked; see ``__call__``."""
