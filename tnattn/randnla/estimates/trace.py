"""Stochastic trace estimation: Girard-Hutchinson, Hutch++ and XTrace."""

from __future__ import annotations

from dataclasses import dataclass, field

from tnattn.arrays import Array, Rng, array_namespace, device, require_rng
from tnattn.linalg import orthonormalise, orthonormalise_with_factor
from tnattn.randnla.estimates.leave_one_out import left_out_directions
from tnattn.randnla.estimates.trace_estimate import TraceEstimate, TraceMethod
from tnattn.randnla.sketches import (
    Gaussian,
    Probes,
    Rademacher,
    Sketch,
    require_probes,
    require_sketch,
)
from tnattn.scalars import require_count
from tnattn.structured.base import StructuredMatrix


@dataclass(frozen=True)
class GirardHutchinson(TraceMethod):
    """Mean of ``w^T A w`` over random vectors with ``E[w w^T] = I``.

    Parameters
    ----------
    probes : int
        Number of vectors, at least two, for a standard error.
    distribution : Gaussian, Rademacher or Sphere
        For signs the diagonal does not contribute to the variance; the sphere minimises it over all rotations of A.

    Notes
    -----
    ``probes`` products with A; from ``probes >= n`` on n products give the exact trace instead. The error falls as
    1 / sqrt(probes), whatever the spectrum. Girard 1989; Hutchinson 1990.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import GirardHutchinson
    >>> from tnattn.gallery import exponential_spectrum, psd_with_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = psd_with_spectrum(exponential_spectrum(50), rng)
    >>> estimate = GirardHutchinson(probes=32)(a, rng=rng)
    >>> print(round(float(estimate.value), 2), round(float(np.trace(a)), 2))
    2.47 2.54
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
    """Exact trace on a randomized range, plus the Girard-Hutchinson estimate on its orthogonal complement.

    Parameters
    ----------
    products : int
        Products with A, at least four: a third for the range, a third for its trace, the others for probes.
    sketch : Sketch
        Distribution of the test matrix whose image is the range.
    distribution : Gaussian, Rademacher or Sphere
        Of the probes.

    Notes
    -----
    O(products) products with A and O(n products^2). The error falls as 1 / products for a positive semidefinite A.
    From ``products >= n`` on n products give the exact trace instead. Meyer, Musco, Musco & Woodruff 2021, Algorithm
    1.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import HutchPlusPlus
    >>> from tnattn.gallery import exponential_spectrum, psd_with_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = psd_with_spectrum(exponential_spectrum(50), rng)
    >>> estimate = HutchPlusPlus(products=32)(a, rng=rng)
    >>> print(round(float(estimate.value), 2), round(float(np.trace(a)), 2))
    2.54 2.54
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
        """Number of vectors for the orthogonal complement."""
        return self.products - 2 * self.size

    def estimate(self, a: StructuredMatrix, *, rng: Rng | None) -> TraceEstimate:
        n, size = a.shape[-1], self.size
        require_rng(rng, "HutchPlusPlus")
        if self.products >= n:
            return _exact(a)
        q = orthonormalise(a.sketch(self.sketch.draw(n, size, rng=rng, like=a.like)))
        omega = _unit_probes(self.distribution, self.probes, a, rng)
        outside = omega - q @ (q.mT @ omega)
        # tr(A) = tr(Q^T A Q) + tr((I - Q Q^T) A (I - Q Q^T)); one product with both blocks reads A once
        image = a.sketch(array_namespace(q).concat([q, outside], axis=-1))
        inside = array_namespace(q).sum(_column_products(q, image[..., :size]), axis=-1)
        samples = inside[..., None] + _column_products(outside, image[..., size:])
        return TraceEstimate(samples, 2 * size + self.probes)


@dataclass(frozen=True)
class XTrace(TraceMethod):
    """Mean of Hutch++ estimates in which each probe in turn is left out of the range and estimates the residual.

    Parameters
    ----------
    products : int
        Products with A, at least four; half for the range, half for its trace.
    normalise : bool
        Scale the projection of a probe onto the complement of the range to its root-mean-square length, which reduces
        the variance.

    Notes
    -----
    O(products) products with A and O(n products^2). Gaussian probes. Epperly, Tropp & Webber 2024, Sections 2.1 and
    2.4. Exact to rounding where A has a rank below the number of probes; from ``products >= n`` on n products give
    the exact trace instead. Deviation: the squared standard error of the source is multiplied by n / (n - probes + 1),
    since the samples share more directions the more probes there are; its measured ratio to the variance is 0.6 to
    1.6.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import XTrace
    >>> from tnattn.gallery import exponential_spectrum, psd_with_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = psd_with_spectrum(exponential_spectrum(50), rng)
    >>> estimate = XTrace(products=32)(a, rng=rng)
    >>> print(round(float(estimate.value), 2), round(float(np.trace(a)), 2))
    2.54 2.54
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
        # Q_(j) Q_(j)^T = Q (I - s_j s_j^T) Q^T projects onto the range without probe j: tr(H) - s_j^T H s_j
        s = left_out_directions(r)
        inside = xp.sum(xp.linalg.diagonal(h), axis=-1)[..., None] - _column_products(s, h @ s)
        w = q.mT @ omega
        projected = w - s * xp.sum(s * w, axis=-2, keepdims=True)  # coordinates of the projected probes
        outside = omega - q @ projected
        residual = _column_products(outside, y - z @ projected)
        # Epperly, Tropp & Webber 2024, Section 2.4: (n - count + 1) / ||(I - Q_(j) Q_(j)^T) w_j||^2
        if self.normalise:
            length = xp.sum(xp.square(outside), axis=-2)
            positive, zero = length > 0, xp.zeros_like(residual)
            scaled = residual * (n - count + 1) / xp.where(positive, length, xp.ones_like(length))
            residual = xp.where(positive, scaled, zero)
        return TraceEstimate(inside + residual, 2 * count, n / (n - count + 1))


def _exact(a: StructuredMatrix) -> TraceEstimate:
    """Return the exact trace from products with all unit vectors, as two equal samples of variance zero."""
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
