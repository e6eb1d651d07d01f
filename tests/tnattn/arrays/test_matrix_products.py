"""Products of stacks of matrices and column norms, on every ring."""

import numpy as np
import pytest

from tnattn.arrays import squared_column_norms, stacked_matmul, sums_of_rows


@pytest.mark.parametrize(
    ("left", "right"),
    [((3, 1, 80, 90), (1, 4, 90, 70)), ((12, 90, 80), (80, 90)), ((90, 80), (7, 80, 300)), ((80, 90), (90, 700))],
)
def test_products_of_stacks_are_those_of_their_matrices(xp, assert_close, monkeypatch, left, right):
    for module in ("matrix_products", "threads"):
        monkeypatch.setattr(f"tnattn.arrays.{module}.host_threads", lambda: 3)
    monkeypatch.setattr("tnattn.arrays.matrix_products._SMALL", 1)
    a, b = (np.random.default_rng(0).standard_normal(shape) for shape in (left, right))
    assert_close(stacked_matmul(xp.asarray(a), xp.asarray(b)), a @ b, rtol=0, atol=1000 * xp.eps())


def test_squares_of_columns_add_up(xp, assert_close):
    x = np.random.default_rng(0).standard_normal((2, 7, 30))
    assert_close(squared_column_norms(xp.asarray(x)), np.sum(x**2, axis=-2), rtol=20 * xp.eps())


@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 3, 4, 5), (0, 4, 5), (4, 0)])
def test_entries_of_rows_add_up(xp, assert_close, shape):
    x = np.random.default_rng(0).standard_normal(shape)
    assert_close(sums_of_rows(xp.asarray(x)), xp.asarray(x.sum(-1, keepdims=True)), rtol=0, atol=20 * xp.eps())
