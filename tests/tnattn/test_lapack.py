"""The host's factorizations, where their shortcuts end."""

import numpy as np
import pytest

from tnattn import lapack


def graded(m, n, decades, *, backwards=False):
    columns = np.random.default_rng(0).standard_normal((m, n)) * np.logspace(0, -decades, n)
    return columns[:, ::-1].copy() if backwards else columns


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("decades", [0, 3])
def test_factors_multiply_back_to_rounding_by_either_road(monkeypatch, dtype, backwards, decades):
    """Columns graded upwards make |R^-1| |R| large, and the explicit inverse is left for a substitution."""
    calls = []
    real = lapack.get_blas_funcs
    monkeypatch.setattr(lapack, "get_blas_funcs", lambda *names: calls.append(names) or real(*names))
    a = graded(300, 60, decades, backwards=backwards).astype(dtype)
    q, r = lapack.orthonormalise(a)
    eps = np.finfo(dtype).eps
    assert np.linalg.norm(q @ r - a) <= 30 * eps * np.linalg.norm(a)
    assert np.abs(q.T @ q - np.eye(60)).max() <= 30 * eps
    if dtype == "float64":
        assert bool(calls) == (backwards and decades == 3)


@pytest.mark.parametrize("shape", [(9, 4), (4, 4), (2, 3, 11, 5)])
def test_lower_trapezoids_span_the_range(shape):
    a = np.random.default_rng(0).standard_normal(shape)
    lower = lapack.lower_trapezoid(a)
    assert np.abs(lower).max() <= 1
    for index in np.ndindex(shape[:-2]):
        assert np.linalg.matrix_rank(np.hstack([a[index], lower[index]])) == shape[-1]


def test_one_pass_is_orthonormal_up_to_the_square_of_the_condition_number():
    mild, hard = (
        graded(300, 20, 0),
        graded(300, 20, 3) @ np.linalg.qr(np.random.default_rng(1).normal(size=(20, 20)))[0],
    )
    departures = [np.abs(q.T @ q - np.eye(20)).max() for q in map(lapack.near_orthonormal, (mild, hard))]
    assert departures[0] <= 1e-14
    assert 1e-13 < departures[1] <= 1e-8


def test_blocks_without_a_cholesky_factor_are_orthonormal_all_the_same():
    q = lapack.near_orthonormal(np.zeros((2, 30, 4)))
    np.testing.assert_allclose(q.mT @ q, np.broadcast_to(np.eye(4), (2, 4, 4)), atol=1e-14)


def test_leading_eigenpairs_come_largest_first():
    a = np.random.default_rng(0).standard_normal((3, 40, 40))
    a = a + a.mT
    values, vectors = lapack.leading_eigh(a, keep=2)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(a)[:, :-3:-1], atol=1e-12)
    np.testing.assert_allclose(a @ vectors, vectors * values[:, None, :], atol=1e-12)
