"""Nyström from columns: interpolation, the order of semidefinite matrices, ridge leverage, memory, refusals."""

import tracemalloc
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from fixtures import rng

from tnattn.arrays import to_host
from tnattn.gallery import polynomial_spectrum, psd_with_spectrum
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.randnla.columns.leverage_draws import LeverageDraws
from tnattn.randnla.columns.ridge_leverage_draws import RidgeLeverageDraws
from tnattn.randnla.columns.selection import GivenColumns, UniformColumns
from tnattn.randnla.columns.volume_sampling import VolumeColumns
from tnattn.randnla.scores.ridge_leverage import (
    effective_dimension,
    kernel_ridge_leverage_scores,
    ridge_leverage_scores,
)
from tnattn.randnla.semidefinite.column_nystrom import ColumnNystrom, nystrom_of_columns
from tnattn.randnla.semidefinite.pivoted_cholesky import GreedyPivotedCholesky, RandomlyPivotedCholesky
from tnattn.randnla.semidefinite.recursive_nystrom import RecursiveNystrom, RidgeNystrom
from tnattn.structured.conversion import as_structured
from tnattn.structured.dense import Dense
from tnattn.structured.gaussian_kernel import GaussianKernel
from tnattn.structured.low_rank import LowRank

METHODS = [
    ColumnNystrom(6),
    ColumnNystrom(6, GivenColumns((3, 1, 4, 9, 2, 6))),
    ColumnNystrom(6, LeverageDraws(subspace=3)),
    ColumnNystrom(6, RidgeLeverageDraws(0.05)),
    ColumnNystrom(6, VolumeColumns()),
    RecursiveNystrom(6),
    RidgeNystrom(0.3),
]
every_method = pytest.mark.parametrize("method", METHODS, ids=lambda m: repr(m)[:50])
sized = pytest.mark.parametrize("method", METHODS[:-1], ids=lambda m: repr(m)[:50])


def kernels(*batch, n=40, seed=0):
    """Return Gaussian kernels of points in the plane."""
    x = rng(seed).standard_normal((*batch, n, 2))
    return np.exp(-0.5 * np.sum((x[..., :, None, :] - x[..., None, :, :]) ** 2, axis=-1))


@every_method
def test_the_approximation_agrees_with_the_matrix_in_its_columns(xp, method):
    a = xp.asarray(kernels(2, 3))
    result = method(a, rng=rng(1))
    assert type(result.factor) is type(a)
    assert result.dtype == a.dtype
    index = to_host(result.indices)[..., None, :]
    residual = to_host(a) - to_host(result.to_dense())
    picked = np.take_along_axis(residual, np.broadcast_to(np.maximum(index, 0), (2, 3, 40, index.shape[-1])), axis=-1)
    assert np.abs(np.where(index >= 0, picked, 0)).max() < 300 * xp.eps() ** 0.5 * (xp.eps() ** 0.25)


@every_method
def test_the_residual_is_semidefinite_and_its_trace_is_reported(method):
    a = kernels(3)
    result = method(a, rng=rng())
    residual = a - result.to_dense()
    assert np.linalg.eigvalsh(residual).min() > -1e-11
    np.testing.assert_allclose(result.residual_trace, np.trace(residual, axis1=-2, axis2=-1), atol=1e-11)


@every_method
def test_a_batch_mate_changes_nothing(method):
    stack = kernels(3, seed=2)
    stack[1] *= 1e3
    together = method(stack, rng=rng(5)).to_dense()
    alone = np.stack([method(a, rng=rng(5)).to_dense() for a in stack])
    np.testing.assert_allclose(together, alone, atol=1e-9)


@every_method
def test_a_seed_gives_the_same_bits_twice(method):
    a = kernels(2)
    assert np.array_equal(method(a, rng=rng(1)).factor, method(a, rng=rng(1)).factor)


