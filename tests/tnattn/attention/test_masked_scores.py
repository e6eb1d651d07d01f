"""Masked scores: their range, half precision, and blocks against the whole."""

from dataclasses import dataclass

import numpy as np
import pytest

from tnattn.arrays import to_host
from tnattn.attention import masked_scores as scores
from tnattn.attention.masked_scores import ScoreData, at, largest_norm
from tnattn.attention.masks import BiasMask, CausalMask, ExplicitMask, FullMask, Mask, PaddingMask
from tnattn.attention.problem import AttentionProblem

RNG = np.random.default_rng(0)


def problem(n_q=7, n_k=10, *, as_=np.asarray, **options):
    q, k, v = (RNG.standard_normal((2, h, n, 4)) for h, n in ((4, n_q), (2, n_k), (2, n_k)))
    return AttentionProblem(as_(q), as_(k), as_(v), **options)


@pytest.mark.parametrize("exponent", [-1060, -540, 0, 400, 1015])
def test_the_largest_norm_is_right_over_the_whole_range(exponent):
    x = RNG.standard_normal((3, 5, 4))
    x[..., 1] = 0
    expected = np.linalg.norm(x, axis=-1).max()
    rtol = 1e-14 if exponent > -1000 else 1e-3  # denormal numbers have few digits
    np.testing.assert_allclose(largest_norm(np.ldexp(x, exponent)), np.ldexp(expected, exponent), rtol=rtol)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0])
def test_the_largest_norm_of_what_is_no_number(value):
    x = np.full((2, 3), value)
    np.testing.assert_array_equal(largest_norm(x), abs(value))
    assert largest_norm(np.empty((0, 3, 2))) == 0


def test_a_single_nan_makes_the_norm_nan():
    x = np.ones((4, 3))
    x[2, 1] = np.nan
    assert np.isnan(largest_norm(x))
    assert np.isnan(largest_norm(np.where(x == 1, 1e200, x)))


@pytest.mark.parametrize(
    ("options", "size", "bounded"),
    [
        ({}, 1.0, True),
        ({}, 1e3, False),
        ({"softcap": 30.0}, 1e3, True),
        ({"softcap": 40.0}, 1e3, True),
        ({"softcap": 40.5}, 1e3, False),
        ({"mask": CausalMask()}, 1.0, True),
        ({"mask": BiasMask(np.zeros((1, 10)))}, 1.0, False),
        ({"mask": CausalMask() & BiasMask(np.zeros((1, 10)))}, 1.0, False),
        ({"scale": 100.0}, 1.0, False),
        ({"scale": 1e-5}, 1e3, True),
    ],
)
def test_scores_are_bounded_where_no_shift_is_needed(options, size, bounded):
    q, k, v = (RNG.standard_normal((1, n, 4)) for n in (7, 10, 10))
    assert AttentionProblem(size * q, k, v, **options).weights.blocks.bounded is bounded


@pytest.mark.parametrize("reach, unsafe", [(39.0, False), (40.5, False), (9e30, False), (1.1e31, True), (1e39, True)])
def test_scores_are_unsafe_where_they_may_overflow(reach, unsafe):
    one = np.full((1, 1, 1), np.sqrt(reach), dtype="float32")
    blocks = AttentionProblem(one, one, one, scale=1.0).weights.blocks
    np.testing.assert_allclose(blocks.reach, reach, rtol=1e-6)
    assert blocks.unsafe is unsafe
    assert blocks.bounded is (reach < 40)


def test_the_limits_themselves_are_bounded_and_safe():
    one, limits = np.ones((1, 1, 1)), np.finfo("float64")
    assert AttentionProblem(40 * one, one, one, scale=1.0).weights.blocks.bounded
    safe = AttentionProblem(limits.max * limits.eps / 4 * one, one, one, scale=1.0).weights.blocks
    assert safe.reach == limits.max * limits.eps / 4
    assert not safe.unsafe


@pytest.mark.parametrize("cap", [0.5, 3.0])
def test_a_softcap_is_a_hyperbolic_tangent(cap):
    given = np.linspace(-10, 10, 7)
    np.testing.assert_allclose(
        problem(softcap=cap).weights.blocks.capped(given), cap * np.tanh(given / cap), rtol=1e-15
    )
    np.testing.assert_array_equal(problem().weights.blocks.capped(given), given)


def test_what_is_not_finite_is_unsafe():
    q = np.full((1, 2, 2), np.nan)
    assert AttentionProblem(q, q, q, check_finite=False).weights.blocks.unsafe


