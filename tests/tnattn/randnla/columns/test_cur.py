"""CUR, interpolative and cross approximations: interpolation, exactness, trivial and bad input, implicit operands."""

import itertools

import numpy as np
import pytest
import scipy.sparse
from fixtures import rng
from scipy import stats

from tnattn.arrays import to_host
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.wrappers.low_rank_weights import LowRankWeights
from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.randnla.columns.cross import FullPivotCross, PartialPivotCross
from tnattn.randnla.columns.cur import CUR
from tnattn.randnla.columns.deim import DEIMColumns
from tnattn.randnla.columns.interpolative import InterpolativeDecomposition
from tnattn.randnla.columns.leverage_draws import LeverageDraws
from tnattn.randnla.columns.maxvol import MaxvolCross, maxvol
from tnattn.randnla.columns.pivoted_qr import PivotedQR, QRColumns
from tnattn.randnla.columns.strong_rrqr import StrongColumns
from tnattn.randnla.columns.volume_sampling import VolumeColumns, VolumeCross
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.structured.dense import Dense

METHODS = [
    CUR(5),
    CUR(5, DEIMColumns(svd=RandomizedSVD())),
    CUR(5, QRColumns(sketch=Gaussian())),
    CUR(5, LeverageDraws(subspace=3)),
    CUR(5, VolumeColumns()),
    CUR(5, projection=False),
    InterpolativeDecomposition(5),
    InterpolativeDecomposition(5, StrongColumns(1.2)),
    InterpolativeDecomposition(5, QRColumns(sketch=Gaussian())),
    FullPivotCross(5),
    PartialPivotCross(5),
    MaxvolCross(5),
    PivotedQR(5),
]
every_method = pytest.mark.parametrize(
    "method", METHODS, ids=lambda m: repr(m).replace("svd=TruncatedSVD(rank=16)", "")
)
# draws with replacement need luck to be exact, and volumes need the full rank
without_luck = pytest.mark.parametrize(
    "method",
    [m for m in METHODS if m not in (CUR(5, LeverageDraws(subspace=3)), CUR(5, VolumeColumns()))],
    ids=lambda m: repr(m)[:60],
)


def matrices(*batch, m=18, n=14, seed=0):
    """Return matrices with singular values 1, 1/2, 1/4, ... and random singular vectors."""
    count = int(np.prod(batch))
    stack = [matrix_with_spectrum(0.5 ** np.arange(n), (m, n), rng(seed + i)) for i in range(count)]
    return np.reshape(stack, (*batch, m, n))


@every_method
def test_the_result_has_shape_library_and_dtype_of_the_matrix(xp, method):
    a = xp.asarray(matrices(2, 2))
    result = method(a, rng=rng(1))
    assert result.shape == (2, 2, 18, 14)
    assert type(result.to_dense()) is type(a)
    assert result.dtype == a.dtype


@every_method
def test_the_error_is_near_the_best_of_that_rank(method):
    a = matrices(3)
    best = TruncatedSVD(rank=5)(a).to_dense()
    errors = [np.linalg.norm(a - x, axis=(-2, -1)) for x in (method(a, rng=rng(1)).to_dense(), best)]
    assert np.all(errors[0] >= errors[1])
    assert np.all(errors[0] < 12 * errors[1])


@without_luck
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_matrix_of_that_rank_is_reproduced(method, dtype):
    a = (rng().standard_normal((2, 20, 4)) @ rng(1).standard_normal((2, 4, 17))).astype(dtype)
    error = np.abs(a - method(a, rng=rng(2)).to_dense()).max()
    assert error < 2000 * np.finfo(dtype).eps * np.abs(a).max()


@without_luck
def test_full_rank_is_exact(method):
    a = matrix_with_spectrum(polynomial_spectrum(9), (9, 9), rng())
    np.testing.assert_allclose(method.with_rank(9)(a, rng=rng()).to_dense(), a, atol=1e-12)


