"""Theorems about sketches and low-rank methods: worked examples, hypotheses, stacks, negative controls."""

import dataclasses
import importlib

import numpy as np
import pytest
from fixtures import rng

from theory.bounds.randnla import (
    embeddings,
    gaussian_moments,
    generalized_nystrom,
    hadamard,
    johnson_lindenstrauss,
    krylov,
    streaming_svd,
    structural,
    subspace,
    tensor_sketches,
    tolerance,
    weyl,
)
from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_singular_values
from theory.comparison.compare import compare
from theory.statement.bound import Bound, HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.randnla.columns.cur import CUR
from tnattn.randnla.columns.interpolative import InterpolativeDecomposition
from tnattn.randnla.columns.pivoted_qr import PivotedQR
from tnattn.randnla.low_rank.adaptive_qb import AdaptiveQB
from tnattn.randnla.low_rank.generalized_nystrom import GeneralizedNystrom
from tnattn.randnla.low_rank.krylov import BlockKrylov
from tnattn.randnla.low_rank.qb import QB, QBResult
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.randnla.low_rank.streaming_svd import SinglePassSVD
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
from tnattn.randnla.sketches.adaptive import RowStart
from tnattn.randnla.sketches.base import Sketch
from tnattn.randnla.sketches.count_sketch import CountSketch
from tnattn.randnla.sketches.embedding import Embedding
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.sketches.kronecker_sketch import KhatriRaoSketch
from tnattn.randnla.sketches.sparse_sign import SparseSign
from tnattn.randnla.sketches.tensor_sketch import TensorSketch
from tnattn.randnla.sketches.trigonometric import SubsampledHadamard
from tnattn.structured.dense import Dense

LOW_RANK = ["structural", "hadamard", "subspace", "krylov", "generalized_nystrom", "streaming_svd", "weyl", "tolerance"]
MODULES = [importlib.import_module(f"theory.bounds.randnla.{name}") for name in LOW_RANK]
BOUNDS = [b for m in MODULES for b in vars(m).values() if isinstance(b, Bound) and b.module == m.__name__]

S8 = np.array([8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.125, 0.0625])


def qb(k, p, q=0, sketch=Gaussian()):
    return QB(RangeFinder(rank=k, oversampling=p, power_iterations=q, sketch=sketch))


@pytest.mark.parametrize("theorem", BOUNDS, ids=lambda b: b.name)
def test_each_matrix_of_a_stack_gets_its_own_value(theorem):
    method, target = theorem.generic(rng(1))
    stack = np.stack([target, 2 * target])
    result = method(stack, rng=rng(2)) if theorem.kind != "prior" else None
    alone_result = method(2 * target, rng=rng(2)) if theorem.kind != "prior" else None
    value, alone = theorem(method, stack, result).value, theorem(method, 2 * target, alone_result).value
    assert value.shape == (2, *alone.shape)
    np.testing.assert_allclose(value[1], alone, rtol=1e-6, atol=1e-12)


# worked examples of the catalogue: A = diag(2, 1), Omega = (1, 1)^T, q = 1


@dataclasses.dataclass(frozen=True)
class Ones(Sketch):
    """A column of ones."""

    def draw(self, n, size, *, rng, like):
        return Dense(np.ones((n, size)))


def example(q):
    method, a = qb(1, 0, q, Ones()), np.diag([2.0, 1.0])
    return method, a, method(a, rng=rng())


def test_worked_power_of_a_projection():
    theorem = structural.rrf_power_structural
    method, a, result = example(1)
    np.testing.assert_allclose(theorem(method, a, result).value, 1.119565, rtol=1e-6)
    np.testing.assert_allclose(theorem.error(a, result), 1.022817, rtol=1e-6)


