"""What masks add, what they say about blocks, and what they refuse."""

import numpy as np
import pytest

from tnattn.attention.masks import Bias, Causal, Conjunction, Explicit, Full, Padding, SlidingWindow

N_Q, N_K = 7, 10
RNG = np.random.default_rng(0)
MASKS = [
    Full(),
    Causal(),
    SlidingWindow(2, 1),
    SlidingWindow(3),
    Padding(6),
    Padding(0),
    Explicit(RNG.random((N_Q, N_K)) > 0.5),
    Causal() & Padding(8),
]


def added(mask, rows=slice(0, N_Q), columns=slice(0, N_K)):
    i, j = np.arange(rows.start, rows.stop)[:, None], np.arange(columns.start, columns.stop)[None, :]
    term = mask.additive(i, j, n_q=N_Q, n_k=N_K, like=np.zeros(1))
    return np.zeros((i.size, j.size)) if term is None else np.broadcast_to(term, (i.size, j.size))


def test_a_causal_query_sees_up_to_its_own_position_from_the_right():
    seen = added(Causal()) == 0
    assert seen.sum(-1).tolist() == [4, 5, 6, 7, 8, 9, 10]


def test_a_window_reaches_left_and_right_of_the_position():
    seen = added(SlidingWindow(2, 1)) == 0
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
    assert Causal().coverage(slice(0, 3), slice(7, 10), n_q=N_Q, n_k=N_K) == "none"
    assert Causal().coverage(slice(4, 7), slice(0, 8), n_q=N_Q, n_k=N_K) == "all"


def test_a_conjunction_adds_what_its_parts_add():
    bias = Bias(RNG.standard_normal((N_Q, N_K)))
    both = added(Causal() & bias)
    np.testing.assert_array_equal(both, added(Causal()) + bias.bias)


def test_full_is_the_neutral_element():
    assert Full() & Full() == Full()
    assert Full() & Causal() == Causal()
    assert (Causal() & Full() & Padding(3)).conjuncts[0] == Causal()


def test_conjunctions_flatten():
    mask = (Causal() & Padding(3)) & (SlidingWindow(2) & Padding(4))
    assert isinstance(mask, Conjunction)
    assert len(mask.conjuncts) == 4


@pytest.mark.parametrize("value, error", [(-1, ValueError), (2.0, TypeError), (None, TypeError)])
def test_a_window_needs_non_negative_integers(value, error):
    with pytest.raises(error, match="integer"):
        SlidingWindow(value)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Padding(11), ValueError, "between 0 and the number of keys"),
        (lambda: Padding(np.array([1, 2, 3])), ValueError, "one per batch entry"),
        (lambda: Padding(np.array([1, 11])), ValueError, "between 0 and the number of keys"),
        (lambda: Padding(np.array([-1, 2])), ValueError, "between 0 and the number of keys"),
        (lambda: Padding(np.array([1.5, 2.0])), TypeError, "must be integers"),
        (lambda: Explicit(np.ones((N_Q, N_K))), TypeError, "must be boolean"),
        (lambda: Explicit(np.ones((N_Q, 4), dtype=bool)), ValueError, "does not broadcast"),
        (lambda: Bias(np.full((N_Q, N_K), np.nan)), ValueError, "NaN or plus infinity"),
        (lambda: Bias(np.full((N_Q, N_K), np.inf)), ValueError, "NaN or plus infinity"),
    ],
)
def test_masks_that_do_not_fit_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make().validate((2,), 4, N_Q, N_K)
