"""Exact attention at the ends of the exponent range, and on rows with a known answer."""

from dataclasses import replace

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, FullMask, PaddingMask, SlidingWindowMask
from tnattn.attention.problem import AttentionProblem

HUGE = {"float32": 3e19, "float64": 1.5e154}  # squares overflow


def rows_of(xp, scores, *, dtype=None, **options):
    """Return a problem of one head whose scores are sign(q) sign(k) huge^2 for q = huge and k = scores * huge."""
    dtype = dtype or xp.dtype
    huge = HUGE[dtype]
    k = (np.asarray(scores, dtype="float64")[None, :, None] * huge).astype(dtype)
    q = np.asarray([[[huge], [0.0]]], dtype=dtype)  # the second row has scores of zero
    v = np.arange(1.0, k.shape[1] + 1).reshape(1, -1, 1).astype(dtype)
    return AttentionProblem(*(xp.asarray(x) for x in (q, k, v)), scale=1.0, **options)


@pytest.mark.parametrize("tile", [1, 2, None])
@pytest.mark.parametrize("scores", [[1, 1, 1], [1, 0, -1], [0, 0, 1], [-1, -1, -1]], ids=str)
def test_rows_beyond_the_range_are_bad_not_empty(xp, scores, tile):
    problem = rows_of(xp, scores, tile=tile)
    output = to_host(problem.output)[0, :, 0]
    assert np.isnan(output[0])
    np.testing.assert_allclose(output[1], 2.0, rtol=4 * xp.eps())
    assert to_host(problem.bad_rows).tolist() == [1]
    assert problem.empty_rows == 0
    np.testing.assert_array_equal(np.isnan(to_host(problem.weights.log_mass))[0, 0], [True, False])
    np.testing.assert_array_equal(np.isnan(to_host(problem.dense_weights()))[0], [[True] * 3, [False] * 3])
    assert np.isnan(to_host(problem.weights.mT @ xp.asarray(np.ones((2, 1))))).all()


@pytest.mark.parametrize("tile", [1, 2, None])
def test_keys_below_the_range_have_no_weight_beside_others(xp, tile):
    problem = rows_of(xp, [-1, 0, -1, 0], tile=tile)
    np.testing.assert_allclose(to_host(problem.output)[0, 0, 0], 3.0, rtol=4 * xp.eps())
    assert not to_host(problem.bad_rows).any()
    np.testing.assert_allclose(to_host(problem.dense_weights())[0, 0], [0, 0.5, 0, 0.5], rtol=4 * xp.eps())


FORBIDDING = {
    "padding": PaddingMask(2),
    "padding of every entry": lambda as_: PaddingMask(as_(np.asarray([2]))),
    "explicit": lambda as_: ExplicitMask(as_(np.asarray([[True, True, False]]))),
    "bias": lambda as_: BiasMask(as_(np.asarray([[0.0, 0.0, -np.inf]]))),
    "causal": CausalMask(),
    "window": SlidingWindowMask(2),
}


@pytest.mark.parametrize("tile", [1, None])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", FORBIDDING)
def test_a_forbidden_key_does_no_harm_whatever_its_score(xp, name, sign, tile):
    mask = FORBIDDING[name]
    mask = mask(xp.asarray) if callable(mask) else mask
    problem = rows_of(xp, [0, 0, sign], tile=tile)
    options = {name: getattr(problem, name)[None, ...] for name in ("q", "k", "v")}  # one batch axis for the lengths
    problem = replace(problem, **options, mask=mask)
    np.testing.assert_allclose(to_host(problem.output)[0, 0, 0, 0], 1.5, rtol=4 * xp.eps())
    assert not to_host(problem.bad_rows).any()


@pytest.mark.parametrize("tile", [1, 2, None])
@pytest.mark.parametrize("size", [1.0, 1e19])
def test_rows_without_keys_are_empty_and_zero_whatever_the_scores(xp, size, tile):
    rng = np.random.default_rng(0)
    q, k, v = (xp.asarray(rng.standard_normal((1, 5, 3)) * s) for s in (size, size, 1.0))
    allowed = np.ones((5, 5), dtype=bool)
    allowed[2] = False
    problem = AttentionProblem(q, k, v, mask=ExplicitMask(xp.asarray(allowed)), tile=tile)
    assert problem.weights.blocks.unsafe is (size > 1 and xp.dtype == "float32")
    assert problem.empty_rows == 1
    assert not to_host(problem.bad_rows).any()
    np.testing.assert_array_equal(to_host(problem.output)[0, 2], 0)
    np.testing.assert_array_equal(to_host(problem.dense_weights())[0, 2], 0)
    np.testing.assert_allclose(to_host(problem.weights.mT @ xp.asarray(np.ones((5, 1)))).sum(), 4, rtol=50 * xp.eps())


