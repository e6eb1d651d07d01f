"""Bases found in float32 serve float64 matrices where, and only where, they are as good."""

import numpy as np
import pytest
from fixtures import rng

from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
from tnattn.randnla.low_rank import randomized_svd
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.low_rank.range_finder import narrowed
from tnattn.structured.dense import Dense

METHOD = RandomizedSVD(10, 6, 2)
SHAPE = (300, 250)


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
