"""Rules that choose columns: what each promises about the columns, on every library, and what it refuses."""

import itertools

import numpy as np
import pytest
import scipy.linalg
from fixtures import rng
from scipy import stats

from tnattn.arrays import to_host
from tnattn.gallery import matrix_with_spectrum
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.randnla.columns.deim import DEIMColumns, QDEIMColumns, deim, qdeim
from tnattn.randnla.columns.leverage_draws import LeverageDraws
from tnattn.randnla.columns.pivoted_qr import PivotedQR, QRColumns
from tnattn.randnla.columns.selection import GivenColumns, SubspaceSelection, UniformColumns
from tnattn.randnla.columns.strong_rrqr import StrongColumns, volume_gains
from tnattn.randnla.columns.volume_sampling import VolumeColumns, elementary_symmetric
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.structured.conversion import as_structured
from tnattn.structured.dense import Dense

DISTINCT = [
    UniformColumns(),
    GivenColumns((7, 0, 3, 5)),
    QRColumns(),
    QRColumns(sketch=Gaussian()),
    QRColumns(sketch=Gaussian(), oversampling=0),
    StrongColumns(1.1),
    StrongColumns(2.0, sketch=Gaussian()),
    DEIMColumns(),
    QDEIMColumns(),
    QDEIMColumns(RandomizedSVD()),
    VolumeColumns(),
]
every_rule = pytest.mark.parametrize("rule", DISTINCT, ids=repr)


def matrices(*batch, m=12, n=10, seed=0):
    return rng(seed).standard_normal((*batch, m, n)) * 0.7 ** np.arange(n)


def kahan(n, c=0.3):
    """Return Kahan's matrix, on which greedy pivoting misjudges the rank."""
    s = (1 - c * c) ** 0.5
    upper = np.triu(-c * np.ones((n, n)), 1) + np.eye(n)
    return np.diag(s ** np.arange(n)) @ upper @ np.diag(1 + 1e-10 * np.arange(n, 0, -1))


def volume(a, chosen):
    columns = a[:, chosen]
    return np.linalg.det(columns.T @ columns) ** 0.5


@every_rule
def test_columns_are_distinct_indices_for_every_matrix_of_a_stack(xp, rule):
    a = xp.asarray(matrices(2, 3))
    chosen = rule.select(as_structured(a), 4, rng=rng(1))
    assert type(chosen) is type(a)
    host = np.sort(to_host(chosen), axis=-1)
    assert host.shape == (2, 3, 4)
    assert host.min() >= 0
    assert host.max() < 10
    assert np.all(np.diff(host, axis=-1) > 0)


@every_rule
def test_a_batch_mate_changes_no_choice(rule):
    stack = matrices(3)
    stack[1] *= 1e3
    together = rule.select(Dense(stack), 4, rng=rng(1))
    alone = [rule.select(Dense(a), 4, rng=rng(1)) for a in stack]
    assert np.array_equal(together, np.stack(alone))


@every_rule
def test_more_columns_than_there_are_are_refused(rule):
    with pytest.raises(ValueError, match="chosen|exceeds"):
        rule.select(Dense(matrices()), 11, rng=rng())


@pytest.mark.parametrize("rule", [UniformColumns(), QRColumns(sketch=Gaussian()), LeverageDraws(), VolumeColumns()])
def test_random_rules_need_a_generator(rule):
    with pytest.raises(TypeError, match="pass rng"):
        rule.select(Dense(matrices(m=40, n=30)), 4, rng=None)


@pytest.mark.parametrize("rule", [QRColumns(), StrongColumns(), QDEIMColumns(), DEIMColumns()], ids=repr)
def test_a_zero_matrix_has_columns_too(rule):
    chosen = rule.select(Dense(np.zeros((2, 5, 6))), 3, rng=None)
    assert all(len(set(row)) == 3 for row in chosen.tolist())


# pivoted QR


