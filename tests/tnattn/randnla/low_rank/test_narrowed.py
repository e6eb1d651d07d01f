"""Bases found in float32 serve float64 matrices where, and only where, they are as good."""

import numpy as np
import pytest
from fixtures import rng

from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
from tnattn.randnla.low_rank import randomized_svd
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.low_rank.range_finder import RangeFinder, narrowed, require_iteration, survives
from tnattn.randnla.sketches.sparse_sign import SparseSign
from tnattn.structured.dense import Dense

METHOD = RandomizedSVD(10, 6, 2)
SHAPE = (300, 250)
SPARSE = SparseSign()


def errors(monkeypatch, a):
    """Return the errors with and without the shortcut, and how often the basis was found in float64."""
    wide = []
    real = randomized_svd.projected_svd
    monkeypatch.setattr(randomized_svd, "projected_svd", lambda a, y, **keep: wide.append(y) or real(a, y, **keep))
    short = np.linalg.norm(METHOD(a, rng=rng()).to_dense() - a)
    calls = len(wide) - 1
    monkeypatch.setattr(randomized_svd, "narrowed", lambda a: None)
    return short, np.linalg.norm(METHOD(a, rng=rng()).to_dense() - a), calls


def test_slow_spectra_lose_nothing(monkeypatch):
    a = matrix_with_spectrum(polynomial_spectrum(250), SHAPE, rng())
    short, long, again = errors(monkeypatch, a)
    assert again == 0
    assert short == pytest.approx(long, rel=1e-5)


@pytest.mark.parametrize("decades", [0.5, 1, 2])
def test_steep_spectra_are_found_in_float64(monkeypatch, decades):
    """At half a decade per value, the 11th is 3e-6 of the first: float32 would leave seven digits, not more."""
    a = matrix_with_spectrum(10.0 ** (-decades * np.arange(250)), SHAPE, rng())
    short, long, again = errors(monkeypatch, a)
    assert again == 1
    assert short == long


def test_a_basis_of_float32_would_be_worse_on_a_steep_spectrum(monkeypatch):
    """Negative control: without the guard, float64 in would give float32 out."""
    a = matrix_with_spectrum(10.0 ** -np.arange(250.0), SHAPE, rng())
    monkeypatch.setattr(randomized_svd, "survives", lambda s, rank: True)
    short, long, _ = errors(monkeypatch, a)
    assert short > 100 * long


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30, 1e200])
def test_scales_that_float32_does_not_hold_stay_in_float64(scale):
    a = scale * matrix_with_spectrum(polynomial_spectrum(250), SHAPE, rng())
    assert narrowed(Dense(a)) is None
    best = scale * np.linalg.norm(polynomial_spectrum(250)[10:])
    assert np.linalg.norm((METHOD(a, rng=rng()).to_dense() - a) / best) <= 1.1


def test_only_single_large_dense_float64_matrices_are_narrowed():
    a = np.ones((3, *SHAPE))
    assert narrowed(Dense(a)) is None
    assert narrowed(Dense(a[0, :200])) is None
    assert narrowed(Dense(a[0].astype(np.float32))) is None
    assert narrowed(Dense(a[0])).dtype == np.float32


def test_results_stay_orthonormal_to_float64():
    result = METHOD(matrix_with_spectrum(polynomial_spectrum(250), SHAPE, rng()), rng=rng())
    assert result.u.dtype == result.s.dtype == result.vt.dtype == np.float64
    np.testing.assert_allclose(result.u.T @ result.u, np.eye(10), atol=1e-14)
    np.testing.assert_allclose(result.vt @ result.vt.T, np.eye(10), atol=1e-14)


def test_matrices_are_large_from_two_to_the_sixteen_entries_on():
    assert narrowed(Dense(np.ones((256, 256)))) is not None
    assert narrowed(Dense(np.ones((255, 257)))) is None


@pytest.mark.parametrize("square, held", [(2e-20, True), (5e-21, False), (5e19, True), (2e20, False)])
def test_squares_between_the_limits_are_those_that_float32_holds(square, held):
    """Of sums that float32 rounds."""
    a = np.full((256, 256), (square / 2**16) ** 0.5)
    assert (narrowed(Dense(a)) is not None) == held
    assert np.isclose((a**2).sum(), square)


def test_a_limit_itself_is_beyond():
    """An entry of 10^10, whose square float32 rounds to itself."""
    for value in (1e10, 1e-10):
        a = np.zeros((256, 256))
        a[3, 5] = value
        squares = float(np.float32(value) ** 2)
        assert (narrowed(Dense(a)) is not None) == (1e-20 < squares < 1e20)


@pytest.mark.parametrize("rank", [1, 3])
def test_a_basis_survives_while_the_first_dropped_value_is_above_the_root_of_rounding(rank):
    least = float(np.finfo(np.float32).eps) ** 0.5
    for share, kept in ((1.001, True), (0.999, False), (0.0, False)):
        s = np.full(6, 8.0)
        s[rank:] = 8.0 * least * share
        assert survives(s, rank) is kept
    s[rank:] = np.finfo(np.float32).eps ** 0.5 * s[0]
    assert not survives(s, rank)


def test_samples_from_float32_have_the_dtype_of_the_matrix():
    a = Dense(matrix_with_spectrum(polynomial_spectrum(20), (30, 20), rng()))
    finder = RangeFinder(rank=3, oversampling=2, power_iterations=1)
    omega = finder.test_matrix(a, rng=rng(1))
    narrow = finder.sample_in_float32(Dense(a.array.astype(np.float32)), a, omega)
    assert narrow.dtype == np.float64
    one, two = (np.linalg.qr(y)[0] for y in (narrow, finder.sample(a, omega)))
    np.testing.assert_allclose(one @ one.T, two @ two.T, atol=1e-4)
    assert not np.array_equal(narrow, finder.sample(a, omega))


@pytest.mark.parametrize(
    "field, values",
    [("oversampling", (-1, 0, SPARSE)), ("power_iterations", (0, -1, SPARSE)), ("sketch", (0, 0, "gaussian"))],
)
def test_the_parameters_of_an_iteration_are_checked(field, values):
    require_iteration(0, 0, SPARSE)
    with pytest.raises((TypeError, ValueError), match=field):
        require_iteration(*values)