@every_method
def test_a_batch_mate_changes_nothing(method):
    stack = matrices(3)
    stack[1] = 0.0
    stack[2] *= 1e4
    together = method(stack, rng=rng(3)).to_dense() if not isinstance(method, CUR) else None
    if together is None:
        stack[1] = matrices(1, seed=7)[0]
        together = method(stack, rng=rng(3)).to_dense()
    alone = [method(a, rng=rng(3)).to_dense() for a in stack]
    np.testing.assert_allclose(together / 1e4, np.stack(alone) / 1e4, atol=1e-14)


@every_method
def test_a_seed_gives_the_same_bits_twice(method):
    a = matrices(2)
    assert np.array_equal(method(a, rng=rng(1)).to_dense(), method(a, rng=rng(1)).to_dense())


@without_luck
@pytest.mark.parametrize(
    "a", [np.zeros((6, 7)), np.ones((1, 9)), np.array([[3.0]])], ids=["zero", "one row", "one entry"]
)
def test_trivial_matrices_are_exact(method, a):
    rank = min(5, *a.shape)
    np.testing.assert_allclose(method.with_rank(rank)(a, rng=rng()).to_dense(), a, atol=1e-14)


@every_method
def test_impossible_input_is_refused(method):
    with pytest.raises(ValueError, match="rank 9 exceeds"):
        method.with_rank(9)(np.ones((8, 12)), rng=rng())
    with pytest.raises(ValueError, match="rank is 0"):
        method.with_rank(0)
    with pytest.raises(ValueError, match="finite|NaN|nan"):
        method(np.full((6, 6), np.nan), rng=rng())


@every_method
def test_sparse_matrices_and_operators_give_what_the_array_gives(method):
    a = matrices(1)[0] * (rng().random((18, 14)) < 0.7)
    dense, sparse = (method(x, rng=rng(2)).to_dense() for x in (a, scipy.sparse.csr_array(a)))
    np.testing.assert_allclose(dense, sparse, atol=1e-10)


@every_method
def test_the_exact_weights_of_attention_are_taken(method):
    q, k, v = (rng(i).standard_normal((2, 20, 4)) for i in range(3))
    problem = AttentionProblem(q, k, v)
    errors = []
    for rank in (4, 20):
        output = LowRankWeights(method.with_rank(rank))(problem, rng=rng(1)).output
        errors.append(np.linalg.norm(np.nan_to_num(output - problem.output, nan=10.0)))
    if not isinstance(getattr(method, "selection", None), LeverageDraws):
        assert errors[1] < 1e-6
    assert errors[1] < errors[0]


# interpolation


@pytest.mark.parametrize("method", [m for m in METHODS if isinstance(m, InterpolativeDecomposition)], ids=repr)
def test_an_interpolative_decomposition_holds_columns_and_the_identity(xp, method, assert_close):
    a = xp.asarray(matrices(2))
    result = method(a, rng=rng(1))
    index = to_host(result.indices)[:, None, :]
    np.testing.assert_array_equal(to_host(result.skeleton), np.take_along_axis(to_host(a), index, axis=-1))
    picked = np.take_along_axis(to_host(result.coefficients), index, axis=-1)
    np.testing.assert_array_equal(picked, np.broadcast_to(np.eye(5), (2, 5, 5)))
    assert to_host(result.ranks).tolist() == [5, 5]


@pytest.mark.parametrize("method", [CUR(5), CUR(5, projection=False), CUR(5, QRColumns())], ids=repr)
def test_the_middle_matrix_of_cur_joins_its_columns_and_rows(method):
    a = matrices(2)
    result = method(a, rng=rng())
    columns = Dense(a).columns(result.column_indices)
    rows = Dense(a).rows(result.row_indices)
    np.testing.assert_allclose(columns @ result.middle @ rows, result.to_dense(), atol=1e-11)
    assert result.ranks.tolist() == [5, 5]


