"""Low-rank approximations with a posteriori error estimates from the same sketch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from scipy.special import lambertw

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.linalg import frobenius_norm, largest_entries, orthonormalise_with_factor, svd
from tnattn.randnla.accuracy import require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.estimates.leave_one_out import left_out_directions, left_out_squares
from tnattn.randnla.sketches import Gaussian, Probes, Rademacher, require_probes
from tnattn.scalars import as_integer, as_real, require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.low_rank import LowRankMatrix


@dataclass(frozen=True, eq=False, repr=False)
class SelfAssessedQBResult(LowRankMatrix):
    """Projections ``Q Q^T A`` with estimates of their error and of their variability.

    Parameters
    ----------
    q : Array, (..., m, s)
        Orthonormal columns.
    b : Array, (..., s, n)
        ``q^T a``.
    r : Array, (..., s, s)
        Triangular factor of ``A Omega = Q R``, the probes of unit second moment.
    squares : Array, (..., s)
        Squared residual of the image of each probe, after projection onto the images of the others.
    jackknife_variance : Array, (...)
        Sum over the probes of the squared Frobenius distance between the approximation without it and their mean.
    rotational : bool
        True if the distribution of a probe is rotationally invariant, as Gaussian and spherical ones are; needed by
        ``interval``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import SelfAssessedQB
    >>> from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = matrix_with_spectrum(polynomial_spectrum(50), (80, 50), rng)
    >>> result = SelfAssessedQB(size=12)(a, rng=rng)
    >>> lower, upper = result.interval(failure=0.05)
    >>> print(lower <= np.linalg.norm(a - result.to_dense()) <= upper)
    True
    """

    degrees: ClassVar[Mapping[str, float]] = {"b": 1.0, "r": 1.0, "squares": 2.0, "jackknife_variance": 2.0}

    q: Array
    b: Array
    r: Array
    squares: Array
    jackknife_variance: Array
    rotational: bool = True

    def factors(self) -> tuple[Array, Array]:
        return self.q, self.b

    @property
    def error_squared(self) -> Array:
        """Estimate (...) of ``||A - Q Q^T A||_F^2``, biased upwards: its mean is the error with s - 1 columns."""
        return array_namespace(self.squares).mean(self.squares, axis=-1)

    @property
    def error(self) -> Array:
        """Estimate (...) of ``||A - Q Q^T A||_F``, the root of ``error_squared``."""
        return array_namespace(self.squares).sqrt(self.error_squared)

    def interval(self, failure: float = 0.05, *, held_out: int | None = None) -> tuple[Array, Array]:
        """Return confidence bounds (...) of ``||A - Q Q^T A||_F``, violated with at most the given probability.

        Parameters
        ----------
        failure : float
            Strictly between 0 and 1.
        held_out : int, optional
            Number of probes, the last ones, that measure the error of the span of the others, 1 to s - 1; a third of
            them if None. More of them narrow the bounds of that error; fewer bring it closer to the error in question.

        Raises
        ------
        ValueError
            If a parameter is out of range, or the probes are signs, which may all be orthogonal to an error.

        Notes
        -----
        Holds for every matrix: given the images of the others, those of h = ``held_out`` probes have residuals of mean
        square ``E^2 = ||A - P P^T A||_F^2``, P the first s - h columns of Q. Their mean lies between ``t E^2`` and
        ``u E^2`` except with probability ``(t e^(1 - t))^(h / 2) + (u e^(1 - u))^(h / 2)``, t < 1 < u, as for a matrix
        of rank one, the worst case; E^2 exceeds the square in question by the part captured by the other columns of Q.
        Wide for few probes: with the default and 16 probes the upper bound is three to four times the error for flat
        and slowly decaying spectra, and 15 times where each singular value is two thirds of the one before; the lower
        bound is often zero. ``failure`` is split equally between both bounds.
        """
        failure = as_real(failure, "failure")
        if not 0 < failure < 1:
            raise ValueError(f"failure is {failure}; a probability strictly between 0 and 1 is needed")
        size = int(self.r.shape[-1])
        count = (size + 2) // 3 if held_out is None else as_integer(held_out, "held_out", least=1)
        if count >= size:
            raise ValueError(f"held_out is {count}; at most {size - 1} of the {size} probes can be held out")
        if not self.rotational:
            raise ValueError("the probes are random signs, for which no interval is proved; use Gaussian() or Sphere()")
        xp = array_namespace(self.r, self.b)
        # R(h, h) holds the residuals of the held-out probes; their rows of B are what the other columns of Q capture
        corner, gained = self.r[..., size - count :, size - count :], self.b[..., size - count :, :]
        # relative to the largest, so that squares neither overflow nor vanish
        unit = xp.maximum(largest_entries(corner), largest_entries(gained))
        safe = xp.where(unit > 0, unit, xp.ones_like(unit))
        seen, captured = (frobenius_norm(x / safe[..., None, None]) ** 2 for x in (corner, gained))
        least, most = chi_square_factors(count, failure / 2)
        zero = xp.zeros_like(seen)
        squares = (xp.maximum(seen / count / factor - captured, zero) for factor in (most, least))
        lower, upper = (unit * xp.sqrt(square) for square in squares)
        return lower, upper


@dataclass(frozen=True)
class SelfAssessedQB(MatrixMethod):
    """Projection of a matrix onto the images of random probes, with leave-one-out error estimates.

    Parameters
    ----------
    size : int
        Number of probes s, at least two, which is the rank.
    distribution : Gaussian, Rademacher or Sphere
        Of the probes.

    Notes
    -----
    4 m n size flops in products with the matrix and O((m + n) size^2): the estimates cost O(n size^2) beyond the
    approximation and no product. Epperly & Tropp 2024, leave-one-out error estimator and matrix jackknife; the interval
    is our own. Not for power iterations, which need other formulas.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import SelfAssessedQB
    >>> from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = matrix_with_spectrum(polynomial_spectrum(50), (80, 50), rng)
    >>> result = SelfAssessedQB(size=12)(a, rng=rng)
    >>> print(round(float(result.error), 2), round(float(np.linalg.norm(a - result.to_dense())), 2))
    0.42 0.43
    """

    size: int = rank_budget(16)
    distribution: Probes = field(default_factory=Gaussian)

    def __post_init__(self) -> None:
        require_count(self.size, "size", least=2)
        require_probes(self.distribution, "distribution")

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> SelfAssessedQBResult:
        require_rank(self.size, a.shape)
        omega = self.distribution.draw(a.shape[-1], self.size, rng=rng, like=a.like).dense_view() * self.size**0.5
        q, r = orthonormalise_with_factor(a.sketch(omega))
        b = (a.mT @ q).mT
        rotational = not isinstance(self.distribution, Rademacher)
        return SelfAssessedQBResult(q, b, r, left_out_squares(r), _jackknife_variance(r, b), rotational)


def chi_square_factors(probes: int, failure: float) -> tuple[float, float]:
    """Return t < 1 < u, the solutions of ``(x e^(1 - x))^(probes / 2) = failure``.

    For independent probes w with ``E[w w^T] = I``, Gaussian or uniform on a sphere, the mean of ``||M w||^2`` is at
    most ``t ||M||_F^2`` with this probability at most, and at least ``u ||M||_F^2`` with this probability at most. By
    Chernoff's inequality: with the squares l_i of the singular values over their sum, ``prod (1 + 2 x l_i) >= 1 + 2 x``
    for x > -1/2, so that no matrix is worse than one of rank one, where the mean has a chi-square distribution. On a
    sphere the moment generating function is smaller, by Jensen's inequality for the length.
    """
    # x e^(1 - x) = f^(2 / probes) is -x e^(-x) = -f^(2 / probes) / e: two branches of Lambert's W
    level = -(failure ** (2 / probes)) / math.e
    return float(-lambertw(level, 0).real), float(-lambertw(level, -1).real)


def _jackknife_variance(r: Array, b: Array) -> Array:
    """Return sum_j ||X_j - X||_F^2 (...) for X_j = Q (I - s_j s_j^T) B and their mean X.

    With the mean M of s_j s_j^T the sum is s tr((M - M^2) B B^T), without cancellation in the eigenvectors of M.
    """
    xp = array_namespace(r, b)
    count = r.shape[-1]
    vectors, roots, _ = svd(left_out_directions(r))
    shares = xp.square(roots) / count
    mass = xp.sum(xp.square(vectors.mT @ b), axis=-1)
    return count * xp.sum(shares * (1 - shares) * mass, axis=-1)
