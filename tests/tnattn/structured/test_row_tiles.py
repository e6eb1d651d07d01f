"""Tiles cover every row of every matrix once, and matrices evaluated in them are those of the whole."""

import numpy as np
import pytest

from tnattn.structured import row_tiles
from tnattn.structured.row_tiles import RowTiles, Stack, by_matrices, swept, tiles

RNG = np.random.default_rng(1)


class Outer(RowTiles):
    """The matrices x y^T, evaluated block by block."""

    def __init__(self, x, y):
        self.x, self.y, self.seen = x, y, []

    @property
    def shape(self):
        return (*self.x.shape[:-1], self.x.shape[-1], self.y.shape[-1])

    @property
    def like(self):
        return self.x

    @property
    def storage(self):
        return self.x.size + self.y.size

    def matmul_flops(self, columns):
        return 2 * self.x.size * self.y.size * columns

    def blocks(self, stack):
        x, y = stack.flat(self.x[..., None]), stack.flat(self.y[..., None, :])

        def block(heads, rows):
            self.seen.append((heads, rows))
            return x[heads, rows, :] * y[heads, ...]

        return block


@pytest.mark.parametrize("size", [1, 7, 20, 60, 10**6])
@pytest.mark.parametrize("host", [True, False])
def test_tiles_cover_all_rows_once(monkeypatch, size, host):
    monkeypatch.setattr(row_tiles, "HOST_TILE", size)
    monkeypatch.setattr(row_tiles, "DEVICE_TILE", size)
    monkeypatch.setattr(row_tiles, "runs_on_host", lambda like: host)
    covered = np.zeros((6, 9), int)
    for heads, rows in (places := tiles(6, 9, 5, like=np.empty(0))):
        covered[heads, rows] += 1
        assert (heads.stop - heads.start) * (rows.stop - rows.start) * 5 <= max(size, 5 if host else 30)
    np.testing.assert_array_equal(covered, 1)
    assert [(heads, rows) for heads, spans in by_matrices(places) for rows in spans] == places


def test_a_stack_counts_its_matrices():
    stack = Stack((2, 3))
    x = RNG.standard_normal((2, 1, 5, 4))
    np.testing.assert_array_equal(stack.restored(stack.flat(x)), np.broadcast_to(x, (2, 3, 5, 4)))
    assert stack.count == 6
    assert np.shares_memory(stack.flat(y := RNG.standard_normal((2, 3, 5, 4))), y)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_products_are_those_of_the_dense_matrix(monkeypatch, xp, assert_close, size):
    for name in ("HOST_TILE", "DEVICE_TILE"):
        monkeypatch.setattr(row_tiles, name, size)
    x, y = RNG.standard_normal((2, 3, 6)), RNG.standard_normal((3, 4))
    right, left = RNG.standard_normal((4, 2)), RNG.standard_normal((5, 2, 3, 6, 2))
    matrix = Outer(xp.asarray(x), xp.asarray(y))
    dense = x[..., None] * y[..., None, :]
    assert_close(matrix.to_dense(), dense, rtol=0, atol=20 * xp.eps())
    assert_close(matrix @ xp.asarray(right), dense @ right, rtol=0, atol=50 * xp.eps())
    assert_close(matrix.mT @ xp.asarray(left), dense.mT @ left, rtol=0, atol=50 * xp.eps())  # a batch axis more


def test_no_tile_is_evaluated_twice():
    matrix = Outer(RNG.standard_normal((2, 3, 6)), RNG.standard_normal((3, 4)))
    matrix @ np.ones((4, 1))
    assert len(matrix.seen) == 1


def test_a_sweep_fills_all_arrays():
    x = RNG.standard_normal((2, 6, 3))
    places = [(slice(h, h + 1), slice(i, i + 2)) for h in range(2) for i in range(0, 6, 2)]
    twice, sums = swept(
        lambda h, r, _: (2 * x[h, r], x[h, r].sum(-1, keepdims=True)), places, ((2, 6, 3), (2, 6, 1)), like=x
    )
    np.testing.assert_array_equal(twice, 2 * x)
    np.testing.assert_array_equal(sums[..., 0], x.sum(-1))


def test_a_part_may_be_written_to_its_place():
    x = RNG.standard_normal((2, 6, 3))

    def work(heads, rows, outs):
        return (np.multiply(x[heads, rows], 2, out=outs[0]), x[heads, rows])

    places = [(slice(h, h + 1), slice(0, 6)) for h in range(2)]
    twice, once = swept(work, places, ((2, 6, 3), (2, 6, 3)), like=x)
    np.testing.assert_array_equal(twice, 2 * x)
    np.testing.assert_array_equal(once, x)