def test_worked_subspace_iteration():
    method, a, result = example(1)
    for theorem in (structural.subspace_structural, structural.subspace_structural_fro):
        np.testing.assert_allclose(theorem(method, a, result).value, 1.030776, rtol=1e-6)
    sine = structural.subspace_angle_structural
    np.testing.assert_allclose(sine(method, a, result).value, [0.1240347], rtol=1e-6)
    np.testing.assert_allclose(sine.error(a, result), [0.1240347], rtol=1e-6)
    np.testing.assert_allclose(structural.subspace_sv_structural(method, a, result).value, [1.984556], rtol=1e-6)


def test_the_structural_bound_by_hand():
    """q = 0: F = 1, S_2 = 1, so the right-hand side is sqrt(2) in both norms."""
    method, a, result = example(0)
    for theorem in (structural.rrf_structural, structural.rrf_structural_fro):
        np.testing.assert_allclose(theorem(method, a, result).value, 2**0.5)


def test_the_hadamard_structural_bound_by_hand():
    """All of a Hadamard transform: Omega is orthonormal, x = 1, l = n, so the factor is sqrt(2)."""
    method, a = qb(2, 6, sketch=SubsampledHadamard()), np.diag(S8)
    value = hadamard.srft_rangefinder_structural(method, a, method(a, rng=rng())).value
    np.testing.assert_allclose(value, 2**0.5 * 2.0)


def test_worked_captured_values_and_angles():
    s = slow_spectrum(30)
    captured = subspace.captured_expected(s, 30, 5, 3, 1)
    np.testing.assert_allclose(captured[0], 0.9986622, rtol=1e-6)
    np.testing.assert_allclose(captured[4], 0.00182389, rtol=1e-5)
    np.testing.assert_allclose(subspace.angle_expected(s, 1, 5, 3, 1), 1.9086e-05, rtol=1e-4)
    np.testing.assert_allclose(subspace.angle_expected(s, 5, 5, 3, 1), 0.29822, rtol=1e-4)
    method = RandomizedSVD(rank=5, oversampling=3, power_iterations=1)
    np.testing.assert_allclose(subspace.subspace_sv_expected(method, np.diag(s)).value, captured)
    np.testing.assert_allclose(
        subspace.subspace_vector_angle_expected(qb(5, 3, 1), np.diag(s)).value, 1.9086e-05, rtol=1e-4
    )


def test_the_truncation_bound_by_hand():
    """k = 2, p = 3 without powers: s_3 = 2 beside the 8.6784778 of Theorem 10.6."""
    value = subspace.rsvd_truncation_spec(RandomizedSVD(2, 3, 0), np.diag(S8)).value
    np.testing.assert_allclose(value, 2 + 8.6784778, rtol=1e-7)


def test_worked_krylov():
    a = np.diag([2.0, 1.0, 0.5, 0.0, 0.0])
    np.testing.assert_allclose(krylov.chebyshev(3, np.array([2.0, 1.0, 0.5, 0.0])), [26, 1, -1, 0], atol=1e-12)
    method = BlockKrylov(rank=1, oversampling=3, power_iterations=1)
    np.testing.assert_allclose(krylov.krylov_chebyshev_expected(method, a).value, 1.2559172, rtol=1e-7)


def test_worked_generalized_nystrom():
    np.testing.assert_allclose(generalized_nystrom.smallest_split(S8, 4), 15.996094, rtol=1e-7)
    method = GeneralizedNystrom(rank=4, oversampling=0, excess=5)
    a = np.vstack([np.diag(S8), np.zeros((4, 8))])
    np.testing.assert_allclose(generalized_nystrom.gn_fro_expected(method, a).value, 31.992188, rtol=1e-7)


def test_the_single_pass_bound_by_hand():
    """k = 4, s = 9: 8/4 = 2 times the minimum of tau_0^2 = 85.33, 4/2 tau_1^2 and 5 tau_2^2 = 26.660156."""
    method, a = SinglePassSVD(rank=4, oversampling=0, core=9), np.diag(S8)
    value = streaming_svd.tyuc19_fro_expected(method, a).value
    np.testing.assert_allclose(value, 2 * min(1 * np.sum(S8**2), 2 * np.sum(S8[1:] ** 2), 5 * 5.33203125))
    np.testing.assert_allclose(value, 53.3203125)


