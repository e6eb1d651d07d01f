"""Singular value decompositions, on every ring and in both precisions."""

import importlib

import numpy as np
import pytest
from fixtures import normal
from fixtures.matrices import both, dense, departure, prescribed, ring_eps

from tnattn.arrays import array_namespace, to_host
from tnattn.linalg.eigenvalues import eigh
from tnattn.linalg.orthonormal import orthonormalise_with_factor
from tnattn.linalg.singular_values import leading_svd, singular_values, small_svd, svd

module = importlib.import_module("tnattn.linalg.singular_values")  # the package exports the function of this name


@both
def test_eigenpairs_satisfy_their_equation_in_ascending_order(xp, dtype):
    a = normal(3, 6, 6)
    a = xp.asarray(a + a.mT, dtype)
    values, vectors = eigh(a)
    assert (np.diff(to_host(values)) >= 0).all()
    np.testing.assert_allclose(dense(a, vectors), dense(vectors, values), rtol=0, atol=100 * ring_eps(a) * 8)


SHAPES = [(7, 5), (5, 7), (40, 5), (5, 40), (4, 4), (1, 9), (9, 1)]


@both
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("decompose", [svd, small_svd, lambda a: leading_svd(a, keep=min(a.shape[-2:]))])
def test_thin_decompositions_are_orthonormal_and_multiply_back(xp, dtype, shape, decompose):
    a = xp.asarray(normal(2, 3, *shape), dtype)
    u, s, vt = decompose(a)
    r, tolerance = min(shape), 50 * ring_eps(a)
    assert (u.shape, s.shape, vt.shape) == ((2, 3, shape[0], r), (2, 3, r), (2, 3, r, shape[1]))
    assert u.dtype == s.dtype == vt.dtype == a.dtype
    assert max(departure(u), departure(to_host(vt).mT)) <= tolerance
    assert np.abs(dense(u, s, vt) - to_host(a)).max() <= tolerance * to_host(s).max()
    assert (np.diff(to_host(s)) <= 0).all()


@both
def test_small_svd_keeps_small_singular_values(xp, dtype):
    a = xp.asarray(prescribed(200, 8, 10.0 ** -np.arange(0, 8)), dtype)
    _, s, _ = small_svd(a)
    np.testing.assert_allclose(to_host(s), 10.0 ** -np.arange(0, 8), rtol=0, atol=30 * ring_eps(a))


@both
@pytest.mark.parametrize("shape", [(12, 300), (300, 12)])
def test_leading_svd_finds_leading_triples_of_decaying_spectra(xp, dtype, shape):
    spectrum = 10.0 ** -np.arange(0, 6, 0.5)
    a = xp.asarray(prescribed(*shape, spectrum), dtype)
    u, s, vt = leading_svd(a, keep=5)
    np.testing.assert_allclose(to_host(s), spectrum[:5], rtol=0, atol=30 * ring_eps(a))
    error = np.linalg.norm(dense(u, s, vt) - to_host(a))
    best = np.linalg.norm(spectrum[5:])
    assert best * (1 - 1e-3) <= error <= best * (1 + 1e-3)


def test_leading_svd_stays_orthonormal_where_the_spectrum_has_vanished(xp):
    """Dividing by the roots of the eigenvalues, as it is often written, would not: the control shows it."""
    a = prescribed(300, 12, 10.0 ** -np.arange(0.0, 12.0)).astype(np.float32)
    u, _, vt = leading_svd(xp.asarray(a), keep=12)
    assert max(departure(u), departure(to_host(vt).mT)) <= 100 * np.finfo(np.float32).eps
    values, vectors = np.linalg.eigh(a.T @ a)
    careless = (a @ vectors) / np.sqrt(np.abs(values))
    assert departure(careless) > 0.1


@pytest.mark.parametrize("keep", [0, 6, -1])
def test_leading_svd_refuses_ranks_it_cannot_keep(keep):
    with pytest.raises(ValueError, match=rf"keep {keep} is outside 1 \.\.\. min\(m, n\) = 5"):
        leading_svd(np.ones((5, 9)), keep=keep)


def test_zero_matrices_have_orthonormal_factors(xp):
    for decompose in (small_svd, lambda a: leading_svd(a, keep=4)):
        u, s, vt = decompose(xp.asarray(np.zeros((2, 20, 4))))
        assert max(departure(u), departure(to_host(vt).mT)) <= 20 * xp.eps()
        assert not to_host(s).any()


