"""Approximations that estimate their own error: unbiased for one probe less, upward biased for theirs."""

import numpy as np
import pytest
import scipy.sparse
import scipy.stats
from fixtures import rng, slow

from tnattn.arrays import to_host
from tnattn.gallery import gap_spectrum, matrix_with_spectrum, polynomial_spectrum
from tnattn.randnla.estimates.error_estimate import SelfAssessedQB, chi_square_factors
from tnattn.randnla.sketches.probes import Rademacher, Sphere
from tnattn.randnla.sketches.sparse_sign import SparseSign
from tnattn.structured.low_rank import LowRank

DISTRIBUTIONS = [SelfAssessedQB(8), SelfAssessedQB(8, Rademacher()), SelfAssessedQB(8, Sphere())]
every_distribution = pytest.mark.parametrize("method", DISTRIBUTIONS, ids=repr)
TRIALS = 400


def squared_errors(method, a, generator, trials=TRIALS):
    return np.array([np.linalg.norm(a - method(a, rng=generator).to_dense()) ** 2 for _ in range(trials)])


@every_distribution
def test_the_mean_estimate_is_the_mean_error_with_one_probe_less(method):
    a, generator = slow(), rng(1)
    estimates = np.array([method(a, rng=generator).error_squared for _ in range(TRIALS)])
    errors = squared_errors(SelfAssessedQB(7, method.distribution), a, generator)
    spread = ((estimates.var() + errors.var()) / TRIALS) ** 0.5
    assert abs(estimates.mean() - errors.mean()) < 5.5 * spread


def test_the_estimate_errs_upwards():
    a, generator = slow(), rng(2)
    pairs = []
    for _ in range(TRIALS):
        result = SelfAssessedQB(8)(a, rng=generator)
        pairs.append(result.error_squared - np.linalg.norm(a - result.to_dense()) ** 2)
    assert np.mean(pairs) > 5.5 * np.std(pairs) / TRIALS**0.5


def test_two_probes_less_would_be_told_apart():
    a, generator = slow(), rng(1)
    estimates = np.array([SelfAssessedQB(8)(a, rng=generator).error_squared for _ in range(TRIALS)])
    errors = squared_errors(SelfAssessedQB(5), a, generator)
    assert errors.mean() - estimates.mean() > 5.5 * ((estimates.var() + errors.var()) / TRIALS) ** 0.5


@pytest.mark.parametrize("spectrum", [polynomial_spectrum(24), gap_spectrum(3, 24, gap=50.0)])
def test_the_jackknife_is_above_the_variance(spectrum):
    """Half the squared distance of two independent runs estimates the variance without its mean."""
    a, generator = matrix_with_spectrum(spectrum, (30, 24), rng()), rng(3)
    jackknife = np.array([SelfAssessedQB(8)(a, rng=generator).jackknife_variance for _ in range(TRIALS)])
    runs = [SelfAssessedQB(7)(a, rng=generator).to_dense() for _ in range(TRIALS)]
    halves = np.array([np.sum((x - y) ** 2) / 2 for x, y in zip(runs[::2], runs[1::2], strict=True)])
    spread = (jackknife.var() / TRIALS + 2 * halves.var() / TRIALS) ** 0.5
    assert jackknife.mean() - halves.mean() > -5.5 * spread
    assert jackknife.mean() < 3 * halves.mean()


def test_the_jackknife_is_that_of_its_definition():
    a = slow()
    result = SelfAssessedQB(5)(a, rng=rng())
    y = result.q @ result.r
    replicates = np.stack([_projection(np.delete(y, j, axis=1)) @ a for j in range(5)])
    direct = np.sum((replicates - replicates.mean(axis=0)) ** 2)
    np.testing.assert_allclose(result.jackknife_variance, direct, rtol=1e-9)


def _projection(columns):
    return columns @ np.linalg.pinv(columns)