def test_the_largest_shift_by_hand():
    """diag(3, 2, 1) cut to rank 1: the values move by 0, 2, 1."""
    a, method = np.diag([3.0, 2.0, 1.0]), TruncatedSVD(1)
    result = method(a)
    np.testing.assert_allclose([weyl.weyl(method, a, result).value, weyl.weyl.error(a, result)], 2)
    np.testing.assert_allclose([weyl.weyl_mirsky(method, a, result).value, weyl.weyl_mirsky.error(a, result)], 5**0.5)


def test_the_tolerance_by_hand():
    method, a = AdaptiveQB(rtol=0.5), np.diag([3.0, 4.0])
    np.testing.assert_allclose(tolerance.adaptive_tolerance(method, a, method(a, rng=rng())).value, 2.5)


@pytest.mark.parametrize(
    "method",
    [
        InterpolativeDecomposition(30, rtol=0.1),
        CUR(30, rtol=0.1),
        PivotedQR(30, 0.1),
        BlockKrylov(30, rtol=0.1),
        GeneralizedNystrom(30, rtol=0.1),
    ],
    ids=repr,
)
def test_factorisations_keep_their_tolerance_and_not_a_tenth_of_it(method):
    a = with_singular_values(rng(), slow_spectrum(30), 40, 30)
    for factor, verdict in [(1.0, Verdict.SUPPORTED), (0.1, Verdict.REFUTED)]:
        theorem = tolerance.adaptive_tolerance.scaled(factor)
        (comparison,) = compare(method, a, [theorem], trials=1, rng=rng())
        assert comparison.verdict is verdict


def test_worked_gram_moments():
    u = np.full((4, 1), 0.5)
    for sketch, value in [
        (CountSketch(), 0.1875),
        (SparseSign(4), 0.1875),
        (SparseSign(8), 0.1875),
        (Gaussian(), 0.25),
    ]:
        found = embeddings.embedding_gram_second_moment(Embedding(8, sketch), u).value
        np.testing.assert_allclose(found, value)


def test_the_gram_moment_of_two_matrices_by_hand():
    """a = e_1, b = e_2: one inner product, of variance 1/m, whatever the signs."""
    a, b = np.eye(3)[:, :1], np.eye(3)[:, 1:2]
    assert embeddings.gram_second_moment(a, b, 10, 1.0) == embeddings.gram_second_moment(a, b, 10, 0.0) == 0.1


def test_worked_count_sketch_embedding():
    theorem = embeddings.countsketch_embedding.with_parameters(epsilon=0.5)
    prediction = theorem(Embedding(240, CountSketch()), rng().standard_normal((9, 2)))
    np.testing.assert_allclose([prediction.value, prediction.failure], [0.5, 0.1])


def test_worked_hadamard_embedding():
    method, a = Embedding(1536, SubsampledHadamard()), rng().standard_normal((2048, 2))
    prediction = hadamard.srht_embedding_explicit(method, a)
    np.testing.assert_allclose([prediction.value, prediction.failure], [0.9, 0.0762457], rtol=1e-5)
    best = min(hadamard.hadamard_failure(2048, 2, 1536, 0.9, beta) for beta in np.geomspace(20, 200, 400))
    np.testing.assert_allclose(best, 0.053452, rtol=1e-3)


def test_hadamard_embeddings_say_nothing_of_64_rows_and_something_of_512():
    """The example of the docstring: M = 92.06, 0.05 + 0.0612 + 0.2637 = 0.375."""
    choices = [
        hadamard.hadamard_failure(64, 1, 64, epsilon, beta)
        for epsilon in np.linspace(0.05, 0.999, 40)
        for beta in np.geomspace(1.5, 200, 60)
    ]
    assert min(choices) > 1
    prediction = hadamard.srht_embedding_explicit(Embedding(384, SubsampledHadamard()), np.ones((512, 1)))
    np.testing.assert_allclose([prediction.value, prediction.failure], [0.9, 0.374953], rtol=1e-5)