def test_the_projection_is_the_best_middle_matrix():
    a = matrices(1)[0]
    one, other = CUR(5, QRColumns())(a), CUR(5, QRColumns(), projection=False)(a)
    assert one.column_indices.tolist() == other.column_indices.tolist()
    assert np.linalg.norm(a - one.to_dense()) < np.linalg.norm(a - other.to_dense())


def test_ill_conditioned_columns_do_not_spoil_the_product():
    """The middle matrix itself has entries of 1e13 and more; multiplied out, it loses everything."""
    x = np.linspace(0, 1, 40)
    a = np.exp(-((x[:, None] - x) ** 2))
    result = CUR(20)(a)
    assert np.abs(result.middle).max() > 1e8
    np.testing.assert_allclose(result.to_dense(), a, atol=1e-12)


@pytest.mark.parametrize("method", [FullPivotCross(4), PartialPivotCross(4), MaxvolCross(4)], ids=repr)
def test_a_cross_approximation_agrees_in_its_rows_and_columns(xp, method):
    a = xp.asarray(matrices(2))
    result = method(a, rng=rng())
    residual = np.abs(to_host(a) - to_host(result.to_dense()))
    rows = np.take_along_axis(residual, to_host(result.row_indices)[:, :, None], axis=-2)
    columns = np.take_along_axis(residual, to_host(result.column_indices)[:, None, :], axis=-1)
    assert max(rows.max(), columns.max()) < 2000 * xp.eps()


def test_complete_pivots_are_those_of_elimination():
    a = np.array([[1.0, 2.0, 0.0], [4.0, 9.0, 1.0], [2.0, 3.0, 8.0]])
    result = FullPivotCross(2)(a)
    assert result.row_indices.tolist() == [1, 2]
    assert result.column_indices.tolist() == [1, 2]
    np.testing.assert_allclose(result.residual, np.abs(a - result.to_dense()).max() / 9, rtol=1e-12)


class Counted:
    """A matrix of which only columns and rows are read, and counted."""

    def __init__(self, a):
        self.a, self.reads = a, 0

    def operator(self):
        from scipy.sparse.linalg import LinearOperator

        def forward(x):
            self.reads += x.shape[1] if x.ndim == 2 else 1
            return self.a @ x

        def backward(y):
            self.reads += y.shape[1] if y.ndim == 2 else 1
            return self.a.T @ y

        return LinearOperator(self.a.shape, matvec=forward, matmat=forward, rmatvec=backward, rmatmat=backward,
                              dtype=self.a.dtype)  # fmt: skip


def test_partial_pivoting_reads_one_row_and_one_column_for_each_step():
    counted = Counted(matrices(1)[0])
    PartialPivotCross(4)(counted.operator())
    assert counted.reads == 8


@pytest.mark.parametrize("cls", [FullPivotCross, PartialPivotCross])
def test_a_cross_meets_its_tolerance_or_says_what_is_missed(cls):
    x = np.linspace(0, 1, 30)
    a = 1 / (1 + x[:, None] + x)
    result = cls(15, rtol=1e-6)(np.stack([a, np.eye(30, 30) * (x < 0.1)]))
    assert 3 < result.ranks[0] < 15
    assert np.abs(a - result.to_dense()[0]).max() < 1e-5
    assert np.all(result.converged)
    assert np.all(result.residual <= 1e-6)
    with pytest.warns(ToleranceWarning, match="rtol 1e-06 is not met at rank 2 by 1 of the 2 matrices") as caught:
        result = cls(2, rtol=1e-6)(np.stack([a, np.outer(x, x)]))
    assert len(caught) == 1
    assert result.converged.tolist() == [False, True]
    np.testing.assert_allclose(result.to_dense()[0], cls(2)(a).to_dense(), rtol=1e-12)


