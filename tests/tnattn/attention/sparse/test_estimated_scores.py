"""Estimated scores: those of the codes under the mask, the softcap and in every part."""

import numpy as np
import pytest

from tnattn.attention import masks
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.estimated_scores import EstimatedScores, score_tiles, unpadded
from tnattn.attention.sparse.key_statistics import KeyStatistics

RNG = np.random.default_rng(0)
Q, K = RNG.standard_normal((2, 2, 24, 4))
MASKS = [masks.FullMask(), masks.CausalMask(), masks.PaddingMask(11), masks.BiasMask(RNG.standard_normal((24, 24)))]


@pytest.mark.parametrize("softcap", [None, 1.0])
@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: type(mask).__name__)
def test_many_bits_give_the_masked_scores(mask, softcap):
    given = AttentionProblem(Q, K, K, mask=mask, softcap=softcap)
    code = KeyStatistics.of(given).code(bits=24)
    estimates = EstimatedScores.of(given, code, 4, 20).block(slice(8, 12))
    columns = estimates.shape[-1]
    exact = given.dense_scores()[:, None, 8:12, :columns]
    seen = exact > -np.inf
    np.testing.assert_array_equal(estimates > -np.inf, seen)
    assert (given.dense_scores()[:, 8:12, columns:] == -np.inf).all()
    missing = code.mean_scores(given.queries)[..., 8:12, :] * given.score_scale if softcap is None else 0.0
    assert np.median(np.abs((estimates + missing)[seen] - exact[seen])) < 0.1


def test_tiles_cover_the_queries_in_whole_blocks():
    parts = score_tiles(AttentionProblem(Q, K, K), 3, 21, block=4)
    assert [parts[0].start, parts[-1].stop] == [3, 21]


def test_padding_is_known_where_queries_have_positions():
    for lengths in (5, np.array([5, 7])):
        batch = () if isinstance(lengths, int) else (2,)
        given = AttentionProblem(*np.zeros((3, *batch, 1, 9, 1)), mask=masks.PaddingMask(lengths))
        queries, keys = unpadded(given)
        np.testing.assert_array_equal(keys.sum(axis=-1).ravel(), np.ravel(lengths))
        np.testing.assert_array_equal(queries, keys)
    assert unpadded(AttentionProblem(Q, K, K)) == (None, None)
