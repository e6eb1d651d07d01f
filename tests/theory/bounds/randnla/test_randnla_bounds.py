"""Theorems about randomized factorisations: worked examples, hypotheses, controls."""

import dataclasses
import importlib

import numpy as np
import pytest
from fixtures import rng

from theory.bounds.randnla import leverage, nystrom, pivoted_cholesky, randomized_svd, range_finder
from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_eigenvalues, with_singular_values
from theory.comparison.compare import compare
from theory.statement.bound import Bound, HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.randnla.columns.leverage_columns import LeverageColumns
from tnattn.randnla.low_rank.qb import QB, QBResult
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.randnla.scores.leverage import LeverageSampling
from tnattn.randnla.semidefinite.nystrom import Nystrom
from tnattn.randnla.semidefinite.pivoted_cholesky import GreedyPivotedCholesky, RandomlyPivotedCholesky
from tnattn.randnla.sketches.sparse_sign import SparseSign
from tnattn.structured.dense import Dense

MODULES = ["eckart_young", "range_finder", "randomized_svd", "nystrom", "pivoted_cholesky", "leverage"]
BOUNDS = [
    b
    for name in MODULES
    for b in vars(importlib.import_module(f"theory.bounds.randnla.{name}")).values()
    if isinstance(b, Bound)
]
every_bound = pytest.mark.parametrize("theorem", BOUNDS, ids=lambda b: b.name)

S8 = np.array([8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.125, 0.0625])


def qb(k, p, **fields):
    return QB(RangeFinder(rank=k, oversampling=p, **{"power_iterations": 0, **fields}))


# verdicts


@every_bound
def test_a_theorem_says_something_on_its_extremal_instance(theorem):
    method, target = theorem.extremal(rng(1))
    (comparison,) = compare(method, target, [theorem], trials=20, rng=rng(2))
    assert comparison.verdict is not Verdict.VACUOUS


@every_bound
def test_instances_have_at_most_64_rows_and_columns(theorem):
    for make in (theorem.extremal, theorem.generic):
        assert max(make(rng())[1].shape) <= 64


@every_bound
def test_a_theorem_gives_one_value_per_matrix_of_a_stack(theorem):
    method, target = theorem.generic(rng(1))
    stack = np.stack([target, 2 * target, 3 * target]).reshape(3, 1, *target.shape)
    result = method(stack, rng=rng(2)) if theorem.kind != "prior" else None
    prediction = theorem(method, stack, result)
    assert prediction.value.shape == (3, 1)
    alone = theorem(method, 3 * target, None if result is None else method(3 * target, rng=rng(2)))
    np.testing.assert_allclose(prediction.value[2, 0], alone.value, rtol=1e-9)


@every_bound
def test_a_structured_target_gives_the_same_prediction(theorem):
    method, target = theorem.generic(rng(1))
    result = method(target, rng=rng(2)) if theorem.kind != "prior" else None
    one, two = theorem(method, target, result), theorem(method, Dense(target), result)
    assert np.array_equal(one.value, two.value)


# worked examples of the catalogue


def test_worked_frobenius_expectations():
    a, method = np.diag(S8), qb(2, 3)
    np.testing.assert_allclose(range_finder.rrf_fro_expected_sq(method, a).value, 10.6640625)
    np.testing.assert_allclose(range_finder.rrf_fro_expected(method, a).value, 3.2655876, rtol=1e-7)


def test_worked_spectral_expectation():
    np.testing.assert_allclose(range_finder.rrf_spec_expected(qb(2, 3), np.diag(S8)).value, 8.6784778, rtol=1e-7)


def test_worked_frobenius_deviation():
    prediction = range_finder.rrf_fro_deviation(qb(2, 4), np.diag(S8))
    np.testing.assert_allclose([prediction.value, prediction.failure], [18.021591, 0.2603353], rtol=1e-6)
    vacuous = range_finder.rrf_fro_deviation.with_parameters(t=1.5, u=1.0)(qb(2, 4), np.diag(S8))
    np.testing.assert_allclose([vacuous.value, vacuous.failure], [10.0984, 1.002], rtol=1e-3)


def test_worked_spectral_deviation():
    prediction = range_finder.rrf_spec_deviation(qb(2, 4), np.diag(S8))
    np.testing.assert_allclose([prediction.value, prediction.failure], [23.185245, 0.2603353], rtol=1e-6)


