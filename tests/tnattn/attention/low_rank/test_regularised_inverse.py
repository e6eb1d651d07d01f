"""The cubic iteration obeys its recursion; the ridge damps what it should."""

import numpy as np
import pytest

from tnattn.attention.low_rank.regularised_inverse import DampedInverses, iterated_pseudo_inverse, ridge_inverse


def stochastic(seed=0, m=6, batch=()):
    a = np.random.default_rng(seed).random((*batch, m, m)) + 3 * np.eye(m)
    return a / a.sum(-1, keepdims=True)


def deviation(a, z):
    return np.eye(a.shape[-1]) - a @ z


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_the_error_obeys_its_recursion(steps):
    a = stochastic()
    e = deviation(a, iterated_pseudo_inverse(a, iterations=steps))
    expected = 0.75 * e @ e @ e + 0.25 * e @ e @ e @ e
    np.testing.assert_allclose(deviation(a, iterated_pseudo_inverse(a, iterations=steps + 1)), expected, atol=1e-13)


def test_half_an_error_becomes_seven_sixty_fourths():
    # a = diag(1, 1/sqrt 2): Z_0 = a, so the error of the second entry is one half
    a = np.diag([1.0, 0.5**0.5])
    found = [deviation(a, iterated_pseudo_inverse(a, iterations=steps))[1, 1] for steps in (0, 1, 2)]
    np.testing.assert_allclose(found, [0.5, 0.109375, 0.00101711], rtol=1e-5)


def test_it_converges_to_the_pseudo_inverse_of_a_singular_matrix():
    a = stochastic()
    a[3] = a[2]
    # no more steps than needed: each one multiplies rounding errors in the null space by 13/4
    np.testing.assert_allclose(iterated_pseudo_inverse(a, iterations=9), np.linalg.pinv(a, rcond=1e-10), atol=1e-10)


def test_a_matrix_of_the_stack_is_scaled_by_its_own_norms():
    a = stochastic(batch=(2,))
    a[1] *= 100
    both = iterated_pseudo_inverse(a, iterations=3)
    np.testing.assert_array_equal(both[0], iterated_pseudo_inverse(a[0], iterations=3))


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 0.5])
def test_the_ridge_inverse_solves_the_damped_normal_equations(ridge):
    a = stochastic(batch=(2,))
    top = np.linalg.norm(a, 2, axis=(-2, -1))[:, None, None]
    t = np.swapaxes(a, -1, -2)
    expected = np.linalg.solve(t @ a + (ridge * top) ** 2 * np.eye(6), t)
    np.testing.assert_allclose(ridge_inverse(a, ridge=ridge), expected, rtol=1e-9)


def test_every_ring_gives_the_same(xp, assert_close):
    a = stochastic(batch=(2,))
    for function, options in ((iterated_pseudo_inverse, {"iterations": 4}), (ridge_inverse, {"ridge": 0.1})):
        expected = xp.asarray(function(a, **options))
        assert_close(function(xp.asarray(a), **options), expected, rtol=0, atol=200 * xp.eps())


def test_negative_iterations_are_refused():
    with pytest.raises(ValueError, match="iterations is -1"):
        iterated_pseudo_inverse(stochastic(), iterations=-1)


@pytest.mark.parametrize("ridge", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("least", [1e-9, 0.01])
def test_damped_inverses_are_those_of_the_ridge(ridge, least):
    """From the eigenvalues of a^T a for the larger least ridge, from singular values for the smaller."""
    a = np.random.default_rng(0).standard_normal((2, 12, 12)) * np.logspace(0, -4, 12)
    inverses = DampedInverses.of(a, least=least)
    expected = ridge_inverse(a, ridge=ridge)
    np.testing.assert_allclose(inverses.matrix(np.asarray([ridge, ridge])), expected, rtol=1e-9, atol=1e-9 / ridge)
    x = np.random.default_rng(1).standard_normal((2, 12, 3))
    np.testing.assert_allclose(inverses.times(x, ridge), expected @ x, rtol=1e-8, atol=1e-8 / ridge)


def test_damped_inverses_keep_single_precision_where_the_ridge_is_small():
    """Squares of singular values in float32 would lose what lies below the root of its rounding."""
    wide = np.random.default_rng(0).standard_normal((12, 12)) * np.logspace(0, -3, 12)
    single = DampedInverses.of(wide.astype(np.float32), least=1e-3)
    found = single.matrix(np.asarray(1e-3, dtype=np.float32))
    assert found.dtype == np.float32
    expected = ridge_inverse(wide, ridge=1e-3)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def test_damped_inverses_on_every_ring(xp, assert_close):
    a = np.random.default_rng(0).standard_normal((2, 6, 6)).astype(xp.dtype)
    found = DampedInverses.of(xp.asarray(a), least=0.1).matrix(xp.asarray(np.asarray([0.1, 0.2], dtype=xp.dtype)))
    for index, ridge in enumerate((0.1, 0.2)):
        assert_close(found[index, ...], ridge_inverse(a[index], ridge=ridge), rtol=0, atol=1e3 * xp.eps())