@sized
def test_float32_is_as_good_as_float32_allows(method):
    """Draws differ between the precisions, so that medians over draws are compared."""
    a = kernels(n=60)
    single, double = (
        np.median([np.linalg.norm(a - method(a.astype(dtype), rng=rng(s)).to_dense()) for s in range(15)])
        for dtype in ("float32", "float64")
    )
    assert single <= 1.3 * double + 60 * np.finfo("f4").eps * np.linalg.norm(a)


ALL_COLUMNS = [ColumnNystrom(12), RecursiveNystrom(12), ColumnNystrom(12, VolumeColumns())]


@pytest.mark.parametrize("method", ALL_COLUMNS, ids=repr)
def test_all_columns_are_exact(method):
    a = psd_with_spectrum(polynomial_spectrum(12), rng())
    np.testing.assert_allclose(method(a, rng=rng()).to_dense(), a, atol=1e-12)


@pytest.mark.parametrize("method", [m for m in METHODS if "Volume" not in repr(m)], ids=lambda m: repr(m)[:50])
@pytest.mark.parametrize("a", [np.zeros((12, 12)), np.full((12, 12), 2.0)], ids=["zero", "rank one"])
def test_trivial_matrices_are_exact(method, a):
    np.testing.assert_allclose(method(a, rng=rng()).to_dense(), a, atol=1e-12)


def test_repeated_columns_are_harmless():
    a = kernels()
    twice = nystrom_of_columns(Dense(a), np.array([3, 7, 3, 7, 7, 11])).to_dense()
    once = nystrom_of_columns(Dense(a), np.array([3, 7, 11])).to_dense()
    np.testing.assert_allclose(twice, once, atol=1e-12)


def test_a_place_without_column_adds_nothing():
    a = kernels()
    filled = nystrom_of_columns(Dense(a), np.array([3, 7, -1])).to_dense()
    np.testing.assert_allclose(filled, nystrom_of_columns(Dense(a), np.array([3, 7])).to_dense(), atol=1e-12)


@every_method
@pytest.mark.parametrize(
    "a, words",
    [
        (np.ones((12, 13)), "square"),
        (np.arange(144.0).reshape(12, 12), "not symmetric"),
        (-np.eye(12), "semidefinite"),
    ],
    ids=["rectangular", "asymmetric", "indefinite"],
)
def test_what_is_not_positive_semidefinite_is_refused(method, a, words):
    with pytest.raises(ValueError, match=words):
        method(a, rng=rng())


def test_an_asymmetric_operator_is_found_out_by_its_columns():
    left, right = rng().standard_normal((9, 3)), rng(1).standard_normal((3, 9))
    with pytest.raises(ValueError, match="not symmetric where its columns meet"):
        ColumnNystrom(4)(LowRank(left, right), rng=rng())


def test_the_trace_of_an_operator_is_not_invented():
    left = rng().standard_normal((9, 3))
    result = ColumnNystrom(4)(LowRank(left, left.T), rng=rng())
    np.testing.assert_allclose(result.to_dense(), left @ left.T, atol=1e-12)
    assert np.isnan(result.residual_trace)


@pytest.mark.parametrize(
    "method, error, words",
    [
        (lambda: ColumnNystrom(9)(np.eye(5), rng=rng()), ValueError, "rank 9 exceeds"),
        (lambda: RecursiveNystrom(9)(np.eye(5), rng=rng()), ValueError, "rank 9 exceeds"),
        (lambda: ColumnNystrom(2)(np.eye(5)), TypeError, "pass rng"),
        (lambda: RecursiveNystrom(2)(np.eye(5)), TypeError, "pass rng"),
        (lambda: RidgeNystrom()(np.eye(5)), TypeError, "pass rng"),
        (lambda: RidgeNystrom(ridge=0.0), ValueError, "ridge is 0.0"),
        (lambda: RidgeNystrom(failure=0.2), ValueError, "failure is 0.2"),
        (lambda: RidgeLeverageDraws(ridge=-1.0), ValueError, "ridge is -1.0"),
        (lambda: ColumnNystrom(selection=None), TypeError, "ColumnSelection"),
        (lambda: ridge_leverage_scores(np.eye(3), ridge=0.0), ValueError, "ridge is 0.0"),
    ],
)
def test_impossible_parameters_are_refused(method, error, words):
    with pytest.raises(error, match=words):
        method()