@every_distribution
def test_the_approximation_is_the_projection_onto_the_images(method):
    a = slow()
    result = method(a, rng=rng(4))
    omega = method.distribution.draw(24, 8, rng=rng(4), like=a).to_dense()
    np.testing.assert_allclose(result.to_dense(), _projection(a @ omega) @ a, atol=1e-12)


SPECTRA = {
    "slow": polynomial_spectrum(24),
    "fast": 0.3 ** np.arange(10),
    "gap": gap_spectrum(3, 24, gap=50.0),
    "flat": np.ones(24),
    "one direction left": np.r_[100.0 * np.ones(6), 1.0],
}


@pytest.mark.parametrize("method", [SelfAssessedQB(7), SelfAssessedQB(7, Sphere())], ids=repr)
@pytest.mark.parametrize("spectrum", SPECTRA.values(), ids=SPECTRA)
@pytest.mark.parametrize("held_out", [None, 1, 6])
def test_an_interval_misses_the_error_no_more_often_than_it_says(method, spectrum, held_out):
    a, generator, missed = matrix_with_spectrum(spectrum, (30, 24), rng()), rng(5), 0
    for _ in range(100):
        result = method(a, rng=generator)
        low, high = result.interval(0.3, held_out=held_out)
        error = np.linalg.norm(a - result.to_dense())
        rounding = 1e-13 * np.linalg.norm(a)
        missed += not low - rounding <= error <= high + rounding
    assert missed < 52  # binomial(100, 0.3) is above in fewer than one case of 1e5


def test_an_interval_of_a_flat_spectrum_says_something_from_both_sides():
    result = SelfAssessedQB(30)(matrix_with_spectrum(np.ones(60), (70, 60), rng()), rng=rng(5))
    low, high = result.interval(0.1)
    error = 30**0.5
    assert 0.3 * error < low < error < high < 3 * error


def test_limits_are_those_of_a_matrix_of_rank_one():
    """(t e^(1 - t))^(h / 2) = failure on both sides of one, and the chi-square law is within."""
    for probes, failure in [(1, 0.2), (4, 0.05), (40, 1e-6)]:
        least, most = chi_square_factors(probes, failure)
        assert least < 1 < most
        np.testing.assert_allclose([(t * np.exp(1 - t)) ** (probes / 2) for t in (least, most)], failure)
        assert scipy.stats.chi2.cdf(probes * least, probes) < failure
        assert scipy.stats.chi2.sf(probes * most, probes) < failure


def test_no_interval_is_given_for_signs():
    """The image of a sign vector may miss an error of rank one altogether."""
    with pytest.raises(ValueError, match=r"use Gaussian\(\) or Sphere\(\)"):
        SelfAssessedQB(4, Rademacher())(slow(), rng=rng()).interval()


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_an_interval_has_the_scale_of_the_matrix(scale):
    given, scaled = (SelfAssessedQB(6)(a, rng=rng()).interval() for a in (slow(), scale * slow()))
    np.testing.assert_allclose(scaled, scale * np.asarray(given), rtol=1e-9)


@every_distribution
def test_a_matrix_of_low_rank_has_no_error_on_every_library(xp, method):
    host = np.stack([matrix_with_spectrum([3.0, 2.0, 1.0], (20, 16), rng(i)) for i in range(2)])
    for dtype in xp.dtypes:
        a = xp.asarray(host, dtype)
        result = method(a, rng=rng())
        tolerance = 500 * float(np.finfo(dtype).eps)
        assert np.abs(to_host(result.to_dense()) - host).max() < tolerance
        assert np.all(to_host(result.error) < tolerance)
        assert np.all(to_host(result.jackknife_variance) < tolerance**2)
        assert result.error.dtype == result.jackknife_variance.dtype == a.dtype


@every_distribution
def test_every_library_gives_the_same_estimates(xp, method):
    host = np.stack([slow(), 5 * slow(seed=1)])
    desired, actual = method(host, rng=rng(6)), method(xp.asarray(host), rng=rng(6))
    for name in ("squares", "jackknife_variance", "error"):
        given = to_host(getattr(actual, name))
        if xp.dtype == "float32":  # other draws
            assert given.shape == getattr(desired, name).shape
        else:
            np.testing.assert_allclose(given, getattr(desired, name), rtol=1e-8)


