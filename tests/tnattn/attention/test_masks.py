"""Masks: additive terms of the scores, classification of blocks, and refusals."""

import numpy as np
import pytest

from tnattn.attention.masks import (
    BiasMask,
    CausalMask,
    ConjunctionMask,
    ExplicitMask,
    FullMask,
    PaddingMask,
    SlidingWindowMask,
)
from tnattn.display import Displayed

N_Q, N_K = 7, 10
RNG = np.random.default_rng(0)
MASKS = [
    FullMask(),
    CausalMask(),
    SlidingWindowMask(2, 1),
    SlidingWindowMask(3),
    PaddingMask(6),
    PaddingMask(0),
    ExplicitMask(RNG.random((N_Q, N_K)) > 0.5),
    CausalMask() & PaddingMask(8),
]


def added(mask, rows=slice(0, N_Q), columns=slice(0, N_K)):
    i, j = np.arange(rows.start, rows.stop)[:, None], np.arange(columns.start, columns.stop)[None, :]
    term = mask.additive(i, j, n_q=N_Q, n_k=N_K, like=np.zeros(1))
    return np.zeros((i.size, j.size)) if term is None else np.broadcast_to(term, (i.size, j.size))


def test_a_causal_query_sees_up_to_its_own_position_from_the_right():
    seen = added(CausalMask()) == 0
    assert seen.sum(-1).tolist() == [4, 5, 6, 7, 8, 9, 10]


def test_a_window_is_causal_by_default():
    assert SlidingWindowMask(2) == SlidingWindowMask(2, right=0) != SlidingWindowMask(2, right=1)


def test_a_window_reaches_left_and_right_of_the_position():
    seen = added(SlidingWindowMask(2, 1)) == 0
    assert np.nonzero(seen[0])[0].tolist() == [1, 2, 3, 4]
    assert np.nonzero(seen[-1])[0].tolist() == [7, 8, 9]


@pytest.mark.parametrize("rows", [slice(0, 3), slice(2, 7), slice(6, 7)])
@pytest.mark.parametrize("columns", [slice(0, 4), slice(3, 7), slice(7, 10), slice(0, 10)])
@pytest.mark.parametrize("mask", MASKS, ids=repr)
def test_coverage_never_contradicts_the_entries(mask, rows, columns):
    seen = added(mask, rows, columns) == 0
    said = mask.coverage(rows, columns, n_q=N_Q, n_k=N_K)
    assert said != "all" or seen.all()
    assert said != "none" or not seen.any()


def test_positional_masks_know_blocks_that_are_whole_or_empty():
    assert CausalMask().coverage(slice(0, 3), slice(7, 10), n_q=N_Q, n_k=N_K) == "none"
    assert CausalMask().coverage(slice(4, 7), slice(0, 8), n_q=N_Q, n_k=N_K) == "all"


@pytest.mark.parametrize("mask", MASKS, ids=repr)
def test_stationary_masks_read_distances_only(mask):
    corner, moved = added(mask, slice(0, 4), slice(0, 5)), added(mask, slice(3, 7), slice(3, 8))
    assert np.array_equal(corner, moved) or not all(part.stationary for part in mask.conjuncts)


def test_a_mask_of_lengths_is_not_stationary():
    assert not PaddingMask(6).stationary
    assert not np.array_equal(
        added(PaddingMask(6), slice(0, 4), slice(0, 5)), added(PaddingMask(6), slice(3, 7), slice(3, 8))
    )


def test_a_conjunction_adds_what_its_parts_add():
    bias = BiasMask(RNG.standard_normal((N_Q, N_K)))
    both = added(CausalMask() & bias)
    np.testing.assert_array_equal(both, added(CausalMask()) + bias.bias)


def test_full_is_the_neutral_element():
    assert FullMask() & FullMask() == FullMask()
    assert FullMask() & CausalMask() == CausalMask()
    assert (CausalMask() & FullMask() & PaddingMask(3)).conjuncts[0] == CausalMask()