@pytest.mark.parametrize("softcap", [None, 0.7])
@pytest.mark.parametrize(
    "mask", [CausalMask(), PaddingMask(4), ExplicitMask(RNG.random((4, 7, 10)) > 0.5), CausalMask() & PaddingMask(8)]
)
def test_parts_are_entries_of_the_whole(xp, mask, softcap):
    if isinstance(mask, ExplicitMask):
        mask = ExplicitMask(xp.asarray(mask.allowed))
    target = problem(as_=xp.asarray, mask=mask, softcap=softcap)
    whole = to_host(target.dense_scores()).reshape(2, 2, 2, 7, 10)
    tolerance = {"rtol": 0, "atol": 50 * xp.eps()}
    np.testing.assert_allclose(
        to_host(target.block_scores(slice(2, 5), slice(3, 9))), whole[..., 2:5, 3:9], **tolerance
    )
    indices = RNG.integers(0, 10, (2, 2, 2, 7, 3))
    gathered = to_host(target.gathered_scores(xp.asarray(indices)))
    np.testing.assert_allclose(gathered, np.take_along_axis(whole, indices, axis=-1), **tolerance)
    columns = RNG.integers(0, 10, (2, 2, 2, 2, 3))  # two blocks of three queries
    tiles = to_host(target.tile_scores(slice(1, 7), xp.asarray(columns)))
    rows = whole[..., 1:7, :].reshape(2, 2, 2, 2, 3, 10)
    expected = np.take_along_axis(rows, np.repeat(columns[..., None, :], 3, axis=-2), axis=-1)
    np.testing.assert_allclose(tiles, expected, **tolerance)


def test_slices_of_scores_may_be_open_or_negative():
    target = problem(mask=CausalMask())
    whole = target.block_scores(slice(0, 7), slice(0, 10))
    np.testing.assert_array_equal(target.block_scores(slice(None), slice(None)), whole)
    np.testing.assert_array_equal(target.block_scores(slice(-3, None), slice(None, -2)), whole[..., -3:, :-2])


@pytest.mark.parametrize("xp, name", [("numpy", "float16"), ("torch", "bfloat16")], indirect=["xp"])
def test_half_precision_scores_are_single(xp, name):
    def as_(x):
        return xp.asarray(x, name) if xp.name == "numpy" else xp.asarray(x, "float32").bfloat16()

    target = problem(as_=lambda x: as_(300 * x), mask=CausalMask())
    single = AttentionProblem(*(xp.asarray(to_host(x).astype("float32")) for x in (target.q, target.k, target.v)))
    indices = xp.asarray(np.zeros((7, 2), dtype=int))
    for found in (
        target.dense_scores(),
        target.gathered_scores(indices),
        target.tile_scores(slice(0, 7), indices[:1, :]),
    ):
        assert "float32" in str(found.dtype)
    np.testing.assert_allclose(
        to_host(target.gathered_scores(indices)), to_host(single.gathered_scores(indices)), rtol=1e-5, atol=1.0
    )
    assert np.abs(to_host(single.dense_scores())).max() > 65504  # beyond float16


def test_scores_beyond_the_range_are_marked():
    q, k = np.full((1, 1, 1), 3e19, "float32"), np.asarray([[[3e19], [-3e19], [1.0]]], "float32")
    target = AttentionProblem(q, k, k, scale=1.0)
    expected = np.asarray([[np.nan, -np.inf, 3e19]], "float32")
    np.testing.assert_array_equal(target.dense_scores()[0], expected)
    np.testing.assert_array_equal(target.gathered_scores(np.asarray([[0, 1, 2]]))[0, 0], expected)
    np.testing.assert_array_equal(target.tile_scores(slice(0, 1), np.asarray([[0, 1, 2]]))[0, 0, 0], expected)
    hidden = AttentionProblem(q, k, k, scale=1.0, mask=ExplicitMask(np.asarray([[False, True, True]])))
    np.testing.assert_array_equal(hidden.dense_scores()[0], [[-np.inf, -np.inf, np.float32(3e19)]])


def test_a_stack_is_read_at_the_index_that_it_broadcasts_to():
    stack = RNG.standard_normal((3, 1, 2, 2))
    np.testing.assert_array_equal(at(stack, (2, 5)), stack[2, 0])
    np.testing.assert_array_equal(at(stack, (7, 1, 4)), stack[1, 0])
    np.testing.assert_array_equal(at(stack, ()), stack)
    np.testing.assert_array_equal(at(stack[0, 0], (1, 1)), stack[0, 0])
    with pytest.raises(ValueError, match="longer"):
        at(stack, (2,))


@pytest.mark.parametrize("xp, name", [("numpy", "float16"), ("torch", "bfloat16")], indirect=["xp"])
def test_the_largest_norm_of_half_precision_is_single(xp, name):
    x = RNG.uniform(0.5, 1, (3, 300)) * 60_000
    half = xp.asarray(x, "float16") if xp.name == "numpy" else xp.asarray(x, "float32").bfloat16()
    expected = np.linalg.norm(to_host(half).astype("f8"), axis=-1).max()
    np.testing.assert_allclose(largest_norm(half), expected, rtol=1e-5)


@dataclass(frozen=True)
class Constant(Mask):
    """A rule of a user that adds one number to all scores, as an array that broadcasts."""

    has_bias = True

    def additive(self, i, j, *, n_q, n_k, like):
        return np.full((1, 1), 2.0)


