"""Range finder, QB and randomized SVD: exactness, near-optimality, kinds of operands, refusals."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse
from fixtures import rng, slow
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from tnattn.arrays import to_host
from tnattn.attention.problem import AttentionProblem
from tnattn.gallery import gap_spectrum, matrix_with_spectrum, polynomial_spectrum
from tnattn.randnla.low_rank.generalized_nystrom import GeneralizedNystrom
from tnattn.randnla.low_rank.krylov import BlockKrylov
from tnattn.randnla.low_rank.qb import QB
from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.randnla.low_rank.streaming_svd import SinglePassSVD
from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.sketches.sparse_sign import SparseSign
from tnattn.randnla.sketches.trigonometric import SubsampledCosine
from tnattn.structured.conversion import as_structured
from tnattn.structured.low_rank import LowRank

METHODS = [
    QB(RangeFinder(rank=6)),
    QB(RangeFinder(rank=6, power_iterations=2, sketch=SparseSign())),
    RandomizedSVD(rank=6),
    RandomizedSVD(rank=6, oversampling=0, power_iterations=1),
    RandomizedSVD(rank=6, sketch=SparseSign(nonzeros=4)),
    BlockKrylov(rank=6, power_iterations=1),
    BlockKrylov(rank=6, oversampling=1, power_iterations=6),
    GeneralizedNystrom(rank=6),
    GeneralizedNystrom(rank=6, oversampling=4, sketch=SubsampledCosine()),
    SinglePassSVD(rank=6),
    TruncatedSVD(rank=6),
]
every_method = pytest.mark.parametrize("method", METHODS, ids=repr)


@every_method
@pytest.mark.parametrize("shape", [(30, 24), (24, 30), (6, 40), (40, 6)])
def test_full_rank_is_exact(method, shape):
    a = slow(*shape)
    error = np.abs(a - method.with_rank(min(shape))(a, rng=rng()).to_dense()).max()
    assert error < 100 * np.finfo(float).eps


@every_method
def test_a_matrix_of_the_target_rank_is_recovered_on_every_library(xp, method, assert_close):
    host = matrix_with_spectrum([5.0, 3.0, 1.0, 0.1], (20, 15), rng())
    for dtype in xp.dtypes:
        a = xp.asarray(np.stack([host, 2 * host]), dtype)
        result = method(a, rng=rng(1))
        assert_close(result.to_dense(), a, rtol=0, atol=200 * float(np.finfo(dtype).eps) * 10)


def test_power_iterations_bring_the_error_near_the_optimum(seed):
    a = slow(100, 80, seed)
    best = np.linalg.norm(polynomial_spectrum(80)[10:])
    error = {q: np.linalg.norm(a - RandomizedSVD(10, 10, q)(a, rng=rng(seed)).to_dense()) / best for q in (0, 2)}
    assert 1 <= error[2] < 1.005 < error[0]


def test_oversampling_lowers_the_error_after_truncation(seed):
    a = slow(100, 80, seed)
    none, some = (np.linalg.norm(a - RandomizedSVD(10, p, 0)(a, rng=rng(seed)).to_dense()) for p in (0, 20))
    assert some < 0.95 * none


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_small_singular_values_survive_power_iterations(dtype):
    """Without normalisation between the products, rounding destroys all that is below eps^(1/5) of the largest."""
    eps = float(np.finfo(dtype).eps)
    s = 10.0 ** np.linspace(0, np.log10(eps) * 0.7, 12)
    a = matrix_with_spectrum(s, (60, 50), rng()).astype(dtype)
    result = RandomizedSVD(rank=12, oversampling=5, power_iterations=2)(a, rng=rng())
    np.testing.assert_allclose(result.s, s, rtol=1e-2)


def test_singular_factors_are_orthonormal_and_ordered():
    for method in (RandomizedSVD(rank=8, power_iterations=1), TruncatedSVD(rank=8)):
        result = method(np.stack([slow(), 3 * slow(seed=1)]), rng=rng())
        identity = np.broadcast_to(np.eye(8), (2, 8, 8))
        np.testing.assert_allclose(result.u.mT @ result.u, identity, atol=1e-13)
        np.testing.assert_allclose(result.vt @ result.vt.mT, identity, atol=1e-13)
        assert np.all(np.diff(result.s, axis=-1) <= 0)
        assert np.all(result.s >= 0)


def test_the_best_approximation_reaches_the_tail_exactly():
    a = slow()
    error = np.linalg.norm(a - TruncatedSVD(rank=7)(a).to_dense())
    np.testing.assert_allclose(error, np.linalg.norm(polynomial_spectrum(24)[7:]), rtol=1e-12)


@every_method
def test_each_matrix_of_a_stack_is_factorised_as_if_alone(method):
    stack = np.stack([slow(seed=i) * 10.0**i for i in range(4)]).reshape(2, 2, 30, 24)
    together = method(stack, rng=rng(5)).to_dense()
    alone = np.stack([method(a, rng=rng(5)).to_dense() for a in stack.reshape(4, 30, 24)])
    np.testing.assert_allclose(together.reshape(4, 30, 24), alone, atol=1e-13 * 1e3)


@every_method
def test_float32_agrees_with_float64_to_its_precision(method):
    a = matrix_with_spectrum(gap_spectrum(6, 24, gap=100.0), (30, 24), rng())
    exact = np.linalg.norm(a - method(a, rng=rng()).to_dense())
    single = method(a.astype(np.float32), rng=rng())
    assert single.dtype == np.float32
    # the draws differ, so the errors agree to what a draw may change; the rounding adds eps ||A||
    assert np.linalg.norm(a - single.to_dense()) < 1.5 * exact + 10 * np.finfo(np.float32).eps * np.linalg.norm(a)


@every_method
def test_a_seed_gives_the_same_bits_twice(method):
    a = slow()
    assert np.array_equal(method(a, rng=rng(2)).to_dense(), method(a, rng=rng(2)).to_dense())


@every_method
def test_a_zero_matrix_gives_zero(xp, method):
    result = method(xp.asarray(np.zeros((2, 9, 7))), rng=rng())
    assert np.all(to_host(result.to_dense()) == 0)
    assert np.all(to_host(result.factors()[0]) <= 1 + 10 * xp.eps())


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (1, 1)])
@pytest.mark.parametrize("method", [QB(), RandomizedSVD(), TruncatedSVD()], ids=repr)
def test_a_single_row_or_column_works(method, shape):
    a = rng().standard_normal(shape)
    np.testing.assert_allclose(method.with_rank(1)(a, rng=rng()).to_dense(), a, rtol=1e-13)


OPERANDS = {
    "csr": lambda a: scipy.sparse.csr_array(a),
    "coo matrix": lambda a: scipy.sparse.coo_matrix(a),
    "linear operator": aslinearoperator,
    "factored": lambda a: LowRank(a, np.eye(a.shape[1])),
}


@every_method
@pytest.mark.parametrize("kind", OPERANDS)
def test_operators_give_what_the_array_gives(method, kind):
    a = slow()
    a[np.abs(a) < 0.05] = 0
    desired = method(a, rng=rng(1))
    made = method(OPERANDS[kind](a), rng=rng(1))
    assert made.shape == a.shape
    np.testing.assert_allclose(made.to_dense(), desired.to_dense(), atol=1e-12)


@every_method
def test_implicit_softmax_weights_give_what_the_dense_weights_give(method):
    q, k = rng(3).standard_normal((2, 2, 40, 8))
    weights = AttentionProblem(q, k, k).weights
    desired = method(weights.to_dense(), rng=rng(1)).to_dense()
    np.testing.assert_allclose(method(weights, rng=rng(1)).to_dense(), desired, atol=1e-12)


def test_a_factored_matrix_is_truncated_without_forming_it():
    left, right = rng().standard_normal((2, 2000, 5))
    result = TruncatedSVD(rank=3)(LowRank(left, right.T))
    r, t = (np.linalg.qr(x)[1] for x in (left, right))
    np.testing.assert_allclose(result.s, np.linalg.svd(r @ t.T, compute_uv=False)[:3], rtol=1e-12)


def test_the_sketch_is_used():
    a = slow()
    one, two = (QB(RangeFinder(rank=3, sketch=s))(a, rng=rng()).to_dense() for s in (Gaussian(), SparseSign()))
    assert not np.allclose(one, two)


def test_no_more_columns_than_the_matrix_has_are_used():
    result = QB(RangeFinder(rank=5, oversampling=10))(slow(12, 8), rng=rng())
    assert result.q.shape == (12, 8)


@pytest.mark.parametrize(
    "finder, shape, columns",
    [
        (RangeFinder(), (60, 50), 26),
        (RangeFinder(rank=1, oversampling=0, power_iterations=0), (12, 8), 1),
        (RangeFinder(rank=3, oversampling=4, power_iterations=1), (12, 8), 7),
        (RangeFinder(rank=3, oversampling=5), (2, 8, 12), 8),
        (RangeFinder(rank=3, oversampling=9), (8, 12), 8),
        (RangeFinder(rank=3, oversampling=9), (12, 8), 8),
    ],
    ids=str,
)
def test_a_basis_has_the_columns_of_the_test_matrix_and_is_orthonormal(finder, shape, columns):
    basis = finder(rng().standard_normal(shape), rng=rng(1))
    assert finder.size == finder.rank + finder.oversampling
    assert RangeFinder() == RangeFinder(rank=16, oversampling=10, power_iterations=2, sketch=Gaussian())
    assert basis.shape == (*shape[:-1], columns)
    np.testing.assert_allclose(basis.mT @ basis, np.broadcast_to(np.eye(columns), (*shape[:-2], columns, columns)),
                               atol=1e-13)  # fmt: skip


@pytest.mark.parametrize("power_iterations", [0, 1, 3])
def test_a_basis_spans_the_power_of_the_gram_matrix_times_the_test_matrix(power_iterations):
    a = slow()
    finder = RangeFinder(rank=3, oversampling=2, power_iterations=power_iterations)
    omega = finder.test_matrix(as_structured(a), rng=rng(4)).to_dense()
    basis = finder(a, rng=rng(4))
    expected = np.linalg.qr(np.linalg.matrix_power(a @ a.T, power_iterations) @ a @ omega)[0]
    assert omega.shape == (24, 5)
    np.testing.assert_allclose(basis @ basis.T, expected @ expected.T, atol=1e-9)


@pytest.mark.parametrize("exponent", [-1000, -600, 600, 1000])
def test_a_basis_does_not_depend_on_the_unit(exponent):
    a, finder = slow(), RangeFinder(rank=4)
    moved = finder(np.ldexp(a, exponent), rng=rng(2))
    np.testing.assert_allclose(moved @ moved.T, (lambda q: q @ q.T)(finder(a, rng=rng(2))), atol=1e-12)


def test_normalisation_keeps_a_small_direction_through_many_iterations():
    """Without it the products would hold 10^-2 to the power of 20 of it, which is rounding."""
    a = matrix_with_spectrum([1.0, 1e-2], (20, 15), rng())
    basis = RangeFinder(rank=2, oversampling=0, power_iterations=10)(a, rng=rng(1))
    assert np.linalg.norm(a - basis @ (basis.T @ a)) <= 1e-13


@pytest.mark.parametrize("method", METHODS[:5], ids=repr)
def test_a_randomized_method_without_a_generator_raises(method):
    with pytest.raises(TypeError, match="pass rng"):
        method(slow())


@every_method
def test_too_large_a_rank_is_refused(method):
    with pytest.raises(ValueError, match=r"rank 25 exceeds min\(m, n\) = 24 of the \(30, 24\) stack; reduce"):
        method.with_rank(25)(slow(), rng=rng())


BAD = {
    "integers": (np.ones((4, 4), dtype=int), TypeError, "dtype int64"),
    "complex": (np.ones((4, 4), dtype=complex), TypeError, "real floating"),
    "vector": (np.ones(4), ValueError, "two axes"),
    "empty": (np.ones((4, 0)), ValueError, "length 0"),
    "empty stack": (np.ones((0, 4, 4)), ValueError, "length 0"),
    "nan": (np.array([[1.0, np.nan], [0.0, 1.0]]), ValueError, "1 NaN"),
    "infinity": (np.array([[1.0, np.inf], [0.0, 1.0]]), ValueError, "1 infinite"),
    "list": ([[1.0, 2.0]], TypeError, "is a list"),
    "sparse integers": (scipy.sparse.csr_array(np.eye(3, dtype=int)), TypeError, "dtype int64"),
    "sparse nan": (scipy.sparse.csr_array(np.array([[np.nan, 1.0]])), ValueError, "1 NaN"),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("method", [QB(), RandomizedSVD(), TruncatedSVD()], ids=lambda m: type(m).__name__)
def test_what_is_no_finite_floating_matrix_is_refused(method, bad):
    value, error, words = BAD[bad]
    with pytest.raises(error, match=words):
        method.with_rank(1)(value, rng=rng())


def test_an_operator_without_a_transpose_is_refused_in_words():
    operator = LinearOperator((5, 5), matvec=lambda x: x, dtype=float)
    with pytest.raises(TypeError, match="product with its transpose"):
        QB().with_rank(2)(operator, rng=rng())


@pytest.mark.parametrize(
    "field, value, error",
    [
        ("rank", 0, ValueError),
        ("rank", 2.0, TypeError),
        ("oversampling", -1, ValueError),
        ("power_iterations", -1, ValueError),
        ("sketch", "gaussian", TypeError),
    ],
)
@pytest.mark.parametrize("cls", [RangeFinder, RandomizedSVD])
def test_impossible_parameters_are_refused(cls, field, value, error):
    with pytest.raises(error, match=field):
        cls(**{field: value})


@every_method
def test_with_rank_sets_the_budget_and_nothing_else(method):
    changed = method.with_rank(9)
    assert changed.budget == 9
    assert changed.with_rank(method.budget) == method
    assert dataclasses.is_dataclass(changed)
    assert hash(changed) != hash(method)
