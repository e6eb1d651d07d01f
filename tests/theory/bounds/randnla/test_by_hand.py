"""Theorems whose right-hand sides, and whose errors where that is possible, come out by hand."""

import dataclasses

import numpy as np
import pytest
import scipy.linalg
from fixtures import rng

from theory.bounds.randnla import (
    columns,
    cur,
    eckart_young,
    generalized_nystrom,
    hadamard,
    matrix_product,
    norms,
    nystrom_columns,
    nystrom_structural,
    pivoted_cholesky,
    randomized_svd,
    range_finder,
    rank_revealing,
    ridge_leverage,
    streaming_svd,
    subspace,
    trace,
    truncated_svd,
    truncation,
    weyl,
)
from theory.bounds.randnla.instances import slow_spectrum
from theory.statement.bound import HypothesisViolated
from tnattn.randnla.columns.cur import CUR
from tnattn.randnla.columns.deim import QDEIMColumns
from tnattn.randnla.columns.interpolative import InterpolativeDecomposition
from tnattn.randnla.columns.pivoted_qr import PivotedQR
from tnattn.randnla.columns.strong_rrqr import StrongColumns
from tnattn.randnla.columns.volume_sampling import VolumeColumns
from tnattn.randnla.estimates.norm_estimates import SpectralNorm
from tnattn.randnla.estimates.trace import HutchPlusPlus
from tnattn.randnla.low_rank.generalized_nystrom import GeneralizedNystrom
from tnattn.randnla.low_rank.qb import QB, QBResult
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD, RandomizedSVDResult
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.randnla.low_rank.streaming_svd import SinglePassSVD
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
from tnattn.randnla.scores.product_probabilities import BothNorms
from tnattn.randnla.semidefinite.column_nystrom import ColumnNystrom, nystrom_of_columns
from tnattn.randnla.semidefinite.pivoted_cholesky import GreedyPivotedCholesky
from tnattn.randnla.semidefinite.recursive_nystrom import RidgeNystrom
from tnattn.randnla.sketches.trigonometric import SubsampledHadamard
from tnattn.randnla.solvers.matrix_product import SampledProduct
from tnattn.structured.composite import Product
from tnattn.structured.dense import Dense

THREE = np.diag([3.0, 2.0, 1.0])
S8 = np.array([8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.125, 0.0625])
CUT = TruncatedSVD(1)


def both(theorem, method, a, result):
    """Return the right-hand side and the error."""
    return [theorem(method, a, result).value, theorem.error(a, result)]


# baselines