def test_conjunctions_flatten():
    mask = (CausalMask() & PaddingMask(3)) & (SlidingWindowMask(2) & PaddingMask(4))
    assert isinstance(mask, ConjunctionMask)
    assert len(mask.conjuncts) == 4


@pytest.mark.parametrize("value, error", [(-1, ValueError), (2.0, TypeError), (None, TypeError)])
def test_a_window_needs_non_negative_integers(value, error):
    with pytest.raises(error, match="integer"):
        SlidingWindowMask(value)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: PaddingMask(11), ValueError, "between 0 and the number of keys"),
        (lambda: PaddingMask(np.array([1, 2, 3])), ValueError, "one per batch entry"),
        (lambda: PaddingMask(np.array([1, 11])), ValueError, "between 0 and the number of keys"),
        (lambda: PaddingMask(np.array([-1, 2])), ValueError, "between 0 and the number of keys"),
        (lambda: PaddingMask(np.array([1.5, 2.0])), TypeError, "must be integers"),
        (lambda: ExplicitMask(np.ones((N_Q, N_K))), TypeError, "must be boolean"),
        (lambda: ExplicitMask(np.ones((N_Q, 4), dtype=bool)), ValueError, "does not broadcast"),
        (lambda: BiasMask(np.full((N_Q, N_K), np.nan)), ValueError, "NaN or plus infinity"),
        (lambda: BiasMask(np.full((N_Q, N_K), np.inf)), ValueError, "NaN or plus infinity"),
        (lambda: BiasMask(np.where(np.eye(N_Q, N_K) > 0, np.inf, 0.0)), ValueError, "NaN or plus infinity"),
        (lambda: BiasMask(np.zeros((N_Q, 4))), ValueError, "bias has shape .* does not broadcast"),
        (lambda: BiasMask(np.ones((N_Q, N_K), int)), TypeError, "bias must be floating; got int64"),
    ],
)
def test_masks_that_do_not_fit_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make().validate((2,), 4, N_Q, N_K)


@pytest.mark.parametrize("n_q", [1, 4, 6])
@pytest.mark.parametrize(
    "mask",
    [CausalMask(), SlidingWindowMask(2, 1), SlidingWindowMask(0), SlidingWindowMask(3, 2), PaddingMask(4)],
    ids=repr,
)
def test_positional_masks_know_every_block(mask, n_q):
    i, j = np.arange(n_q)[:, None], np.arange(6)[None, :]
    seen = np.broadcast_to(mask.additive(i, j, n_q=n_q, n_k=6, like=np.zeros(1)) == 0, (n_q, 6))
    blocks = [
        (slice(a, b), slice(c, d))
        for a in range(n_q)
        for b in range(a + 1, n_q + 1)
        for c in range(6)
        for d in range(c + 1, 7)
    ]
    truth = ["all" if seen[block].all() else "some" if seen[block].any() else "none" for block in blocks]
    assert [mask.coverage(*block, n_q=n_q, n_k=6) for block in blocks] == truth


def test_masks_of_entries_know_no_block():
    block = slice(0, 2), slice(0, 2)
    for mask in (ExplicitMask(np.ones((2, 2), bool)), BiasMask(np.zeros((2, 2))), PaddingMask(np.array([2]))):
        assert mask.coverage(*block, n_q=2, n_k=2) == "some"
    assert FullMask().coverage(*block, n_q=2, n_k=2) == "all"


@pytest.mark.parametrize("lengths", [0, N_K, np.array([0, N_K])])
def test_lengths_may_lie_at_both_ends(lengths):
    PaddingMask(lengths).validate((2,), 4, N_Q, N_K, like=np.zeros(1))


@pytest.mark.parametrize("lengths", [-1, N_K + 1, np.array([0, N_K + 1]), np.array([-1, 1])])
def test_lengths_beyond_the_ends_are_refused(lengths):
    with pytest.raises(ValueError, match=f"lengths .*must lie between 0 and the number of keys, {N_K}"):
        PaddingMask(lengths).validate((2,), 4, N_Q, N_K)