@pytest.mark.parametrize("function", [svd, small_svd, eigh, orthonormalise_with_factor])
def test_a_stack_gives_what_its_matrices_give(xp, function, assert_close):
    a = normal(4, 6, 6)
    a = xp.asarray(a + a.mT)
    stacked = function(a)
    for i in range(4):
        for whole, single in zip(stacked, function(a[i, ...]), strict=True):
            assert_close(whole[i, ...], single, rtol=0, atol=1e4 * xp.eps())


@both
def test_leading_svd_is_the_small_one_where_the_spectrum_allows_and_where_it_does_not(xp, dtype):
    for spectrum in (1 / np.arange(1.0, 21), 10.0 ** -np.arange(20.0), np.zeros(20)):
        a = xp.asarray(prescribed(200, 20, spectrum), dtype)
        (u, s, vt), (v, t, wt) = leading_svd(a, keep=8), small_svd(a)
        np.testing.assert_allclose(to_host(s), to_host(t)[:8], atol=30 * ring_eps(a))
        # the products compared: vectors of vanishing values are arbitrary
        np.testing.assert_allclose(
            dense(u, s, vt), dense(v[:, :8], t[:8], wt[:8, :]), atol=30 * ring_eps(a) * (1 + spectrum.max())
        )


@pytest.mark.parametrize("scale", [1e-300, 1e200])
def test_leading_svd_neither_overflows_nor_vanishes(scale):
    s = leading_svd(scale * prescribed(60, 8, 1 / np.arange(1.0, 9)), keep=3)[1]
    np.testing.assert_allclose(s / scale, 1 / np.arange(1.0, 4), rtol=1e-12)


# --- sizes and scales at which the road changes ---


def calls(monkeypatch, name):
    """Count the calls of a function of the module."""
    made, plain = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda a, **options: made.append(a.shape) or plain(a, **options))
    return made


@pytest.mark.parametrize("function", [svd, singular_values, small_svd])
def test_the_host_leaves_the_scaling_to_lapack(monkeypatch, function):
    monkeypatch.setattr(module, "binary_scale", None)
    function(normal(3, 9, 4))


@pytest.mark.parametrize("shape, factorised", [((9, 5), 0), ((10, 5), 1), ((5, 9), 0), ((5, 10), 1), ((5, 5), 0)])
def test_the_long_side_is_factorised_from_twice_the_short_one(monkeypatch, shape, factorised):
    made = calls(monkeypatch, "orthonormalise_with_factor")
    small_svd(normal(3, *shape))
    assert len(made) == factorised


def test_a_column_longer_than_the_largest_number_leaves_the_vectors_alone(xp):
    """No entry of it is; of a stack the other matrix keeps its values."""
    largest = float(np.finfo(xp.dtype).max)
    host = np.stack([normal(400, 4), np.clip(normal(400, 4, seed=1), -3, 3) * (largest / 4)])
    u, s, vt = small_svd(xp.asarray(host))
    assert max(departure(u), departure(to_host(vt).mT)) <= 100 * xp.eps()
    assert np.isinf(to_host(s)[1]).all()
    expected = np.linalg.svd(np.stack([host[0], host[1] / largest]).astype(to_host(s).dtype), full_matrices=False)
    np.testing.assert_allclose(to_host(s)[0], expected[1][0], rtol=100 * xp.eps())
    for i in range(2):
        turns = np.abs((to_host(u)[i] * expected[0][i]).sum(axis=0))
        np.testing.assert_allclose(turns, 1, atol=1e-4)


def test_values_of_a_stack_are_scaled_one_by_one(xp):
    """On devices a power of two for each matrix; on the host LAPACK does it."""
    limits = np.finfo(xp.dtype)
    host = normal(3, 5, 4) * np.array([float(limits.max) / 64, 1.0, float(limits.tiny) * 64])[:, None, None]
    a = xp.asarray(host)
    expected = np.linalg.svd(to_host(a).astype(np.longdouble).astype(np.float64) / _sizes(host), compute_uv=False)
    for values in (singular_values(a), svd(a)[1], small_svd(a)[1], leading_svd(a, keep=4)[1]):
        found = to_host(values).astype(np.float64) / _sizes(host)[..., 0]
        np.testing.assert_allclose(found, expected, rtol=0, atol=200 * limits.eps)
    for whole in (svd(a), small_svd(a), leading_svd(a, keep=4)):
        u, _, vt = whole
        assert max(departure(u), departure(to_host(vt).mT)) <= 100 * limits.eps


def _sizes(host):
    return np.abs(host).max(axis=(-2, -1), keepdims=True)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 3, 2), (2, 0, 3), (2, 3, 0)], ids=str)
def test_empty_matrices_have_empty_decompositions(xp, shape):
    a, (m, n) = xp.asarray(np.zeros(shape)), shape[-2:]
    u, s, vt = svd(a)
    r, batch = min(m, n), shape[:-2]
    assert (tuple(u.shape), tuple(s.shape), tuple(vt.shape)) == ((*batch, m, r), (*batch, r), (*batch, r, n))
    assert tuple(singular_values(a).shape) == (*batch, r)


