"""Rounded keys: the stated error of every score holds, and is not much larger than the largest."""

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.masks import CausalMask, FullMask, PaddingMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sampling.rounded_keys import RoundedKeys


def problem(*, as_=np.asarray, dtype="f8", **options):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((h, n, 6)).astype(dtype) for h, n in ((4, 9), (2, 20), (2, 20)))
    return AttentionProblem(as_(q), as_(k + 3), as_(v), **options)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("options", [{}, {"mask": CausalMask()}, {"softcap": 2.0}], ids=str)
def test_scores_are_within_their_error(bits, options):
    keys = RoundedKeys.of(problem(**options), bits)
    exact, rounded = keys.exact.dense_scores(), keys.rounded.dense_scores()
    error = (keys.query_norms * keys.errors).reshape(4, 9, 20)
    seen = exact > -np.inf
    apart = np.abs(exact[seen] - rounded[seen])
    assert (apart <= error[seen]).all()
    assert apart.max() > 0.1 * error[seen].max()


def test_softmax_does_not_see_the_centre():
    target = problem()
    keys = RoundedKeys.of(target, 8)
    np.testing.assert_allclose(keys.exact.dense_weights(), target.dense_weights(), rtol=1e-12)
    apart = target.dense_scores() - keys.exact.dense_scores()
    np.testing.assert_allclose(apart, np.broadcast_to(keys.offset.reshape(4, 9, 1), apart.shape), atol=1e-12)
    plain = RoundedKeys.of(problem(mask=CausalMask()), 8)  # no mean over later keys
    np.testing.assert_array_equal(plain.offset, 0)
    assert plain.errors.mean() > 1.5 * keys.errors.mean()


def test_hidden_keys_do_not_move_the_centre():
    target = problem()
    k = np.concat([target.k, np.full((2, 7, 6), 50.0)], axis=-2)
    padded = AttentionProblem(target.q, k, np.concat([target.v, target.v[:, :7]], axis=-2), mask=PaddingMask(20))
    keys, other = RoundedKeys.of(target, 8), RoundedKeys.of(padded, 8)
    np.testing.assert_array_equal(keys.codes, other.codes[..., :20, :])
    np.testing.assert_allclose(keys.offset, other.offset, rtol=1e-12)


def test_codes_are_small_whole_numbers(xp):
    keys = RoundedKeys.of(problem(as_=xp.asarray), 4)
    assert str(keys.codes.dtype).endswith("int8")
    assert np.abs(to_host(keys.codes)).max() == 7
    assert keys.rounded.k.dtype == xp.asarray(np.ones(1)).dtype


def test_single_precision_allows_for_its_rounding():
    single = RoundedKeys.of(problem(dtype="f4"), 8)
    wide = AttentionProblem(*(np.asarray(x, "f8") for x in (single.rounded.q, single.rounded.k, single.rounded.v)))
    rounding = np.abs(single.rounded.dense_scores() - wide.dense_scores())
    allowed = (single.query_norms * single.rounding).reshape(4, 9, 20)
    assert (rounding <= allowed).all()
    assert (single.rounding < 0.1 * single.errors).all()


@pytest.mark.parametrize("exponent", [-600, 600])
def test_codes_do_not_depend_on_the_size_of_the_keys(exponent):
    target = problem()
    scaled = AttentionProblem(target.q * 2.0**-exponent, target.k * 2.0**exponent, target.v)
    keys, other = RoundedKeys.of(target, 8), RoundedKeys.of(scaled, 8)
    np.testing.assert_array_equal(keys.codes, other.codes)
    np.testing.assert_allclose(keys.query_norms * keys.errors, other.query_norms * other.errors, rtol=1e-12)


def test_equal_keys_are_exact():
    target = problem()
    keys = RoundedKeys.of(AttentionProblem(target.q, np.ones_like(target.k), target.v, mask=FullMask()), 8)
    assert keys.errors.max() < 1e-12