def test_a_padded_batch_sees_its_own_keys():
    i, j = np.arange(2)[:, None], np.arange(4)[None, :]
    found = PaddingMask(np.array([1, 3])).additive(i, j, n_q=2, n_k=4, like=np.zeros(1))
    assert found.shape == (2, 1, 1, 2, 4)
    assert (found == 0).sum(axis=(1, 2, 4)).tolist() == [[1, 1], [3, 3]]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_bias_within_the_range_of_the_scores_is_accepted(dtype):
    most = float(np.finfo(dtype).max)
    for entries in ([[most, -most, -np.inf]], [[1.0, 2.0, 3.0]]):
        BiasMask(np.array(entries)).validate((), 1, 2, 3, like=np.zeros(1, dtype))
        BiasMask(np.array(entries, dtype)).validate((), 1, 2, 3, like=np.zeros(1, "f4" if dtype == "f4" else "f8"))
    BiasMask(np.ones((2, 3), "f4")).validate((), 1, 2, 3, like=np.zeros(1))


def test_the_largest_entry_of_a_bias_is_a_finite_magnitude():
    assert BiasMask(np.array([[1.0, -3.0, -np.inf]])).largest() == 3
    assert BiasMask(np.full((2, 2), -np.inf)).largest() == 0
    assert BiasMask(np.zeros((0, 3))).largest() == 0
    assert BiasMask(np.zeros((2, 2))).has_bias


def test_entries_have_the_dtype_of_the_scores():
    i, j = np.arange(2)[:, None], np.arange(3)[None, :]
    bias, allowed = BiasMask(np.arange(6.0).reshape(2, 3)), ExplicitMask(np.arange(6).reshape(2, 3) > 2)
    for mask in (bias, allowed, bias.grouped(2), allowed.grouped(2)):
        assert mask.additive(i, j, n_q=2, n_k=3, like=np.zeros(1, "f4")).dtype == np.float32


def test_grouped_entries_have_an_axis_of_groups():
    assert BiasMask(np.zeros((6, 2, 3))).grouped(2).bias.shape == (2, 3, 2, 3)
    assert ExplicitMask(np.ones((6, 2, 3), bool)).grouped(2).allowed.shape == (2, 3, 2, 3)
    assert CausalMask().grouped(2) == CausalMask()
    both = (BiasMask(np.zeros((6, 2, 3))) & CausalMask()).grouped(2)
    assert both.parts[0].bias.shape == (2, 3, 2, 3)


def test_masks_may_be_validated_without_scores():
    for mask in (
        BiasMask(np.zeros((N_Q, N_K))),
        ExplicitMask(np.ones((N_Q, N_K), bool)),
        PaddingMask(np.array([1, 2])),
    ):
        mask.validate((2,), 4, N_Q, N_K)


@pytest.mark.parametrize("name", ["bias", "allowed", "lengths"])
def test_with_scores_a_mask_must_be_of_their_library(name):
    strict = pytest.importorskip("array_api_strict")
    masks = {"bias": BiasMask(np.zeros((N_Q, N_K))), "allowed": ExplicitMask(np.ones((N_Q, N_K), bool))}
    masks["lengths"] = PaddingMask(np.array([1, 2]))
    with pytest.raises(TypeError, match=f"{name} of the mask and q belong to different libraries"):
        masks[name].validate((2,), 4, N_Q, N_K, like=strict.zeros(1))


def test_masks_are_displayed_by_what_differs_from_the_default_and_without_entries():
    window = SlidingWindowMask(2)
    assert repr(FullMask() & window) == repr(window) == "SlidingWindowMask(left=2)"
    assert repr(CausalMask() & PaddingMask(3)) == "ConjunctionMask(parts=(CausalMask(), PaddingMask(lengths=3)))"
    for cls in (BiasMask, CausalMask, ConjunctionMask, ExplicitMask, FullMask, PaddingMask, SlidingWindowMask):
        assert cls.__repr__ is Displayed.__repr__
