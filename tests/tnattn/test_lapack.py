"""The host's factorizations, where their shortcuts end."""

import itertools

import numpy as np
import pytest
import scipy.linalg

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


@pytest.mark.parametrize("keep", [1, 3, 5])
def test_leading_eigenpairs_of_every_matrix_of_a_stack(keep):
    a = np.random.default_rng(0).standard_normal((2, 3, 5, 5)) * np.arange(1.0, 7).reshape(2, 3, 1, 1)
    a = a + a.mT
    values, vectors = lapack.leading_eigh(a, keep=keep)
    assert (values.shape, vectors.shape) == ((2, 3, keep), (2, 3, 5, keep))
    np.testing.assert_allclose(values, np.linalg.eigvalsh(a)[..., ::-1][..., :keep], atol=1e-12)
    np.testing.assert_allclose(a @ vectors, vectors * values[..., None, :], atol=1e-12)


# --- the road from a Gram matrix to a basis ---


def counted(monkeypatch, name):
    """Count the calls of a function of the module."""
    made, plain = [], getattr(lapack, name)
    monkeypatch.setattr(lapack, name, lambda *a, **options: made.append(a) or plain(*a, **options))
    return made


def inclined(cosine, m=40):
    """Return two columns of length one, of which the second makes an angle with the first."""
    q = np.linalg.qr(np.random.default_rng(3).standard_normal((m, 2)))[0]
    return np.stack([q[:, 0], cosine * q[:, 0] + np.sqrt(1 - cosine**2) * q[:, 1]], axis=-1)


def unit_error(q, r, a):
    n = a.shape[-1]
    return max(np.abs(q.mT @ q - np.eye(n)).max(), (np.abs(q @ r - a) / np.linalg.norm(a, axis=0)).max())


@pytest.mark.parametrize("batch", [(6,), (2, 3), (1, 2, 3)], ids=str)
@pytest.mark.parametrize("function", [lapack.orthonormalise, lambda a: (lapack.near_orthonormal(a),)])
def test_a_stack_is_a_loop_over_its_matrices(function, batch):
    stack = np.random.default_rng(0).standard_normal((6, 30, 5))
    stack[1], stack[4] = 0, np.ldexp(stack[4], 900)
    with np.errstate(over="ignore", invalid="ignore"):
        whole, alone = function(stack.reshape(*batch, 30, 5)), [function(a.copy()) for a in stack]
    for place, part in enumerate(whole):
        expected = np.stack([single[place] for single in alone])
        assert part.shape == (*batch, *expected.shape[1:])
        np.testing.assert_array_equal(part.reshape(expected.shape), expected)


@pytest.mark.parametrize("cosine, passes", [(0.0, 1), (0.34, 1), (0.37, 2), (0.9, 2), (1 - 1e-6, 2)])
def test_columns_at_wide_angles_take_one_pass_and_others_two(monkeypatch, cosine, passes):
    """The angle counts, 0.5 / sqrt(2) as a cosine; lengths do not."""
    made, householder = counted(monkeypatch, "_pass"), counted(monkeypatch, "_departure")
    a = inclined(cosine) * np.array([1e-9, 1e9])
    q, r = lapack.orthonormalise(a)
    assert len(made) == len(householder) == passes
    assert unit_error(q, r, a) <= 1e-14


@pytest.mark.parametrize("second, reflected", [(0.49, False), (0.5, True), (0.51, True), (1.2, True), (np.nan, True)])
def test_a_first_pass_that_departs_by_a_half_is_given_up(monkeypatch, second, reflected):
    departures = iter([1.0, second])
    monkeypatch.setattr(lapack, "_departure", lambda gram: next(departures))
    calls, plain = [], scipy.linalg.qr
    monkeypatch.setattr(lapack.scipy.linalg, "qr", lambda a, **options: calls.append(a.shape) or plain(a, **options))
    a = inclined(0.6)
    q, r = lapack.orthonormalise(a)
    assert bool(calls) == reflected
    assert unit_error(q, r, a) <= 1e-14


