"""Relative variances Var X / (E X)^2 of squared errors, with which a small sample mean refutes an exact expectation.

Polynomials of Gaussian variables have them in closed form, means of independent samples from their Gram matrix.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import poch

__all__ = [
    "chaos_spread",
    "cosine_kurtosis",
    "distinct_spread",
    "hyperbolic_kurtosis",
    "inverse_wishart_spread",
    "lognormal_kurtosis",
    "mean_spread",
    "orthogonal_pair_spread",
    "quadratic_form_spread",
    "sampled_spread",
    "sum_spread",
]

Floats = NDArray[np.float64]

# fourth moments of features cancel to the fourth power of their argument: 1e-12 of 1 leaves four digits
_SMALLEST = 1e-3
"""Squared length below which kurtoses cancel; they are monotone there, so its value serves all smaller ones."""


def mean_spread(kurtosis: ArrayLike, count: int) -> Floats:
    """Return the relative variance of Z^2 for the mean Z of independent centred variables of a kurtosis.

    E Z^4 = (mu_4 + 3 (m - 1) mu_2^2) / m^3, so that it is 2 + (kurtosis - 3) / m.
    """
    return np.asarray(2.0 + (np.asarray(kurtosis, dtype=np.float64) - 3.0) / count)


def sum_spread(means: Floats, spreads: Floats, axes: tuple[int, ...]) -> Floats:
    """Bound the relative variance of a sum of dependent non-negative variables by Minkowski's inequality.

    (E (sum X)^2)^(1/2) <= sum (E X^2)^(1/2).
    """
    # (E X^2)^(1/2) = E X (1 + r)^(1/2) for the relative variance r
    roots = np.sum(means * np.sqrt(1.0 + spreads), axis=axes)
    total = np.sum(means, axis=axes)
    return np.where(total > 0, (roots / np.where(total > 0, total, 1.0)) ** 2 - 1.0, 0.0)


def chaos_spread(rows: int) -> float:
    """Bound the relative variance of sum_ab Z_ab^2, each Z_ab the mean over rows of centred quadratic forms.

    The forms are w^T M_ab w for independent rows w of normal or of Rademacher entries, the diagonal taken out for the
    latter. Normal: the kurtosis is 3 + 12 tr(M^4) / tr(M^2)^2 <= 15 (Isserlis). Rademacher: moments are sums of
    products of entries with non-negative coefficients, at most those of |M| with normal entries. Minkowski's
    inequality carries 2 + 12 / rows over to the sum.
    """
    return 2.0 + 12.0 / rows


def quadratic_form_spread(eigenvalues: Floats, rows: int) -> Floats:
    """Return the relative variance of Z^2 for the mean Z of centred Gaussian quadratic forms with given eigenvalues.

    The cumulants of w^T A w are 2 sum l^2 and 48 sum l^4, so that the kurtosis is 3 + 12 sum l^4 / (sum l^2)^2.
    """
    # shares of the largest eigenvalue: fourth powers neither overflow nor vanish
    size = np.abs(eigenvalues).max(axis=-1, keepdims=True)
    shares = (eigenvalues / np.where(size > 0, size, 1.0)) ** 2
    total = shares.sum(axis=-1)
    excess = 12.0 * np.sum(shares**2, axis=-1) / np.where(total > 0, total, 1.0) ** 2
    return mean_spread(3.0 + excess, rows)


def inverse_wishart_spread(columns: int, rows: int, *, offset: float = 0.0) -> float:
    """Return the relative variance of offset + ||G^+ g||^2 for G Gaussian, rows by columns, and g independent of it.

    ||G^+ g||^2 is the quotient of chi-squared variables with l = columns and q = rows - columns + 1 degrees of freedom:
    mean l / (q - 2), second moment l (l + 2) / ((q - 2) (q - 4)); infinite for q <= 4. A weighted sum of such
    variables has no larger relative variance, by Minkowski's inequality.
    """
    freedom = rows - columns + 1
    if freedom <= 4:
        return math.inf
    mean = columns / (freedom - 2)
    second = columns * (columns + 2) / ((freedom - 2) * (freedom - 4))
    return (second - mean**2) / (offset + mean) ** 2


def sampled_spread(gram: Floats, probability: Floats, samples: int | Floats) -> Floats:
    """Return the relative variance of ||mean of c samples - expectation||^2.

    Parameters
    ----------
    gram : float64, (..., n, n)
        Inner products of the n vectors T_k of which one is drawn with probability p_k.
    probability : float64, (..., n)
    samples : int or float64, (...)
        c independent samples.

    Returns
    -------
    float64, (...)
        Zero where all vectors are equal.

    Notes
    -----
    For the centred vectors Y, E||sum Y||^4 = c E||Y||^4 + c (c - 1) ((E||Y||^2)^2 + 2 ||Cov Y||_F^2), and ||Cov Y||_F^2
    is the mean square of the inner product of two samples.
    """
    size = np.abs(gram).max(axis=(-2, -1), keepdims=True)
    gram = gram / np.where(size > 0, size, 1.0)
    mean = np.sum(gram * probability[..., None, :], axis=-1)
    square = np.sum(mean * probability, axis=-1)[..., None, None]
    inner = gram - mean[..., :, None] - mean[..., None, :] + square
    lengths = np.maximum(np.diagonal(inner, axis1=-2, axis2=-1), 0.0)
    second = np.sum(probability * lengths, axis=-1)
    fourth = np.sum(probability * lengths**2, axis=-1)
    covariance = np.sum(probability[..., :, None] * probability[..., None, :] * inner**2, axis=(-2, -1))
    # below it all vectors are equal to rounding, and a quotient of roundings is no variance
    visible = second > 64 * gram.shape[-1] * np.finfo(np.float64).eps
    scale = np.where(visible, second, 1.0) ** 2
    spread = fourth / scale / samples + (1.0 - 1.0 / samples) * (1.0 + 2.0 * covariance / scale) - 1.0
    return np.where(visible, np.maximum(spread, 0.0), 0.0)


def distinct_spread(spread: Floats, population: int, samples: int) -> Floats:
    """Bound the relative variance for c distinct samples of n by that for independent ones (Hoeffding 1963, Theorem 4).

    The second moment is no larger, as a convex function of the sum, and the mean is (n - c) / (n - 1) times as large.
    """
    # the finite-population factor of the mean enters the relative variance squared
    shrinkage = (population - 1.0) / (population - samples) if samples < population else math.inf
    return np.asarray((1.0 + spread) * shrinkage**2 - 1.0)


def lognormal_kurtosis(square: Floats) -> Floats:
    """Return the kurtosis of exp(s g) for a standard normal g, with s^2 given."""
    return np.asarray(np.exp(4 * square) + 2 * np.exp(3 * square) + 3 * np.exp(2 * square) - 3.0)


def hyperbolic_kurtosis(square: Floats) -> Floats:
    """Return the kurtosis of cosh(s g) for a standard normal g, with s^2 given; 15 in the limit of 0."""
    return _even_kurtosis(square, 1.0)


def cosine_kurtosis(square: Floats) -> Floats:
    """Return the kurtosis of cos(s g) for a standard normal g, with s^2 given; 15 in the limit of 0."""
    return _even_kurtosis(square, -1.0)


def _even_kurtosis(square: Floats, sign: float) -> Floats:
    # moments E c^j of c = cosh or cos follow from E cosh(a s g) = exp(a^2 s^2 / 2)
    x = np.maximum(square, _SMALLEST)

    def power(a: float) -> Floats:
        return np.exp(sign * a**2 / 2 * x)

    first, second = power(1), (power(2) + 1) / 2
    third, fourth = (power(3) + 3 * power(1)) / 4, (power(4) + 4 * power(2) + 3) / 8
    variance = second - first**2
    return np.asarray((fourth - 4 * third * first + 6 * second * first**2 - 3 * first**4) / variance**2)


def orthogonal_pair_spread(square: Floats, width: int) -> Floats:
    """Return the relative variance of Z^2 for the centred mean Z of exp(w_1 . z) and exp(w_2 . z).

    w_1 and w_2 are orthogonal and each standard normal in ``width`` dimensions; ||z||^2 is given.
    """

    def joint(i: int, j: int) -> Floats:
        return _orthogonal_moment(square, width, i, j)

    mean = np.exp(square / 2)

    def central(i: int, j: int) -> Floats:
        terms = (
            math.comb(i, a) * math.comb(j, b) * (-mean) ** (i + j - a - b) * joint(a, b)
            for a in range(i + 1)
            for b in range(j + 1)
        )
        return np.asarray(sum(terms))

    second = 2 * central(2, 0) + 2 * central(1, 1)
    fourth = 2 * central(4, 0) + 8 * central(3, 1) + 6 * central(2, 2)
    return np.asarray(fourth / second**2 - 1.0)


def _orthogonal_moment(square: Floats, width: int, i: int, j: int) -> Floats:
    """Return E exp((i w_1 + j w_2) . z): a power series in ||z||^2, for i w_1 + j w_2 has a uniform direction."""
    # E (u . z)^(2n) over a uniform direction u is ||z||^(2n) (1/2)_n / (d/2)_n; the squared length of i w_1 + j w_2 is
    # a sum of independent chi-squared variables
    half, total = width / 2, np.zeros_like(square)
    for n in range(60):
        inner = sum(
            math.comb(n, k) * float(i) ** (2 * k) * float(j) ** (2 * (n - k)) * poch(half, k) * poch(half, n - k)
            for k in range(n + 1)
        )
        term = (square / 2) ** n * inner / (math.factorial(n) * poch(half, n))
        total = total + term
        if np.all(np.abs(term) <= 1e-18 * total):  # below the rounding of the sum
            break
    return np.asarray(total)
