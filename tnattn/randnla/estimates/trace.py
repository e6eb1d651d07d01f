"""Trace estimates from products with a matrix, each with the spread that its own samples show."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

from scipy.special import stdtrit

from tnattn.arrays import Array, Rng, array_namespace, device, require_rng
from tnattn.linalg import orthonormalise, orthonormalise_with_factor
from tnattn.randnla.estimates.leave_one_out import left_out_directions
from tnattn.randnla.sketches import (
    Gaussian,
    Probes,
    Rademacher,
    Sketch,
    require_probes,
    require_sketch,
)
from tnattn.randnla.units import in_units, restored
from tnattn.scalars import Parameters, as_real, require_count
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
        Products of the matrix with a vector that were spent.
    dependence : float
        What the variance of the mean is multiplied by because the samples are not independent; 1 where they are.
    """

    degrees: ClassVar[Mapping[str, float]] = {"samples": 1.0}

    samples: Array
    products: int
    dependence: float = 1.0

    @property
    def value(self) -> Array:
        """The mean of the samples, (...)."""
        return array_namespace(self.samples).mean(self.samples, axis=-1)

    @property
    def standard_error(self) -> Array:
        """Their standard deviation times ``sqrt(dependence / count)``, (...)."""
        xp = array_namespace(self.samples)
        largest = xp.max(xp.abs(self.samples), axis=-1)  # the unit: squares neither overflow nor vanish
        unit = xp.where(largest > 0, largest, xp.ones_like(largest))
        spread = unit * xp.std(self.samples / unit[..., None], axis=-1, correction=1)
        return spread * (self.dependence / self.samples.shape[-1]) ** 0.5

    def interval(self, failure: float = 0.05) -> tuple[Array, Array]:
        """Return lower and upper ends (...) of Student's interval, which misses with about this probability.

        Notes
        -----
        Asymptotic: with few samples of a skew distribution it misses more often, and XTrace, whose samples depend on
        each other, about twice as often as it says.
        """
        failure = as_real(failure, "failure")
        if not 0 < failure < 1:
            raise ValueError(f"failure is {failure}; a probability strictly between 0 and 1 is needed")
        reach = float(stdtrit(self.samples.shape[-1] - 1, 1 - failure / 2)) * self.standard_error
        return self.value - reach, self.value + reach


