"""Tiles of a band cover all blocks of all matrices once, and read the rows and columns of the pattern."""

import numpy as np
import pytest

from tnattn.arrays import array_namespace, to_host
from tnattn.structured import row_tiles
from tnattn.structured.band import Band
from tnattn.structured.band_tiling import BandTiling, multiplied, scored
from tnattn.structured.row_tiles import Stack

RNG = np.random.default_rng(2)
BATCH = (2, 3)


@pytest.fixture(params=[1, 200, 1 << 18], autouse=True)
def tile(monkeypatch, request):
    for name in ("HOST_TILE", "DEVICE_TILE"):
        monkeypatch.setattr(row_tiles, name, request.param)


def band(xp, *, own=False, fixed=0):
    first = np.clip(np.arange(30) - 3, fixed, 24)
    if own:  # of every matrix of the first axis
        first = np.stack([first, np.minimum(first + 1, 24)])[:, None]
    return Band(xp.asarray(first), xp.asarray(first + 6), 4, 6, 30, fixed)


@pytest.mark.parametrize("fixed", [0, 2])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_scores_and_products_are_those_of_the_pattern(xp, assert_close, own, together, shared, fixed):
    """A product with scores that are zero where none is kept is the dense product."""
    made = band(xp, own=own, fixed=fixed)
    rows, columns = RNG.standard_normal((*BATCH, 30, 5)), RNG.standard_normal((2, 1 if shared else 3, 30, 5))
    tiling = BandTiling(made, Stack(BATCH), xp.asarray(rows), together=together)
    left, right = tiling.rows(xp.asarray(rows)), tiling.columns(xp.asarray(columns))

    def work(heads):
        mine, theirs = left(heads), right(heads)

        def product(run):
            scores = scored(mine(run), theirs(run))
            scores *= array_namespace(scores).astype(tiling.kept(heads, run), scores.dtype)
            return (multiplied(scores, theirs(run)),)

        return product

    (found,) = tiling.swept(work, (5,))
    first, j = to_host(made.first)[..., None], np.arange(30)
    kept = ((j >= first) & (j < first + 6)) | (j < fixed)
    assert_close(found, xp.asarray((rows @ columns.mT * kept) @ columns), rtol=0, atol=1e3 * xp.eps())


def test_tiles_cover_everything_once():
    tiling = BandTiling(band(np), Stack(BATCH), np.ones(1))
    assert sorted(i for heads in tiling.heads for i in range(heads.start, heads.stop)) == list(range(6))
    assert sorted(i for run in tiling.runs for i in range(run.blocks.start, run.blocks.stop)) == list(range(8))


def test_windows_share_the_memory_of_their_rows():
    x = np.arange(30.0)[None, :, None]
    tiling = BandTiling(band(np), Stack((1,)), x)
    run = max(tiling.runs, key=lambda run: run.blocks.stop - run.blocks.start)
    assert np.may_share_memory(tiling.columns(x)(slice(0, 1))(run)[0], x)