def test_simple_deviations_by_hand():
    """k = 2, p = 4: 1 + 16 sqrt(7/5) = 19.931455, 8 sqrt(6)/5 = 3.919184, s_3 = 2, tau_2 = sqrt(5.33203125).

    The second form: 1 + 8 sqrt(24 log 4) = 47.145, 3 sqrt(6) = 7.348469.
    """
    a, tau = np.diag(S8), 5.33203125**0.5
    simple = range_finder.rrf_spec_simple_deviation(qb(2, 4), a)
    np.testing.assert_allclose(simple.value, 19.931455 * 2 + 3.919184 * tau, rtol=1e-6)
    np.testing.assert_allclose(simple.failure, 3 * np.exp(-4))
    steep = range_finder.rrf_spec_steep_deviation(qb(2, 4), a)
    np.testing.assert_allclose(steep.value, (1 + 8 * 33.271065**0.5) * 2 + 7.348469 * tau, rtol=1e-6)
    np.testing.assert_allclose(steep.failure, 3 / 256)


def test_the_simple_deviation_follows_from_the_full_one():
    """t = e, u = sqrt(2p) in the deviation theorem give a smaller right-hand side at the same failure probability."""
    method, a = qb(3, 6), np.diag(S8).repeat(2, axis=0).repeat(2, axis=1)
    full = range_finder.rrf_spec_deviation.with_parameters(t=np.e, u=12**0.5)(method, a)
    simple = range_finder.rrf_spec_simple_deviation(method, a)
    assert full.value <= simple.value
    np.testing.assert_allclose(full.failure, simple.failure)


def test_power_iterations_by_hand():
    """Without a power the statement is that of Theorem 10.6; with q = 1 its 1/3 power for the cubes."""
    a = np.diag(S8)
    plain, cubes = range_finder.rrf_spec_expected(qb(2, 3), a), range_finder.rrf_spec_expected(qb(2, 3), np.diag(S8**3))
    power = range_finder.rrf_power_spec_expected
    np.testing.assert_allclose(power(qb(2, 3), a).value, plain.value, rtol=1e-12)
    np.testing.assert_allclose(power(qb(2, 3, power_iterations=1), a).value, cubes.value ** (1 / 3), rtol=1e-12)


def test_the_power_bound_neither_overflows_nor_vanishes():
    for scale in (1e120, 1e-120):
        method = qb(2, 3, power_iterations=3)
        one = range_finder.rrf_power_spec_expected(method, np.diag(S8)).value
        np.testing.assert_allclose(
            range_finder.rrf_power_spec_expected(method, scale * np.diag(S8)).value, scale * one, rtol=1e-12
        )


def test_the_one_value_bound_by_hand():
    """k = 2, p = 2, q = 1, an 8 x 8 matrix: (1 + 4 sqrt(16))^(1/3) = 17^(1/3) times s_3 = 2."""
    value = randomized_svd.rsvd_power_simple(qb(2, 2, power_iterations=1), np.diag(S8)).value
    np.testing.assert_allclose(value, 17 ** (1 / 3) * 2)


def test_worked_truncation():
    a = np.diag(slow_spectrum(30))
    value = randomized_svd.rsvd_trunc_fro_expected(RandomizedSVD(rank=4, oversampling=3, power_iterations=0), a).value
    np.testing.assert_allclose(value, 0.56561702, rtol=1e-7)


def test_worked_subspace_iteration():
    for method in (qb(2, 3, power_iterations=1), RandomizedSVD(2, 3, 1)):
        value = randomized_svd.subspace_fro_expected(method, np.diag(S8)).value
        np.testing.assert_allclose(value, 5.46695188, rtol=1e-8)


def test_worked_nystrom():
    a = np.diag(S8)
    np.testing.assert_allclose(nystrom.nystrom_nuclear_expected(Nystrom(5, 0), a).value, 7.75)
    np.testing.assert_allclose(nystrom.nystrom_spec_expected(Nystrom(5, 0), a).value, 42.36801, rtol=1e-6)
    np.testing.assert_allclose(nystrom.nystrom_fixed_rank_nuclear(Nystrom(2, 3), a).value, 7.875)
    np.testing.assert_allclose(nystrom.nystrom_fixed_rank_spec(Nystrom(2, 3), a).value, 5.9375)