def test_the_hadamard_range_finder_by_hand_behind_a_gap():
    """n = 64, l = 48, e = 0.9: sqrt(1 + 64 / 4.8) = 3.786 times s_2, except with probability 0.05 + 0.645."""
    s = np.r_[1e4, np.ones(63)]
    prediction = hadamard.srft_rangefinder_explicit(qb(1, 47, sketch=SubsampledHadamard()), np.diag(s))
    np.testing.assert_allclose([prediction.value, prediction.failure], [3.785939, 0.695216], rtol=1e-5)


@pytest.mark.slow
def test_the_hadamard_range_finder_by_hand():
    """n = 2048, l = 1536, e = 0.9: sqrt(1 + 2048 / 153.6) = 3.78594 times s_3; the upper tail is not needed."""
    method = qb(2, 1534, sketch=SubsampledHadamard())
    s = np.r_[[3.0, 2.0], np.ones(2046)]
    value, chance = hadamard.srft_rangefinder_explicit.function(method, Diagonal2048(s))
    np.testing.assert_allclose(value, 3.78594, rtol=1e-5)
    np.testing.assert_allclose(chance, hadamard.hadamard_failure(2048, 2, 1536, 0.9, 20.0, upper=False))
    assert chance < 0.0762457


class Diagonal2048:
    """A diagonal matrix whose singular values are wanted only."""

    def __init__(self, s):
        self.s = s
        self.shape = (2048, 2048)

    def to_dense(self):
        return np.diag(self.s)


def test_worked_johnson_lindenstrauss():
    np.testing.assert_allclose(johnson_lindenstrauss.gaussian_upper(100, 0.5), 0.00885525, rtol=1e-6)
    np.testing.assert_allclose(johnson_lindenstrauss.gaussian_lower(100, 0.5), 6.39532e-05, rtol=1e-6)
    assert johnson_lindenstrauss.points_size(1000, 0.5) == 332
    assert johnson_lindenstrauss.points_size(1000, 0.5, beta=1.0) == 498
    prediction = johnson_lindenstrauss.jl_tail(Embedding(100), np.eye(5)[:, :1])
    np.testing.assert_allclose(prediction.failure, 0.00885525 + 6.39532e-05, rtol=1e-6)
    pairs = johnson_lindenstrauss.jl_all_pairs(Embedding(498), np.eye(1000))
    assert 0.0005 < pairs.failure <= 1e-3


def test_the_simpler_exponents_are_weaker():
    for make in (johnson_lindenstrauss.jl_dasgupta_gupta, johnson_lindenstrauss.jl_tail):
        assert make(Embedding(60), np.ones((3, 1))).value == 0.5
    x = np.ones((3, 1))
    simple = johnson_lindenstrauss.jl_dasgupta_gupta(Embedding(60), x).failure
    assert johnson_lindenstrauss.jl_tail(Embedding(60), x).failure < simple
    signs = johnson_lindenstrauss.jl_achlioptas(Embedding(60, SparseSign(60)), x).failure
    assert simple < signs


def test_worked_variance_of_an_inner_product():
    x = np.full((2, 2), 0.5**0.5)
    for sketch, value in [(Gaussian(), 0.2), (SparseSign(10), 0.1), (CountSketch(), 0.1)]:
        np.testing.assert_allclose(johnson_lindenstrauss.jl_variance(Embedding(10, sketch), x).value, value)


def test_worked_inner_product_tail():
    prediction = johnson_lindenstrauss.jl_inner_product(Embedding(200), np.eye(4)[:, :2])
    np.testing.assert_allclose([prediction.value, prediction.failure], [0.3, 0.0928027], rtol=1e-6)


