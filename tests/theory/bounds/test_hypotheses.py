"""Hypotheses to rounding: ranks, ranges of powers, tolerances, and condition numbers from the data."""

import numpy as np
import pytest

from theory.bounds import hypotheses
from theory.bounds.attention import kernel_cur, lift, random_features
from theory.bounds.attention.perturbed import random_problem
from theory.bounds.decomposition import cp, hooi, quantised, tt_cross
from theory.bounds.randnla import cross, cur, generalized_nystrom, nystrom_structural, structural
from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_eigenvalues, with_singular_values
from theory.comparison.compare import compare
from theory.comparison.rounding import require_range
from theory.statement.bound import HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.random_features.features import Independent, Positive
from tnattn.attention.random_features.performer import Performer
from tnattn.randnla.columns.cur import CUR
from tnattn.randnla.columns.deim import DEIMColumns
from tnattn.randnla.columns.pivoted_qr import PivotedQR
from tnattn.randnla.low_rank.qb import QB
from tnattn.randnla.low_rank.range_finder import RangeFinder


def verdict(theorem, method, target, trials=10):
    return compare(method, target, [theorem], trials=trials, rng=np.random.default_rng(0))[0].verdict


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("power", [-60, 0, 60])
def test_a_rank_is_what_exceeds_the_rounding_of_the_dtype(dtype, power):
    rng = np.random.default_rng(0)
    a = np.ldexp(with_singular_values(rng, [1.0, 0.5, 1e-7], 8, 6).astype(dtype), power)
    assert hypotheses.has_rank(a, 2)
    assert hypotheses.has_rank(a, 3) == (dtype is np.float64)
    assert not hypotheses.has_rank(a, 4)
    assert not hypotheses.has_rank(a, 7)


def test_every_matrix_of_a_stack_needs_the_rank():
    stack = np.stack([np.eye(3), np.diag([1.0, 1.0, 0.0])])
    assert hypotheses.has_rank(stack, 2)
    assert not hypotheses.has_rank(stack, 3)
    with pytest.raises(HypothesisViolated, match="full column rank"):
        hypotheses.require_full_column_rank(stack)


def test_the_zero_matrix_has_no_rank():
    assert not hypotheses.has_rank(np.zeros((3, 3)), 1)


@pytest.mark.parametrize("rtol", [None, 0.0])
def test_a_method_without_tolerance_takes_every_step(rtol):
    hypotheses.require_every_step(CUR(2, rtol=rtol) if rtol is None else PivotedQR(2, rtol=rtol))
    with pytest.raises(HypothesisViolated, match="no tolerance"):
        hypotheses.require_every_step(PivotedQR(2, rtol=0.1))


@pytest.mark.parametrize("power", [-600, -490, 490, 510])
def test_data_whose_squares_leave_the_range_of_float64_are_refused(power):
    a = np.ldexp(np.eye(4), power)
    with pytest.raises(HypothesisViolated, match="within the range"):
        require_range(structural.rrf_structural, a)


@pytest.mark.parametrize("power", [-470, 0, 470])
def test_data_within_the_range_are_admitted(power):
    require_range(structural.rrf_structural, np.ldexp(np.eye(4), power))
    require_range(structural.rrf_structural, np.zeros((4, 4)))


def test_a_size_that_underflows_is_not_taken_for_zero():
    from theory.bounds.randnla.norms import gaussian_fro_norm_variance

    with pytest.raises(HypothesisViolated, match="within the range"):
        require_range(gaussian_fro_norm_variance, np.ldexp(np.eye(4), -400))


def test_the_condition_of_the_sketch_multiplies_the_rounding_allowance():
    """Omega_1 = diag(1, 1e-6): ten times its condition number."""
    rng = np.random.default_rng(0)
    a = with_singular_values(rng, gap_spectrum(2, 12), 14, 12)
    method = QB(RangeFinder(rank=2, oversampling=0, power_iterations=0))
    result = method(a, rng=rng)
    vt = np.linalg.svd(a, full_matrices=False)[2]
    s = np.linalg.svd(vt[:2] @ np.asarray(result.omega.to_dense()), compute_uv=False)
    prediction = structural.rrf_structural(method, a, result)
    np.testing.assert_allclose(prediction.condition, 10 * s[0] / s[-1])


def test_tied_singular_values_leave_no_space_for_interpolation_points():
    with pytest.raises(HypothesisViolated, match="s_k > s_"):
        cur.deim_growth(CUR(2, DEIMColumns()), np.eye(6))
    rng = np.random.default_rng(0)
    a = with_singular_values(rng, [4.0, 2.0, 1.0], 6, 6)
    np.testing.assert_allclose(cur.deim_growth(CUR(2, DEIMColumns()), a).condition, 10 * 4.0 / (2.0 - 1.0))


def test_a_nearly_dependent_part_of_a_test_matrix_gives_no_bound():
    """U_1 sees of the column e_2 only 1e-9: X has no digits, and no rank k gives a bound."""
    kernel = np.diag([1.0, 0.5])
    kernel[0, 1] = kernel[1, 0] = 5e-10
    assert nystrom_structural.structural(kernel, np.eye(2)[:, 1:], 1) == (np.inf,) * 3


def test_an_intersection_that_is_singular_to_rounding_gives_no_projection():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.standard_normal((1, 4, 2)), 2, axis=-2)
    problem = AttentionProblem(x, x, rng.standard_normal((1, 8, 2)))
    method = kernel_cur.KernelCUR(6, ridge=0.0)
    assert verdict(kernel_cur.kernel_cur_projection, method, problem) is Verdict.NOT_APPLICABLE