def test_reflections_have_the_signs_of_cholesky_factors_and_are_cleaned():
    """Of dependent columns, whose sums of ten thousand numbers of one sign a last pass cleans."""
    a = np.ones((10_000, 3), np.float32) * np.array([-1.0, 1.0, 2.0], np.float32)
    q, r = lapack.orthonormalise(a)
    assert (np.diagonal(r) >= 0).all()
    assert r[0, 0] > 0
    assert (np.tril(r, -1) == 0).all()
    assert (r.dtype, q.dtype) == (a.dtype, a.dtype)
    wide, allowed = q.astype(float), (8 * 3 + 10_000 / 256) * np.finfo(np.float32).eps
    assert np.abs(wide.T @ wide - np.eye(3)).max() <= allowed
    assert (np.abs(wide @ r - a).max(axis=0) <= allowed * np.linalg.norm(a, axis=0)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("share, passes", [(0.8, 0), (1.25, 1)])
def test_one_pass_is_enough_up_to_a_bound_on_rounding(monkeypatch, dtype, share, passes):
    """|d R^-1|_F^2 = 2 / sin^2 of the angle between two columns; eps times that may reach 1 / 64."""
    made = counted(monkeypatch, "_cholesky_qr")
    sine = np.sqrt(128 * np.finfo(dtype).eps / share)
    a = (inclined(np.sqrt(1 - sine**2)) * np.array([1.0, 64.0])).astype(dtype)
    lapack.near_orthonormal(a)
    assert len(made) == passes


@pytest.fixture
def quiet():
    """Overflow is looked for, not said: callers of the module silence it."""
    with np.errstate(over="ignore", invalid="ignore"):
        yield


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_power_of_two_for_a_matrix_where_that_is_enough_and_one_for_each_column_elsewhere(dtype):
    limits = np.finfo(dtype)
    a = np.random.default_rng(0).uniform(1, 2, (20, 3)).astype(dtype)
    same, gram, scales = lapack._with_gram(a)
    assert same is a
    assert scales is None
    np.testing.assert_array_equal(gram, a.T @ a)
    for exponent in (limits.maxexp - 2, limits.minexp):
        moved, gram, scales = lapack._with_gram(np.ldexp(a, exponent))
        np.testing.assert_array_equal(moved, a)
        np.testing.assert_allclose(gram, a.T @ a, rtol=8 * limits.eps)
        np.testing.assert_array_equal(scales, [[2.0**exponent]])
    exponents = np.array([limits.minexp, 0, limits.maxexp - 2])
    moved, gram, scales = lapack._with_gram(np.ldexp(a, exponents))
    np.testing.assert_array_equal(moved, a)
    np.testing.assert_allclose(gram, a.T @ a, rtol=8 * limits.eps)
    np.testing.assert_array_equal(scales, np.ldexp(np.ones((1, 3)), exponents))
    q, r = lapack.orthonormalise(np.ldexp(a, exponents))
    plain, factor = lapack.orthonormalise(a)
    np.testing.assert_array_equal(q, plain)
    np.testing.assert_array_equal(r, np.ldexp(factor, exponents))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_squares_are_in_range_from_the_smallest_normal_number_over_eps(dtype):
    limits = np.finfo(dtype)
    least = limits.tiny / limits.eps
    for diagonal, expected in [
        ((least, 1), True), ((1, least / 2), False), ((limits.max, 1), True), ((np.inf, 1), False),
        ((least, limits.max), True), ((np.nan, 1), False), ((1, 0), False),
    ]:  # fmt: skip
        assert lapack._in_range(np.diag(np.asarray(diagonal, dtype))) is expected


def test_departures_are_distances_from_the_identity():
    gram = np.array([[1.5, 0.25, 0.0], [0.25, 1.0, -1.0], [0.0, -1.0, 0.0]])
    before = gram.copy()
    assert lapack._departure(gram) == np.linalg.norm(gram - np.eye(3))
    np.testing.assert_array_equal(gram, before)
    assert np.isnan(lapack._departure(np.full((2, 2), np.nan)))


def test_factors_are_triangular_and_inverse_to_each_other():
    b = np.random.default_rng(0).standard_normal((9, 4))
    gram = b.T @ b
    factor, inverse = lapack._factors(gram)
    assert (np.tril(factor, -1) == 0).all()
    np.testing.assert_allclose(factor.T @ factor, gram, rtol=1e-13)
    np.testing.assert_allclose(factor @ np.triu(inverse), np.eye(4), atol=1e-13)
    assert (np.tril(inverse, -1) == 0).all()


@pytest.mark.parametrize(
    "gram", [np.zeros((2, 2)), np.diag([1.0, -1.0]), np.diag([1.0, np.inf]), np.full((2, 2), np.nan)]
)
def test_gram_matrices_that_are_not_definite_or_not_finite_have_no_factors(gram):
    assert lapack._factors(gram) is None


@pytest.mark.parametrize("x, substituted", [(15.5, False), (16.0, True), (16.5, True)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_products_with_the_inverse_end_where_entries_grow_by_thirty_two(monkeypatch, x, substituted, order):
    """|R^-1| |R| has the entry 2 x."""
    made = counted(monkeypatch, "get_blas_funcs")
    factor, inverse = np.array([[1.0, x], [0.0, 1.0]]), np.array([[1.0, -x], [0.0, 1.0]])
    a = np.asarray(np.random.default_rng(0).standard_normal((7, 2)), order=order)
    q = lapack._pass(a, factor, inverse)
    assert bool(made) == substituted
    np.testing.assert_allclose(q @ factor, a, atol=1e-13)


# --- elimination and substitution ---


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
