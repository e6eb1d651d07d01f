"""The Nyström approximation: exactness, order, refusals."""

import numpy as np
import pytest

from theory.bounds.randnla.instances import slow_spectrum, with_eigenvalues
from tnattn.arrays import to_host
from tnattn.randnla.nystrom import Nystrom
from tnattn.randnla.sparse_sign import SparseSign


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("method", [Nystrom(rank=5), Nystrom(rank=5, oversampling=3), Nystrom(5, 5, SparseSign())])
def test_a_matrix_of_the_target_rank_is_recovered_on_every_library(xp, method, assert_close):
    host = with_eigenvalues(rng(), [4.0, 3.0, 2.0, 1.0, 0.5, *([0.0] * 15)])
    a = xp.asarray(np.stack([host, 5 * host]))
    result = method(a, rng=rng(1))
    assert_close(result.to_dense(), a, rtol=0, atol=5000 * xp.eps())
    np.testing.assert_allclose(to_host(result.eigenvalues)[0], [4.0, 3.0, 2.0, 1.0, 0.5], rtol=1e3 * xp.eps())


def test_full_rank_is_exact():
    a = with_eigenvalues(rng(), slow_spectrum(30))
    np.testing.assert_allclose(Nystrom(rank=30)(a, rng=rng()).to_dense(), a, atol=1e-12)


def test_the_approximation_lies_between_zero_and_the_matrix(seed):
    a = with_eigenvalues(rng(seed), slow_spectrum(30) ** 2)
    result = Nystrom(rank=8, oversampling=4)(a, rng=rng(seed))
    assert np.linalg.eigvalsh(a - result.to_dense())[0] > -1e-12
    assert np.all(result.eigenvalues > 0)
    assert np.all(np.diff(result.eigenvalues) <= 0)
    np.testing.assert_allclose(result.u.T @ result.u, np.eye(8), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_smooth_kernel_is_approximated_to_rounding(dtype):
    """The core matrix is singular to working precision here: without the shift its Cholesky factor does not exist."""
    x = np.linspace(0, 1, 80)
    kernel = np.exp(-2 * (x[:, None] - x) ** 2)
    result = Nystrom(rank=30)(kernel.astype(dtype), rng=rng())
    assert np.linalg.norm(kernel - result.to_dense(), 2) < 80 * np.finfo(dtype).eps * np.linalg.norm(kernel, 2)


def test_each_matrix_of_a_stack_is_approximated_as_if_alone():
    stack = np.stack([10.0**i * with_eigenvalues(rng(i), slow_spectrum(20)) for i in range(3)])
    together = Nystrom(rank=4)(stack, rng=rng(1)).to_dense()
    alone = np.stack([Nystrom(rank=4)(a, rng=rng(1)).to_dense() for a in stack])
    np.testing.assert_allclose(together, alone, rtol=1e-9, atol=1e-12)


def test_a_zero_matrix_gives_zero_beside_others():
    stack = np.stack([np.zeros((6, 6)), np.eye(6)])
    result = Nystrom(rank=6)(stack, rng=rng())
    assert np.all(result.to_dense()[0] == 0)
    np.testing.assert_allclose(result.to_dense()[1], np.eye(6), atol=1e-13)


def test_a_one_by_one_matrix_works():
    np.testing.assert_allclose(Nystrom(rank=1)(np.array([[3.0]]), rng=rng()).to_dense(), [[3.0]])


@pytest.mark.parametrize(
    "a, words",
    [
        (np.ones((4, 5)), "square"),
        (np.arange(16.0).reshape(4, 4), "not symmetric"),
        (np.diag([1.0, 1.0, -1.0, 0.5]), "not positive semidefinite"),
    ],
    ids=["rectangular", "asymmetric", "indefinite"],
)
def test_what_is_not_positive_semidefinite_is_refused(a, words):
    with pytest.raises(ValueError, match=words):
        Nystrom(rank=3)(a, rng=rng())


def test_too_large_a_rank_is_refused():
    with pytest.raises(ValueError, match="rank 7 exceeds"):
        Nystrom(rank=7)(np.eye(6), rng=rng())


@pytest.mark.parametrize("field, value", [("rank", 0), ("oversampling", -1)])
def test_impossible_parameters_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        Nystrom(**{field: value})


def test_without_a_generator_it_raises():
    with pytest.raises(TypeError, match="pass rng"):
        Nystrom(rank=2)(np.eye(4))


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_the_approximation_has_the_scale_of_the_matrix(scale):
    a = with_eigenvalues(rng(), slow_spectrum(12))
    given, scaled = (Nystrom(rank=4)(x, rng=rng(1)).to_dense() for x in (a, scale * a))
    np.testing.assert_allclose(scaled / scale, given, rtol=1e-9, atol=1e-12)