def test_worked_tensor_sketch():
    """q = 2: 8 / m; a subspace of dimension 3 needs 9 * 8 / (e^2 d) = 2880 dimensions."""
    value = tensor_sketches.tensorsketch_moment(Embedding(320, TensorSketch((4, 4))), np.eye(16)[:, :1]).value
    np.testing.assert_allclose(value, 0.1 * 0.5**2)
    theorem = tensor_sketches.tensorsketch_embedding.with_parameters(epsilon=0.5)
    prediction = theorem(Embedding(2880, TensorSketch((4, 4))), np.eye(16)[:, :3])
    np.testing.assert_allclose(prediction.failure, 0.1)


def test_khatri_rao_moments_by_hand():
    """N = 2: 8 / m ||x||^4; for flat vectors of length 2, ||x_k||_4^4 = ||x_k||^4 / 2: 2 * 2 - 1 = 3."""
    x = np.ones((4, 1))
    normal, flips = (Embedding(10, KhatriRaoSketch((2, 2), rademacher=r)) for r in (False, True))
    np.testing.assert_allclose(tensor_sketches.kr_sketch_moment(normal, x).value, 0.8 * 16)
    np.testing.assert_allclose(tensor_sketches.kr_sketch_rademacher_moment(flips, x).value, 0.3 * 16)


def test_worked_pseudo_inverse_moments():
    method, zero = gaussian_moments.GaussianPseudoInverse(), np.zeros((7, 3))
    np.testing.assert_allclose(gaussian_moments.gaussian_pinv_fro(method, zero).value, 1.0)
    np.testing.assert_allclose(gaussian_moments.gaussian_pinv_spec(method, zero).value, 1.797974, rtol=1e-6)
    np.testing.assert_allclose(gaussian_moments.gaussian_pinv_spec_sq(method, zero).value, 3.448226, rtol=1e-6)
    tail = gaussian_moments.gaussian_pinv_fro_tail(method, zero)
    np.testing.assert_allclose([tail.value, tail.failure], [2 * 1.8**0.5, 1 / 16])
    tail = gaussian_moments.gaussian_pinv_spec_tail(method, zero)
    np.testing.assert_allclose([tail.value, tail.failure], [2 * np.e * 7**0.5 / 5, 1 / 32])


# hypotheses