@every_distribution
def test_each_matrix_of_a_stack_is_assessed_as_if_alone(method):
    stack = np.stack([slow(seed=i) * 10.0**i for i in range(4)]).reshape(2, 2, 30, 24)
    together = method(stack, rng=rng(5))
    alone = [method(a, rng=rng(5)) for a in stack.reshape(4, 30, 24)]
    for name in ("error", "jackknife_variance"):
        np.testing.assert_allclose(getattr(together, name).reshape(4), [getattr(x, name) for x in alone], rtol=1e-8)


@every_distribution
def test_a_zero_matrix_has_no_error(xp, method):
    result = method(xp.asarray(np.zeros((2, 9, 10))), rng=rng())
    limits = result.interval() if result.rotational else ()
    for value in (result.to_dense(), result.squares, result.jackknife_variance, *limits):
        assert np.all(to_host(value) == 0)


@pytest.mark.parametrize("shape", [(2, 9), (9, 2), (2, 2)])
def test_at_full_rank_the_error_is_that_of_one_column_less(shape):
    a = rng().standard_normal(shape)
    result = SelfAssessedQB(2)(a, rng=rng())
    np.testing.assert_allclose(result.to_dense(), a, atol=1e-13)
    assert 0 < result.error < np.linalg.norm(a) * 2


@every_distribution
def test_a_seed_gives_the_same_bits_twice(method):
    assert np.array_equal(method(slow(), rng=rng(2)).squares, method(slow(), rng=rng(2)).squares)


def test_float32_agrees_with_float64_to_its_precision():
    a = matrix_with_spectrum(gap_spectrum(6, 24, gap=100.0), (30, 24), rng())
    means = [
        np.mean([SelfAssessedQB(8)(a.astype(dtype), rng=rng(i)).error for i in range(40)])
        for dtype in ("float32", "float64")
    ]
    np.testing.assert_allclose(means[0], means[1], rtol=0.2)


@pytest.mark.parametrize("make", [scipy.sparse.csr_array, scipy.sparse.linalg.aslinearoperator, None])
def test_implicit_matrices_are_assessed_as_dense_ones(make):
    a = slow()
    given = LowRank(a, np.eye(24)) if make is None else make(a)
    one, two = SelfAssessedQB(6)(given, rng=rng()), SelfAssessedQB(6)(a, rng=rng())
    np.testing.assert_allclose(one.squares, two.squares, rtol=1e-9)


def test_its_rank_is_its_size():
    assert SelfAssessedQB().with_rank(5) == SelfAssessedQB(5)
    assert SelfAssessedQB(5)(slow(), rng=rng()).rank == 5


@pytest.mark.parametrize(
    "call, kind, words",
    [
        (lambda: SelfAssessedQB(1), ValueError, "size is 1"),
        (lambda: SelfAssessedQB(distribution=SparseSign()), TypeError, "whose columns are independent"),
        (lambda: SelfAssessedQB(9)(np.eye(8), rng=rng()), ValueError, "rank 9 exceeds"),
        (lambda: SelfAssessedQB(2)(np.eye(8)), TypeError, "pass rng"),
        (lambda: SelfAssessedQB(2)(np.full((3, 3), np.nan), rng=rng()), ValueError, "must be finite"),
        (lambda: SelfAssessedQB(2)(np.eye(3), rng=rng()).interval(0.0), ValueError, "failure is 0"),
        (lambda: SelfAssessedQB(2)(np.eye(3), rng=rng()).interval(held_out=2), ValueError, "at most 1 of the 2"),
        (lambda: SelfAssessedQB(2)(np.eye(3), rng=rng()).interval(held_out=0), ValueError, "held_out is 0"),
    ],
)
def test_bad_input_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
