import numpy as np
import pytest

from tnattn.decomposition.scaling import energy, norm, scaled, scaled_with_energy


@pytest.mark.parametrize("exponent", [-140, -100, -33, 33, 100, 127])
def test_scaling_is_undone_without_rounding(exponent):
    x = np.random.default_rng(0).uniform(0.5, 1, (3, 2, 2)).astype(np.float32)
    x = np.ldexp(x, exponent)
    harmless, factor = scaled(x, order=2)
    np.testing.assert_array_equal(harmless * factor, x)
    assert np.all((np.abs(harmless).max(axis=(1, 2)) >= 0.5) & (np.abs(harmless).max(axis=(1, 2)) < 2))


def test_harmless_tensors_are_left_alone():
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    harmless, factor = scaled(x, order=3)
    assert harmless is x
    assert np.all(factor == 1)


def test_only_the_tensors_that_need_it_are_scaled():
    x = np.stack([np.ones((2, 2)), np.full((2, 2), 2.0**-500), np.zeros((2, 2)), -np.full((2, 2), 2.0**500)])
    harmless, factor = scaled(x, order=2)
    np.testing.assert_array_equal(np.abs(harmless[:, 0, 0]), [1, 1, 0, 1])
    np.testing.assert_array_equal(harmless * factor, x)


@pytest.mark.parametrize("size", [2.0**-500, 1.0, 2.0**500])
def test_the_energies_are_those_of_the_scaled_tensors(size):
    whole, _, energies = scaled_with_energy(size * np.random.default_rng(0).standard_normal((2, 3, 4)), order=2)
    np.testing.assert_allclose(energies, np.sum(whole**2, axis=(1, 2)), rtol=1e-13)


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_norms_neither_overflow_nor_vanish(size):
    x = np.full((2, 3, 4), size, dtype=np.float32)
    np.testing.assert_allclose(norm(x, order=2), size * 12**0.5, rtol=1e-6)


def test_a_plain_sum_of_squares_would_overflow():
    """Negative control for the test above."""
    with np.errstate(over="ignore"):
        assert not np.isfinite(energy(np.full((3, 4), 1e30, dtype=np.float32), order=2))
