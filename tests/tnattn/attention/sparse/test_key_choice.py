"""Choice of keys: the largest estimates, in runs, shared, with forced keys."""

import numpy as np
import pytest

from tnattn.attention.sparse.key_choice import KeyChoice

RNG = np.random.default_rng(0)
SCORES = RNG.standard_normal((1, 2, 6, 20))


def softmax(scores):
    weights = np.exp(scores)
    return weights / weights.sum(axis=-1, keepdims=True)


def largest(x, count):
    return np.sort(np.argsort(-x, axis=-1)[..., :count], axis=-1)


def test_single_keys_are_the_largest_scores():
    np.testing.assert_array_equal(KeyChoice(5).indices(SCORES, 0), largest(SCORES, 5))


def test_runs_are_those_of_largest_log_sum_exp():
    found = KeyChoice(2, run=4).indices(SCORES, 0)
    runs = largest(np.log(np.exp(SCORES).reshape(1, 2, 6, 5, 4).sum(axis=-1)), 2)
    np.testing.assert_array_equal(found, (runs[..., None] * 4 + np.arange(4)).reshape(1, 2, 6, 8))


def test_a_group_shares_the_choice_of_the_mean_weights():
    found = KeyChoice(5, per_group=True).indices(SCORES, 0)
    np.testing.assert_array_equal(found, largest(softmax(SCORES).mean(axis=-3, keepdims=True), 5))


def test_a_block_of_queries_shares_the_choice_of_the_summed_weights():
    found = KeyChoice(5, block=4).indices(SCORES, 0)  # the second block has two queries
    weights = softmax(SCORES)
    sums = np.stack([weights[..., :4, :].sum(axis=-2), weights[..., 4:, :].sum(axis=-2)], axis=-2)
    np.testing.assert_array_equal(found, largest(sums, 5))


@pytest.mark.parametrize("options", [{}, {"run": 3}, {"per_group": True}, {"block": 2}], ids=str)
def test_sinks_and_own_keys_are_kept(options):
    choice = KeyChoice(count=5, sinks=3, offset=14, **options)
    found = choice.indices(SCORES, 0)
    repeated = np.repeat(found, options.get("block", 1), axis=-2)
    own = np.arange(6)[:, None] + 14
    assert np.all(np.any(repeated == own, axis=-1))
    for sink in range(3):
        assert np.all(np.any(found == sink, axis=-1))


@pytest.mark.parametrize("options", [{}, {"run": 2}, {"per_group": True}], ids=str)
def test_forbidden_keys_take_no_place(options):
    scores = SCORES.copy()
    scores[..., :6] = -np.inf
    scores[..., 6:8] -= 2000.0  # weights that underflow
    found = KeyChoice(count=14 // options.get("run", 1), sinks=4, **options).indices(scores, 0)
    np.testing.assert_array_equal(found, np.broadcast_to(np.arange(6, 20), found.shape))


def test_unknown_scores_come_last():
    scores = SCORES.copy()
    scores[..., 2] = np.nan
    assert not np.any(KeyChoice(19).indices(scores, 0) == 2)


def test_among_equal_scores_the_first_win():
    found = KeyChoice(3).indices(np.zeros((1, 1, 2, 9)), 0)
    np.testing.assert_array_equal(found, np.broadcast_to([0, 1, 2], found.shape))


def test_a_row_without_keys_is_no_error():
    found = KeyChoice(3, per_group=True).indices(np.full((1, 2, 2, 9), -np.inf), 0)
    assert found.shape == (1, 1, 2, 3)
