"""Pivoted elimination and substitution on the host, one matrix and one memory order at a time."""

import itertools

import numpy as np
import pytest
import scipy.linalg

from tnattn.linalg import lapack


@pytest.mark.parametrize("shape", [(9, 4), (4, 4), (2, 3, 11, 5)])
def test_lower_trapezoids_span_the_range(shape):
    a = np.random.default_rng(0).standard_normal(shape)
    lower = lapack.lower_trapezoid(a)
    assert np.abs(lower).max() <= 1
    for index in np.ndindex(shape[:-2]):
        assert np.linalg.matrix_rank(np.hstack([a[index], lower[index]])) == shape[-1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(9, 4), (4, 4), (3, 9, 4), (2, 3, 11, 5), (6, 1), (1, 1)], ids=str)
def test_lower_trapezoids_and_pivots_are_those_of_elimination(dtype, shape):
    a = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    before, lower, pivots = a.copy(), lapack.lower_trapezoid(a), lapack.row_pivots(a)
    assert lower.dtype == a.dtype
    assert lower.mT.flags.c_contiguous
    assert pivots.shape == (*shape[:-2], shape[-1])
    np.testing.assert_array_equal(a, before)
    for index in np.ndindex(shape[:-2]):
        p, unit_lower, _ = scipy.linalg.lu(a[index])
        np.testing.assert_allclose(lower[index], p @ unit_lower, atol=20 * np.finfo(dtype).eps)
        assert pivots[index].tolist() == np.argmax(p, axis=0)[: shape[-1]].tolist()
        top = lower[index][pivots[index]]
        np.testing.assert_array_equal(np.triu(top), np.eye(shape[-1]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elimination_beyond_the_range_is_repeated_on_scaled_columns(dtype):
    """The difference of two rows overflows, and a tiny pivot has no reciprocal."""
    limits = np.finfo(dtype)
    a = np.random.default_rng(0).uniform(-1, 1, (30, 6)).astype(dtype)
    exponents = np.array([limits.maxexp - 1, 0, limits.minexp + 8, 3, limits.maxexp - 1, -5])
    moved = np.ldexp(np.round(a * 64) / 64, exponents).astype(dtype)
    with np.errstate(all="ignore"):
        lower = lapack.lower_trapezoid(moved)
    assert np.isfinite(lower).all()
    assert np.abs(lower).max() <= 1
    np.testing.assert_allclose(lower, lapack.lower_trapezoid(np.round(a * 64) / 64), atol=1e3 * limits.eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("columns", [[0, 1, 2, 3], [2]], ids=str)
def test_elimination_of_denormal_columns_keeps_their_range(dtype, columns):
    """Kernels do not divide by a pivot without a reciprocal: the trapezoid would be that of zero columns."""
    limits = np.finfo(dtype)
    a = np.round(np.random.default_rng(0).uniform(-1, 1, (30, 4)) * 64).astype(dtype)
    moved = a.copy()
    moved[:, columns] = np.ldexp(a[:, columns], limits.minexp - 9)
    basis = np.linalg.qr(lapack.lower_trapezoid(moved).astype(float))[0]
    assert np.linalg.norm(a - basis @ (basis.T @ a)) <= 100 * limits.eps * np.linalg.norm(a)


@pytest.mark.parametrize("lower, transpose", list(itertools.product([True, False], repeat=2)))
@pytest.mark.parametrize("orders", list(itertools.product("CF", repeat=2)), ids="".join)
@pytest.mark.parametrize("shape", [(5, 3), (5, 1), (1, 1), (1, 4)], ids=str)
def test_substitutions_read_one_triangle_in_either_order(lower, transpose, orders, shape):
    rng, n = np.random.default_rng(0), shape[0]
    triangle = (np.tril if lower else np.triu)(rng.standard_normal((2, n, n)) + 5 * np.eye(n))
    beside = np.triu(np.full((n, n), np.nan), 1)
    a = [np.asarray(t + _other(beside, lower), order=orders[0]) for t in triangle]
    b = [np.asarray(rng.standard_normal(shape), order=orders[1]) for _ in range(2)]
    for i in range(2):
        found = lapack._solve_triangular(a[i], b[i], lower=lower, transpose=transpose)
        np.testing.assert_allclose((triangle[i].T if transpose else triangle[i]) @ found, b[i], atol=1e-13)
    whole = lapack.solve_triangular(np.stack(a), np.stack(b), lower=lower, transpose=transpose)
    for i in range(2):
        np.testing.assert_allclose((triangle[i].T if transpose else triangle[i]) @ whole[i], b[i], atol=1e-13)


@pytest.mark.parametrize("orders", list(itertools.product("CF", repeat=2)), ids="".join)
@pytest.mark.parametrize("lower", [True, False])
def test_substitutions_hand_both_orders_to_blas_without_a_copy(monkeypatch, orders, lower):
    """BLAS reads columns: an operand stored by rows arrives as its transpose, not rearranged."""
    arrived, plain = [], lapack.get_blas_funcs
    monkeypatch.setattr(
        lapack,
        "get_blas_funcs",
        lambda *names: lambda *a, **options: arrived.extend(a[1:]) or plain(*names)(*a, **options),
    )
    rng = np.random.default_rng(0)
    a, b = (np.asarray(x, order=o) for x, o in zip((rng.random((4, 4)) + np.eye(4), rng.random((4, 3))), orders))
    lapack._solve_triangular(a, b, lower=lower, transpose=False)
    assert [x.flags.f_contiguous for x in arrived] == [True, True]
    assert [np.shares_memory(x, y) for x, y in zip(arrived, (a, b))] == [True, True]


def _other(beside, lower):
    """Return NaN in the triangle that must not be read, zero elsewhere."""
    strict = np.isnan(beside if lower else beside.T)
    return np.where(strict, np.nan, 0.0)


def test_substitutions_take_the_wider_dtype():
    a, b = np.eye(2, dtype=np.float32)[None] * 3, np.ones((1, 2, 1))
    assert lapack.solve_triangular(a, b, lower=True, transpose=False).dtype == np.float64