SQUARE = np.diag(S8)
VECTOR = np.ones((8, 1))
PRIOR_VIOLATIONS = [
    (subspace.subspace_sv_expected, RandomizedSVD(2, 3, 0, rtol=0.1), SQUARE, "no tolerance"),
    (subspace.subspace_sv_expected, RandomizedSVD(2, 1, 0), SQUARE, "p >= 2"),
    (subspace.subspace_vector_angle_expected, qb(2, 3, sketch=SparseSign()), SQUARE, "Gaussian"),
    (subspace.rsvd_truncation_spec, RandomizedSVD(1, 3, 0), SQUARE, "k >= 2"),
    (krylov.krylov_chebyshev_expected, BlockKrylov(2, 1), SQUARE, "p >= 2"),
    (krylov.krylov_chebyshev_expected, BlockKrylov(2, 7), SQUARE, "k + p <="),
    (krylov.krylov_chebyshev_expected, BlockKrylov(2, 2), np.diag([1.0, 1, 0, 0]), "s_{k+1}"),
    (krylov.krylov_chebyshev_expected, BlockKrylov(2, 2, sketch=CountSketch()), SQUARE, "Gaussian"),
    (krylov.krylov_chebyshev_expected, BlockKrylov(2, 2, sketch=RowStart()), SQUARE, "Gaussian"),
    (krylov.krylov_chebyshev_expected, BlockKrylov(2, 2, block=1), SQUARE, "blocks of k"),
    (generalized_nystrom.gn_fro_expected, GeneralizedNystrom(3, 1), SQUARE, "nothing is truncated"),
    (generalized_nystrom.gn_fro_expected, GeneralizedNystrom(3, 0, 1), SQUARE, "s >= l + 2"),
    (generalized_nystrom.gn_fro_expected, GeneralizedNystrom(3, 0, sketch=CountSketch()), SQUARE, "Gaussian"),
    (streaming_svd.tyuc19_fro_expected, SinglePassSVD(3, 1), SQUARE, "nothing is truncated"),
    (krylov.krylov_chebyshev_expected, BlockKrylov(2, 2, 1, rtol=0.5), SQUARE, "no tolerance"),
    (generalized_nystrom.gn_fro_expected, GeneralizedNystrom(3, 0, 3, rtol=0.5), SQUARE, "no tolerance"),
    (streaming_svd.tyuc19_fro_expected, SinglePassSVD(3, 0, rtol=0.5), SQUARE, "no tolerance"),
    (streaming_svd.tyuc19_fro_expected, SinglePassSVD(3, 0, core=6), SQUARE, "s >= 2 k + 1"),
    (streaming_svd.tyuc19_fro_expected, SinglePassSVD(3, 0, sketch=SparseSign()), SQUARE, "Gaussian"),
    (embeddings.embedding_gram_second_moment, Embedding(8, SubsampledHadamard()), VECTOR, "the sketch is"),
    (embeddings.embedding_gram_second_moment, Embedding(8, SparseSign(3)), VECTOR, "divide"),
    (embeddings.countsketch_embedding, Embedding(8, CountSketch()), np.ones((8, 2)), "full column rank"),
    (embeddings.countsketch_embedding, Embedding(8, CountSketch()), np.ones((1, 2)), "tall"),
    (hadamard.srht_embedding_explicit, Embedding(4), VECTOR, "Hadamard"),
    (hadamard.srht_embedding_explicit, Embedding(4, SubsampledHadamard()), np.ones((9, 1)), "power of two"),
    (hadamard.srft_rangefinder_explicit, qb(2, 3), SQUARE, "Hadamard"),
    (hadamard.srft_rangefinder_explicit, qb(2, 3, 1, SubsampledHadamard()), SQUARE, "no power iterations"),
    (johnson_lindenstrauss.jl_tail, Embedding(4, CountSketch()), VECTOR, "Gaussian"),
    (johnson_lindenstrauss.jl_tail, Embedding(4), 0 * VECTOR, "not zero"),
    (johnson_lindenstrauss.jl_tail, Embedding(4), SQUARE, "one vector"),
    (johnson_lindenstrauss.jl_achlioptas, Embedding(4, SparseSign(2)), VECTOR, "every entry"),
    (johnson_lindenstrauss.jl_all_pairs, Embedding(4), VECTOR, "N >= 2"),
    (johnson_lindenstrauss.jl_variance, Embedding(4), VECTOR, "two vectors"),
    (johnson_lindenstrauss.jl_inner_product, Embedding(4, CountSketch()), SQUARE[:, :2], "Gaussian"),
    (tensor_sketches.tensorsketch_moment, Embedding(4), VECTOR, "TensorSketch"),
    (tensor_sketches.tensorsketch_embedding, Embedding(4, TensorSketch()), np.ones((8, 2)), "full column rank"),
    (tensor_sketches.kr_sketch_moment, Embedding(4, KhatriRaoSketch()), SQUARE, "one vector"),
    (tensor_sketches.kr_sketch_rademacher_moment, Embedding(4, KhatriRaoSketch()), VECTOR, "signs"),
    (tensor_sketches.kr_sketch_rademacher_moment, Embedding(4, KhatriRaoSketch((2, 2), True)),
     np.diag([1.0, 2.0]).reshape(4, 1), "pure tensor"),
    (gaussian_moments.gaussian_pinv_fro, gaussian_moments.GaussianPseudoInverse(), np.zeros((4, 3)), "p >= 2"),
    (gaussian_moments.gaussian_pinv_fro, gaussian_moments.GaussianPseudoInverse(), np.ones((6, 3)), "zero"),
]  # fmt: skip


