"""Relative variances against exact enumeration, moments in closed form, and simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from theory.statistics import moments

MANY = 200_000


def relative_variance(x: np.ndarray) -> float:
    return float(x.var() / x.mean() ** 2)


def kurtosis(x: np.ndarray) -> float:
    y = x - x.mean()
    return float(np.mean(y**4) / np.mean(y**2) ** 2)


def test_the_mean_of_normal_variables_has_relative_variance_two() -> None:
    assert moments.mean_spread(3.0, 7) == 2.0


def test_one_variable_has_that_of_its_own_square() -> None:
    """Z = 1 with chance 1/10 and -1/9 otherwise: Z^2 has mean 1/9 and second moment 0.1 + 0.9 / 9^4."""
    second = 0.1 + 0.9 / 9**4
    assert moments.mean_spread(second * 81, 1) == pytest.approx(second * 81 - 1)


@pytest.mark.parametrize("samples", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_sampled_spread_agrees_with_enumeration(samples: int, seed: int) -> None:
    """All n^c sequences of c draws of n = 4 vectors in three dimensions."""
    rng = np.random.default_rng(seed)
    vectors, p = rng.standard_normal((4, 3)), rng.dirichlet(np.ones(4))
    mean, first, second = p @ vectors, 0.0, 0.0
    for drawn in itertools.product(range(4), repeat=samples):
        chance, x = np.prod(p[list(drawn)]), np.sum((vectors[list(drawn)].mean(axis=0) - mean) ** 2)
        first, second = first + chance * x, second + chance * x**2
    found = moments.sampled_spread(vectors @ vectors.T, p, samples)
    assert found == pytest.approx(second / first**2 - 1, rel=1e-10)
    assert moments.sampled_spread(1e280 * vectors @ vectors.T, p, samples) == pytest.approx(found, rel=1e-10)


@pytest.mark.parametrize("samples", [2, 3])
def test_distinct_draws_have_at_most_the_stated_relative_variance(samples: int) -> None:
    """All subsets of five vectors, equally likely."""
    vectors = np.random.default_rng(3).standard_normal((5, 2))
    x = np.array(
        [
            np.sum((vectors[list(s)].mean(axis=0) - vectors.mean(axis=0)) ** 2)
            for s in itertools.combinations(range(5), samples)
        ]
    )
    equal = np.full(5, 0.2)
    bound = moments.distinct_spread(moments.sampled_spread(vectors @ vectors.T, equal, samples), 5, samples)
    assert relative_variance(x) <= bound


def test_equal_vectors_have_no_spread() -> None:
    assert moments.sampled_spread(np.ones((3, 3)), np.full(3, 1 / 3), 2) == 0.0


@pytest.mark.parametrize("rows", [1, 4])
def test_a_quadratic_form_of_normal_variables(rows: int) -> None:
    """Eigenvalues 2, 1, -1: 12 * 18 / 36 = 6 of excess."""
    assert moments.quadratic_form_spread(np.array([2.0, 1.0, -1.0]), rows) == pytest.approx(2 + 6 / rows)
    w = np.random.default_rng(4).standard_normal((MANY, rows, 3))
    z = np.mean(w**2 @ np.array([2.0, 1.0, -1.0]), axis=1) - 2.0
    assert kurtosis(z) - 1 == pytest.approx(2 + 6 / rows, rel=0.1)


@pytest.mark.parametrize("signs", [False, True])
def test_no_chaos_exceeds_its_bound(signs: bool) -> None:
    """Sums of squared bilinear forms of one, two and six rows; signs are enumerated for one row of four."""
    rng = np.random.default_rng(5)
    m = rng.standard_normal((3, 4, 4))
    m[1] = np.ones((4, 4))
    if signs:
        w = np.array(list(itertools.product([-1.0, 1.0], repeat=4)))[:, None]
    else:
        w = rng.standard_normal((MANY, 1, 4))
    z = np.einsum("tri,aij,trj->ta", w, m, w) - np.trace(m, axis1=1, axis2=2)
    assert relative_variance(np.sum(z**2, axis=1)) <= moments.chaos_spread(1)
    assert relative_variance(z[:, 1] ** 2) <= moments.chaos_spread(1)


def test_a_rank_one_form_of_normal_variables_attains_the_bound() -> None:
    assert moments.quadratic_form_spread(np.array([1.0, 0.0]), 3) == pytest.approx(moments.chaos_spread(3))


def test_the_inverse_wishart_quotient() -> None:
    """Four columns and 16 rows: chi-squared with 4 over 13 degrees of freedom."""
    rng = np.random.default_rng(6)
    x = rng.chisquare(4, MANY) / rng.chisquare(13, MANY)
    assert moments.inverse_wishart_spread(4, 16) == pytest.approx(relative_variance(x), rel=0.05)
    assert moments.inverse_wishart_spread(4, 16, offset=1.0) == pytest.approx(relative_variance(1 + x), rel=0.05)
    assert moments.inverse_wishart_spread(4, 7) == np.inf


@pytest.mark.parametrize("square", [0.09, 0.5])
def test_kurtoses_of_features(square: float) -> None:
    g = np.sqrt(square) * np.random.default_rng(7).standard_normal(MANY)
    assert moments.lognormal_kurtosis(np.asarray(square)) == pytest.approx(kurtosis(np.exp(g)), rel=0.2)
    assert moments.hyperbolic_kurtosis(np.asarray(square)) == pytest.approx(kurtosis(np.cosh(g)), rel=0.2)
    assert moments.cosine_kurtosis(np.asarray(square)) == pytest.approx(kurtosis(np.cos(g)), rel=0.05)


def test_kurtoses_of_short_vectors_do_not_cancel() -> None:
    assert moments.hyperbolic_kurtosis(np.asarray(1e-12)) == pytest.approx(15, rel=0.1)
    assert moments.cosine_kurtosis(np.asarray(1e-12)) == pytest.approx(15, rel=0.1)


@pytest.mark.parametrize("width", [2, 4])
def test_two_orthogonal_directions(width: int) -> None:
    """Normal lengths, orthonormal directions, ||z||^2 = 0.2."""
    rng = np.random.default_rng(8)
    q = np.linalg.qr(rng.standard_normal((MANY // 2, width, 2)))[0]
    signs = np.where(rng.random((MANY // 2, 1, 2)) < 0.5, -1.0, 1.0)
    along = np.sqrt(0.2) * (q * signs)[:, 0] * np.sqrt(rng.chisquare(width, (MANY // 2, 2)))
    z = np.exp(along).mean(axis=1) - np.exp(0.1)
    found = float(moments.orthogonal_pair_spread(np.asarray(0.2), width))
    assert found == pytest.approx(np.mean(z**4) / np.mean(z**2) ** 2 - 1, rel=0.1)


def test_a_sum_of_dependent_variables_is_bounded_by_minkowski() -> None:
    x = np.random.default_rng(9).chisquare(1, (MANY, 1)) * np.array([1.0, 2.0])
    bound = moments.sum_spread(np.array([1.0, 2.0]), np.array([2.0, 2.0]), (-1,))
    assert bound == pytest.approx(2.0)
    assert relative_variance(x.sum(axis=1)) == pytest.approx(2.0, rel=0.05)
