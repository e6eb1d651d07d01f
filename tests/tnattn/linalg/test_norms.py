"""Norms, tails and ranks, on every ring, in every precision, over the whole range of exponents."""

import array_api_compat.numpy
import numpy as np
import pytest
from fixtures import normal
from fixtures.matrices import both, prescribed, ring_eps, with_float64

from tnattn.arrays import to_host
from tnattn.linalg import norms
from tnattn.linalg.norms import (
    frobenius_norm,
    largest_entries,
    nuclear_norm,
    rank_for_tolerance,
    spectral_norm,
    truncation_tails,
)
from tnattn.linalg.singular_values import singular_values


@both
@pytest.mark.parametrize("shape", [(2, 3, 7, 5), (5, 30), (2, 30, 5)])
def test_norms_are_those_of_the_singular_values(xp, dtype, shape, assert_close):
    a = xp.asarray(normal(*shape), dtype)
    s = np.linalg.svd(to_host(a).astype(np.float64), compute_uv=False)
    rtol = 30 * ring_eps(a)
    assert_close(singular_values(a), s, rtol=100 * rtol)
    assert_close(spectral_norm(a), s[..., 0], rtol=rtol)
    assert_close(frobenius_norm(a), np.sqrt((s**2).sum(-1)), rtol=rtol)
    assert_close(nuclear_norm(a), s.sum(-1), rtol=rtol)
    assert frobenius_norm(a).dtype == spectral_norm(a).dtype == a.dtype


@pytest.mark.parametrize("scale", [1e30, 1e-30, 0.0])
def test_spectral_norms_neither_overflow_nor_vanish(xp, scale):
    a = xp.asarray(scale * prescribed(12, 6, np.arange(6, 0, -1.0)), "float32")
    np.testing.assert_allclose(float(to_host(spectral_norm(a))), 6 * scale, rtol=1e-5)


def test_norms_of_empty_matrices_are_zero(xp):
    a = xp.asarray(np.zeros((2, 0, 3)))
    assert to_host(spectral_norm(a)).tolist() == to_host(frobenius_norm(a)).tolist() == [0.0, 0.0]


@with_float64
def test_frobenius_norms_of_float32_are_summed_in_float64(xp):
    a = np.full((2000, 2000), 0.1, np.float32)
    a[0, 0] = 3000.0
    expected = np.sqrt((a.astype(np.float64) ** 2).sum())
    assert abs(float(to_host(frobenius_norm(xp.asarray(a)))) / expected - 1) <= np.finfo(np.float32).eps


def test_tails_are_the_errors_of_the_best_approximations(xp, assert_close):
    s = np.array([[3.0, 2.0, 1.0, 0.0], [1.0, 1e-3, 1e-6, 1e-9]])
    expected = np.stack([np.linalg.norm(s[:, r:], axis=-1) for r in range(5)], axis=-1)
    assert_close(truncation_tails(xp.asarray(s)), expected, rtol=4 * xp.eps())


@pytest.mark.parametrize(
    "rtol, ranks",
    [(0.0, [3, 4, 0]), (0.3, [2, 1, 0]), (1e-4, [3, 2, 0]), (1.0, [0, 0, 0]), (5.0, [0, 0, 0])],
)
def test_ranks_are_the_smallest_that_meet_the_tolerance(xp, rtol, ranks):
    s = xp.asarray(np.array([[3.0, 2.0, 1.0, 0.0], [1.0, 1e-3, 1e-6, 1e-9], [0.0, 0.0, 0.0, 0.0]]))
    found = to_host(rank_for_tolerance(s, rtol=rtol))
    assert found.dtype == np.int64
    assert found.tolist() == ranks


@pytest.mark.parametrize("rtol", [-1e-3, float("nan")])
def test_tolerances_are_non_negative(rtol):
    with pytest.raises(ValueError, match="rtol"):
        rank_for_tolerance(np.ones(3), rtol=rtol)


@pytest.mark.parametrize("function", [frobenius_norm, spectral_norm, truncation_tails])
def test_integers_are_refused_rather_than_truncated(xp, function):
    with pytest.raises(TypeError, match="int64"):
        function(xp.asarray(np.ones((3, 3)), "int64"))