def test_a_softcap_bounds_scores_beyond_the_range(xp):
    problem = rows_of(xp, [1, -1, 1], softcap=2.0)
    weights = np.exp([2.0, -2.0, 2.0])
    np.testing.assert_allclose(to_host(problem.dense_weights())[0, 0], weights / weights.sum(), rtol=20 * xp.eps())


def test_infinite_values_are_counted_as_bad_rows():
    q, k, v = np.random.default_rng(0).standard_normal((3, 2, 4, 3))
    v[1, 3, 0] = np.inf
    problem = AttentionProblem(q, k, v, mask=CausalMask(), check_finite=False)
    np.testing.assert_array_equal(problem.bad_rows, [0, 4])  # 0 * inf is NaN where the key is forbidden within a tile


def test_a_problem_beyond_the_range_can_be_refused():
    q = np.full((1, 3, 2), 3e19, dtype="float32")
    problem = AttentionProblem(q, q, q)
    with pytest.raises(ValueError, match=r"\|q\| \|k\| scale is 1.27e\+39, beyond the range of float32 \(3.4e\+38\)"):
        problem.require_range()
    AttentionProblem(*(q.astype("float64"),) * 3).require_range()


@pytest.mark.parametrize("size", [1e3, -1e3, 1e30])
def test_a_bias_switches_the_shift_on(xp, size):
    q, k, v = (xp.asarray(x) for x in np.random.default_rng(0).standard_normal((3, 1, 6, 2)) * 0.1)
    bias = np.zeros((6, 6))
    bias[:, 2] = size
    output = to_host(AttentionProblem(q, k, v, mask=BiasMask(xp.asarray(bias))).output)
    if size > 0:
        np.testing.assert_allclose(output, np.broadcast_to(to_host(v)[:, 2:3], output.shape), rtol=1e-6)
    else:
        keep = [0, 1, 3, 4, 5]
        expected = to_host(AttentionProblem(q, k[:, keep, :], v[:, keep, :]).output) if xp.name == "numpy" else output
        np.testing.assert_allclose(output, expected, rtol=1e-6)
    assert np.isfinite(output).all()


# powers of two


def exponents(dtype):
    limits = np.finfo(dtype)
    return [int(e) for e in np.linspace(limits.minexp - limits.nmant, limits.maxexp - 3, 13)]


