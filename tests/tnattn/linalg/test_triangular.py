"""Triangular solves and Cholesky factors, on every ring and in both precisions."""

import contextlib
import sys
from types import SimpleNamespace

import array_api_compat.numpy
import numpy as np
import pytest
import scipy.linalg
from fixtures import normal
from fixtures.matrices import both, ring_eps

from tnattn.arrays import array_namespace, to_host
from tnattn.linalg import triangular
from tnattn.linalg.triangular import cholesky, cholesky_or_nan, solve_triangular


@both
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("transpose", [True, False])
def test_triangular_solutions_solve(xp, dtype, lower, transpose):
    a, b = xp.asarray(normal(2, 3, 5, 5) + 6 * np.eye(5), dtype), xp.asarray(normal(2, 3, 5, 4, seed=1), dtype)
    x = solve_triangular(a, b, lower=lower, transpose=transpose)
    triangle = np.tril(to_host(a)) if lower else np.triu(to_host(a))
    residual = (triangle.mT if transpose else triangle).astype(np.float64) @ to_host(x) - to_host(b)
    assert x.dtype == b.dtype
    assert np.abs(residual).max() <= 100 * ring_eps(b)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("lower", [True, False])
def test_triangular_solves_read_either_memory_order(order, lower):
    a, b = np.asarray(normal(5, 5) + 6 * np.eye(5), order=order), np.asarray(normal(5, 4), order=order)
    expected = scipy.linalg.solve_triangular(a, b, lower=lower)
    np.testing.assert_allclose(solve_triangular(a, b, lower=lower), expected, rtol=1e-13)


def test_triangular_solves_broadcast_batches(xp):
    a, b = xp.asarray(normal(5, 5) + 6 * np.eye(5)), xp.asarray(normal(3, 5, 2))
    x = to_host(solve_triangular(a, b, lower=True))
    expected = np.stack([scipy.linalg.solve_triangular(to_host(a), row, lower=True) for row in to_host(b)])
    np.testing.assert_allclose(x, expected, rtol=0, atol=50 * xp.eps())


@pytest.mark.parametrize(
    "shapes", [((4, 5), (4, 2)), ((4, 5), (5, 2)), ((5, 4), (5, 2)), ((5, 5), (4, 2)), ((5, 5), (5,)), ((5,), (5, 2))]
)
def test_triangular_solves_refuse_shapes_that_do_not_fit(xp, shapes):
    a, b = (xp.asarray(np.ones(shape)) for shape in shapes)
    with pytest.raises(ValueError, match="do not fit"):
        solve_triangular(a, b, lower=True)


@both
def test_cholesky_factors_multiply_back(xp, dtype):
    a = normal(2, 3, 6, 9)
    a = xp.asarray(a @ a.mT, dtype)
    factor = cholesky(a)
    host = to_host(factor)
    assert factor.dtype == a.dtype
    assert np.array_equal(host, np.tril(host))
    np.testing.assert_allclose(
        host.astype(np.float64) @ host.mT, to_host(a), rtol=0, atol=60 * ring_eps(a) * np.abs(to_host(a)).max()
    )


def test_cholesky_names_the_matrix_that_is_not_positive_definite(xp):
    a = np.broadcast_to(np.eye(3), (2, 2, 3, 3)).copy()
    a[1, 0, 1, 1] = -1
    with pytest.raises(ValueError, match=r"matrix \(1, 0\) of the stack is not positive definite"):
        cholesky(xp.asarray(a))
    with pytest.raises(ValueError, match="the matrix is not positive definite"):
        cholesky(xp.asarray(a[1, 0]))


@both
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("transpose", [True, False])
def test_only_the_named_triangle_is_read(xp, dtype, lower, transpose):
    """NaN in the other one does not reach the solution."""
    full = normal(2, 5, 5) + 6 * np.eye(5)
    triangle = np.tril(full) if lower else np.triu(full)
    beside = np.where(np.tri(5, k=0 if lower else -1, dtype=bool) == lower, full, np.nan)
    b = xp.asarray(normal(2, 5, 3, seed=1), dtype)
    options = {"lower": lower, "transpose": transpose}
    found = to_host(solve_triangular(xp.asarray(beside, dtype), b, **options))
    expected = to_host(solve_triangular(xp.asarray(triangle, dtype), b, **options))
    np.testing.assert_allclose(found, expected, rtol=0, atol=50 * ring_eps(b))


@pytest.mark.parametrize("lower", [True, False])
def test_a_zero_on_the_diagonal_gives_infinities(lower):
    with np.errstate(all="ignore"):
        x = solve_triangular(np.diag([1.0, 0.0, 2.0]), np.ones((3, 1)), lower=lower)
    assert np.isinf(x[1, 0])


