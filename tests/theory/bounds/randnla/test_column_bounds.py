"""Theorems about columns, rows and crosses: worked examples, hypotheses, stacks; test_all.py has their verdicts."""

import itertools

import numpy as np
import pytest
from fixtures import rng

from theory.bounds.randnla import (
    coherence,
    columns,
    cross,
    cur,
    largest_volume,
    nystrom_columns,
    nystrom_structural,
    ridge_leverage,
)
from theory.bounds.randnla.instances import slow_spectrum, with_eigenvalues, with_singular_values
from theory.bounds.randnla.largest_volume import LargestVolumeCross
from theory.bounds.randnla.leverage import chernoff_lower, chernoff_upper
from theory.comparison.compare import compare
from theory.statement.bound import Bound, HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.randnla.columns.cross import FullPivotCross
from tnattn.randnla.columns.cur import CUR
from tnattn.randnla.columns.deim import DEIMColumns
from tnattn.randnla.columns.interpolative import InterpolativeDecomposition
from tnattn.randnla.columns.leverage_draws import LeverageDraws
from tnattn.randnla.columns.pivoted_qr import PivotedQR, QRColumns
from tnattn.randnla.columns.ridge_leverage_draws import RidgeLeverageDraws
from tnattn.randnla.columns.strong_rrqr import StrongColumns
from tnattn.randnla.columns.volume_sampling import VolumeColumns, VolumeCross
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.semidefinite.column_nystrom import ColumnNystrom, nystrom_of_columns
from tnattn.randnla.semidefinite.pivoted_cholesky import GreedyPivotedCholesky
from tnattn.randnla.semidefinite.recursive_nystrom import RidgeNystrom
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.structured.dense import Dense

MODULES = [coherence, columns, cross, cur, nystrom_columns, ridge_leverage]
BOUNDS = [
    b for module in MODULES for b in vars(module).values() if isinstance(b, Bound) and b.module == module.__name__
]
every_bound = pytest.mark.parametrize("theorem", BOUNDS, ids=lambda b: b.name)


def with_squares(*squares):
    """Return a square matrix of given squared singular values and random singular vectors."""
    return with_singular_values(rng(3), np.sqrt(squares), len(squares), len(squares))


@every_bound
def test_a_theorem_says_something_on_its_extremal_instance(theorem):
    method, target = theorem.extremal(rng(1))
    (comparison,) = compare(method, target, [theorem], trials=20, rng=rng(2))
    assert comparison.verdict not in (Verdict.VACUOUS, Verdict.REFUTED, Verdict.NOT_APPLICABLE)


@every_bound
def test_a_theorem_gives_one_value_per_matrix_of_a_stack(theorem):
    method, target = theorem.generic(rng(1))
    stack = np.stack([target, 2 * target, 3 * target]).reshape(3, 1, *target.shape)
    result = method(stack, rng=rng(2)) if theorem.kind != "prior" else None
    prediction = theorem(method, stack, result)
    assert prediction.value.shape == (3, 1)
    alone = theorem(method, 3 * target, None if result is None else method(3 * target, rng=rng(2)))
    np.testing.assert_allclose(prediction.value[2, 0], alone.value, rtol=1e-6)


@every_bound
def test_a_structured_target_gives_the_same_prediction(theorem):
    method, target = theorem.generic(rng(1))
    result = method(target, rng=rng(2)) if theorem.kind != "prior" else None
    one, two = theorem(method, target, result), theorem(method, Dense(target), result)
    assert np.array_equal(one.value, two.value)


# worked examples of the catalogue


def test_worked_structural_example():
    """K = diag(4, 1), S = (1, 1)^T, k = 1: X = 1; the bounds are 2, 2 and 2 + sqrt(2), the truth is 1.6."""
    np.testing.assert_allclose(
        nystrom_structural.structural(np.diag([4.0, 1.0]), np.ones((2, 1)), 1), [2, 2, 2 + 2**0.5]
    )