# entries on demand


@dataclass(frozen=True, eq=False)
class CountedEntries(GaussianKernel):
    """Entries of a Gaussian kernel, counting the columns read."""

    read: Any = None

    def columns(self, indices):
        self.read.append(indices.shape[-1])
        return super().columns(indices)


DEMAND = [ColumnNystrom(16), RecursiveNystrom(16), RandomlyPivotedCholesky(16), GreedyPivotedCholesky(16)]
on_demand = pytest.mark.parametrize("method", DEMAND, ids=repr)


@pytest.mark.parametrize("method", DEMAND[:3], ids=repr)  # on a diagonal of ones greedy pivots hang on rounding
def test_entries_on_demand_give_what_the_array_gives(method):
    points = rng().standard_normal((2, 60, 3))
    entries = CountedEntries(points, read=[])
    result, desired = method(entries, rng=rng(1)), method(as_structured(entries).to_dense(), rng=rng(1))
    np.testing.assert_allclose(result.to_dense(), desired.to_dense(), atol=1e-9)


# tolerances


TOLERANT = [ColumnNystrom(30, rtol=0.3), ColumnNystrom(25, VolumeColumns(), rtol=0.3)]


@pytest.mark.parametrize("first", [1, 7, 100])
@pytest.mark.parametrize("method", TOLERANT, ids=repr)
def test_a_tolerance_takes_as_few_leading_columns_as_it_needs(xp, monkeypatch, method, first):
    monkeypatch.setattr("tnattn.randnla.semidefinite.column_nystrom._BLOCK", first)
    stack = kernels(3) ** 4  # narrow: no column is near the span of others
    stack[1] = 0.7 * stack[1] + 0.3 * np.ones((40, 40))
    result = method(xp.asarray(stack), rng=rng(1))
    indices = method.selection.select(as_structured(xp.asarray(stack)), method.rank, rng=rng(1))
    indices, ranks, residual = to_host(indices), to_host(result.ranks), to_host(result.residual)
    assert np.all(to_host(result.converged))
    assert result.factor.shape[-1] == ranks.max() < method.rank
    for i, (k, matrix) in enumerate(zip(ranks, stack, strict=True)):
        enough, less = (nystrom_of_columns(Dense(matrix), indices[i, :r]) for r in (k, k - 1))
        assert to_host(result.indices)[i, :k].tolist() == indices[i, :k].tolist()
        assert np.all(to_host(result.indices)[i, k:] == -1)
        np.testing.assert_allclose(to_host(result.to_dense())[i], enough.to_dense(), atol=10_000 * xp.eps())
        np.testing.assert_allclose(residual[i], enough.residual, atol=10_000 * xp.eps())
        assert residual[i] <= 0.3 < less.residual_trace / 40


def test_columns_that_a_tolerance_does_not_need_are_not_read():
    entries = CountedEntries(rng().standard_normal((500, 2)), read=[])
    result = ColumnNystrom(400, rtol=0.01)(entries, rng=rng())
    assert result.ranks < 100
    assert entries.read == [100]


def test_a_tolerance_that_is_missed_is_told():
    with pytest.warns(ToleranceWarning, match="rtol 0.001 is not met at rank 6 by 2 of the 3 matrices"):
        result = ColumnNystrom(6, rtol=1e-3)(np.concatenate([kernels(2), np.ones((1, 40, 40))]), rng=rng())
    assert result.converged.tolist() == [False, False, True]
    assert result.ranks.tolist() == [6, 6, 1]


def test_a_zero_matrix_meets_any_tolerance_without_a_column(xp):
    result = ColumnNystrom(3, rtol=0.1)(xp.asarray(np.zeros((2, 5, 5))), rng=rng())
    assert to_host(result.ranks).tolist() == [0, 0]
    assert np.all(to_host(result.converged))
    assert np.all(to_host(result.to_dense()) == 0)


