"""Estimates of spectral and Frobenius norms from products with a matrix, with confidence bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

from tnattn.arrays import Array, Rng, array_namespace, device, eps, require_rng
from tnattn.linalg import extend_basis, largest_entry, orthonormalise, spectral_norm
from tnattn.randnla.sketches import Gaussian
from tnattn.randnla.units import in_units, restored
from tnattn.scalars import Parameters, require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.conversion import as_structured


@dataclass(frozen=True, eq=False)
class NormEstimate(Parameters):
    """Estimated norms of a stack of matrices, with confidence bounds.

    Parameters
    ----------
    value : Array, (...)
        The estimate.
    lower, upper : Array, (...)
        Confidence bounds; ``upper`` is infinite where the probes are too few.
    failure : float
        Bound on the probability that a confidence bound is violated, for each matrix.
    products : int
        Products of the matrix or its transpose with a vector that were spent.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import SpectralNorm
    >>> estimate = SpectralNorm()(np.diag([3.0, 2.0, 1.0]), rng=np.random.default_rng(0))
    >>> print(round(float(estimate.lower), 2), estimate.upper >= 3.0, estimate.failure, estimate.products)
    3.0 True 0.0001 6
    """

    degrees: ClassVar[Mapping[str, float]] = {"value": 1.0, "lower": 1.0, "upper": 1.0}

    value: Array
    lower: Array
    upper: Array
    failure: float
    products: int


@dataclass(frozen=True)
class SpectralNorm(Parameters):
    """Largest singular value: lower bound by block Lanczos steps, upper bound by Gaussian probes.

    Parameters
    ----------
    probes : int
        Columns r of the starting block.
    steps : int
        Block Lanczos steps, non-negative; each one costs two more products with the block.
    inflation : float
        The factor alpha > 1 of the upper bound, which fails with probability at most ``inflation ** -probes``.

    Notes
    -----
    ``probes (1 + 2 steps)`` products with the matrix and O((m + n) (probes (1 + steps))^2). The lower bound, which is
    also the value, is deterministic up to rounding: the norm of the image of a basis over the norm of the basis, valid
    also when orthogonality is lost. The upper bound is ``alpha sqrt(2 / pi) max ||A w_i||`` of Halko, Martinsson &
    Tropp 2011, Lemma 4.1, commonly ten times the norm.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import SpectralNorm
    >>> from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = matrix_with_spectrum(polynomial_spectrum(50), (80, 50), rng)
    >>> estimate = SpectralNorm(probes=4, steps=4)(a, rng=rng)
    >>> print(round(float(estimate.value), 3), estimate.upper > 1, estimate.products)
    1.0 True 36
    """

    probes: int = 4
    steps: int = 4
    inflation: float = 10.0

    def __post_init__(self) -> None:
        require_count(self.probes, "probes", least=1)
        require_count(self.steps, "steps", least=0)
        if not 1 < self.inflation < math.inf:
            raise ValueError(f"inflation is {self.inflation}; a finite number above 1 is needed, such as 10")

    @property
    def failure(self) -> float:
        """Bound on the probability that the upper bound is violated."""
        return float(self.inflation) ** -self.probes

    @final
    def __call__(self, a: Any, *, rng: Rng | None = None) -> NormEstimate:
        """Estimate the spectral norm of a matrix or of each matrix of a stack.

        Parameters
        ----------
        a : as for a MatrixMethod, (..., m, n)
        rng : numpy.random.Generator or DeviceDraws
            All matrices of a stack share the probes.
        """
        matrix, unit = in_units(as_structured(a))
        return restored(self._estimate(matrix, rng), unit)

    def _estimate(self, matrix: StructuredMatrix, rng: Rng | None) -> NormEstimate:
        omega = _unit_probes(self.probes, matrix, rng, "SpectralNorm")
        xp = array_namespace(omega)
        start = orthonormalise(omega[:, : min(self.probes, matrix.shape[-1])])
        image = matrix.sketch(start)
        # the start spans the probes, so their images cost no further product
        probed = xp.max(_lengths(image @ (start.mT @ omega)), axis=-1)
        lower, products = _lanczos(matrix, start, image, self.steps)
        upper = self.inflation * math.sqrt(2 / math.pi) * probed
        return NormEstimate(lower, lower, xp.maximum(lower, upper), self.failure, products)


def _lanczos(a: StructuredMatrix, start: Array, image: Array, steps: int) -> tuple[Array, int]:
    """Return lower bounds (...) of spectral norms, and the number of products.

    Parameters
    ----------
    a : StructuredMatrix, (..., m, n)
    start : Array, (n, r)
        Orthonormal columns.
    image : Array, (..., m, r)
        ``a @ start``.
    """
    xp = array_namespace(image)
    n, products = a.shape[-1], start.shape[-1]
    basis = xp.broadcast_to(start, (*a.batch, *start.shape))
    images = image
    for _ in range(steps):
        block = a.mT @ (image / largest_entry(image))  # repeated products would overflow or underflow
        room = min(block.shape[-1], n - basis.shape[-1])
        products += block.shape[-1]
        if room == 0:  # the basis is complete
            break
        block = extend_basis(basis, block[..., :room])
        image = a.sketch(block)
        products += room
        basis, images = xp.concat([basis, block], axis=-1), xp.concat([images, image], axis=-1)
    # ||A V|| / ||V|| <= ||A|| for every V, orthonormal or not
    return spectral_norm(images) / spectral_norm(basis), products


@dataclass(frozen=True)
class FrobeniusNorm(Parameters):
    """Root of the mean of ``||A w||^2`` over Gaussian probes.

    Parameters
    ----------
    probes : int
        Number of probes m; the upper bound is finite for more than ``4 log(2 / failure)`` of them.
    failure : float
        Bound on the probability that a confidence bound is violated.

    Notes
    -----
    ``probes`` products with the matrix; from ``probes >= n`` on n products give the norm itself instead. With x = log(2
    / failure), the square of the norm lies between ``Z / (1 + 2 sqrt(x / m) + 2 x / m)`` and ``Z / (1 - 2 sqrt(x /
    m))``, Z the mean: Laurent & Massart 2000, Lemma 1, with the norms of A^T A bounded by the square of that of A.
    Pessimistic except for matrices of rank one.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import FrobeniusNorm
    >>> from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = matrix_with_spectrum(polynomial_spectrum(200), (200, 200), rng)
    >>> estimate = FrobeniusNorm(probes=64)(a, rng=rng)
    >>> print(np.round([estimate.value, np.linalg.norm(a)], 1), estimate.lower < np.linalg.norm(a) < estimate.upper)
    [1.2 1.3] True
    """

    probes: int = 64
    failure: float = 0.05

    def __post_init__(self) -> None:
        require_count(self.probes, "probes", least=1)
        if not 0 < self.failure < 1:
            raise ValueError(f"failure is {self.failure}; a probability strictly between 0 and 1 is needed")

    @final
    def __call__(self, a: Any, *, rng: Rng | None = None) -> NormEstimate:
        """Estimate the Frobenius norm of a matrix or of each matrix of a stack.

        Parameters
        ----------
        a : as for a MatrixMethod, (..., m, n)
        rng : numpy.random.Generator or DeviceDraws
            All matrices of a stack share the probes.
        """
        matrix, unit = in_units(as_structured(a))
        return restored(self._estimate(matrix, rng), unit)

    def _estimate(self, matrix: StructuredMatrix, rng: Rng | None) -> NormEstimate:
        require_rng(rng, "FrobeniusNorm")
        if self.probes >= matrix.shape[-1]:
            return _exact(matrix, self.failure)
        image = matrix.sketch(_unit_probes(self.probes, matrix, rng, "FrobeniusNorm"))
        xp = array_namespace(image)
        value = _lengths(_lengths(image)[..., None])[..., 0] / self.probes**0.5
        # half of the failure probability for each bound
        low, high = frobenius_factors(self.probes, math.log(2 / self.failure))
        infinite = xp.full_like(value, math.inf)
        zero = value == 0  # almost surely only for a zero matrix, whose norm is known
        upper = xp.where(zero, value, infinite) if high is None else value * high**0.5
        return NormEstimate(value, value * low**0.5, upper, self.failure, self.probes)


def _exact(a: StructuredMatrix, failure: float) -> NormEstimate:
    """Return the Frobenius norm from products with all unit vectors, with bounds that differ by rounding."""
    xp, n = array_namespace(a.like), a.shape[-1]
    image = a.sketch(xp.eye(n, dtype=a.dtype, device=device(a.like)))
    value = _lengths(_lengths(image)[..., None])[..., 0]
    rounding = _rounding_up(a)
    return NormEstimate(value, value / rounding, value * rounding, failure, n)


def _rounding_up(a: StructuredMatrix) -> float:
    """Return one plus a bound on the relative rounding error of a norm of the matrix."""
    return 1 + 4 * sum(a.shape[-2:]) * eps(a.like)


def _lengths(x: Array) -> Array:
    """Return the norms (..., c) of the columns of matrices (..., n, c), without overflow or underflow of squares."""
    unit = largest_entry(x)
    return unit[..., 0] * array_namespace(x).linalg.vector_norm(x / unit, axis=-2)


def frobenius_factors(probes: int, x: float) -> tuple[float, float | None]:
    """Return factors of the mean Z that bound ``||A||_F^2``, each violated with probability at most exp(-x).

    The upper factor is None where ``probes <= 4 x``.
    """
    root = (x / probes) ** 0.5
    return 1 / (1 + 2 * root + 2 * root**2), 1 / (1 - 2 * root) if 2 * root < 1 else None


def _unit_probes(count: int, a: StructuredMatrix, rng: Rng | None, who: str) -> Array:
    """Return standard normal vectors (n, count)."""
    omega = Gaussian().draw(a.shape[-1], count, rng=require_rng(rng, who), like=a.like)
    return omega.dense_view() * count**0.5