def test_worked_number_of_pivots():
    np.testing.assert_allclose(pivoted_cholesky.pivots_needed(3, 0.5, 0.1), 14.9872, rtol=1e-5)


def test_one_random_pivot_by_enumeration():
    """Each pivot i, drawn with probability K_ii / tr K, takes ||K e_i||^2 / K_ii off the trace."""
    a = with_eigenvalues(rng(), [4.0, 2.0, 1.0, 0.5])
    expected = np.trace(a) - sum(a[:, i] @ a[:, i] for i in range(4)) / np.trace(a)
    np.testing.assert_allclose(pivoted_cholesky.rpcholesky_phi(RandomlyPivotedCholesky(rank=1), a).value, expected)


def test_the_pivot_theorem_holds_at_its_own_epsilon():
    """15 pivots promise 1.5 times the tail at r = 3, eta = 0.1, so the best promise is at most that."""
    a = with_eigenvalues(rng(), [3.0, 3.0, 3.0, *([0.05] * 20)])
    value = pivoted_cholesky.rpcholesky_theorem(RandomlyPivotedCholesky(rank=15), a).value
    assert 1.0 < value <= 1.5


def test_the_greedy_bound_by_hand():
    """k = 1, n = 4: 3 (16 + 6 + 5) / 9 = 9 times l_2."""
    value = pivoted_cholesky.pivoted_cholesky_greedy(GreedyPivotedCholesky(rank=1), np.diag([5.0, 2.0, 1.0, 1.0])).value
    np.testing.assert_allclose(value, 18.0)


def test_worked_chernoff_tails():
    np.testing.assert_allclose(leverage.chernoff_lower(0.7, 3, 60), 0.00342193, rtol=1e-5)
    np.testing.assert_allclose(leverage.chernoff_upper(0.7, 3, 60), 0.0527206, rtol=1e-5)
    prediction = leverage.leverage_embedding_chernoff(LeverageSampling(size=60), rng().standard_normal((64, 3)))
    np.testing.assert_allclose([prediction.value, prediction.failure], [0.7, 0.0561425], rtol=1e-5)


def test_the_column_subset_bound_by_hand():
    """k = 2, s = 30, e = d = 1/2: 1 + 2/(0.25 * 30 * 0.5) = 1.5333; d + 2 (exp(-1/2) sqrt(2))^15 = 0.7004."""
    prediction = leverage.leverage_css_fro(LeverageColumns(size=30, subspace=2), np.diag(S8))
    np.testing.assert_allclose(prediction.value, (1 + 2 / 3.75) * 5.33203125)
    np.testing.assert_allclose(prediction.failure, 0.5 + 2 * (np.exp(-0.5) * 2**0.5) ** 15)


# hypotheses