def test_a_tolerance_without_a_diagonal_is_refused():
    left = rng().standard_normal((9, 3))
    with pytest.raises(ValueError, match=r"rtol 0\.1 needs the diagonal, which a LowRank does not give"):
        ColumnNystrom(4, rtol=0.1)(LowRank(left, left.T), rng=rng())


# blocks of columns


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [0.1, 3.0], ids=["narrow", "wide"])
def test_blocks_of_columns_with_repetitions_give_what_all_at_once_give(monkeypatch, dtype, width):
    x = rng().standard_normal((300, 2)) / width
    a = np.exp(-0.5 * np.sum((x[:, None, :] - x) ** 2, axis=-1))
    indices = rng(1).integers(0, 300, 150)
    found = nystrom_of_columns(Dense(a.astype(dtype)), indices)
    monkeypatch.setattr("tnattn.randnla.semidefinite.column_nystrom._BLOCK", 300)
    desired = nystrom_of_columns(Dense(a), np.unique(indices))
    allowed = 300 * 150 * np.finfo(dtype).eps  # n times the shift, in units of the largest eigenvalue
    assert found.residual < desired.residual + allowed
    assert np.linalg.eigvalsh(a - found.to_dense()).min() > -allowed


@on_demand
def test_memory_grows_with_the_columns_not_with_the_square(method):
    n = 6000
    entries = GaussianKernel(rng().standard_normal((n, 3)))
    method(GaussianKernel(rng().standard_normal((50, 3))), rng=rng())  # imports and caches
    tracemalloc.start()
    method(entries, rng=rng(1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 8 * n * 16  # 9 MB; the matrix has 288 MB


def test_the_recursion_reads_a_logarithm_of_blocks():
    entries = CountedEntries(rng().standard_normal((512, 3)), read=[])
    RecursiveNystrom(16)(entries, rng=rng())
    assert entries.read == [16] * 6


# ridge leverage


def test_ridge_scores_are_the_diagonal_of_the_smoother(xp, assert_close):
    a = rng().standard_normal((2, 12, 5))
    gram = np.swapaxes(a, -1, -2) @ a + 0.3 * np.eye(5)
    desired = np.diagonal(a @ np.linalg.solve(gram, np.swapaxes(a, -1, -2)), axis1=-2, axis2=-1)
    assert_close(ridge_leverage_scores(xp.asarray(a), ridge=0.3), desired, rtol=0, atol=100 * xp.eps())
    kernel = a @ np.swapaxes(a, -1, -2)
    scores = kernel_ridge_leverage_scores(xp.asarray(kernel), ridge=0.3)
    assert_close(scores, desired, rtol=0, atol=500 * xp.eps())
    total = effective_dimension(xp.asarray(kernel), ridge=0.3)
    assert_close(total, desired.sum(axis=-1), rtol=0, atol=500 * xp.eps())


def test_recursive_scores_find_a_small_cluster():
    """Ten far points among 290: uniform columns miss them in most runs, and lose their share of the trace."""
    x = np.concatenate([0.3 * rng().standard_normal((290, 2)), 4 + rng(1).standard_normal((10, 2))])
    entries = GaussianKernel(x)
    seeds = range(12)
    uniform, recursive = (
        np.median([float(m(entries, rng=rng(s)).residual_trace) for s in seeds])
        for m in (ColumnNystrom(20, UniformColumns()), RecursiveNystrom(20))
    )
    assert recursive < 0.75 * uniform


def test_the_ridge_bounds_the_error_and_a_larger_one_takes_fewer_columns():
    a = np.eye(300) * 1e-3 + np.ones((300, 300))
    counts = []
    for ridge in (0.5, 5.0):
        result = RidgeNystrom(ridge)(a, rng=rng(1))
        assert np.linalg.norm(a - result.to_dense(), 2) <= ridge
        counts.append(result.indices.shape[-1])
    assert 300 > counts[0] > counts[1]