@both
def test_tails_are_found_where_their_squares_vanish(xp, dtype):
    """Values from 1 to the smallest normal number; squares of the last ones are zero, as the control shows."""
    dtype = dtype if xp.dtype == "float64" else "float32"
    s = np.logspace(0, np.log10(np.finfo(dtype).tiny), 12).astype(dtype)
    expected = np.sqrt(np.cumsum((s[::-1].astype(np.longdouble)) ** 2))[::-1]
    tails = to_host(truncation_tails(xp.asarray(s)))
    np.testing.assert_allclose(tails[:-1], expected.astype(dtype), rtol=20 * np.finfo(dtype).eps)
    assert tails[-1] == 0
    assert (s[-3:] ** 2 == 0).all()
    assert to_host(rank_for_tolerance(xp.asarray(s), rtol=0.0)) == 12


def test_no_singular_value_has_the_tail_zero(xp):
    assert to_host(truncation_tails(xp.asarray(np.zeros((2, 0))))).tolist() == [[0.0], [0.0]]


@both
@pytest.mark.parametrize("exponent", [-7, 5, 40])
def test_tails_of_a_multiple_are_multiples_of_the_tails(xp, dtype, exponent):
    """Of values down to where plain squares vanish beside the largest."""
    dtype = dtype if xp.dtype == "float64" else "float32"
    limits = np.finfo(dtype)
    s = np.exp2(-np.linspace(0, -(limits.minexp + limits.nmant + 8), 9).round()).astype(dtype)
    tails, other = (to_host(truncation_tails(xp.asarray(x))) for x in (s, np.ldexp(s, exponent)))
    np.testing.assert_allclose(np.ldexp(other, -exponent), tails, rtol=8 * limits.eps)


@pytest.mark.parametrize("shape", [(0,), (2, 0), (2, 3, 0), (0, 4), (0, 0), (3, 1), (1,)], ids=str)
def test_stacks_of_few_values_or_none_have_tails(xp, shape):
    values = np.full(shape, 3.0)
    tails = truncation_tails(xp.asarray(values))
    expected = 3.0 * np.sqrt(np.arange(shape[-1], -1, -1))
    assert tuple(tails.shape) == (*shape[:-1], shape[-1] + 1)
    np.testing.assert_allclose(to_host(tails), np.broadcast_to(expected, tails.shape), rtol=4 * xp.eps())
    assert tuple(rank_for_tolerance(xp.asarray(values), rtol=0.0).shape) == shape[:-1]


@pytest.mark.parametrize("shape", [(40, 3), (3, 40), (2, 5, 4), (2, 4, 5)], ids=str)
def test_spectral_norms_come_from_the_short_side(monkeypatch, shape):
    sizes, plain = [], np.linalg.eigvalsh
    monkeypatch.setattr(array_api_compat.numpy.linalg, "eigvalsh", lambda a: sizes.append(a.shape[-1]) or plain(a))
    spectral_norm(normal(*shape))
    assert sizes == [min(shape[-2:])]


def test_the_tolerance_of_a_rank_is_given_by_name():
    with pytest.raises(TypeError, match="positional"):
        rank_for_tolerance(np.ones(3), 0.1)


@pytest.mark.parametrize("function", [spectral_norm, frobenius_norm])
def test_a_matrix_of_integers_is_named(function):
    with pytest.raises(TypeError, match="a has dtype int64"):
        function(np.ones((3, 3), dtype=np.int64))


def test_tails_in_single_precision_alone_keep_their_digits(monkeypatch):
    """As on a device without float64: small squares vanish, and those of large values that are shifted overflow."""
    monkeypatch.setattr(norms, "accumulator_dtype", lambda x: x.dtype)
    limits = np.finfo(np.float32)
    s = np.logspace(0, np.log10(limits.tiny), 40).astype(np.float32)
    expected = np.sqrt(np.cumsum(s[::-1].astype(np.float64) ** 2))[::-1]
    for exponent in (0, 100):
        tails = truncation_tails(np.ldexp(s, exponent))
        np.testing.assert_allclose(np.ldexp(tails[:-1], -exponent), expected, rtol=40 * limits.eps)


@pytest.mark.parametrize("shape", [(4, 5), (2, 4, 5), (2, 3, 4, 5), (1, 7, 1, 2)], ids=str)
def test_the_largest_entries_are_those_of_each_matrix(xp, shape):
    a = normal(*shape)
    found = largest_entries(xp.asarray(a))
    np.testing.assert_array_equal(to_host(found), to_host(xp.asarray(np.abs(a).max(axis=(-2, -1)))))