@pytest.mark.parametrize(
    "theorem, value",
    [
        (eckart_young.eckart_young_mirsky_spectral, 2.0),
        (eckart_young.eckart_young_mirsky_frobenius, 5**0.5),
        (eckart_young.eckart_young_mirsky_nuclear, 3.0),
        (truncated_svd.truncated_svd_spectral, 2.0),
        (truncated_svd.truncated_svd_frobenius, 5**0.5),
        (weyl.weyl_mirsky_tail, 5**0.5),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_the_truncation_of_three_values_attains_its_bounds(theorem, value):
    """diag(3, 2, 1) cut to rank 1 leaves 2 and 1: 2, sqrt(5) and 3; tails move by 0.742, sqrt(5) and 1."""
    result = CUT(THREE)
    given = result if theorem.kind != "prior" else None
    np.testing.assert_allclose([theorem(CUT, THREE, given).value, theorem.error(THREE, result)], value)


def test_the_floor_is_that_of_the_rank_returned_not_of_the_rank_asked_for():
    """A result of two columns is held against s_3 = 1, although one column was asked for."""
    two = TruncatedSVD(2)(THREE)
    np.testing.assert_allclose(eckart_young.eckart_young_mirsky_spectral(CUT, THREE, two).value, 1.0)


# projections


def on_axes(a, count):
    """Return the projection onto the first coordinates."""
    q = np.eye(len(a))[:, :count]
    return QBResult(q, q.T @ a)


def test_the_residual_identity_by_hand():
    """Two axes of diag(3, 2, 1): 1 = 14 - 13."""
    result = on_axes(THREE, 2)
    left, right = range_finder.randqb_residual_identity.function(QB(RangeFinder(1, 1, 0)), THREE, result)
    np.testing.assert_allclose([left, right], 1.0)


def test_the_truncation_identity_by_hand():
    """The better of two axes of diag(3, 2, 1): 5 = 14 - 9."""
    result = RandomizedSVDResult(np.eye(3)[:, :1], np.array([3.0]), np.eye(3)[:1])
    left, right = randomized_svd.rsvd_trunc_fro_identity.function(RandomizedSVD(1, 1, 0), THREE, result)
    np.testing.assert_allclose([left, right], 5.0)


def test_the_truncation_of_a_given_basis_by_hand():
    """Two axes of diag(3, 2, 1) miss 1, cut to rank 1 they miss 2, which is at most 2 + 1."""
    axes = np.eye(3)[:, :2]
    result = truncation.TruncatedProjection(3 * axes[:, :1], np.eye(3)[:1], axes)
    method = truncation.TruncatedQB(RangeFinder(1, 1, 0))
    np.testing.assert_allclose(both(truncation.rsvd_truncation_structural, method, THREE, result), [3.0, 2.0])


def test_the_basis_that_is_kept_is_the_one_that_was_truncated():
    a = rng(3).standard_normal((12, 9))
    finder = RangeFinder(rank=3, oversampling=2, power_iterations=0)
    kept, forgotten = truncation.TruncatedQB(finder)(a, rng=rng(1)), RandomizedSVD(3, 2, 0)(a, rng=rng(1))
    np.testing.assert_allclose(kept.to_dense(), forgotten.to_dense(), atol=1e-12)
    np.testing.assert_allclose(kept.q @ (kept.q.T @ kept.left), kept.left, atol=1e-12)


def test_worked_angles_of_all_leading_vectors():
    method, a = truncation.TruncatedQB(RangeFinder(5, 3, 1)), np.diag(slow_spectrum(30))
    value = truncation.subspace_vector_angles_expected(method, a).value
    np.testing.assert_allclose(value[[0, 4]], [1.9086e-05, 0.29822], rtol=1e-4)
    first = subspace.subspace_vector_angle_expected(QB(method.range_finder), a).value
    np.testing.assert_allclose(value[0], first)


def test_the_angles_are_those_to_the_whole_range():
    """Two axes of diag(3, 2, 1): the leading vector is in the range, whatever the truncation keeps."""
    axes = np.eye(3)[:, 1:]
    result = truncation.TruncatedProjection(2 * axes[:, :1], np.eye(3)[1:2], axes)
    np.testing.assert_allclose(truncation.leading_sines_squared(THREE, result), [1.0])


def test_worked_simple_form_of_subspace_iteration():
    """S8, k = 2, p = 3, q = 1: (1 + 1 (2/4)^4) 5.33203125 = 5.6652832, above the sharp form."""
    method, a = RandomizedSVD(2, 3, 1), np.diag(S8)
    simple = randomized_svd.subspace_fro_simple_expected(method, a).value
    np.testing.assert_allclose(simple, 5.6652832, rtol=1e-7)
    assert randomized_svd.subspace_fro_expected(method, a).value < simple


def test_hadamard_range_finders_in_the_frobenius_norm_by_hand():
    """63 values 1 behind a gap: 3.785939 sqrt(63); all of a transform of length 8: sqrt(2) (4 + 1 + ...)^(1/2)."""
    finder = RangeFinder(rank=1, oversampling=47, power_iterations=0, sketch=SubsampledHadamard())
    prediction = hadamard.srft_rangefinder_explicit_fro(QB(finder), np.diag(np.r_[1e4, np.ones(63)]))
    np.testing.assert_allclose([prediction.value, prediction.failure], [3.785939 * 63**0.5, 0.695216], rtol=1e-5)
    method, a = QB(RangeFinder(rank=2, oversampling=6, power_iterations=0, sketch=SubsampledHadamard())), np.diag(S8)
    value = hadamard.srft_rangefinder_structural_fro(method, a, method(a, rng=rng())).value
    np.testing.assert_allclose(value, 2**0.5 * 5.33203125**0.5)


# two sketches


@dataclasses.dataclass(frozen=True)
class Missed:
    """An approximation that is zero, beside the basis of its range and what was there before truncation."""

    u: np.ndarray
    kept: int = 1

    @property
    def untruncated(self):
        return Dense(np.zeros((12, 8)))


def test_the_factor_of_the_corange_sketch_by_hand():
    """l = 4 columns and s = 9 rows double what four axes of diag(S8) leave: 2 * (1/4 + ... + 1/256)."""
    a = np.vstack([np.diag(S8), np.zeros((4, 8))])
    method = GeneralizedNystrom(rank=4, oversampling=0, excess=5)
    value = generalized_nystrom.gn_conditional_identity(method, a, Missed(np.eye(12)[:, :4])).value
    np.testing.assert_allclose(value, 2 * np.sum(S8[4:] ** 2))


def test_truncation_after_two_sketches_by_hand():
    """B = 0 and k = 1: tau_1 + 2 ||A||_F."""
    a = np.vstack([np.diag(S8), np.zeros((4, 8))])
    method = GeneralizedNystrom(rank=1, oversampling=3, excess=5)
    value = generalized_nystrom.gn_truncated(method, a, Missed(np.eye(12)[:, :4])).value
    np.testing.assert_allclose(value, 21.33203125**0.5 + 2 * 85.33203125**0.5)


def test_the_core_of_the_single_pass_by_hand():
    """k = 4, s = 9: twice what the projections onto four axes on both sides leave."""
    method, a = SinglePassSVD(rank=4, oversampling=0, core=9), np.diag(S8)
    axes = RandomizedSVDResult(np.eye(8)[:, :4], np.ones(4), np.eye(8)[:4])
    value = streaming_svd.tyuc19_core_expected(method, a, axes).value
    np.testing.assert_allclose(value, 2 * np.sum(S8[4:] ** 2))


# chosen columns


def test_the_spectral_mean_of_volume_sampling_by_hand():
    """s = 1 of three columns, s_2^2 = 4: 2 * 2 * 4; two columns, s_3^2 = 1: 3 * 1 * 1."""
    for s, value in [(1, 16.0), (2, 3.0)]:
        method = InterpolativeDecomposition(s, VolumeColumns())
        np.testing.assert_allclose(columns.volume_sampling_spec(method, THREE).value, value)


def test_strong_columns_by_hand():
    """diag(4, 2, 1), k = 1, f = 2: factor sqrt(1 + 4 * 2) = 3; the first column is chosen and leaves 2 and 1."""
    method, a = InterpolativeDecomposition(1, StrongColumns(2.0)), np.diag([4.0, 2.0, 1.0])
    result = method(a)
    np.testing.assert_allclose(both(columns.interpolative_decomposition, method, a, result), [6.0, 2.0])
    value, error = both(rank_revealing.strong_rrqr_residual, method, a, result)
    np.testing.assert_allclose(value, [6.0, 3.0, 0.0])
    np.testing.assert_allclose(error, [2.0, 1.0, 0.0], atol=1e-15)
    assert columns.strong_rrqr_coefficients(method, a).value == 2.0
    np.testing.assert_allclose(columns.strong_rrqr_coefficients.error(a, result), 1.0)


def test_the_next_pivot_by_hand():
    """diag(3, 2, 1, 1) after two pivots: 1, at most sqrt(81/9) * 1."""
    method, a = PivotedQR(2), np.diag([3.0, 2.0, 1.0, 1.0])
    np.testing.assert_allclose(both(rank_revealing.qrcp_pivot, method, a, method(a)), [3.0, 1.0])


def test_the_next_diagonal_pivot_by_hand():
    """diag(5, 2, 1, 1) after one pivot: 2, at most 27/9 * 2."""
    method, a = GreedyPivotedCholesky(1), np.diag([5.0, 2.0, 1.0, 1.0])
    np.testing.assert_allclose(both(pivoted_cholesky.pivoted_cholesky_greedy_max, method, a, method(a)), [6.0, 2.0])


def test_the_growth_of_row_pivots_by_hand():
    """m = 5, k = 2: sqrt(4) sqrt((16 + 12 - 1) / 9) = 2 sqrt(3)."""
    method = CUR(2, QDEIMColumns())
    np.testing.assert_allclose(cur.qdeim_growth(method, np.diag([5.0, 4.0, 3.0, 2.0, 1.0])).value, 2 * 3**0.5)


def test_the_nuclear_bound_of_uniform_columns_by_hand():
    """Eigenvalues 4, 3, 2, 1, ..., 1 on a Hadamard basis, of coherence 1; 60 of 64 columns at e = 1/2.

    k = 3 has the chance 3 c^20 = 0.14 and k = 4 one above 0.2; with f = 1/2 the factor is 5, and 61 is left over.
    """
    basis = scipy.linalg.hadamard(64) / 8.0
    a = basis * np.r_[4.0, 3.0, 2.0, np.ones(61)] @ basis.T
    prediction = nystrom_columns.nystrom_uniform_nuclear(ColumnNystrom(60), a)
    np.testing.assert_allclose(prediction.value, 5 * 61)
    np.testing.assert_allclose(prediction.failure, 0.5 + 3 * (np.exp(-0.5) * 2**0.5) ** 20)


def test_the_order_of_matrices_by_hand():
    """K = I, ridge r, two of four columns with weight 1: t = 1/(1+r), and r/(1-t) = 1+r is attained."""
    result = nystrom_of_columns(Dense(np.eye(4)), np.array([0, 1]))
    theorem = ridge_leverage.rls_structural_loewner.with_parameters(weight=1.0)
    np.testing.assert_allclose(both(theorem, ColumnNystrom(2), np.eye(4), result), 1 + ridge_leverage.RIDGE)


def test_the_number_of_ridge_columns_by_hand():
    """K = I of size 4 at ridge 1: every score is 1/2, 16/2 log(2/d) > 1, so all four are taken, at most 2 * 4."""
    method = RidgeNystrom(ridge=1.0)
    prediction = ridge_leverage.rls_musco_musco_columns(method, np.eye(4))
    np.testing.assert_allclose(prediction.value, 8.0)
    np.testing.assert_allclose(prediction.failure, method.failure)
    level = ridge_leverage.rls_musco_musco(method, np.eye(4))
    np.testing.assert_allclose(level.value, 1.0)


@pytest.mark.parametrize(
    "theorem",
    [
        nystrom_structural.nystrom_structural_spectral,
        nystrom_structural.nystrom_structural_nuclear,
        nystrom_structural.nystrom_structural_frobenius,
    ],
    ids=lambda x: x.name,
)
def test_a_column_along_an_eigenvector_by_hand(theorem):
    """diag(4, 1) by its first column: X = 0, and 1 is left, in every norm."""
    a, result = np.diag([4.0, 1.0]), nystrom_of_columns(Dense(np.diag([4.0, 1.0])), np.array([0]))
    np.testing.assert_allclose(both(theorem, ColumnNystrom(1), a, result), 1.0)


def test_the_spectral_bound_of_uniform_columns_by_hand():
    """As for the nuclear norm: 1 + 64 / 30 times the fourth eigenvalue."""
    basis = scipy.linalg.hadamard(64) / 8.0
    a = basis * np.r_[4.0, 3.0, 2.0, np.ones(61)] @ basis.T
    prediction = nystrom_columns.nystrom_uniform_spec(ColumnNystrom(60), a)
    np.testing.assert_allclose(prediction.value, 1 + 64 / 30)
    np.testing.assert_allclose(prediction.failure, 3 * (np.exp(-0.5) * 2**0.5) ** 20)


# estimates and products


def test_the_variance_of_flat_eigenvalues_by_hand():
    """c = 2, d = 7, five columns and five probes: 2 * 4 * 2 / 5; one eigenvalue off and the theorem is silent."""
    method, values = HutchPlusPlus(15), np.r_[np.full(7, 2.0), np.zeros(12)]
    np.testing.assert_allclose(trace.hutchpp_identity(method, np.diag(values)).value, 3.2)
    with pytest.raises(HypothesisViolated, match="eigenvalues are c or 0"):
        trace.hutchpp_identity(method, np.diag(np.r_[values, 1.0]))
    with pytest.raises(HypothesisViolated, match="s <= d"):
        trace.hutchpp_identity(method, np.diag(values[3:]))


def test_a_restriction_has_no_larger_norm():
    """The Krylov space of diag(3, 2, 1) with three probes is everything: the lower limit is the norm."""
    method = SpectralNorm(probes=3, steps=1)
    result = method(THREE, rng=rng())
    np.testing.assert_allclose(norms.restricted_norm_lower(method, THREE, result).value, 3.0)


def test_the_spectral_tail_of_a_product_by_hand():
    """A row and a column: asr = 1, D = 2, norms sqrt(5) and sqrt(10); c = 100 and d = 0.1 give one e."""
    method = SampledProduct(100, BothNorms())
    target = Product(Dense(np.array([[1.0, 2.0]])), Dense(np.array([[3.0], [1.0]])))
    prediction = matrix_product.amm_spectral_bernstein_tail(method, target)
    epsilon = prediction.value / 50**0.5
    np.testing.assert_allclose(2 * np.exp(-100 * epsilon**2 / (4 * (1 + epsilon / 3))), 0.1)
    np.testing.assert_allclose(prediction.failure, 0.1)