@pytest.mark.parametrize("seed", range(5))
def test_the_projection_of_an_ill_conditioned_intersection_is_not_refuted(seed):
    """Nearly equal keys: condition numbers of the intersection up to 1e12."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((1, 1, 3)) + 1e-3 * rng.standard_normal((1, 12, 3))
    problem = AttentionProblem(x, x, rng.standard_normal((1, 12, 2)))
    found = verdict(kernel_cur.kernel_cur_projection, kernel_cur.KernelCUR(4, ridge=0.0), problem)
    assert found in (Verdict.NOT_CONTRADICTED, Verdict.SUPPORTED, Verdict.VACUOUS, Verdict.NOT_APPLICABLE)


@pytest.mark.parametrize("theorem", [lift.psd_lift, lift.psd_lift_frobenius, lift.psd_lift_entries])
def test_a_lifted_kernel_is_not_that_of_capped_scores(theorem):
    rng = np.random.default_rng(0)
    method, problem = theorem.extremal(rng)
    capped = AttentionProblem(problem.q, problem.k, problem.v, softcap=1.0)
    assert verdict(theorem, method, problem) in (Verdict.SUPPORTED, Verdict.NOT_CONTRADICTED)
    assert verdict(theorem, method, capped) is Verdict.NOT_APPLICABLE


def test_moments_of_features_beyond_the_range_of_float64_are_refused():
    problem = random_problem(np.random.default_rng(0), size=20.0)
    method = Performer(16, kind=Positive(), directions=Independent(), centre=False)
    with pytest.raises(HypothesisViolated, match="float64 holds the moments"):
        random_features.favor_positive_mse(method, problem)


def test_a_zero_sequence_has_a_train_of_rank_one_all_the_same():
    method, target = quantised.qtt_ranks.extremal(np.random.default_rng(0))
    with pytest.raises(HypothesisViolated, match="not zero"):
        quantised.qtt_ranks(method, 0 * target)


def test_the_largest_volume_needs_the_rank_of_every_level():
    """The second unfolding has rank 1, the first 2."""
    rng = np.random.default_rng(0)
    x = np.einsum("ij,k->ijk", rng.standard_normal((3, 3)), [1.0, 2.0, 3.0])
    method = tt_cross.LargestVolumeTTCross((2, 2))
    assert verdict(tt_cross.tt_cross_maximal_volume, tt_cross.LargestVolumeTTCross((2, 1)), x) is not Verdict.REFUTED
    with pytest.raises(HypothesisViolated, match="every unfolding"):
        tt_cross.tt_cross_maximal_volume(method, x)


@pytest.mark.parametrize("scale", [-200, 0, 200])
def test_errors_of_sweeps_that_are_differences_of_squares_do_not_refute(scale):
    rng = np.random.default_rng(3)
    factors = [np.linalg.qr(rng.standard_normal((5, 2)))[0] for _ in range(3)]
    x = np.einsum("ia,ja,ka->ijk", *factors)
    noisy = np.ldexp(x + 1e-9 * rng.standard_normal(x.shape), scale)
    found = verdict(hooi.hooi_every_sweep, hooi.HOOI(ranks=2), noisy)
    assert found in (Verdict.NOT_CONTRADICTED, Verdict.SUPPORTED)


def test_a_spurious_term_leaves_a_decomposition_uncertified():
    method, target = cp.kruskal.extremal(np.random.default_rng(0))
    wider = cp.CPALS(rank=4, sweeps=100, stagnation=1e-14, start=cp.GaussianStart())
    assert verdict(cp.kruskal, method, target, trials=2) is Verdict.SUPPORTED
    assert verdict(cp.kruskal, wider, target, trials=2) is Verdict.NOT_APPLICABLE


def test_columns_that_are_nearly_parallel_count_as_dependent():
    assert cp.kruskal_rank(np.array([[1.0, 1.0], [0.0, 1e-6]])) == 1
    assert cp.kruskal_rank(np.array([[1.0, 1.0], [0.0, 1e-1]])) == 2
    assert cp.kruskal_rank(np.array([[1.0, 0.0], [0.0, 0.0]])) == 0


def test_a_zero_minor_is_never_drawn():
    """Of the unit matrix of order n a cross of rank one leaves n - 1, half of 4 e_2 / e_1 = 2 (n - 1)."""
    with pytest.raises(HypothesisViolated, match="no minor"):
        cross.cross_volume_sampling_identity(cross.VolumeCross(1), np.eye(4))
    np.testing.assert_allclose(cross.cross_volume_sampling_fro(cross.VolumeCross(1), np.eye(4)).value, 4 * 3.0)
    a = with_singular_values(np.random.default_rng(0), slow_spectrum(4), 5, 4)
    cross.cross_volume_sampling_identity(cross.VolumeCross(2), a)


def test_matrices_that_are_not_semidefinite_are_refused():
    with pytest.raises(HypothesisViolated, match="positive semidefinite"):
        hypotheses.require_semidefinite(np.diag([1.0, -1.0]))
    with pytest.raises(HypothesisViolated, match="symmetric"):
        hypotheses.require_semidefinite(np.triu(np.ones((3, 3))))
    with pytest.raises(HypothesisViolated, match="square"):
        hypotheses.require_semidefinite(np.ones((3, 2)))
    hypotheses.require_semidefinite(with_eigenvalues(np.random.default_rng(0), slow_spectrum(5)))


def test_a_conditional_mean_of_zero_is_met_by_errors_of_zero():
    """0 = 0 given the range sketch, in as many runs as show that a mean is too small."""
    method, target = generalized_nystrom.gn_conditional_identity.extremal(np.random.default_rng(0))
    found = verdict(generalized_nystrom.gn_conditional_identity, method, 0 * target, trials=60)
    assert found in (Verdict.NOT_CONTRADICTED, Verdict.VACUOUS)