@pytest.mark.parametrize("size", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("step", range(13))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_power_of_two_passes_from_the_values_to_the_output(dtype, step, size):
    limits = np.finfo(dtype)
    exponent = exponents(dtype)[step]
    rng = np.random.default_rng(1)
    q, k, v = (rng.uniform(-1, 1, (2, 50, 4)).astype(dtype) for _ in range(3))
    before = AttentionProblem(q * np.asarray(size, dtype), k, v, tile=16).output.astype("longdouble")
    scaled = np.ldexp(v, exponent)
    after = AttentionProblem(q * np.asarray(size, dtype), k, scaled, tile=16).output
    # what the values lose as denormal numbers, the output loses too
    allowance = 4 * float(limits.eps) * 2.0**4 * np.ldexp(1.0, min(exponent, 1000)) + 2 * float(
        limits.smallest_subnormal
    )
    assert np.abs(after - np.ldexp(before, exponent)).max() <= allowance
    assert after.any() or exponent < limits.minexp - 20


@pytest.mark.parametrize("step", range(13))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_opposite_powers_of_two_of_queries_and_keys_cancel(dtype, step):
    limits = np.finfo(dtype)
    exponent = int(np.linspace(limits.minexp + 8, -limits.minexp - 8, 13)[step])
    rng = np.random.default_rng(2)
    q, k, v = (rng.uniform(-1, 1, (2, 30, 4)).astype(dtype) for _ in range(3))
    problem = AttentionProblem(q, k, v, tile=8)
    moved = replace(problem, q=np.ldexp(q, exponent), k=np.ldexp(k, -exponent))
    assert moved.weights.blocks.bounded
    np.testing.assert_allclose(moved.output, problem.output, rtol=0, atol=40 * limits.eps)


@pytest.mark.parametrize("size", [1.0, 30.0])
@pytest.mark.parametrize("n", [1, 5, 3000])
def test_the_largest_values_give_finite_outputs(xp, n, size):
    most = float(np.finfo(xp.dtype).max)
    rng = np.random.default_rng(3)
    q, k = (xp.asarray(rng.standard_normal((1, m, 4)) * size) for m in (3, n))
    v = np.stack([np.full((1, n), most), np.full((1, n), -most), np.linspace(0.5, 1.0, n)[None] * most], axis=-1)
    output = to_host(AttentionProblem(q, k, xp.asarray(v)).output)
    np.testing.assert_allclose(output[..., 0] / most, 1, rtol=(n + 8) * xp.eps())
    np.testing.assert_allclose(output[..., 1] / -most, 1, rtol=(n + 8) * xp.eps())
    scaled = to_host(AttentionProblem(q, k, xp.asarray(v / most)).output)
    np.testing.assert_allclose(output[..., 2] / most, scaled[..., 2], rtol=(n + 8) * xp.eps())


def test_small_columns_keep_their_digits_beside_the_largest(xp):
    rng = np.random.default_rng(4)
    q, k, v = (rng.standard_normal((1, 20, 3)) for _ in range(3))
    powers = np.asarray([2.0**126, 1.0, 2.0**-100])
    plain = to_host(AttentionProblem(*(xp.asarray(x) for x in (q, k, v))).output)
    output = to_host(AttentionProblem(xp.asarray(q), xp.asarray(k), xp.asarray(v / 8 * powers)).output)
    np.testing.assert_allclose(output / powers * 8, plain, rtol=0, atol=60 * xp.eps())


# rows with a known answer


@pytest.mark.parametrize("tile", [1, 3, None])
@pytest.mark.parametrize("size", [0.0, 1.0, 1e3])
def test_equal_keys_share_the_weight(xp, size, tile):
    key = np.random.default_rng(0).standard_normal((1, 1, 4)) * size
    k = np.repeat(key, 7, axis=1)
    v = np.arange(7.0).reshape(1, 7, 1)
    problem = AttentionProblem(*(xp.asarray(x) for x in (key, k, v)), tile=tile)
    np.testing.assert_allclose(
        to_host(problem.output), 3.0, rtol=1e3 * xp.eps() * max(1, size**2) if size > 1 else 20 * xp.eps()
    )


@pytest.mark.parametrize("place", [0, 4, 8])
@pytest.mark.parametrize("tile", [1, 4, None])
def test_a_needle_takes_all_the_weight(xp, place, tile):
    k, v = np.zeros((1, 9, 2)), np.arange(9.0).reshape(1, 9, 1)
    k[0, place] = 1e3
    problem = AttentionProblem(xp.asarray(np.ones((1, 3, 2))), xp.asarray(k), xp.asarray(v), tile=tile)
    np.testing.assert_array_equal(to_host(problem.output), place)


@pytest.mark.parametrize("tile", [1, 4, None])
def test_a_sink_leaves_the_others_their_share(xp, tile):
    gap = 5.0
    k, v = np.zeros((1, 9, 1)), np.eye(9)[None]
    k[0, 0] = gap
    weights = to_host(AttentionProblem(xp.asarray(np.ones((1, 1, 1))), xp.asarray(k), xp.asarray(v), tile=tile).output)
    np.testing.assert_allclose(weights[0, 0, 1:], 1 / (8 + np.exp(gap)), rtol=20 * xp.eps())
    np.testing.assert_allclose(weights[0, 0, 0], np.exp(gap) / (8 + np.exp(gap)), rtol=20 * xp.eps())


@pytest.mark.parametrize("size", [1.0, 1e3, 1e15])
def test_one_key_is_the_answer(xp, size):
    rng = np.random.default_rng(0)
    q, k, v = (
        xp.asarray(rng.standard_normal(shape) * s)
        for shape, s in (((2, 5, 3), size), ((2, 1, 3), 1.0), ((2, 1, 4), 1.0))
    )
    for mask in (FullMask(), PaddingMask(1)):
        output = to_host(AttentionProblem(q, k, v, mask=mask).output)
        np.testing.assert_allclose(output, np.broadcast_to(to_host(v), output.shape), rtol=2 * xp.eps())


@pytest.mark.parametrize("tile", [1, 3, None])
def test_huge_logits_choose_the_largest_score(xp, tile):
    rng = np.random.default_rng(5)
    q, k, v = (rng.standard_normal((2, n, 4)) for n in (6, 11, 11))
    best = (q @ np.swapaxes(k, -1, -2)).argmax(-1)
    problem = AttentionProblem(*(xp.asarray(x) for x in (1e6 * q, k, v)), tile=tile)
    expected = np.take_along_axis(v, best[..., None], axis=1)
    np.testing.assert_allclose(to_host(problem.output), expected, rtol=xp.eps())
    ones = to_host(problem.weights.mT @ xp.asarray(np.ones((6, 1))))
    np.testing.assert_allclose(ones.sum(axis=(-1, -2)).ravel(), 6, rtol=20 * xp.eps())  # each row gives away one
