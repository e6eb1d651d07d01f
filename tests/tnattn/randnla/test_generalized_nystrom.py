"""Generalized Nyström: near-optimality, stability, and the part that oversampling of one side plays."""

import numpy as np
import pytest

from theory.bounds.randnla.instances import slow_spectrum, with_singular_values
from tnattn.randnla.count_sketch import CountSketch
from tnattn.randnla.generalized_nystrom import GeneralizedNystrom
from tnattn.randnla.qb import QB
from tnattn.randnla.range_finder import RangeFinder


def rng(seed=0):
    return np.random.default_rng(seed)


def slow(m=100, n=80):
    return with_singular_values(rng(), slow_spectrum(min(m, n)), m, n)


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
    q = QB(RangeFinder(6, 4))(a, rng=rng(3)).q
    np.testing.assert_allclose(result.u @ result.u.T, q @ q.T, atol=1e-12)


@pytest.mark.parametrize("level", [1e-8, 1e-15, 0.0])
def test_tiny_singular_values_do_no_harm(level):
    s = np.r_[[3.0, 2.0, 1.0], np.full(37, level)]
    a = with_singular_values(rng(), s, 50, 40)
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
    assert error < 2.5 * np.linalg.norm(slow_spectrum(80)[10:])


@pytest.mark.parametrize("fields, words", [({"excess": -1}, "excess"), ({"oversampling": -1}, "oversampling")])
def test_impossible_parameters_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        GeneralizedNystrom(**fields)