def test_pivots_and_factors_are_those_of_lapack():
    a = matrices(m=20, n=15)
    result = PivotedQR(rank=8)(a)
    _, r, pivots = scipy.linalg.qr(a, mode="economic", pivoting=True)
    assert result.pivots.tolist() == pivots[:8].tolist()
    np.testing.assert_allclose(np.abs(result.r[:, pivots]), np.abs(r[:8]), atol=1e-13)
    np.testing.assert_allclose(result.residual, np.linalg.norm(r[8:]) / np.linalg.norm(a), rtol=1e-12)


def test_the_projection_is_exact_in_the_pivot_columns(xp, assert_close):
    a = xp.asarray(matrices(2))
    result = PivotedQR(rank=5)(a)
    q = to_host(result.q)
    np.testing.assert_allclose(q.mT @ q, np.broadcast_to(np.eye(5), (2, 5, 5)), atol=20 * xp.eps())
    residual = to_host(a) - to_host(result.to_dense())
    picked = np.take_along_axis(residual, to_host(result.pivots)[:, None, :], axis=-1)
    assert np.abs(picked).max() < 100 * xp.eps()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steep_spectra_keep_the_digits_of_the_residual(dtype):
    """Norms that are only downdated would be rounding after the square root of eps."""
    eps = np.finfo(dtype).eps
    a = matrix_with_spectrum(eps ** (np.arange(12) / 14), (30, 12), rng()).astype(dtype)
    result = PivotedQR(rank=10)(a)
    s = np.linalg.svd(a.astype("f8"), compute_uv=False)
    best = np.linalg.norm(s[10:]) / np.linalg.norm(s)
    assert best < float(result.residual) < 12 * best


def test_elimination_stops_at_the_rank_of_every_matrix():
    a = np.stack([np.outer(np.arange(1.0, 6), np.ones(7)), np.eye(5, 7), np.zeros((5, 7))])
    result = PivotedQR(rank=4)(a)
    assert result.ranks.tolist() == [1, 4, 0]
    np.testing.assert_allclose(result.residual, [0, 5**-0.5, 0], atol=1e-13)
    assert result.converged.tolist() == [True, False, True]


