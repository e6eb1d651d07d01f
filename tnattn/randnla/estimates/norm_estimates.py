"""Spectral and Frobenius norms from products with a matrix, between limits."""

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
    """A norm of every matrix of a stack, between limits.

    Parameters
    ----------
    value : Array, (...)
        The estimate.
    lower, upper : Array, (...)
        Limits; ``upper`` is infinite where the probes are too few for one.
    failure : float
        Bound on the probability that a limit is wrong, for each matrix.
    products : int
        Products of the matrix or its transpose with a vector that were spent.
    """

    degrees: ClassVar[Mapping[str, float]] = {"value": 1.0, "lower": 1.0, "upper": 1.0}

    value: Array
    lower: Array
    upper: Array
    failure: float
    products: int


@dataclass(frozen=True)
class SpectralNorm(Parameters):
    """The largest singular value: from below by block Lanczos steps, from above by Gaussian probes.

    Parameters
    ----------
    probes : int
        Columns r of the starting block.
    steps : int
        Block Lanczos steps, non-negative; each one costs two more products with the block.
    inflation : float
        The factor alpha > 1 of the upper limit, which fails with probability at most ``inflation ** -probes``.

    Notes
    -----
    ``probes (1 + 2 steps)`` products with the matrix and O((m + n) (probes (1 + steps))^2). The lower limit, which is
    the value too, holds always, to rounding: the norm of the image of a basis over the norm of the basis, so that lost
    orthogonality cannot spoil it. The upper limit is ``alpha sqrt(2 / pi) max ||A w_i||`` of Halko, Martinsson & Tropp
    2011, Lemma 4.1; ten times too much is common.
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
        """Bound on the probability that the upper limit is wrong."""
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
    """Return lower limits (...) of spectral norms, and the products spent.

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
        block = a.mT @ (image / largest_entry(image))  # the products of products would overflow or vanish
        room = min(block.shape[-1], n - basis.shape[-1])
        products += block.shape[-1]
        if room == 0:
            break
        block = extend_basis(basis, block[..., :room])
        image = a.sketch(block)
        products += room
        basis, images = xp.concat([basis, block], axis=-1), xp.concat([images, image], axis=-1)
    return spectral_norm(images) / spectral_norm(basis), products


@dataclass(frozen=True)
class FrobeniusNorm(Parameters):
    """The root of the mean of ``||A w||^2`` over Gaussian probes.

    Parameters
    ----------
    probes : int
        Number of probes m; for an upper limit more than ``4 log(2 / failure)``, else it is infinite.
    failure : float
        Bound on the probability that the limits miss the norm.

    Notes
    -----
    ``probes`` products with the matrix; from ``probes >= n`` on n products give the norm itself instead. With x = log(2
    / failure), the square of the norm lies between ``Z / (1 + 2 sqrt(x / m) + 2 x / m)`` and ``Z / (1 - 2 sqrt(x /
    m))``, Z the mean: Laurent & Massart 2000, Lemma 1, with the norms of A^T A bounded by the square of that of A. Wide
    for any matrix that is not of rank one.
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
        low, high = frobenius_factors(self.probes, math.log(2 / self.failure))
        infinite = xp.full_like(value, math.inf)
        zero = value == 0  # only a zero matrix has no image: nothing is left to bound
        upper = xp.where(zero, value, infinite) if high is None else value * high**0.5
        return NormEstimate(value, value * low**0.5, upper, self.failure, self.probes)


def _exact(a: StructuredMatrix, failure: float) -> NormEstimate:
    """Return the Frobenius norm from products with all unit vectors, between limits that differ by rounding."""
    xp, n = array_namespace(a.like), a.shape[-1]
    image = a.sketch(xp.eye(n, dtype=a.dtype, device=device(a.like)))
    value = _lengths(_lengths(image)[..., None])[..., 0]
    rounding = _rounding_up(a)
    return NormEstimate(value, value / rounding, value * rounding, failure, n)


def _rounding_up(a: StructuredMatrix) -> float:
    """Return one plus what a norm of the matrix may lose to rounding, relative to itself."""
    return 1 + 4 * sum(a.shape[-2:]) * eps(a.like)


def _lengths(x: Array) -> Array:
    """Return the lengths (..., c) of the columns of matrices (..., n, c); no square overflows or vanishes."""
    unit = largest_entry(x)
    return unit[..., 0] * array_namespace(x).linalg.vector_norm(x / unit, axis=-2)


def frobenius_factors(probes: int, x: float) -> tuple[float, float | None]:
    """Return the factors of Z between which ``||A||_F^2`` lies, each wrong with probability at most exp(-x).

    The upper factor is None where ``probes <= 4 x``.
    """
    root = (x / probes) ** 0.5
    return 1 / (1 + 2 * root + 2 * root**2), 1 / (1 - 2 * root) if 2 * root < 1 else None


def _unit_probes(count: int, a: StructuredMatrix, rng: Rng | None, who: str) -> Array:
    """Return standard normal vectors (n, count)."""
    omega = Gaussian().draw(a.shape[-1], count, rng=require_rng(rng, who), like=a.like)
    return omega.dense_view() * count**0.5
