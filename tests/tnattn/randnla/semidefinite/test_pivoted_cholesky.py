"""Pivoted Cholesky: interpolation, the law of the pivots, stacks, implicit matrices, refusals."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from fixtures import rng
from scipy import stats

from tnattn.arrays import array_namespace, to_host
from tnattn.gallery import polynomial_spectrum, psd_with_spectrum
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.scores.leverage import sample_indices
from tnattn.randnla.semidefinite.elimination import Elimination
from tnattn.randnla.semidefinite.pivoted_cholesky import GreedyPivotedCholesky, RandomlyPivotedCholesky
from tnattn.structured.conversion import as_structured
from tnattn.structured.gaussian_kernel import GaussianKernel
from tnattn.structured.implicit import KernelEntries, PrincipalEntries

METHODS = [
    RandomlyPivotedCholesky(rank=6),
    RandomlyPivotedCholesky(rank=6, block=1),
    RandomlyPivotedCholesky(rank=6, block=4),
    GreedyPivotedCholesky(rank=6),
]
every_method = pytest.mark.parametrize("method", METHODS, ids=repr)


def kernels(*batch, n=40, seed=0):
    """Return Gaussian kernels of points in the plane."""
    x = rng(seed).standard_normal((*batch, n, 2))
    return np.exp(-0.5 * np.sum((x[..., :, None, :] - x[..., None, :, :]) ** 2, axis=-1))


@dataclass(frozen=True, eq=False)
class CountedEntries:
    """Entries of given matrices, counting the columns read."""

    a: Any
    read: list

    @property
    def shape(self):
        return tuple(self.a.shape)

    @property
    def like(self):
        return self.a[..., 0]

    def diagonal(self):
        return np.diagonal(self.a, axis1=-2, axis2=-1).copy()

    def columns(self, indices):
        self.read.append(indices.shape[-1])
        return np.take_along_axis(self.a, indices[..., None, :], axis=-1)


@every_method
def test_the_approximation_agrees_with_the_matrix_in_the_pivot_columns(xp, method, assert_close):
    a = xp.asarray(kernels(2, 3))
    result = method(a, rng=rng(1))
    dense, pivots = to_host(result.to_dense()), to_host(result.pivots)
    assert type(result.factor) is type(a)
    index = pivots[..., None, :]
    made, given = (np.take_along_axis(x, np.broadcast_to(index, (2, 3, 40, 6)), axis=-1) for x in (dense, to_host(a)))
    np.testing.assert_allclose(made, given, atol=500 * xp.eps())
    assert np.all(np.diff(np.sort(pivots, axis=-1), axis=-1) > 0)


@every_method
def test_the_residual_trace_is_the_nuclear_error(method):
    a = kernels(3)
    result = method(a, rng=rng())
    residual = a - result.to_dense()
    np.testing.assert_allclose(result.residual_trace, np.linalg.norm(residual, "nuc", axis=(-2, -1)), rtol=1e-10)
    assert np.linalg.eigvalsh(residual).min() > -1e-12


@every_method
def test_full_rank_is_exact(method):
    a = psd_with_spectrum(polynomial_spectrum(20), rng())
    result = method.with_rank(20)(a, rng=rng())
    np.testing.assert_allclose(result.to_dense(), a, atol=1e-13)
    assert np.array_equal(np.sort(result.pivots), np.arange(20))


@every_method
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elimination_stops_where_the_residual_is_rounding(method, dtype):
    factor = rng().standard_normal((30, 4))
    a = (factor @ factor.T).astype(dtype)
    result = method.with_rank(12)(np.stack([a, np.eye(30, dtype=dtype)]), rng=rng(3))
    assert result.ranks.tolist() == [4, 12]
    np.testing.assert_allclose(result.to_dense()[0], a, atol=100 * np.finfo(dtype).eps * np.abs(a).max())
    assert np.all(result.factor[0][:, 4:] == 0)
    assert np.all(result.pivots[0][4:] == -1)


@every_method
def test_each_matrix_of_a_stack_is_eliminated_as_if_alone(method):
    stack = kernels(5, seed=2)
    stack[1] *= 1e-3
    stack[2] = 1.0  # rank one: done after the first pivot
    together = method.with_rank(10)(stack, rng=rng(5))
    for i, a in enumerate(stack):
        alone = method.with_rank(10)(a, rng=rng(5))
        assert np.array_equal(together.pivots[i], alone.pivots)
        np.testing.assert_allclose(together.factor[i], alone.factor, atol=1e-12)


def pivot_counts(method, a, draws):
    """Return how often each ordered pair of pivots occurs."""
    n = a.shape[0]
    counts = np.zeros((n, n))
    generator = rng(11)
    for _ in range(draws):
        i, j = method(a, rng=generator).pivots
        counts[i, j] += 1
    return counts


def pair_probabilities(a):
    """Return the chance of each ordered pair of pivots, from the definition."""
    d = np.diag(a)
    p = np.zeros_like(a)
    for i in range(len(a)):
        left = np.maximum(d - a[:, i] ** 2 / d[i], 0)
        left[i] = 0
        p[i] = d[i] / d.sum() * left / left.sum()
    return p


@pytest.mark.parametrize("block", [1, 2])
def test_pairs_of_random_pivots_have_the_stated_law(block):
    a = psd_with_spectrum([3.0, 1.0, 0.5, 0.2], rng(4))
    observed = pivot_counts(RandomlyPivotedCholesky(rank=2, block=block), a, 800)
    expected = 800 * pair_probabilities(a)
    off = ~np.eye(4, dtype=bool)
    assert stats.chisquare(observed[off], expected[off]).pvalue > 1e-6


def test_the_law_of_the_pivots_is_not_that_of_independent_draws():
    a = psd_with_spectrum([3.0, 1.0, 0.5, 0.2], rng(4))
    observed = pivot_counts(RandomlyPivotedCholesky(rank=2, block=2), a, 800)
    d = np.diag(a) / np.trace(a)
    wrong = d[:, None] * d / (1 - d[:, None])
    off = ~np.eye(4, dtype=bool)
    assert stats.chisquare(observed[off], 800 * wrong[off]).pvalue < 1e-6


def test_greedy_pivots_take_the_largest_residual():
    a = np.diag([1.0, 5.0, 2.0, 4.0])
    assert GreedyPivotedCholesky(rank=3)(a).pivots.tolist() == [1, 3, 2]


@every_method
def test_entries_on_demand_give_what_the_array_gives(method):
    a = kernels()
    entries = CountedEntries(a, [])
    assert isinstance(entries, KernelEntries)
    result, desired = method(entries, rng=rng(1)), method(a, rng=rng(1))
    np.testing.assert_allclose(result.factor, desired.factor, atol=1e-13)
    assert sum(entries.read) < 40  # never the whole matrix


def test_other_methods_take_entries_on_demand_too():
    a = kernels(2)
    result = RandomizedSVD(rank=5)(CountedEntries(a, []), rng=rng(1))
    np.testing.assert_allclose(result.to_dense(), RandomizedSVD(rank=5)(a, rng=rng(1)).to_dense(), atol=1e-12)


@every_method
def test_a_seed_gives_the_same_bits_twice(method):
    a = kernels(2)
    assert np.array_equal(method(a, rng=rng(1)).factor, method(a, rng=rng(1)).factor)


@every_method
def test_a_zero_matrix_gives_zero(xp, method):
    result = method.with_rank(3)(xp.asarray(np.zeros((2, 5, 5))), rng=rng())
    assert np.all(to_host(result.to_dense()) == 0)
    assert np.all(to_host(result.pivots) == -1)
    assert np.all(to_host(result.ranks) == 0)


@every_method
def test_a_one_by_one_matrix_works(method):
    result = method.with_rank(1)(np.array([[4.0]]), rng=rng())
    assert result.factor.tolist() == [[2.0]]


@every_method
@pytest.mark.parametrize(
    "a, words",
    [
        (np.ones((4, 5)), "square"),
        (np.arange(36.0).reshape(6, 6), "not symmetric"),
        (np.ones((6, 6)) - np.eye(6), "not on the diagonal"),
        (np.eye(6) + 3 * np.fliplr(np.eye(6)), "not on the diagonal"),
        (scipy.linalg.toeplitz([1.0, 0.9, 0.0, 0.0, 0.0, 0.0]), "residual"),
        (np.diag([1.0, 1.0, 1.0, 1.0, 1.0, -1.0]), "not positive semidefinite"),
    ],
    ids=["rectangular", "asymmetric", "zero diagonal", "dominated diagonal", "indefinite band", "negative diagonal"],
)
def test_what_is_not_positive_semidefinite_is_refused(method, a, words):
    with pytest.raises(ValueError, match=words):
        method.with_rank(4)(a, rng=rng())


@pytest.mark.parametrize("cls", [RandomlyPivotedCholesky, GreedyPivotedCholesky])
def test_impossible_ranks_are_refused(cls):
    with pytest.raises(ValueError, match="rank is 0"):
        cls(rank=0)
    with pytest.raises(ValueError, match="rank 7 exceeds"):
        cls(rank=7)(np.eye(6), rng=rng())


def test_an_empty_block_is_refused():
    with pytest.raises(ValueError, match="block is 0"):
        RandomlyPivotedCholesky(block=0)


def test_random_pivots_need_a_generator():
    with pytest.raises(TypeError, match="pass rng"):
        RandomlyPivotedCholesky(rank=2)(np.eye(4))


def test_the_factor_stays_in_the_library_of_the_entries(xp):
    a = xp.asarray(kernels(), "float32")
    assert array_namespace(RandomlyPivotedCholesky(rank=3)(a, rng=rng()).pivots) is array_namespace(a)


@every_method
def test_a_tolerance_takes_as_many_pivots_as_it_needs(xp, method):
    stack = kernels(3)
    stack[1] = 1.0
    result = dataclasses.replace(method, rank=40, rtol=1e-2)(xp.asarray(stack), rng=rng())
    ranks, pivots, factor = to_host(result.ranks), to_host(result.pivots), to_host(result.factor)
    assert np.all(to_host(result.converged))
    assert np.all(to_host(result.residual) <= 1e-2)
    np.testing.assert_allclose(to_host(result.residual), to_host(result.residual_trace) / 40, atol=4 * xp.eps())
    assert ranks[1] == 1
    for i, r in enumerate(ranks):  # one pivot fewer would not have done
        assert np.sum(factor[i, :, : r - 1] ** 2) < 0.99 * 40
        assert np.all(pivots[i, r:] == -1)
        assert np.all(factor[i, :, r:] == 0)


@every_method
def test_a_tolerance_that_is_missed_is_told(method):
    stack = np.concatenate([kernels(2), np.ones((1, 40, 40))])
    with pytest.warns(ToleranceWarning, match="rtol 0.001 is not met at rank 6 by 2 of the 3 matrices"):
        result = dataclasses.replace(method, rtol=1e-3)(stack, rng=rng())
    assert result.converged.tolist() == [False, False, True]
    assert result.ranks.tolist() == [6, 6, 1]


@pytest.mark.parametrize("block", [3, 100])
def test_a_tolerance_changes_no_pivot_that_it_takes(block):
    a = kernels()
    whole = RandomlyPivotedCholesky(40, block)(a, rng=rng(1))
    some = RandomlyPivotedCholesky(40, block, rtol=0.05)(a, rng=rng(1))
    assert 2 < some.ranks < 30
    assert np.array_equal(some.pivots[: some.ranks], whole.pivots[: some.ranks])


@every_method
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steep_kernels_are_eliminated_down_to_rounding(method, dtype):
    """Points on a line under a wide kernel: blocks whose factors are far from the identity."""
    x = np.linspace(0, 1, 200)
    a = np.exp(-((x[:, None] - x) ** 2))
    result = method.with_rank(30)(a.astype(dtype), rng=rng(2))
    assert np.linalg.norm(a - result.to_dense(), 2) < 30 * 8 * np.finfo(dtype).eps * 200


def test_entries_among_proposals_spare_the_columns_of_rejected_ones():
    class Principal(CountedEntries):
        def principal(self, indices):
            return self.a[..., indices[:, None], indices]

    a = np.eye(60) + 40 * np.ones((60, 60)) / 60  # after the first pivot most of the proposals are rejected
    few, many = Principal(a, []), CountedEntries(a, [])
    result = RandomlyPivotedCholesky(10, 10)(few, rng=rng(1))
    desired = RandomlyPivotedCholesky(10, 10)(many, rng=rng(1))
    assert np.array_equal(result.pivots, desired.pivots)
    np.testing.assert_allclose(result.factor, desired.factor, atol=1e-13)
    assert sum(few.read) == 10 < sum(many.read)


def test_entries_among_points_are_those_of_the_columns(xp, assert_close):
    points = rng().standard_normal((2, 30, 3))
    entries = GaussianKernel(xp.asarray(points))
    assert isinstance(entries, PrincipalEntries)
    indices = xp.asarray(np.array([[3, 1, 4], [1, 5, 9]]))
    desired = np.take_along_axis(to_host(entries.columns(indices)), to_host(indices)[..., None], axis=-2)
    assert_close(entries.principal(indices), desired, rtol=0, atol=20 * xp.eps())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@every_method
def test_one_huge_entry_does_not_make_the_others_rounding(method, dtype):
    """Scaling rows and columns changes the pivots but not the accuracy: every entry is judged by its own size."""
    large = {"float32": 1e6, "float64": 1e10}[dtype]
    scales = np.ones(6)
    scales[2] = large
    a = (scales[:, None] * (kernels(n=6) + np.eye(6)) * scales).astype(dtype)
    result = method(a, rng=rng())
    assert sorted(result.pivots.tolist()) == list(range(6))
    found = result.to_dense() / scales[:, None] / scales
    np.testing.assert_allclose(found, a / scales[:, None] / scales, atol=100 * np.finfo(dtype).eps)


@every_method
def test_a_huge_block_of_low_rank_beside_a_small_one_stays_of_low_rank(method):
    tall = rng().standard_normal((20, 2))
    a = scipy.linalg.block_diag(1e12 * tall @ tall.T, np.eye(3))
    result = method(a, rng=rng())
    assert np.count_nonzero((result.pivots >= 0) & (result.pivots < 20)) <= 2
    np.testing.assert_allclose(result.to_dense(), a, atol=1e-2)


@pytest.mark.parametrize("rank", [40, 256])
def test_counted_operations_are_those_of_the_blocks(rank):
    """Blocks of accepted pivots w_i after k_i: 2 n (w_i^2 + w_i k_i) operations, and 2 n w_i for the squares."""
    points = 2 * rng().standard_normal((3000, 16))
    gained = []

    class Counting(Elimination):
        def _append(self, step, raw, pivots, coupling):
            gained.append(raw.shape[-2])
            super()._append(step, raw, pivots, coupling)

    method = RandomlyPivotedCholesky(rank=rank)
    elimination, samples = (
        Counting(as_structured(GaussianKernel(points)), rank, 0.0),
        method.samples(rng(1), like=points),
    )
    block = 0
    while elimination.unfinished:
        drawn = samples.block(block)
        elimination.advance(sample_indices(elimination.residual, drawn[0]), drawn[1])
        block += 1
    before = np.cumsum([0, *gained[:-1]])
    counted = sum(2 * 3000 * (w * w + w * k + w) for w, k in zip(gained, before, strict=True))
    assert method.flops(3000) == pytest.approx(counted, rel=0.1)