def test_worked_uniform_factors():
    """n = 200, k = 2, mu = 1.5, 60 columns, e = 1/2: the sharp chance is below the simplified 0.16417."""
    np.testing.assert_allclose(nystrom_columns.spectral_factor(200, 60, 0.5), 7.6666667)
    np.testing.assert_allclose(nystrom_columns.nuclear_factor(0.5, 0.2), 11.0)
    simplified = 2 * np.exp(-(0.5**2) * 60 / (2 * 1.5 * 2))
    np.testing.assert_allclose(simplified, 0.16417, rtol=1e-4)
    assert 0.5 * simplified < chernoff_lower(0.5, 2, 60 / 1.5) < simplified


def test_leverage_factor_by_hand():
    """k = 2, 30 draws, e = d = 1/2: 1 + 2 / (0.25 * 30 * 0.5) = 1.5333; the chance is 1/2 + 2 c^15."""
    a = np.diag([4.0, 2.0, 1.0, 0.5, *([0.0] * 28)])
    prediction = nystrom_columns.nystrom_leverage_nuclear(ColumnNystrom(30, LeverageDraws(subspace=2)), a)
    np.testing.assert_allclose(prediction.value, (1 + 2 / 3.75) * 1.5)
    np.testing.assert_allclose(prediction.failure, 0.5 + 2 * (np.exp(-0.5) / 0.5**0.5) ** 15)


def test_worked_volume_sampling():
    a = with_squares(4.0, 2.0, 1.0)
    one, two = (InterpolativeDecomposition(s, VolumeColumns()) for s in (1, 2))
    np.testing.assert_allclose(columns.volume_sampling_identity(one, a).value, 4.0)
    np.testing.assert_allclose(columns.volume_sampling_identity(two, a).value, 1.7142857)
    np.testing.assert_allclose(columns.volume_sampling_fro(one, a).value, 6.0)
    np.testing.assert_allclose(columns.volume_sampling_fro(two, a).value, 3.0)  # r = 2: 3 * 1, better than 4.5 at r = 1


def test_the_volume_identity_is_the_enumerated_mean():
    a = rng(5).standard_normal((4, 5))
    subsets = [list(s) for s in itertools.combinations(range(5), 2)]
    weights = np.array([np.linalg.det(a[:, s].T @ a[:, s]) for s in subsets])
    errors = [np.linalg.norm(a - a[:, s] @ np.linalg.pinv(a[:, s]) @ a) ** 2 for s in subsets]
    method = InterpolativeDecomposition(2, VolumeColumns())
    np.testing.assert_allclose(columns.volume_sampling_identity(method, a).value, weights @ errors / weights.sum())


def test_the_determinantal_identity_is_the_enumerated_mean():
    k = with_eigenvalues(rng(5), [4.0, 2.0, 1.0, 0.5])
    subsets = [list(s) for s in itertools.combinations(range(4), 2)]
    weights = np.array([np.linalg.det(k[np.ix_(s, s)]) for s in subsets])
    errors = [float(nystrom_of_columns(Dense(k), np.array(s)).residual_trace) for s in subsets]
    method = ColumnNystrom(2, VolumeColumns(semidefinite=True))
    np.testing.assert_allclose(
        nystrom_columns.volume_sampling_nuclear(method, k).value, weights @ errors / weights.sum()
    )


def test_worked_strong_factors():
    assert columns.strong_factor(1.0, 3, 7) == pytest.approx(3.605551)
    assert columns.strong_factor(2.0, 3, 7) == pytest.approx(7.0)


def test_greedy_growth_by_hand():
    """k = 2: (64 + 12 + 5)/9 = 9; qrcp on diag(3, 2, 1, 1): sqrt(2 * 9) * 1."""
    assert columns.greedy_growth(2) == 9.0
    a = np.diag([3.0, 2.0, 1.0, 1.0])
    np.testing.assert_allclose(columns.qrcp_greedy(PivotedQR(rank=2), a).value, 18**0.5)


