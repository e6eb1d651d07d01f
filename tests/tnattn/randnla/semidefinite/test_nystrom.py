"""The Nyström approximation: exactness, order, refusals."""

import numpy as np
import pytest
from fixtures import rng
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator

from tnattn.arrays import to_host
from tnattn.gallery import polynomial_spectrum, psd_with_spectrum
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.randnla.semidefinite.nystrom import Nystrom
from tnattn.randnla.sketches.sparse_sign import SparseSign
from tnattn.structured.gaussian_kernel import GaussianKernel
from tnattn.structured.low_rank import LowRank


@pytest.mark.parametrize("method", [Nystrom(rank=5), Nystrom(rank=5, oversampling=3), Nystrom(5, 5, SparseSign())])
def test_a_matrix_of_the_target_rank_is_recovered_on_every_library(xp, method, assert_close):
    host = psd_with_spectrum([4.0, 3.0, 2.0, 1.0, 0.5, *([0.0] * 15)], rng())
    a = xp.asarray(np.stack([host, 5 * host]))
    result = method(a, rng=rng(1))
    assert_close(result.to_dense(), a, rtol=0, atol=5000 * xp.eps())
    np.testing.assert_allclose(to_host(result.eigenvalues)[0], [4.0, 3.0, 2.0, 1.0, 0.5], rtol=1e3 * xp.eps())


def test_full_rank_is_exact():
    a = psd_with_spectrum(polynomial_spectrum(30), rng())
    np.testing.assert_allclose(Nystrom(rank=30)(a, rng=rng()).to_dense(), a, atol=1e-12)


def test_the_approximation_lies_between_zero_and_the_matrix(seed):
    a = psd_with_spectrum(polynomial_spectrum(30) ** 2, rng(seed))
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
    stack = np.stack([10.0**i * psd_with_spectrum(polynomial_spectrum(20), rng(i)) for i in range(3)])
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
    a = psd_with_spectrum(polynomial_spectrum(12), rng())
    given, scaled = (Nystrom(rank=4)(x, rng=rng(1)).to_dense() for x in (a, scale * a))
    np.testing.assert_allclose(scaled / scale, given, rtol=1e-9, atol=1e-12)


def missed(a, result):
    """Return relative nuclear errors."""
    size = np.linalg.svd(a, compute_uv=False).sum(axis=-1)
    return np.linalg.svd(a - to_host(result.to_dense()), compute_uv=False).sum(axis=-1) / np.where(size > 0, size, 1)


@pytest.mark.parametrize("rtol", [0.5, 0.1, 0.005])
def test_a_tolerance_takes_the_smallest_rank_that_its_sketch_allows(xp, rtol):
    spectra = [0.7 ** np.arange(40), 0.3 ** np.arange(40), np.zeros(40)]
    a = np.stack([psd_with_spectrum(10.0**i * x, rng(i)) for i, x in enumerate(spectra)])
    for dtype in xp.dtypes:
        result = Nystrom(25, rtol=rtol)(xp.asarray(a, dtype), rng=rng())
        ranks, noise = to_host(result.ranks), 200 * np.finfo(dtype).eps
        best = [int(np.sum(np.cumsum(x[::-1])[::-1] > rtol * np.sum(x))) for x in spectra]
        assert np.all(missed(a, result) <= rtol + noise)
        np.testing.assert_allclose(to_host(result.residual), missed(a, result), rtol=1e-3, atol=noise)
        assert np.all(to_host(result.converged))
        assert np.all((ranks - best >= 0) & (ranks - best <= 1))
        assert result.storage == 80 * ranks.sum()
        given = to_host(Nystrom(int(ranks[0]), 35 - int(ranks[0]))(xp.asarray(a, dtype), rng=rng()).to_dense())
        np.testing.assert_allclose(to_host(result.to_dense())[0], given[0], atol=noise)


def test_a_tolerance_out_of_reach_keeps_the_leading_pairs():
    a = psd_with_spectrum(polynomial_spectrum(40), rng())
    with pytest.warns(ToleranceWarning, match="rtol 0.01 is not met at rank 6 by 1 of the 1") as caught:
        result = Nystrom(6, rtol=0.01)(a, rng=rng())
    assert len(caught) == 1
    np.testing.assert_allclose(result.to_dense(), Nystrom(6)(a, rng=rng()).to_dense(), atol=1e-14)
    np.testing.assert_allclose(result.residual, missed(a, result), rtol=1e-10)
    assert (int(result.ranks), bool(result.converged)) == (6, False)


@pytest.mark.parametrize("kind", ["entries", "sparse", "factors"])
def test_the_trace_of_implicit_matrices_is_found(kind):
    x = rng().standard_normal((30, 2))
    a = np.exp(-np.sum((x[:, None] - x) ** 2, axis=-1) / 2)
    given = {"entries": GaussianKernel(x), "sparse": csr_array(a), "factors": LowRank(a, np.eye(30))}[kind]
    result = Nystrom(20, rtol=0.1)(given, rng=rng())
    np.testing.assert_allclose(result.residual, missed(a, result), rtol=1e-8)
    assert result.converged


def test_a_tolerance_without_a_trace_is_refused():
    with pytest.raises(ValueError, match="rtol 0.1 needs the trace, which a HostOperator does not give"):
        Nystrom(3, rtol=0.1)(aslinearoperator(np.eye(5)), rng=rng())


@pytest.mark.parametrize("rtol, words", [(0.0, "0 < rtol < 1"), (1.0, "0 < rtol < 1"), (1e-15, "rounding")])
def test_an_impossible_tolerance_is_refused(rtol, words):
    with pytest.raises(ValueError, match=words):
        Nystrom(3, rtol=rtol)(np.eye(5), rng=rng())