def test_triangular_batches_broadcast_both_ways(xp):
    a, b = xp.asarray(normal(3, 1, 4, 4) + 6 * np.eye(4)), xp.asarray(normal(2, 4, 5, seed=1))
    x = to_host(solve_triangular(a, b, lower=False))
    assert x.shape == (3, 2, 4, 5)
    expected = np.linalg.solve(np.triu(to_host(a)), to_host(b))
    np.testing.assert_allclose(x, expected, rtol=0, atol=50 * xp.eps())


def test_the_triangle_is_given_by_name():
    with pytest.raises(TypeError, match="positional"):
        solve_triangular(np.eye(3), np.eye(3), True)


@pytest.mark.parametrize("place", [(0,), (2,)], ids=str)
def test_cholesky_factors_of_the_other_matrices_do_not_hide_a_failure(xp, place):
    a = np.broadcast_to(np.eye(2), (3, 2, 2)).copy()
    a[place] = [[1, 2], [2, 1]]
    with pytest.raises(ValueError, match=rf"matrix \({place[0]},\) of the stack .* add a ridge or use eigh"):
        cholesky(xp.asarray(a))


def test_factors_that_do_not_exist_are_no_numbers_and_the_others_stand(xp):
    a = np.broadcast_to(4 * np.eye(2), (2, 3, 2, 2)).copy()
    a[1, 2], a[0, 0] = -np.eye(2), [[1, 2], [2, 1]]
    a = xp.asarray(a)
    factors = to_host(cholesky_or_nan(array_namespace(a), a))
    failed = np.zeros((2, 3), bool)
    failed[1, 2] = failed[0, 0] = True
    assert np.isnan(factors[failed]).all()
    assert (np.tril(factors[~failed]) == np.broadcast_to(2 * np.eye(2), (4, 2, 2))).all()
    alone = to_host(cholesky_or_nan(array_namespace(a), a[1, 2, ...]))
    assert alone.shape == (2, 2)
    assert np.isnan(alone).all()


def test_the_first_of_several_failures_is_named(xp):
    a = np.broadcast_to(np.eye(2), (2, 3, 2, 2)).copy()
    a[0, 2] = a[1, 1] = -np.eye(2)
    with pytest.raises(ValueError, match=r"matrix \(0, 2\) of the stack"):
        cholesky(xp.asarray(a))


def test_a_factor_of_which_one_number_is_infinite_is_refused():
    with pytest.raises(ValueError, match="the matrix is not positive definite"):
        cholesky(np.diag([4.0, np.inf]))


# --- what CuPy reports, and what it does not ---

ALL = SimpleNamespace(**{name: getattr(array_api_compat.numpy, name) for name in dir(array_api_compat.numpy)})


def failed(*places):
    """Return factors (2, 3, 4, 4) of small pivots, of which some are unsound, and the mask of these."""
    factors = np.broadcast_to(np.tri(4) * 0.5, (2, 3, 4, 4)).copy()
    mask = np.zeros((2, 3), bool)
    for i, (place, pivot) in enumerate(places):
        factors[place][i, i], mask[place] = pivot, True
    return factors, mask


def test_a_pivot_that_is_not_positive_is_a_failure(monkeypatch):
    """cuSOLVER's report is not looked at: its factor is, each one of a stack."""
    factors, mask = failed(((1, 2), 0.0), ((0, 1), -0.5), ((1, 0), np.nan))
    monkeypatch.setattr(triangular.array_api_compat, "is_cupy_array", lambda x: True)
    linalg = SimpleNamespace(cholesky=lambda a: factors, diagonal=array_api_compat.numpy.linalg.diagonal)
    found = cholesky_or_nan(SimpleNamespace(**{**vars(ALL), "linalg": linalg}), np.ones((2, 3, 4, 4)))
    assert np.isnan(found[mask]).all()
    np.testing.assert_array_equal(found[~mask], factors[~mask])


def test_a_reported_failure_leaves_the_factors_that_stand(monkeypatch):
    """The factors of a stack that fails as a whole, those with a NaN replaced."""
    factors, mask = failed(((1, 2), np.nan), ((0, 1), np.nan))
    monkeypatch.setitem(sys.modules, "cupyx", SimpleNamespace(errstate=lambda linalg: contextlib.nullcontext()))
    bad = np.broadcast_to(-np.eye(4), (2, 3, 4, 4))
    found = triangular._cupy_cholesky_checked(array_api_compat.numpy, bad, factors)
    assert np.isnan(found[mask]).all()
    np.testing.assert_array_equal(found[~mask], factors[~mask])
    good = triangular._cupy_cholesky_checked(array_api_compat.numpy, -4 * bad, factors)
    np.testing.assert_array_equal(good, -2 * bad)