@pytest.mark.parametrize("theorem, method, a, words", PRIOR_VIOLATIONS, ids=lambda x: getattr(x, "name", ""))
def test_a_violated_hypothesis_is_named(theorem, method, a, words):
    with pytest.raises(HypothesisViolated, match=words.replace("+", r"\+").replace("{", r"\{")):
        theorem(method, a)


CONDITIONAL_VIOLATIONS = [
    (structural.rrf_structural, qb(2, 3, 1), SQUARE, "no power iterations"),
    (structural.rrf_structural, qb(3, 0, sketch=Ones()), SQUARE, "full row rank"),
    (structural.subspace_structural, qb(3, 3), np.diag([1.0, 1, 0, 0, 0, 0]), "rank A >= k"),
    (hadamard.srft_rangefinder_structural, qb(2, 3), SQUARE, "Hadamard"),
    (tolerance.adaptive_tolerance, AdaptiveQB(0.01, rank=1), SQUARE, "converged"),
    (tolerance.adaptive_tolerance, CUR(1, rtol=0.01), SQUARE, "converged"),
    (tolerance.adaptive_tolerance, PivotedQR(1), SQUARE, "a tolerance is given"),
    (tolerance.adaptive_tolerance, RandomizedSVD(2, 2, 0), SQUARE, "a tolerance is given"),
    (streaming_svd.tyuc19_core_expected, SinglePassSVD(3, 1), SQUARE, "nothing is truncated"),
]


@pytest.mark.filterwarnings("ignore::tnattn.randnla.accuracy.ToleranceWarning")
@pytest.mark.parametrize("theorem, method, a, words", CONDITIONAL_VIOLATIONS, ids=lambda x: getattr(x, "name", ""))
def test_a_violated_hypothesis_of_a_result_is_named(theorem, method, a, words):
    with pytest.raises(HypothesisViolated, match=words):
        theorem(method, a, method(a, rng=rng()))


def test_a_result_that_forgot_its_test_matrix_is_not_judged():
    method = qb(2, 3)
    result = method(SQUARE, rng=rng())
    with pytest.raises(HypothesisViolated, match="test matrix is known"):
        structural.rrf_structural(method, SQUARE, QBResult(result.q, result.b))


# negative controls: results that break what a theorem rests on


@dataclasses.dataclass(frozen=True)
class Careless(QB):
    """Claims its test matrix, but projects onto the range of fewer columns."""

    def factorise(self, a, *, rng):
        result = super().factorise(a, rng=rng)
        q = result.q.copy()
        q[..., -4:] = 0
        return QBResult(q, q.mT @ a.to_dense(), result.omega)


@pytest.mark.parametrize("theorem", [structural.rrf_structural, structural.rrf_structural_fro], ids=lambda b: b.name)
def test_a_basis_that_is_not_that_of_the_test_matrix_is_found_out(theorem):
    a = with_singular_values(rng(), gap_spectrum(4, 48), 48, 56)
    (comparison,) = compare(Careless(RangeFinder(4, 1, 0)), a, [theorem], rng=rng())
    assert comparison.verdict is Verdict.REFUTED


@dataclasses.dataclass(frozen=True)
class Unscaled(Sketch):
    """Normal entries of half too much variance."""

    def draw(self, n, size, *, rng, like):
        return Dense(1.5**0.5 * Gaussian().draw(n, size, rng=rng, like=like).array)


def test_an_embedding_of_wrong_scale_is_found_out(monkeypatch):
    monkeypatch.setattr(embeddings, "repeated_columns", lambda sketch, size: 0.0)
    a = rng().standard_normal((48, 3))
    (comparison,) = compare(Embedding(40, Unscaled()), a, [embeddings.embedding_gram_second_moment], rng=rng())
    assert comparison.verdict is Verdict.REFUTED