SQUARE = np.diag(S8)
VIOLATIONS = [
    (range_finder.rrf_fro_expected_sq, qb(2, 3, sketch=SparseSign()), SQUARE, "Gaussian"),
    (range_finder.rrf_fro_expected_sq, qb(2, 3, power_iterations=1), SQUARE, "no power iterations"),
    (range_finder.rrf_fro_expected_sq, qb(2, 1), SQUARE, "p >= 2"),
    (range_finder.rrf_fro_expected_sq, qb(4, 5), SQUARE, "k + p"),
    (range_finder.rrf_fro_expected, qb(4, 5), SQUARE, "k + p"),
    (range_finder.rrf_spec_expected, qb(1, 3), SQUARE, "k >= 2"),
    (range_finder.rrf_fro_deviation, qb(2, 3), SQUARE, "p >= 4"),
    (range_finder.rrf_fro_deviation.with_parameters(t=0.5), qb(2, 4), SQUARE, "t >= 1"),
    (range_finder.rrf_spec_deviation, qb(2, 3), SQUARE, "p >= 4"),
    (range_finder.rrf_spec_simple_deviation, qb(2, 3), SQUARE, "p >= 4"),
    (range_finder.rrf_spec_steep_deviation, qb(2, 3), SQUARE, "p >= 4"),
    (range_finder.rrf_power_spec_expected, qb(1, 3), SQUARE, "k >= 2"),
    (randomized_svd.rsvd_power_simple, qb(2, 3), SQUARE, "p = k"),
    (randomized_svd.rsvd_trunc_fro_expected, RandomizedSVD(2, 1, 0), SQUARE, "p >= 2"),
    (randomized_svd.rsvd_trunc_fro_expected, QB(), SQUARE, "RandomizedSVD"),
    (randomized_svd.subspace_fro_expected, qb(3, 3), np.diag([1.0, 1, 0, 0, 0, 0, 0]), "rank A >= k"),
    (nystrom.nystrom_nuclear_expected, Nystrom(2, 3), SQUARE, "nothing is truncated"),
    (nystrom.nystrom_nuclear_expected, Nystrom(2, 0), SQUARE, "s >= 3"),
    (nystrom.nystrom_spec_expected, Nystrom(3, 0), SQUARE, "s >= 4"),
    (nystrom.nystrom_fixed_rank_nuclear, Nystrom(2, 1), SQUARE, "k > r"),
    (nystrom.nystrom_fixed_rank_spec, Nystrom(2, 3, SparseSign()), SQUARE, "Gaussian"),
    (nystrom.nystrom_fixed_rank_spec, Nystrom(2, 3), -SQUARE, "semidefinite"),
    (nystrom.nystrom_fixed_rank_spec, Nystrom(2, 3), np.triu(np.ones((8, 8))), "symmetric"),
    (pivoted_cholesky.rpcholesky_theorem, RandomlyPivotedCholesky(rank=4), 0 * SQUARE, "not zero"),
    (pivoted_cholesky.pivoted_cholesky_greedy, GreedyPivotedCholesky(rank=8), SQUARE, "k < n"),
    (leverage.leverage_embedding_chernoff, LeverageSampling(), np.ones((9, 2)), "full column rank"),
    (leverage.leverage_embedding_chernoff.with_parameters(epsilon=1.0), LeverageSampling(), np.eye(3), "0 < e"),
    (leverage.leverage_css_fro, LeverageColumns(subspace=3), np.diag([1.0, 1, 0, 0]), "rank A >= k"),
]


@pytest.mark.parametrize("theorem, method, a, words", VIOLATIONS, ids=lambda x: getattr(x, "name", ""))
def test_a_violated_hypothesis_is_named(theorem, method, a, words):
    with pytest.raises(HypothesisViolated, match=words.replace("+", r"\+")):
        theorem(method, a)


# negative controls: methods that break what a theorem rests on


@dataclasses.dataclass(frozen=True)
class Undersketched(QB):
    """Claims its range finder's columns, but uses a third of them."""

    def factorise(self, a, *, rng):
        finder = self.range_finder
        q = RangeFinder(rank=finder.size // 3, oversampling=0, power_iterations=0).basis(a, rng=rng)
        return QBResult(q, q.mT @ a.to_dense())


def test_a_range_finder_with_too_few_columns_is_found_out():
    a = with_singular_values(rng(), gap_spectrum(4, 48), 48, 56)
    method = Undersketched(RangeFinder(rank=4, oversampling=4, power_iterations=0))
    (comparison,) = compare(method, a, [range_finder.rrf_fro_expected_sq], rng=rng())
    assert comparison.verdict is Verdict.REFUTED


@dataclasses.dataclass(frozen=True)
class Leaky(QB):
    """Returns the matrix itself beside a claimed basis of few columns."""

    def factorise(self, a, *, rng):
        result = super().factorise(a, rng=rng)
        return QBResult(result.q, 1.1 * result.b)


def test_an_identity_finds_a_factor_that_is_no_projection():
    a = with_singular_values(rng(), slow_spectrum(20), 20, 20)
    (comparison,) = compare(
        Leaky(RangeFinder(rank=3, power_iterations=0)), a, [range_finder.randqb_residual_identity], rng=rng()
    )
    assert comparison.verdict is Verdict.REFUTED


def test_the_pivot_theorem_is_exact_for_exact_ranks():
    a = np.diag([3.0, 2.0, *([0.0] * 10)])
    assert pivoted_cholesky.rpcholesky_theorem(RandomlyPivotedCholesky(rank=2), a).value == 0
    assert pivoted_cholesky.rpcholesky_theorem(RandomlyPivotedCholesky(rank=1), a).value > 0