@pytest.mark.parametrize("cls", [FullPivotCross, PartialPivotCross])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_crosses_know_their_error_at_every_scale(cls, scale):
    a = (matrices(1)[0] * scale).astype("f4")
    result = cls(12, rtol=0.05)(a)
    assert 3 < result.ranks < 12
    assert result.converged
    assert 0.005 < result.residual <= 0.05


def test_partial_pivoting_passes_over_empty_rows():
    a = np.zeros((6, 5))
    a[4:, 3:] = [[1.0, 2.0], [3.0, 5.0]]
    result = PartialPivotCross(3)(a)
    assert result.ranks == 2
    np.testing.assert_allclose(result.to_dense(), a, atol=1e-14)


def test_partial_pivoting_misses_what_it_never_sees():
    """The guarantee that complete pivoting has is not there: the second block is hidden from the first cross."""
    a = np.zeros((6, 6))
    a[:3, :3], a[3:, 3:] = 1.0, 2.0
    assert np.abs(a - PartialPivotCross(1, rtol=0.0)(a).to_dense()).max() == 2.0
    assert np.abs(a - FullPivotCross(1)(a).to_dense()).max() == 1.0


# volume


def test_coefficients_of_maximal_volume_are_bounded(xp):
    a = xp.asarray(rng().standard_normal((3, 40, 6)))
    rows, coefficients = maxvol(a, tolerance=0.01)
    assert np.abs(to_host(coefficients)).max() <= 1.01 + 100 * xp.eps()
    picked = np.take_along_axis(to_host(a), to_host(rows)[:, :, None], axis=-2)
    np.testing.assert_allclose(to_host(coefficients) @ picked, to_host(a), atol=1000 * xp.eps())


def test_a_smaller_tolerance_gives_no_smaller_volume():
    a = np.linalg.qr(rng(5).standard_normal((60, 8)))[0]
    volumes = [abs(np.linalg.det(a[maxvol(a, tolerance=t)[0]])) for t in (1e-3, 10.0)]
    assert volumes[0] > volumes[1]


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: MaxvolCross(sweeps=0), "sweeps is 0"),
        (lambda: MaxvolCross(tolerance=0.0), "tolerance is 0.0"),
        (lambda: maxvol(np.eye(3), tolerance=-1.0), "tolerance is -1.0"),
        (lambda: FullPivotCross(rtol=-0.1), "rtol is -0.1"),
    ],
)
def test_impossible_parameters_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("cls", [CUR, InterpolativeDecomposition, MaxvolCross])
def test_what_is_no_selection_is_refused(cls):
    with pytest.raises(TypeError, match="ColumnSelection"):
        cls(selection="deim")


def test_crosses_are_drawn_by_the_squared_determinant_of_their_intersection():
    a = rng().standard_normal((4, 3))
    crosses = list(itertools.product(itertools.combinations(range(4), 2), itertools.combinations(range(3), 2)))
    weights = np.array([np.linalg.det(a[np.ix_(i, j)]) ** 2 for i, j in crosses])
    generator = rng(1)
    results = [VolumeCross(2)(a, rng=generator) for _ in range(800)]
    drawn = [(tuple(sorted(r.row_indices.tolist())), tuple(sorted(r.column_indices.tolist()))) for r in results]
    counts = np.array([drawn.count(c) for c in crosses])
    assert stats.chisquare(counts, 800 * weights / weights.sum()).pvalue > 1e-6
    error = np.linalg.norm(a - results[0].to_dense()) / np.linalg.norm(a)
    np.testing.assert_allclose(results[0].residual, error, rtol=1e-12)


def test_minors_of_a_kernel_draw_other_columns_than_volumes():
    k = np.diag([4.0, 2.0, 1.0])
    generator = rng(1)
    shares = [
        np.mean([rule.select(Dense(k), 1, rng=generator)[0] == 0 for _ in range(600)])
        for rule in (VolumeColumns(), VolumeColumns(semidefinite=True))
    ]
    np.testing.assert_allclose(shares, [16 / 21, 4 / 7], atol=0.1)