def test_the_triangular_inverse_attains_its_growth():
    """Unit lower triangular L with -1 below the diagonal: ||L^-1||_F^2 = (4^k + 6k - 1)/9."""
    for k in (1, 4, 7):
        inverse = np.linalg.inv(np.eye(k) - np.tril(np.ones((k, k)), -1))
        assert np.linalg.norm(inverse) == pytest.approx(cur.triangular_growth(k))


def test_deim_bounds_by_hand():
    """A = diag(4, 2, 1), k = 2: points are the two leading coordinates, both inverses have norm 1, the bound is 2."""
    a, method = np.diag([4.0, 2.0, 1.0]), CUR(2, DEIMColumns())
    result = method(a)
    np.testing.assert_allclose(cur.deim_cur(method, a, result).value, 2.0)
    np.testing.assert_allclose(cur.deim_growth(method, a).value, (6 - 1) ** 0.5 * (27 / 9) ** 0.5)
    np.testing.assert_allclose(cur.cur_pythagoras(method, a, result).value, 2.0)


def test_worked_crosses():
    a = with_squares(4.0, 2.0, 1.0)
    np.testing.assert_allclose(cross.cross_volume_sampling_identity(VolumeCross(1), a).value, 8.0)
    np.testing.assert_allclose(cross.cross_volume_sampling_fro(VolumeCross(1), a).value, 12.0)
    np.testing.assert_allclose(largest_volume.cross_maxvol_max(LargestVolumeCross(1), a).value, 2.8284271)


def test_worked_complete_pivoting():
    assert cross.complete_pivoting_factor(2) == pytest.approx(13.22371, rel=1e-6)
    assert 16 * cross.wilkinson_growth(3) == pytest.approx(51.5794, rel=1e-5)
    k = np.diag([3.0, 2.0, 1.0, 0.5])
    np.testing.assert_allclose(cross.aca_full_pivot(FullPivotCross(2), k).value, 13.22371, rtol=1e-6)
    np.testing.assert_allclose(cross.aca_psd(FullPivotCross(2), k).value, 9.0)
    np.testing.assert_allclose(cross.aca_psd(GreedyPivotedCholesky(2), k).value, 9.0)


def test_projective_volume_by_hand():
    """r = 1, 2 x 2 intersections: (1 + 1/2) s_2."""
    a = np.diag([3.0, 2.0, 1.0])
    np.testing.assert_allclose(largest_volume.cross_projective_volume(LargestVolumeCross(1, extra=1), a).value, 3.0)


def test_worked_uniform_embedding():
    """mu = 1.2, k = 2, 80 draws, e = 0.7."""
    assert chernoff_lower(0.7, 2, 80 / 1.2) == pytest.approx(2.49046e-05, rel=1e-5)
    assert chernoff_upper(0.7, 2, 80 / 1.2) == pytest.approx(0.00237572, rel=1e-5)
    flat = np.kron([[1.0, 1.0], [1.0, -1.0]], np.ones((32, 1)))
    failure = coherence.uniform_embedding_coherence(coherence.UniformRows(size=80), flat).failure
    np.testing.assert_allclose(failure, chernoff_lower(0.7, 2, 80) + chernoff_upper(0.7, 2, 80))


def test_ridge_bounds_by_hand():
    """K = I of size 4, ridge 1, columns 0 and 1 with weights 1: C - M = diag(0, 0, 1, 1), t = 1/2, bounds 2 and 4."""
    a, method = np.eye(4), ColumnNystrom(2)
    result = nystrom_of_columns(Dense(a), np.array([0, 1]))
    one = ridge_leverage.rls_structural.with_parameters(ridge=1.0, weight=1.0)
    np.testing.assert_allclose(one(method, a, result).value, 2.0)
    nuclear = ridge_leverage.rls_structural_nuclear.with_parameters(ridge=1.0, weight=1.0)
    np.testing.assert_allclose(nuclear(method, a, result).value, 2.0 * 2.0)


def test_bernstein_by_hand():
    """K = I of size 4 at ridge 1: d = 2; 40 draws, t = 0.8: 4 * 2 * 2 * exp(-12.8 / 2.266667)."""
    prediction = ridge_leverage.rls_bernstein(ColumnNystrom(40, RidgeLeverageDraws(1.0)), np.eye(4))
    np.testing.assert_allclose(prediction.value, 5.0)
    np.testing.assert_allclose(prediction.failure, 16 * np.exp(-12.8 / 2.2666667))


