"""Singular value decompositions, on every ring and in both precisions."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.eigenvalues import eigh
from tnattn.orthonormal import orthonormalise_with_factor
from tnattn.singular_values import leading_svd, small_svd, svd

only_standin = pytest.mark.parametrize("xp", ["cupy-standin"], indirect=True)
with_float64 = pytest.mark.parametrize("xp", ["numpy", "strict", "torch", "cupy-standin"], indirect=True)
both = pytest.mark.parametrize("dtype", ["float32", "float64"])


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def prescribed(m, n, spectrum, seed=0):
    """Return an m-by-n matrix with the singular values given."""
    u, v = (np.linalg.qr(normal(rows, len(spectrum), seed=seed + i))[0] for i, rows in enumerate((m, n)))
    return (u * spectrum) @ v.T


def smooth_kernel(m, n):
    """Return n columns of a Gaussian kernel matrix of m points on the line: numerical rank about 12 in float32."""
    x, y = np.linspace(0, 1, m), np.linspace(0, 1, n)
    return np.exp(-2 * (x[:, None] - y[None, :]) ** 2)


def ring_eps(x):
    return float(np.finfo(to_host(x).dtype).eps)


def departure(q):
    """Return max |q^T q - I| over a stack, computed in float64."""
    host = to_host(q).astype(np.float64)
    return np.abs(host.mT @ host - np.eye(host.shape[-1])).max(initial=0)


def dense(*factors):
    """Return a product of factors in float64; a vector stands for a diagonal."""
    result = to_host(factors[0]).astype(np.float64)
    for factor in factors[1:]:
        host = to_host(factor).astype(np.float64)
        result = result * host[..., None, :] if host.shape[:-1] == result.shape[:-2] else result @ host
    return result


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
