"""The host's factorizations, where their shortcuts end."""

import numpy as np
import pytest
import scipy.linalg

from tnattn.linalg import lapack


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
    assert (np.linalg.norm(wide @ r - a, axis=0) <= allowed * np.linalg.norm(a, axis=0)).all()


def test_a_zero_block_is_completed_by_unit_vectors_and_no_number_stays_none():
    q, r = lapack.orthonormalise(np.zeros((6, 3)))
    np.testing.assert_array_equal(q, np.eye(6, 3))
    assert not r.any()
    assert np.isnan(lapack.orthonormalise(np.full((6, 3), np.nan))[0]).any()


@pytest.mark.parametrize("share, passes", [(0.99, 0), (1.0, 0), (1.01, 1)])
def test_the_bound_on_rounding_is_a_sixty_fourth(monkeypatch, share, passes):
    made = counted(monkeypatch, "_cholesky_qr")
    inverse = np.diag([2.0**23 * np.sqrt(share), 0.0])  # its square is the growth, and 2^46 eps = 1 / 64
    monkeypatch.setattr(lapack, "_factors", lambda gram: (np.eye(2), inverse) if not made else None)
    lapack.near_orthonormal(np.eye(5, 2))
    assert len(made) == passes


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
    """Overflow is detected without a warning: callers of the module silence it."""
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
