"""Products with few columns are the same whatever the tiles."""

import numpy as np
import pytest
from fixtures import normal

from tnattn.arrays import dtype_name
from tnattn.decomposition.cp.thin_products import TILE, thin_product


@pytest.mark.parametrize(
    "batch, rows, length, width",
    [
        ((), 1024, 512, 16),  # whole tiles
        ((), 1031, 509, 16),  # and a rest
        ((2, 3), 150, 700, 24),
        ((), 5, 4, 3),  # less than a tile
        ((), 40, 9000, 60),  # rows too long for tiles
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tiles_give_the_product(batch, rows, length, width, dtype):
    a, x = normal(*batch, rows, length).astype(dtype), normal(*batch, length, width, seed=1).astype(dtype)
    found = thin_product(a, x)
    assert found.dtype == a.dtype
    np.testing.assert_allclose(found, a @ x, rtol=0, atol=64 * length * np.finfo(dtype).eps)


def test_the_cases_above_reach_every_road():
    """Negative control: among them are matrices with tiles, with a rest, and without."""
    tiles = [TILE // (length * width) for length, width in [(512, 16), (509, 16), (9000, 60)]]
    assert tiles[0] < 1024
    assert 1031 % tiles[1]
    assert 2 * tiles[2] < 60


def test_every_library_multiplies(xp, assert_close):
    a, x = normal(300, 450), normal(450, 8, seed=1)
    found = thin_product(xp.asarray(a), xp.asarray(x))
    assert dtype_name(found.dtype) == xp.dtype
    assert_close(found, xp.asarray(a @ x), rtol=0, atol=1e4 * xp.eps())
