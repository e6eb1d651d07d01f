"""Interpolative and CUR decompositions to a tolerance: met, no larger than needed, honest where they fail."""

import dataclasses

import numpy as np
import pytest
from fixtures import relative_of_each, rng

from tnattn.arrays import to_host
from tnattn.attention.problem import AttentionProblem
from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.randnla.columns.cur import CUR
from tnattn.randnla.columns.interpolative import InterpolativeDecomposition
from tnattn.randnla.columns.leverage_draws import LeverageDraws
from tnattn.randnla.columns.nested_errors import in_greedy_order
from tnattn.randnla.columns.pivoted_qr import QRColumns
from tnattn.randnla.columns.selection import GivenColumns
from tnattn.randnla.columns.strong_rrqr import StrongColumns
from tnattn.randnla.sketches.gaussian import Gaussian

ADAPTIVE = [
    InterpolativeDecomposition(rtol=0.05),
    InterpolativeDecomposition(rtol=0.05, selection=StrongColumns()),
    InterpolativeDecomposition(rtol=0.05, selection=QRColumns(sketch=Gaussian())),
    CUR(rtol=0.05),
    CUR(rtol=0.05, selection=QRColumns()),
]
every_adaptive = pytest.mark.parametrize("method", ADAPTIVE, ids=lambda m: f"{type(m).__name__}-{m.selection!r}"[:60])


def spectra(m=40, n=30):
    """Return a slow spectrum, a fast one, a matrix of rank 3, and zero."""
    thin = rng(3).standard_normal((m, 3)) @ rng(4).standard_normal((3, n))
    slow = matrix_with_spectrum(polynomial_spectrum(n), (m, n), rng(1))
    return np.stack([slow, matrix_with_spectrum(0.5 ** np.arange(n), (m, n), rng(2)), thin, np.zeros((m, n))])


@every_adaptive
def test_every_matrix_of_a_stack_keeps_the_tolerance_at_its_own_rank(xp, method):
    for dtype in xp.dtypes:
        a = spectra()
        result = method.with_rank(30)(xp.asarray(a, dtype), rng=rng())
        ranks, noise = to_host(result.ranks), 100 * np.finfo(dtype).eps
        assert ranks[0] > ranks[1] > ranks[2] == 3
        assert ranks[3] == 0
        assert np.all(relative_of_each(a, result) <= 0.05 + noise)
        np.testing.assert_allclose(to_host(result.residual), relative_of_each(a, result), rtol=1e-3, atol=noise)
        assert np.all(to_host(result.converged))
        assert result.storage == ranks.sum() * 70
        assert type(result.ranks) is type(result.residual) is type(result.converged) is type(xp.asarray(a))
        assert result.rank == ranks.max()


def projected(a, columns):
    return columns @ np.linalg.pinv(columns) @ a


@every_adaptive
def test_one_column_less_would_miss_the_tolerance(method):
    a = spectra()[1]
    result = method.with_rank(30)(a, rng=rng())
    fewer = int(result.ranks) - 1
    if isinstance(method, CUR):
        left = projected(a, a[:, result.column_indices[:fewer]])
        rest = a - projected(left.T, a[result.row_indices[:fewer]].T).T
    else:
        rest = a - projected(a, a[:, result.indices[:fewer]])
    assert np.linalg.norm(rest) > 0.05 * np.linalg.norm(a)


@every_adaptive
def test_the_kept_columns_of_a_stack_are_those_of_the_matrix_alone(method):
    a = spectra()
    together = method.with_rank(30)(a, rng=rng())
    for i in range(4):
        alone = method.with_rank(30)(a[i], rng=rng())
        assert alone.ranks == together.ranks[i]
        np.testing.assert_allclose(together.to_dense()[i], alone.to_dense(), atol=1e-11)


@every_adaptive
def test_what_cannot_be_met_is_returned_with_a_warning(method):
    a = spectra()
    with pytest.warns(ToleranceWarning, match="rtol 0.05 is not met at rank 6 by 1 of the 4 matrices") as caught:
        result = method.with_rank(6)(a, rng=rng())
    assert len(caught) == 1
    assert result.converged.tolist() == [False, True, True, True]
    assert result.ranks[0] == 6
    np.testing.assert_allclose(result.residual, relative_of_each(a, result), rtol=1e-9, atol=1e-14)
    fixed = dataclasses.replace(method, rtol=None).with_rank(6)(a[0], rng=rng())
    np.testing.assert_allclose(result.to_dense()[0], fixed.to_dense(), atol=1e-12)


