"""Generalized Nyström: near-optimality, stability, and the part that oversampling of one side plays."""

import numpy as np
import pytest
from fixtures import relative_of_each, rng
from scipy.sparse.linalg import aslinearoperator

from tnattn.arrays import to_host
from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.randnla.low_rank.generalized_nystrom import GeneralizedNystrom
from tnattn.randnla.low_rank.qb import QB
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.randnla.sketches.count_sketch import CountSketch


def slow(m=100, n=80):
    return matrix_with_spectrum(polynomial_spectrum(min(m, n)), (m, n), rng())


def test_an_excess_of_rows_tames_the_pseudo_inverse(seed):
    a = slow()
    none, some = (
        np.linalg.norm(a - GeneralizedNystrom(20, 0, excess)(a, rng=rng(seed)).to_dense()) for excess in (0, 10)
    )
    assert some < 0.6 * none


def test_the_excess_by_default_is_half_of_the_columns():
    assert GeneralizedNystrom(10, 5).corange_size == 15 + 8
    assert GeneralizedNystrom(10, 5, 3).corange_size == 18


def test_the_basis_is_that_of_the_range_finder():
    a = slow()
    result = GeneralizedNystrom(6, 4)(a, rng=rng(3))
    q = QB(RangeFinder(6, 4, 0))(a, rng=rng(3)).q
    np.testing.assert_allclose(result.u @ result.u.T, q @ q.T, atol=1e-12)


@pytest.mark.parametrize("level", [1e-8, 1e-15, 0.0])
def test_tiny_singular_values_do_no_harm(level):
    s = np.r_[[3.0, 2.0, 1.0], np.full(37, level)]
    a = matrix_with_spectrum(s, (50, 40), rng())
    error = np.linalg.norm(a - GeneralizedNystrom(10)(a, rng=rng()).to_dense())
    assert error < 100 * level * 37**0.5 + 1e-13


def test_the_matrix_is_the_leading_part_of_the_untruncated_one():
    result = GeneralizedNystrom(6, 4)(slow(), rng=rng())
    whole = result.untruncated
    assert (result.rank, whole.rank) == (6, 10)
    u, s, vt = np.linalg.svd(whole.to_dense())
    np.testing.assert_allclose(result.to_dense(), (u[:, :6] * s[:6]) @ vt[:6], atol=1e-12)


def test_sparse_sketches_work_from_both_sides():
    a = slow()
    error = np.linalg.norm(a - GeneralizedNystrom(10, 20, sketch=CountSketch())(a, rng=rng()).to_dense())
    assert error < 2.5 * np.linalg.norm(polynomial_spectrum(80)[10:])


@pytest.mark.parametrize("fields, words", [({"excess": -1}, "excess"), ({"oversampling": -1}, "oversampling")])
def test_impossible_parameters_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        GeneralizedNystrom(**fields)


@pytest.mark.parametrize("rtol", [0.5, 0.05, 0.002])
def test_a_tolerance_takes_the_smallest_rank_that_meets_it(xp, rtol):
    decays = (0.7 ** np.arange(50), 0.3 ** np.arange(50), np.zeros(50))
    a = np.stack([matrix_with_spectrum(10.0**i * s, (60, 50), rng(i)) for i, s in enumerate(decays)])
    for dtype in xp.dtypes:
        given = xp.asarray(a, dtype)
        result = GeneralizedNystrom(25, rtol=rtol)(given, rng=rng())
        ranks, noise = to_host(result.ranks), 100 * np.finfo(dtype).eps
        assert np.all(relative_of_each(a, result) <= rtol + noise)
        np.testing.assert_allclose(to_host(result.residual), relative_of_each(a, result), rtol=1e-3, atol=noise)
        assert np.all(to_host(result.converged))
        assert ranks[0] > ranks[1] > ranks[2] == 0
        for i in range(2):  # one less is not enough
            less = int(ranks[i]) - 1
            if less:
                fewer = GeneralizedNystrom(less, 35 - less)(given, rng=rng())
                assert relative_of_each(a, fewer)[i] > rtol - noise
        assert result.storage == 110 * ranks.sum()
        assert relative_of_each(a, result.untruncated)[0] <= relative_of_each(a, result)[0]


def test_a_tolerance_out_of_reach_is_told_with_the_error_of_all_triples():
    a = slow()
    with pytest.warns(ToleranceWarning, match="rtol 0.01 is not met at rank 10 by 1 of the 1") as caught:
        result = GeneralizedNystrom(10, rtol=0.01)(a, rng=rng())
    assert len(caught) == 1
    np.testing.assert_allclose(result.to_dense(), GeneralizedNystrom(10)(a, rng=rng()).to_dense(), atol=1e-13)
    np.testing.assert_allclose(result.residual, relative_of_each(a, result), rtol=1e-12)
    assert (int(result.ranks), bool(result.converged)) == (10, False)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_a_tolerance_has_no_scale(scale):
    a = matrix_with_spectrum(0.5 ** np.arange(30), (40, 30), rng())
    one, two = (GeneralizedNystrom(20, rtol=0.01)(x, rng=rng()) for x in (a, scale * a))
    assert one.ranks == two.ranks
    np.testing.assert_allclose(two.residual, one.residual, rtol=1e-9)


def test_the_error_of_a_large_operator_comes_from_its_norm():
    left, right = rng(1).standard_normal((1100, 30)), rng(2).standard_normal((30, 1000))
    a = (left * 0.5 ** np.arange(30)) @ right
    result = GeneralizedNystrom(20, rtol=0.01)(aslinearoperator(a), rng=rng())
    np.testing.assert_allclose(result.residual, relative_of_each(a, result), rtol=1e-6)
    assert result.converged
    with pytest.raises(ValueError, match="told from rounding"):
        GeneralizedNystrom(20, rtol=1e-9)(aslinearoperator(a), rng=rng())


@pytest.mark.parametrize("rtol, words", [(0.0, "0 < rtol < 1"), (1.0, "0 < rtol < 1"), (1e-15, "rounding")])
def test_an_impossible_tolerance_is_refused(rtol, words):
    with pytest.raises(ValueError, match=words):
        GeneralizedNystrom(3, rtol=rtol)(slow(), rng=rng())
