"""The plan of tiles: every admissible pair of a query and a key lies in exactly one of them."""

import numpy as np
import pytest

from tnattn.attention.masked_scores import at
from tnattn.attention.masks import CausalMask, FullMask, PaddingMask, SlidingWindowMask
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.score_tiles import ScoreTiles

MASKS = {
    "full": FullMask(),
    "causal": CausalMask(),
    "window": SlidingWindowMask(5, 2),
    "padding": PaddingMask(13),
    "both": CausalMask() & PaddingMask(13),
}


@pytest.fixture(params=["host", "device"])
def place(request, monkeypatch):
    monkeypatch.setattr("tnattn.attention.score_tiles.runs_on_host", lambda x: request.param == "host")
    for name, side in (("_ROWS", 6), ("_COLUMNS", 8), ("_CUT", 4), ("_DEVICE", 6 * 40)):
        monkeypatch.setattr(f"tnattn.attention.score_tiles.{name}", side)
    return request.param


def posed(mask, *, n_q=21, n_k=30, tile=None, batch=()):
    return AttentionProblem(*(np.zeros((*batch, 6, n, 2)) for n in (n_q, n_k, n_k)), mask=mask, tile=tile)


@pytest.mark.parametrize("tile", [None, 1, 7, 64])
@pytest.mark.parametrize("name", MASKS)
def test_every_admissible_pair_is_in_one_tile(place, name, tile):
    problem = posed(MASKS[name], tile=tile)
    tiles, count = ScoreTiles(problem), np.zeros((21, 30), int)
    for rows in tiles.rows:
        for columns in tiles.chunks(rows):
            count[rows, columns] += 1
    admitted = np.isfinite(problem.dense_scores()[0])
    assert count.max() == 1
    assert (count[admitted] == 1).all()


@pytest.mark.parametrize("name", ["causal", "window", "both"])
def test_some_pairs_that_no_query_sees_are_in_no_tile(place, name):
    problem = posed(MASKS[name])
    tiles = ScoreTiles(problem)
    visited = sum((r.stop - r.start) * (c.stop - c.start) for r in tiles.rows for c in tiles.chunks(r))
    assert visited < 21 * 30


def test_chunks_are_no_wider_than_a_tile_and_treated_alike(place):
    tiles, mask = ScoreTiles(posed(CausalMask(), n_q=64, n_k=64)), CausalMask()
    for rows in tiles.rows:
        chunks = tiles.chunks(rows)
        covered = [mask.coverage(rows, c, n_q=64, n_k=64) for c in chunks]
        assert "none" not in covered
        assert covered.count("all") == len(chunks) - covered.count("some")
        assert all(c.stop - c.start <= 8 for c in chunks)
        assert covered == sorted(covered)  # the cut ones follow those below the diagonal


def test_a_block_that_sees_no_key_has_one_chunk(place):
    tiles = ScoreTiles(posed(PaddingMask(0), tile=4))
    assert [tiles.chunks(rows) for rows in tiles.rows] == [[slice(0, 4)]] * 6


@pytest.mark.parametrize("together", [1, 2, 4, 6, 12, 100])
def test_every_head_is_in_one_tile(place, monkeypatch, together):
    problem = posed(FullMask(), batch=(2,))
    monkeypatch.setattr("tnattn.attention.score_tiles._TOGETHER", together * 21 * 30)
    outer = (2, *problem.batch)
    found = np.zeros(outer, int)
    for head in ScoreTiles(problem).heads(outer):
        mine = found[(*head, ...)]
        assert place == "device" or mine.size <= together
        found[(*head, ...)] += 1
    assert (found == 1).all()


def test_an_empty_stack_has_no_tiles(place):
    assert ScoreTiles(posed(FullMask())).heads((2, 0)) == []


@pytest.mark.parametrize("head", [(1, 2, 0), (0, slice(1, 3), slice(0, 1)), (slice(0, 2), slice(0, 4), slice(0, 1))])
@pytest.mark.parametrize("batch", [(), (1,), (4, 1), (1, 1), (2, 4, 1), (2, 1, 1)])
def test_heads_index_arrays_that_broadcast_to_them(head, batch):
    x = np.random.default_rng(0).standard_normal((*batch, 3, 2))
    whole = np.broadcast_to(x, (2, 4, 1, 3, 2))[(*head, ...)]
    np.testing.assert_array_equal(np.broadcast_to(at(x, head), whole.shape), whole)