@pytest.mark.parametrize("cls", [CUR, InterpolativeDecomposition])
@pytest.mark.parametrize("rtol", [1e-6, 1e-11])
def test_steep_spectra_keep_tolerances_below_the_root_of_rounding(cls, rtol):
    a = matrix_with_spectrum(0.3 ** np.arange(40), (60, 40), rng())
    result = cls(40, QRColumns(), rtol=rtol)(a)
    assert np.log(rtol) / np.log(0.3) <= result.ranks < 40
    assert relative_of_each(a, result) <= rtol
    np.testing.assert_allclose(result.residual, relative_of_each(a, result), rtol=1e-3)


@every_adaptive
def test_beyond_the_ranks_there_is_nothing(method):
    result = method.with_rank(30)(spectra(), rng=rng())
    empty = np.arange(result.rank) >= result.ranks[:, None]
    left, right = result.factors()
    assert np.all(np.swapaxes(left, -1, -2)[empty] == 0)
    assert np.all(right[empty] == 0)
    indices = result.indices if isinstance(method, InterpolativeDecomposition) else result.row_indices
    np.testing.assert_array_equal(indices == -1, empty)


def test_columns_drawn_twice_gain_nothing():
    a = matrix_with_spectrum(polynomial_spectrum(12), (12, 12), rng())
    names = np.array([0, 0, *range(1, 11)])
    columns, indices, q = in_greedy_order(a[:, names], names)
    np.testing.assert_array_equal(columns, a[:, indices])
    assert sorted(indices[:11]) == list(range(11))
    assert indices[11] == 0
    np.testing.assert_allclose(q.T @ q, np.diag(np.r_[np.ones(11), 0.0]), atol=1e-13)
    for k in range(1, 12):
        np.testing.assert_allclose(q[:, :k] @ (q[:, :k].T @ columns[:, :k]), columns[:, :k], atol=1e-13)
    result = InterpolativeDecomposition(12, LeverageDraws(subspace=4), rtol=0.3)(a, rng=rng(2))
    np.testing.assert_allclose(result.residual, relative_of_each(a, result), rtol=1e-9)


@every_adaptive
def test_no_more_columns_are_kept_than_greedy_ones_need(method):
    """Points of all singular vectors come in no order of their own: the best come first all the same."""
    a = matrix_with_spectrum(0.5 ** np.arange(12), (20, 12), rng())
    greedy = InterpolativeDecomposition(12, QRColumns(), rtol=0.05)(a).ranks
    assert method.with_rank(12)(a, rng=rng()).ranks <= greedy + 2


@every_adaptive
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_scale_of_a_matrix_is_immaterial_in_single_precision(method, scale):
    a = spectra().astype("f4")
    ranks = method.with_rank(30)(a, rng=rng()).ranks
    scaled = method.with_rank(30)(a * np.float32(scale), rng=rng())
    assert np.all(np.abs(scaled.ranks - ranks) <= 2)
    assert np.all(scaled.converged)
    assert np.all(scaled.residual[:3] <= 0.05)


def test_columns_of_zeros_leave_everything():
    a = np.zeros((6, 7), dtype="f4")
    a[:, 6] = 1e-30
    with pytest.warns(ToleranceWarning, match="largest relative error is 1;"):
        result = InterpolativeDecomposition(2, GivenColumns((0, 1)), rtol=0.1)(a)
    assert not result.converged


@every_adaptive
def test_large_implicit_matrices_are_not_formed(method):
    q, k = rng(3).standard_normal((2, 1, 1100, 3))
    weights = AttentionProblem(q, k, k).weights
    method = dataclasses.replace(method, selection=QRColumns(sketch=Gaussian()), rank=40, rtol=0.2)
    result = method(weights, rng=rng())
    error = relative_of_each(weights.to_dense(), result)
    assert np.all(error <= 0.2)
    np.testing.assert_allclose(result.residual, error, rtol=1e-6)
    with pytest.raises(ValueError, match="cannot be told from rounding"):
        dataclasses.replace(method, rtol=1e-9)(weights, rng=rng())


@pytest.mark.parametrize("cls", [CUR, InterpolativeDecomposition])
@pytest.mark.parametrize("rtol", [0.0, 1.0, -1.0, float("nan")])
def test_tolerances_out_of_range_are_refused(cls, rtol):
    with pytest.raises(ValueError, match="0 < rtol < 1"):
        cls(rtol=rtol)


def test_a_tolerance_without_a_projection_is_refused():
    with pytest.raises(ValueError, match="PartialPivotCross"):
        CUR(rtol=0.1, projection=False)
