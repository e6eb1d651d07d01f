"""The randomized eigendecomposition: signs, order, exactness, refusals."""

import numpy as np
import pytest
from fixtures import rng

from tnattn.arrays import to_host
from tnattn.gallery import polynomial_spectrum, symmetric_with_spectrum
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.randnla.low_rank.randomized_eigh import RandomizedEigh

SPECTRUM = np.r_[[5.0, -4.0, 3.0, -2.0], 0.01 * polynomial_spectrum(36)]


def test_eigenvalues_of_both_signs_come_by_magnitude(xp):
    a = symmetric_with_spectrum(SPECTRUM, rng())
    result = RandomizedEigh(4, power_iterations=3)(xp.asarray(np.stack([a, -a])), rng=rng())
    np.testing.assert_allclose(to_host(result.eigenvalues), [SPECTRUM[:4], -SPECTRUM[:4]], rtol=1e4 * xp.eps())


def test_eigenvectors_belong_to_their_eigenvalues():
    a = symmetric_with_spectrum(SPECTRUM, rng())
    result = RandomizedEigh(4, power_iterations=4)(a, rng=rng())
    np.testing.assert_allclose(a @ result.u, result.u * result.eigenvalues, atol=1e-10)
    np.testing.assert_allclose(result.u.T @ result.u, np.eye(4), atol=1e-13)


def test_the_approximation_is_symmetric_and_near_the_best(seed):
    a = symmetric_with_spectrum(SPECTRUM, rng())
    made = RandomizedEigh(4)(a, rng=rng(seed)).to_dense()
    np.testing.assert_allclose(made, made.T, atol=1e-14)
    assert np.linalg.norm(a - made) < 1.01 * np.linalg.norm(SPECTRUM[4:])


@pytest.mark.parametrize("rank", [1, 40])
def test_full_rank_is_exact(rank):
    a = symmetric_with_spectrum(SPECTRUM, rng())[:rank, :rank]
    np.testing.assert_allclose(RandomizedEigh(rank)(a, rng=rng()).to_dense(), a, atol=1e-13)


def test_a_zero_matrix_gives_zero():
    assert np.all(RandomizedEigh(3)(np.zeros((9, 9)), rng=rng()).to_dense() == 0)


@pytest.mark.parametrize("a, words", [(np.triu(np.ones((8, 8))), "not symmetric"), (np.ones((8, 7)), "square")])
def test_what_is_not_symmetric_is_refused(a, words):
    with pytest.raises(ValueError, match=words):
        RandomizedEigh(2)(a, rng=rng())


@pytest.mark.parametrize("rtol", [0.5, 0.1, 0.01, 1e-4])
def test_a_tolerance_takes_the_smallest_rank_that_meets_it(xp, rtol):
    spectra = [0.6 ** np.arange(30) * (-1) ** np.arange(30), 0.3 ** np.arange(30)]
    stack = np.stack([symmetric_with_spectrum(10.0**i * x, rng(i)) for i, x in enumerate(spectra)])
    if rtol < 2 * xp.eps() ** 0.5:
        with pytest.raises(ValueError, match="cannot be told from rounding"):
            RandomizedEigh(25, rtol=rtol)(xp.asarray(stack), rng=rng())
        return
    result = RandomizedEigh(25, rtol=rtol)(xp.asarray(stack), rng=rng())
    error = np.linalg.norm(stack - to_host(result.to_dense()), axis=(-2, -1)) / np.linalg.norm(stack, axis=(-2, -1))
    best = [int(np.sum(np.sqrt(np.cumsum(x[::-1] ** 2)[::-1] / np.sum(x**2)) > rtol)) for x in spectra]
    assert np.all(error <= rtol * 1.001)
    np.testing.assert_allclose(to_host(result.residual), error, rtol=0.02, atol=5 * xp.eps() ** 0.5)
    assert np.all(to_host(result.converged))
    assert np.all(np.abs(to_host(result.ranks) - best) <= 1)
    assert result.storage == 2 * 30 * int(np.sum(to_host(result.ranks)))


def test_a_tolerance_out_of_reach_keeps_the_leading_pairs():
    a = symmetric_with_spectrum(SPECTRUM, rng())
    with pytest.warns(ToleranceWarning, match="rtol 0.0001 is not met at rank 3"):
        result = RandomizedEigh(3, power_iterations=3, rtol=1e-4)(a, rng=rng())
    np.testing.assert_allclose(result.eigenvalues, SPECTRUM[:3], rtol=1e-4)
    np.testing.assert_allclose(result.residual, np.linalg.norm(a - result.to_dense()) / np.linalg.norm(a), rtol=1e-6)
    assert (int(result.ranks), bool(result.converged)) == (3, False)


def test_a_zero_matrix_meets_every_tolerance_beside_others():
    stack = np.stack([np.zeros((9, 9)), np.eye(9)])
    result = RandomizedEigh(9, rtol=0.1)(stack, rng=rng())
    assert list(result.ranks) == [0, 9]
    np.testing.assert_allclose(result.to_dense(), stack, atol=1e-12)


@pytest.mark.parametrize("rtol", [0.0, 1.0, -0.1])
def test_an_impossible_tolerance_is_refused(rtol):
    with pytest.raises(ValueError, match="rtol is"):
        RandomizedEigh(rtol=rtol)