@pytest.mark.parametrize(
    "dtype, n, narrow",
    [("float64", 95, True), ("float64", 96, False), ("float64", 97, False), ("float32", 5, False)],
)
def test_narrow_matrices_in_the_widest_dtype_are_decomposed_whole(monkeypatch, dtype, n, narrow):
    made = calls(monkeypatch, "small_svd")
    leading_svd(normal(120, n).astype(dtype), keep=2)
    assert bool(made) == narrow


@both
@pytest.mark.parametrize("share, whole", [(0.7, True), (1.4, False)])
@pytest.mark.parametrize("keep", [1, 3, 100])
def test_a_gram_matrix_decides_down_to_the_root_of_the_root_of_rounding(monkeypatch, dtype, share, whole, keep):
    """That of float64, in which the Gram matrix is formed; the largest value alone is always far enough."""
    spectrum = np.ones(100)
    spectrum[keep - 1 :] = share * np.finfo(float).eps ** 0.25 if keep > 1 else 1.0
    made = calls(monkeypatch, "small_svd")
    stack = np.stack([prescribed(120, 100, np.ones(100)), prescribed(120, 100, spectrum, seed=7)]).astype(dtype)
    leading_svd(16 * stack, keep=keep)
    assert bool(made) == (whole and keep > 1)


@pytest.mark.parametrize("scale, whole", [(1e-170, True), (1.0, False), (1e170, True)])
def test_squares_out_of_range_are_no_gram_matrix(monkeypatch, scale, whole):
    made = calls(monkeypatch, "small_svd")
    stack = np.stack([prescribed(120, 100, np.ones(100)), scale * prescribed(120, 100, np.ones(100))])
    s = leading_svd(stack, keep=2)[1]
    assert bool(made) == whole
    np.testing.assert_allclose(s, [[1, 1], [scale, scale]], rtol=1e-12)


@both
@pytest.mark.parametrize("shape", [(150, 100), (100, 150)])
def test_leading_triples_of_wide_matrices_are_those_of_the_whole_decomposition(xp, dtype, shape):
    """Different spectra in one stack, columns of very different length."""
    spectra = 1 / np.arange(1.0, 101), 0.9 ** np.arange(100)
    host = np.stack([prescribed(*shape, spectrum, seed=i) * 4.0**i for i, spectrum in enumerate(spectra)])
    a = xp.asarray(host, dtype)
    u, s, vt = leading_svd(a, keep=6)
    left, values, right = np.linalg.svd(host, full_matrices=False)
    eps = ring_eps(a)
    assert u.dtype == s.dtype == vt.dtype == a.dtype
    assert (u.shape, s.shape, vt.shape) == ((2, shape[0], 6), (2, 6), (2, 6, shape[1]))
    np.testing.assert_allclose(to_host(s), values[:, :6], rtol=0, atol=200 * eps * 4)
    assert max(departure(u), departure(to_host(vt).mT)) <= 200 * eps
    best = (left[..., :6] * values[:, None, :6]) @ right[:, :6]
    assert np.abs(dense(u, s, vt) - best).max() <= 5e3 * eps * 4


def test_left_vectors_down_to_the_guard_are_orthonormal_to_rounding():
    """Quotients by values s would lose (s_1 / s)^2 eps: eight digits at the last of these."""
    spectrum = np.concatenate([[1.0, 1e-2, 3e-4], np.full(97, 1e-9)])
    u, s, vt = leading_svd(prescribed(120, 100, spectrum), keep=3)
    np.testing.assert_allclose(s, spectrum[:3], rtol=1e-10)
    assert max(departure(u), departure(vt.T)) <= 200 * np.finfo(float).eps


def test_a_zero_column_does_not_spend_the_whole_decomposition(monkeypatch):
    made = calls(monkeypatch, "small_svd")
    a = prescribed(120, 100, np.ones(100))
    a[:, 7] = 0
    leading_svd(a, keep=2)
    assert made == []


def test_the_number_of_triples_is_given_by_name():
    with pytest.raises(TypeError, match="positional"):
        leading_svd(np.eye(3), 2)


def test_a_matrix_keeps_no_more_triples_than_its_short_side(xp):
    a = xp.asarray(normal(2, 9, 5))
    assert leading_svd(a, keep=5)[1].shape == (2, 5)
    for keep in (0, 6):
        with pytest.raises(ValueError, match=rf"keep {keep} is outside"):
            leading_svd(array_namespace(a).matrix_transpose(a), keep=keep)