def test_a_rule_may_return_an_array_that_broadcasts():
    target = problem(mask=Constant())
    plain = AttentionProblem(target.q, target.k, target.v)
    indices = RNG.integers(0, 10, (1, 3))
    every = RNG.integers(0, 10, (7, 3))
    np.testing.assert_allclose(target.dense_scores(), plain.dense_scores() + 2)
    np.testing.assert_allclose(target.gathered_scores(every), plain.gathered_scores(every) + 2)
    np.testing.assert_allclose(target.tile_scores(slice(0, 7), indices), plain.tile_scores(slice(0, 7), indices) + 2)
    np.testing.assert_allclose(target.output, plain.output, rtol=1e-12)


def test_rows_of_given_queries_are_rows_of_the_whole():
    target = problem(mask=CausalMask())
    whole = target.block_scores(slice(0, 7), slice(0, 10))
    np.testing.assert_allclose(target.weights.blocks.rows(np.array([2, 0, 2])), whole[..., [2, 0, 2], :], rtol=1e-12)


@pytest.mark.parametrize("chunks", [[slice(0, 10)], [slice(0, 4), slice(4, 10)], [slice(0, 3), slice(5, 7)]])
def test_queries_see_what_some_chunk_admits(chunks):
    allowed = np.zeros((7, 10), dtype=bool)
    allowed[1, 2] = allowed[3, 6] = allowed[5, 9] = True
    found = problem(mask=ExplicitMask(allowed)).weights.blocks.sees((), np.array([1, 2, 3, 5]), chunks)
    expected = np.any([allowed[[1, 2, 3, 5], part].any(-1) for part in chunks], axis=0)
    np.testing.assert_array_equal(np.broadcast_to(found, (2, 2, 2, 4, 1))[0, 0, 0, :, 0], expected)
    assert problem().weights.blocks.sees((), np.arange(7), chunks).all()
    heads = np.stack([allowed, ~allowed, np.zeros_like(allowed), np.ones_like(allowed)])
    found = problem(mask=ExplicitMask(heads)).weights.blocks.sees((), np.array([1, 2, 3, 5]), chunks)
    expected = np.any([heads[:, [1, 2, 3, 5], part].any(-1) for part in chunks], axis=0)
    np.testing.assert_array_equal(found[..., 0].reshape(4, 4), expected)


def test_a_stack_of_two_is_read_at_its_index():
    stack = RNG.standard_normal((2, 1, 3, 3))
    np.testing.assert_array_equal(at(stack, (1, 4)), stack[1, 0])


def test_a_problem_has_what_scores_are_computed_of():
    q, k, v = RNG.standard_normal((3, 2, 5, 4))
    assert isinstance(AttentionProblem(q, k, v), ScoreData)
    assert not isinstance(q, ScoreData)


@pytest.mark.parametrize("mask", [FullMask(), CausalMask()], ids=["full", "causal"])
@pytest.mark.parametrize(
    "budget, rows", [(1, [1] * 7), (96, [1] * 7), (191, [1] * 7), (192, [2, 2, 2, 1]), (672, [7]), (None, [7])]
)
def test_gathered_keys_are_held_in_blocks_of_queries(monkeypatch, mask, budget, rows):
    seen, gather = [], scores.gather_rows

    def record(keys, indices):
        seen.append(indices.shape[-2])
        return gather(keys, indices)

    monkeypatch.setattr(scores, "gather_rows", record)
    if budget is not None:
        monkeypatch.setattr(scores, "_BLOCK", budget)
    target = problem(mask=mask)  # eight heads of width 4
    indices = RNG.integers(0, 10, (2, 2, 2, 7, 3))
    whole = target.block_scores(slice(0, 7), slice(0, 10))
    np.testing.assert_allclose(
        target.gathered_scores(indices), np.take_along_axis(whole, indices, axis=-1), rtol=0, atol=1e-14
    )
    assert seen == rows


@pytest.mark.parametrize("width", [0, 1])
def test_lists_of_keys_may_be_empty_or_of_one_scalar(monkeypatch, width):
    monkeypatch.setattr(scores, "_BLOCK", 3)
    q = np.arange(1.0, 4.0).reshape(1, 3, 1)
    found = AttentionProblem(q, q, q, scale=1.0).gathered_scores(np.ones((3, width), dtype=int))
    np.testing.assert_array_equal(found, 2 * q[..., None, :, :width].reshape(1, 1, 3, width))


@pytest.mark.parametrize("xp", ["torch"], indirect=True)
@pytest.mark.parametrize("size, softcap", [(1.0, None), (1.0, 5.0), (100.0, None)])
def test_scores_change_their_unit_only_where_nothing_is_subtracted_or_capped(xp, size, softcap):
    q = xp.asarray(size * np.random.default_rng(0).standard_normal((1, 5, 4)))
    unit, exponential = scores.Scores(AttentionProblem(q, q, q, softcap=softcap)).exponential
    assert (unit == 1.0) == (size > 1 or softcap is not None)
    found = exponential(unit * xp.asarray([[0.5, -1.0]]))
    np.testing.assert_allclose(to_host(found), np.exp([[0.5, -1.0]]), rtol=1e-6)