def test_a_tolerance_is_met_or_what_is_missed_is_said():
    a = np.diag(10.0 ** -np.arange(8))
    assert PivotedQR(rank=8, rtol=2e-3)(a).ranks == 3
    assert PivotedQR(rank=8)(a).ranks == 8
    with pytest.warns(ToleranceWarning, match="rtol 0.002 is not met at rank 2 by 1 of the 2 matrices") as caught:
        result = PivotedQR(rank=2, rtol=2e-3)(np.stack([a, np.diag(np.eye(8)[0])]))
    assert len(caught) == 1
    assert result.ranks.tolist() == [2, 1]
    assert result.converged.tolist() == [False, True]
    error = np.linalg.norm(a - result.to_dense()[0]) / np.linalg.norm(a)
    np.testing.assert_allclose(result.residual, [error, 0], rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_scale_of_a_matrix_is_immaterial_in_single_precision(scale):
    a = matrices().astype("f4")
    scaled = PivotedQR(rank=5)(a * np.float32(scale))
    assert scaled.pivots.tolist() == PivotedQR(rank=5)(a).pivots.tolist()
    assert np.isfinite(scaled.r).all()


# strong rank-revealing QR


def test_volume_gains_are_quotients_of_volumes():
    a, chosen = matrices(m=8, n=7), np.array([1, 4, 6])
    gains = volume_gains(a, chosen)
    for i, j in itertools.product(range(3), [0, 2, 3, 5]):
        other = chosen.copy()
        other[i] = j
        np.testing.assert_allclose(gains[i, j], volume(a, other) / volume(a, chosen), rtol=1e-10)
    assert np.all(gains[:, chosen] == 0)


def test_no_interchange_gains_more_than_the_growth():
    a = np.stack([kahan(24), rng().standard_normal((24, 24))])
    chosen = StrongColumns(1.5).select(Dense(a), 12, rng=None)
    assert volume_gains(a, chosen).max() <= 1.5


def test_greedy_pivots_leave_a_gain_on_the_matrix_of_kahan():
    a = kahan(24)
    chosen = QRColumns().select(Dense(a), 23, rng=None)
    assert volume_gains(a, chosen).max() > 2


# interpolation points


def test_interpolation_points_are_where_the_definition_puts_them():
    u = np.linalg.qr(rng().standard_normal((30, 6)))[0]
    points = []
    for j in range(6):
        coefficients = np.linalg.solve(u[points][:, :j], u[points][:, j]) if j else np.zeros(0)
        points.append(int(np.argmax(np.abs(u[:, j] - u[:, :j] @ coefficients))))
    assert deim(u).tolist() == points


def test_q_interpolation_points_ignore_the_basis_of_the_subspace():
    u = np.linalg.qr(rng().standard_normal((30, 4)))[0]
    rotation = np.linalg.qr(rng(1).standard_normal((4, 4)))[0]
    assert qdeim(u).tolist() == qdeim(u @ rotation).tolist()
    assert deim(u).tolist() != deim(u @ rotation).tolist()


def test_leverage_draws_follow_the_leading_subspace():
    a = np.zeros((5, 6))
    a[0, 2], a[1, 4], a[2, 5] = 9.0, 8.0, 1.0
    drawn = LeverageDraws(subspace=2).select(Dense(a), 400, rng=rng())
    assert set(drawn.tolist()) == {2, 4}
    assert abs(np.sum(drawn == 2) - 200) < 60


def test_subspace_rules_refuse_other_decompositions():
    with pytest.raises(TypeError, match="TruncatedSVD"):
        QDEIMColumns(svd=None)
    assert issubclass(LeverageDraws, SubspaceSelection)


# volume sampling


def test_subsets_are_drawn_by_their_squared_volumes():
    a = rng().standard_normal((4, 5))
    subsets = list(itertools.combinations(range(5), 2))
    expected = np.array([volume(a, list(s)) ** 2 for s in subsets])
    generator = rng(1)
    drawn = [tuple(sorted(VolumeColumns().select(Dense(a), 2, rng=generator).tolist())) for _ in range(800)]
    counts = np.array([drawn.count(s) for s in subsets])
    assert stats.chisquare(counts, 800 * expected / expected.sum()).pvalue > 1e-6
    assert stats.chisquare(counts, np.full(10, 80.0)).pvalue < 1e-6


def test_elementary_symmetric_polynomials_survive_their_range():
    table = elementary_symmetric(np.log([4.0, 2.0, 1.0]), 3)
    np.testing.assert_allclose(np.exp(table[-1]), [1, 7, 14, 8])
    tiny = elementary_symmetric(np.full(300, -30.0), 300)
    np.testing.assert_allclose(tiny[-1, -1], -9000.0)


def test_a_subset_without_volume_is_refused():
    with pytest.raises(ValueError, match="rank below 3"):
        VolumeColumns().select(Dense(rng().standard_normal((5, 2)) @ rng(1).standard_normal((2, 6))), 3, rng=rng())


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: StrongColumns(growth=1.0), "growth is 1.0"),
        (lambda: QRColumns(oversampling=-1), "oversampling is -1"),
        (lambda: GivenColumns((1, 1)), "distinct"),
        (lambda: GivenColumns((-1,)), "an index is -1"),
        (lambda: LeverageDraws(subspace=0), "subspace is 0"),
        (lambda: PivotedQR(rtol=1.0), "rtol is 1.0"),
        (lambda: GivenColumns((9,)).select(Dense(np.eye(5)), 1, rng=None), "5 columns"),
        (lambda: PivotedQR(rank=9)(np.eye(4)), "rank 9 exceeds"),
    ],
)
def test_impossible_parameters_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