# hypotheses

KERNEL = with_eigenvalues(rng(), slow_spectrum(12))
VIOLATIONS = [
    (nystrom_columns.nystrom_uniform_spec, ColumnNystrom(6, VolumeColumns()), KERNEL, "uniformly"),
    (nystrom_columns.nystrom_uniform_spec, ColumnNystrom(2), np.diag(np.arange(12.0, 0, -1)), "coherence"),
    (nystrom_columns.nystrom_leverage_nuclear, ColumnNystrom(6), KERNEL, "leverage"),
    (nystrom_columns.volume_sampling_nuclear, ColumnNystrom(2, VolumeColumns()), KERNEL, "minors"),
    (nystrom_structural.nystrom_structural_spectral, ColumnNystrom(3), -KERNEL, "semidefinite"),
    (columns.volume_sampling_identity, InterpolativeDecomposition(2), KERNEL, "squared volume"),
    (columns.volume_sampling_fro, InterpolativeDecomposition(2, VolumeColumns()), np.ones((4, 4)), "rank"),
    (columns.volume_sampling_fro, InterpolativeDecomposition(2, VolumeColumns(), rtol=0.5), KERNEL, "no tolerance"),
    (columns.strong_rrqr, InterpolativeDecomposition(2, StrongColumns(), rtol=0.5), KERNEL, "no tolerance"),
    (cur.deim_growth, CUR(2, DEIMColumns(), rtol=0.5), KERNEL, "no tolerance"),
    (cur.cur_pythagoras, CUR(11, rtol=0.5), KERNEL, "no tolerance"),
    (columns.qrcp_greedy, PivotedQR(rank=3, rtol=0.1), KERNEL, "no tolerance"),
    (columns.strong_rrqr, InterpolativeDecomposition(2), KERNEL, "strong"),
    (columns.strong_rrqr, InterpolativeDecomposition(2, StrongColumns(2.0, Gaussian())), KERNEL, "sketch"),
    (cur.deim_cur, CUR(2, QRColumns()), KERNEL, "points"),
    (cur.deim_cur, CUR(2, DEIMColumns(), projection=False), KERNEL, "middle"),
    (cur.deim_growth, CUR(2, DEIMColumns(RandomizedSVD())), KERNEL, "exact"),
    (cur.qdeim_growth, CUR(2, DEIMColumns()), KERNEL, "QDEIM"),
    (cur.cur_pythagoras, CUR(2, projection=False), KERNEL, "middle"),
    (largest_volume.cross_maxvol_max, LargestVolumeCross(1, extra=1), KERNEL, "r by r"),
    (cross.aca_full_pivot, FullPivotCross(3, rtol=0.1), KERNEL, "no tolerance"),
    (cross.aca_psd, FullPivotCross(3), -KERNEL, "semidefinite"),
    (ridge_leverage.rls_bernstein, ColumnNystrom(6), KERNEL, "ridge leverage"),
    (ridge_leverage.rls_bernstein, ColumnNystrom(2, RidgeLeverageDraws(0.1)), KERNEL, "sqrt"),
    (ridge_leverage.rls_musco_musco, RidgeNystrom(ridge=1e4), KERNEL, "log"),
    (coherence.uniform_embedding_coherence, coherence.UniformRows(4), np.ones((9, 2)), "full column rank"),
]  # fmt: skip


@pytest.mark.parametrize("theorem, method, target, words", VIOLATIONS, ids=lambda x: getattr(x, "name", None))
def test_a_violated_hypothesis_is_named(theorem, method, target, words):
    result = None
    if theorem.kind != "prior":
        result = method(abs(KERNEL) if words == "semidefinite" else target, rng=rng()) if words != "semidefinite" else 0
    with pytest.raises(HypothesisViolated, match=words):
        theorem(method, target, result)
