"""The randomized eigendecomposition: signs, order, exactness, refusals."""

import numpy as np
import pytest

from theory.bounds.randnla.instances import slow_spectrum, with_eigenvalues
from tnattn.arrays import to_host
from tnattn.randnla.randomized_eigh import RandomizedEigh


def rng(seed=0):
    return np.random.default_rng(seed)


SPECTRUM = np.r_[[5.0, -4.0, 3.0, -2.0], 0.01 * slow_spectrum(36)]


def test_eigenvalues_of_both_signs_come_by_magnitude(xp):
    a = with_eigenvalues(rng(), SPECTRUM)
    result = RandomizedEigh(4, power_iterations=3)(xp.asarray(np.stack([a, -a])), rng=rng())
    np.testing.assert_allclose(to_host(result.eigenvalues), [SPECTRUM[:4], -SPECTRUM[:4]], rtol=1e4 * xp.eps())


def test_eigenvectors_belong_to_their_eigenvalues():
    a = with_eigenvalues(rng(), SPECTRUM)
    result = RandomizedEigh(4, power_iterations=4)(a, rng=rng())
    np.testing.assert_allclose(a @ result.u, result.u * result.eigenvalues, atol=1e-10)
    np.testing.assert_allclose(result.u.T @ result.u, np.eye(4), atol=1e-13)


def test_the_approximation_is_symmetric_and_near_the_best(seed):
    a = with_eigenvalues(rng(), SPECTRUM)
    made = RandomizedEigh(4)(a, rng=rng(seed)).to_dense()
    np.testing.assert_allclose(made, made.T, atol=1e-14)
    assert np.linalg.norm(a - made) < 1.01 * np.linalg.norm(SPECTRUM[4:])


@pytest.mark.parametrize("rank", [1, 40])
def test_full_rank_is_exact(rank):
    a = with_eigenvalues(rng(), SPECTRUM)[:rank, :rank]
    np.testing.assert_allclose(RandomizedEigh(rank)(a, rng=rng()).to_dense(), a, atol=1e-13)


def test_a_zero_matrix_gives_zero():
    assert np.all(RandomizedEigh(3)(np.zeros((9, 9)), rng=rng()).to_dense() == 0)


@pytest.mark.parametrize("a, words", [(np.triu(np.ones((8, 8))), "not symmetric"), (np.ones((8, 7)), "square")])
def test_what_is_not_symmetric_is_refused(a, words):
    with pytest.raises(ValueError, match=words):
        RandomizedEigh(2)(a, rng=rng())
