"""Test matrices that lean towards the row space."""

import numpy as np
import pytest

from theory.bounds.randnla.instances import slow_spectrum, with_singular_values
from tnattn.arrays import to_host
from tnattn.randnla.krylov import BlockKrylov
from tnattn.randnla.row_start import RowStart
from tnattn.structured.dense import Dense
from tnattn.structured.low_rank import LowRank


def rng(seed=0):
    return np.random.default_rng(seed)


def test_what_is_added_lies_in_the_row_space(xp):
    a = rng().standard_normal((2, 30, 3)) @ rng(1).standard_normal((2, 3, 20))
    omega = rng(2).standard_normal((20, 5))
    start = RowStart.draw(4, 5, rng=rng(3), like=xp.asarray(omega))
    added = to_host(start.added_to(xp.asarray(omega), Dense(xp.asarray(a)))) - omega
    assert added.shape == (2, 20, 5)
    for one, rows in zip(added, a, strict=True):
        assert np.linalg.matrix_rank(np.vstack([rows, one.T]), tol=1e-4) == 3
    np.testing.assert_allclose(np.linalg.norm(added, axis=(-2, -1)), 3 * np.linalg.norm(omega), rtol=1e-5)


def test_implicit_matrices_give_their_rows_through_a_product():
    left, right = rng().standard_normal((30, 3)), rng(1).standard_normal((3, 20))
    start = RowStart.draw(4, 5, rng=rng(2), like=left)
    omega = rng(3).standard_normal((20, 5))
    np.testing.assert_allclose(
        start.added_to(omega, LowRank(left, right)), start.added_to(omega, Dense(left @ right)), atol=1e-12
    )


def test_a_zero_matrix_leaves_the_test_matrix_alone():
    omega = rng().standard_normal((20, 5))
    start = RowStart.draw(4, 5, rng=rng(), like=omega)
    np.testing.assert_array_equal(start.added_to(omega, Dense(np.zeros((30, 20)))), omega)


def test_rows_save_half_a_power_iteration(seed):
    a = with_singular_values(rng(), slow_spectrum(300), 300, 300)
    best = np.linalg.norm(slow_spectrum(300)[16:])

    def excess(rows):
        method = BlockKrylov(16, 4, 1, start_rows=rows)
        return np.linalg.norm(a - method(a, rng=rng(seed)).to_dense()) / best - 1

    assert 0 < excess(4) < 0.8 * excess(0)


def test_a_needle_that_no_row_shows_is_found_all_the_same(seed):
    """One row and column of their own: rows drawn elsewhere are orthogonal to them, the random part is not."""
    a = with_singular_values(rng(), slow_spectrum(299), 299, 299)
    a = np.block([[a, np.zeros((299, 1))], [np.zeros((1, 299)), np.full((1, 1), 0.5)]])
    result = BlockKrylov(16, 4, 2, start_rows=4)(a, rng=rng(seed))
    assert result.to_dense()[-1, -1] == pytest.approx(0.5, rel=1e-3)
