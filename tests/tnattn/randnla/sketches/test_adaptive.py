"""Test matrices that lean towards the row space."""

import numpy as np
import pytest
from fixtures import rng

from tnattn.arrays import to_host
from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
from tnattn.randnla.low_rank.krylov import BlockKrylov
from tnattn.randnla.low_rank.qb import QB
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.randnla.sketches.adaptive import RowStart
from tnattn.randnla.sketches.base import adapted_to
from tnattn.structured.dense import Dense
from tnattn.structured.low_rank import LowRank


def test_what_is_added_lies_in_the_row_space(xp):
    a = rng().standard_normal((2, 30, 3)) @ rng(1).standard_normal((2, 3, 20))
    omega = RowStart().draw(20, 5, rng=rng(3), like=xp.asarray(np.zeros(1)))
    plain = to_host(omega.to_dense())
    added = to_host(adapted_to(omega, Dense(xp.asarray(a))).to_dense()) - plain
    assert added.shape == (2, 20, 5)
    for one, rows in zip(added, a, strict=True):
        assert np.linalg.matrix_rank(np.vstack([rows, one.T]), tol=1e-4) == 3
    np.testing.assert_allclose(np.linalg.norm(added, axis=(-2, -1)), 3 * np.linalg.norm(plain), rtol=1e-5)


def test_implicit_matrices_give_their_rows_through_a_product():
    left, right = rng().standard_normal((30, 3)), rng(1).standard_normal((3, 20))
    omega = RowStart().draw(20, 5, rng=rng(2), like=left)
    implicit, dense = (adapted_to(omega, a).to_dense() for a in (LowRank(left, right), Dense(left @ right)))
    np.testing.assert_allclose(implicit, dense, atol=1e-12)


def test_a_zero_matrix_leaves_the_test_matrix_alone():
    omega = RowStart().draw(20, 5, rng=rng(), like=np.zeros(1))
    np.testing.assert_array_equal(adapted_to(omega, Dense(np.zeros((30, 20)))).to_dense(), omega.to_dense())


def test_rows_save_half_a_power_iteration(seed):
    a = matrix_with_spectrum(polynomial_spectrum(300), (300, 300), rng())
    best = np.linalg.norm(polynomial_spectrum(300)[16:])

    def excess(method):
        return np.linalg.norm(a - method(a, rng=rng(seed)).to_dense()) / best - 1

    for cls in (BlockKrylov, RandomizedSVD):
        assert 0 < excess(cls(16, 4, 1, RowStart())) < 0.8 * excess(cls(16, 4, 1))


def test_a_needle_that_no_row_shows_is_found_all_the_same(seed):
    """One row and column of their own: rows drawn elsewhere are orthogonal to them, the random part is not."""
    a = matrix_with_spectrum(polynomial_spectrum(299), (299, 299), rng())
    a = np.block([[a, np.zeros((299, 1))], [np.zeros((1, 299)), np.full((1, 1), 0.5)]])
    result = BlockKrylov(16, 4, 2, RowStart())(a, rng=rng(seed))
    assert result.to_dense()[-1, -1] == pytest.approx(0.5, rel=1e-3)


def test_a_qb_factorisation_reports_the_test_matrix_that_it_used(xp):
    a = xp.asarray(np.stack([matrix_with_spectrum(polynomial_spectrum(30), (30, 30), rng())] * 2))
    found = QB(RangeFinder(5, 2, 0, RowStart()))(a, rng=rng())
    sample = to_host(a @ found.omega.to_dense())
    q = to_host(found.q)
    np.testing.assert_allclose(q @ (q.mT @ sample), sample, atol=100 * xp.eps())


def test_rows_are_counted():
    with pytest.raises(ValueError, match="rows is 0"):
        RowStart(0)