class TraceMethod(Parameters, abc.ABC):
    """A way to estimate traces. A subclass is a frozen dataclass; ``cls()`` must work."""

    @final
    def __call__(self, a: Any, *, rng: Rng | None = None) -> TraceEstimate:
        """Estimate the trace of a matrix or of each matrix of a stack.

        Parameters
        ----------
        a : as for a MatrixMethod, (..., n, n)
            Square; it need not be symmetric.
        rng : numpy.random.Generator or DeviceDraws
            All matrices of a stack share the draws.

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


@dataclass(frozen=True)
class GirardHutchinson(TraceMethod):
    """The mean of ``w^T A w`` over random vectors with ``E[w w^T] = I``.

    Parameters
    ----------
    probes : int
        Number of vectors, at least two, which show a spread.
    distribution : Gaussian, Rademacher or Sphere
        Signs leave the diagonal out of the variance; the sphere has the least variance over all rotations of A.

    Notes
    -----
    ``probes`` products with A; from ``probes >= n`` on n products give the exact trace instead. The error falls as
    1 / sqrt(probes), whatever the spectrum. Girard 1989; Hutchinson 1990.
    """

    probes: int = 32
    distribution: Probes = field(default_factory=Rademacher)

    def __post_init__(self) -> None:
        require_count(self.probes, "probes", least=2)
        require_probes(self.distribution, "distribution")

    def estimate(self, a: StructuredMatrix, *, rng: Rng | None) -> TraceEstimate:
        require_rng(rng, "GirardHutchinson")
        if self.probes >= a.shape[-1]:
            return _exact(a)
        omega = _unit_probes(self.distribution, self.probes, a, rng)
        return TraceEstimate(_column_products(omega, a.sketch(omega)), self.probes)


@dataclass(frozen=True)
class HutchPlusPlus(TraceMethod):
    """The exact trace on a randomized range, plus the Girard-Hutchinson estimate of the rest.

    Parameters
    ----------
    products : int
        Products with A, at least four: a third for the range, a third for its trace, the rest for probes.
    sketch : Sketch
        Distribution of the test matrix whose image is the range.
    distribution : Gaussian, Rademacher or Sphere
        Of the probes.

    Notes
    -----
    O(products) products with A and O(n products^2). The error falls as 1 / products for a positive semidefinite A.
    From ``products >= n`` on n products give the exact trace instead. Meyer, Musco, Musco & Woodruff 2021, Algorithm
    1.
    """

    products: int = 48
    sketch: Sketch = field(default_factory=Gaussian)
    distribution: Probes = field(default_factory=Gaussian)

    def __post_init__(self) -> None:
        require_count(self.products, "products", least=4)
        require_sketch(self.sketch)
        require_probes(self.distribution, "distribution")

    @property
    def size(self) -> int:
        """Number of columns of the test matrix."""
        return self.products // 3

    @property
    def probes(self) -> int:
        """Number of vectors that estimate the rest."""
        return self.products - 2 * self.size

    def estimate(self, a: StructuredMatrix, *, rng: Rng | None) -> TraceEstimate:
        n, size = a.shape[-1], self.size
        require_rng(rng, "HutchPlusPlus")
        if self.products >= n:
            return _exact(a)
        q = orthonormalise(a.sketch(self.sketch.draw(n, size, rng=rng, like=a.like)))
        omega = _unit_probes(self.distribution, self.probes, a, rng)
        outside = omega - q @ (q.mT @ omega)
        # one product with both blocks: the matrix is read once
        image = a.sketch(array_namespace(q).concat([q, outside], axis=-1))
        inside = array_namespace(q).sum(_column_products(q, image[..., :size]), axis=-1)
        samples = inside[..., None] + _column_products(outside, image[..., size:])
        return TraceEstimate(samples, 2 * size + self.probes)


@dataclass(frozen=True)
class XTrace(TraceMethod):
    """The mean of Hutch++ estimates in which each probe in turn stays out of the range, and estimates the rest.

    Parameters
    ----------
    products : int
        Products with A, at least four; half for the range, half for its trace.
    normalise : bool
        Scale the part of a probe outside the range to the length that it has on average, which lowers the variance.

    Notes
    -----
    O(products) products with A and O(n products^2). Gaussian probes. Epperly, Tropp & Webber 2024, Sections 2.1 and
    2.4. Exact to rounding where A has a rank below the number of probes; from ``products >= n`` on n products give
    the exact trace instead. Deviation: the squared standard error of the source is multiplied by n / (n - probes + 1),
    since the samples share ever more directions; measured, it lies between 0.6 and 1.6 of the variance.
    """

    products: int = 48
    normalise: bool = True

    def __post_init__(self) -> None:
        require_count(self.products, "products", least=4)

    @property
    def probes(self) -> int:
        """Number of probes."""
        return self.products // 2

    def estimate(self, a: StructuredMatrix, *, rng: Rng | None) -> TraceEstimate:
        n, count = a.shape[-1], self.probes
        require_rng(rng, "XTrace")
        if self.products >= n:
            return _exact(a)
        omega = _unit_probes(Gaussian(), count, a, rng)
        xp = array_namespace(omega)
        y = a.sketch(omega)
        q, r = orthonormalise_with_factor(y)
        z = a.sketch(q)
        h = q.mT @ z
        s = left_out_directions(r)
        inside = xp.sum(xp.linalg.diagonal(h), axis=-1)[..., None] - _column_products(s, h @ s)
        w = q.mT @ omega
        projected = w - s * xp.sum(s * w, axis=-2, keepdims=True)  # coordinates of the projected probes
        outside = omega - q @ projected
        residual = _column_products(outside, y - z @ projected)
        if self.normalise:
            length = xp.sum(xp.square(outside), axis=-2)
            positive, zero = length > 0, xp.zeros_like(residual)
            scaled = residual * (n - count + 1) / xp.where(positive, length, xp.ones_like(length))
            residual = xp.where(positive, scaled, zero)
        return TraceEstimate(inside + residual, 2 * count, n / (n - count + 1))


def _exact(a: StructuredMatrix) -> TraceEstimate:
    """Return the trace from products with all unit vectors: two equal samples, which show no spread."""
    xp = array_namespace(a.like)
    image = a.sketch(xp.eye(a.shape[-1], dtype=a.dtype, device=device(a.like)))
    trace = xp.sum(xp.linalg.diagonal(image), axis=-1)
    return TraceEstimate(xp.stack([trace, trace], axis=-1), a.shape[-1])


def _unit_probes(distribution: Sketch, count: int, a: StructuredMatrix, rng: Rng | None) -> Array:
    """Return probes (n, count), each with ``E[w w^T] = I``."""
    return distribution.draw(a.shape[-1], count, rng=rng, like=a.like).dense_view() * count**0.5


def _column_products(x: Array, y: Array) -> Array:
    """Return the inner products (..., c) of the columns of x and y (..., n, c)."""
    return array_namespace(x, y).sum(x * y, axis=-2)
