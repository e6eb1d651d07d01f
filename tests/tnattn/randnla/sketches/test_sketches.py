"""Test matrices: their second moment, their products, and that a seed means one draw."""

import dataclasses

import numpy as np
import pytest

from tnattn.arrays import DeviceDraws, to_host
from tnattn.randnla.sketches.base import Sketch
from tnattn.randnla.sketches.count_sketch import CountSketch
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.sketches.kronecker_sketch import KhatriRaoSketch, KroneckerSketch, sketched_tensor_products
from tnattn.randnla.sketches.modes import folded_sizes
from tnattn.randnla.sketches.row_sampling import RowSampling
from tnattn.randnla.sketches.sparse_sign import SparseSign
from tnattn.randnla.sketches.tensor_sketch import TensorSketch
from tnattn.randnla.sketches.trigonometric import SubsampledCosine, SubsampledHadamard
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense
from tnattn.structured.khatri_rao import KhatriRao
from tnattn.structured.kronecker import Kronecker
from tnattn.structured.low_rank import LowRank
from tnattn.structured.sparse import Sparse

SKETCHES = [
    Gaussian(),
    SparseSign(),
    SparseSign(nonzeros=3),
    CountSketch(),
    SubsampledCosine(),
    SubsampledHadamard(),
    RowSampling(),
    TensorSketch(),
    TensorSketch(modes=3),
    KroneckerSketch(),
    KhatriRaoSketch(),
    KhatriRaoSketch(modes=3, rademacher=True),
]
every_sketch = pytest.mark.parametrize("sketch", SKETCHES, ids=repr)


@dataclasses.dataclass(frozen=True)
class Unscaled(Sketch):
    """Normal entries of variance one: the second moment is ``size`` times the identity."""

    def draw(self, n, size, *, rng, like):
        return Dense(np.sqrt(size) * Gaussian().draw(n, size, rng=rng, like=like).array)


def second_moment_z(sketch, n=6, size=10, draws=4000):
    """Return the largest |z| over the entries of the mean of Omega Omega^T minus the identity."""
    rng = np.random.default_rng(7)
    like = np.empty(0)
    products = np.empty((draws, n, n))
    for i in range(draws):
        omega = sketch.draw(n, size, rng=rng, like=like).to_dense()
        products[i] = omega @ omega.T
    error = products.std(axis=0, ddof=1) / np.sqrt(draws)
    difference = products.mean(axis=0) - np.eye(n)
    exact = error < 1e-12  # rows of signs have length one in every draw
    assert np.abs(difference[exact]).max(initial=0.0) < 1e-12
    return np.abs(difference[~exact] / error[~exact]).max(initial=0.0)


@every_sketch
def test_second_moment_is_the_identity(sketch):
    # 36 entries at level 1e-6 each: |z| < 4.9 for a normal mean, 6 leaves room for the tails of 4000 draws
    assert second_moment_z(sketch) < 6


def test_a_wrong_scale_is_noticed():
    assert second_moment_z(Unscaled()) > 100


@every_sketch
@pytest.mark.parametrize("size", [1, 5, 12])
def test_a_draw_has_the_shape_dtype_and_library_asked_for(xp, sketch, size):
    for dtype in xp.dtypes:
        like = xp.asarray(np.zeros(1), dtype)
        omega = sketch.draw(9, size, rng=np.random.default_rng(0), like=like)
        assert omega.shape == (9, size)
        assert omega.dtype == like.dtype
        assert type(omega.to_dense()) is type(like)


@every_sketch
def test_a_sketched_product_equals_the_dense_product(xp, sketch, assert_close):
    rng = np.random.default_rng(1)
    a = xp.asarray(rng.standard_normal((2, 3, 8, 11)))
    omega = sketch.draw(11, 5, rng=rng, like=a)
    desired = a @ omega.to_dense()
    assert_close(Dense(a).sketch(omega), desired, rtol=0, atol=100 * xp.eps())


@every_sketch
def test_a_sketched_product_of_factors_equals_the_dense_product(sketch, assert_close):
    rng = np.random.default_rng(1)
    a = LowRank(rng.standard_normal((2, 8, 3)), rng.standard_normal((2, 3, 11)))
    omega = sketch.draw(11, 5, rng=rng, like=a.like)
    assert_close(a.sketch(omega), a.to_dense() @ omega.to_dense(), rtol=0, atol=1e-13)


@every_sketch
@pytest.mark.parametrize("make", [np.random.default_rng, DeviceDraws], ids=["generator", "device draws"])
def test_a_seed_gives_the_same_bits_twice(sketch, make):
    one, two = (sketch.draw(20, 6, rng=make(3), like=np.empty(0)).to_dense() for _ in range(2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, sketch.draw(20, 6, rng=make(4), like=np.empty(0)).to_dense())


@every_sketch
def test_a_seed_means_one_draw_on_every_library(xp, sketch):
    here = sketch.draw(20, 6, rng=np.random.default_rng(3), like=xp.asarray(np.zeros(1), "float32")).to_dense()
    there = sketch.draw(20, 6, rng=np.random.default_rng(3), like=np.zeros(1, "float32")).to_dense()
    np.testing.assert_allclose(to_host(here), there, rtol=1e-6, atol=1e-6)  # transforms round differently


@every_sketch
def test_without_a_generator_it_raises(sketch):
    with pytest.raises(TypeError, match="pass rng"):
        sketch.draw(4, 2, rng=None, like=np.empty(0))


@every_sketch
@pytest.mark.parametrize("n, size, words", [(0, 2, "n is 0"), (4, 0, "size is 0"), (4, -1, "size is -1")])
def test_a_test_matrix_without_rows_or_columns_is_refused(sketch, n, size, words):
    with pytest.raises(ValueError, match=words):
        sketch.draw(n, size, rng=np.random.default_rng(0), like=np.empty(0))


@pytest.mark.parametrize("size, nonzeros", [(12, 8), (16, 8), (8, 8), (5, 5), (1, 1)])
def test_sparse_signs_sit_in_distinct_columns(size, nonzeros):
    omega = SparseSign(nonzeros=8).draw(50, size, rng=np.random.default_rng(0), like=np.empty(0))
    assert isinstance(omega, Sparse)
    dense = omega.to_dense()
    assert np.all((dense != 0).sum(axis=1) == nonzeros)
    np.testing.assert_allclose(np.abs(dense[dense != 0]), nonzeros**-0.5)


def test_sparse_signs_use_every_column_equally():
    omega = SparseSign(nonzeros=3).draw(30_000, 6, rng=np.random.default_rng(0), like=np.empty(0)).to_dense()
    used = (omega != 0).sum(axis=0)
    # binomial(30000, 1/2) per column: five standard deviations are 433
    assert np.all(np.abs(used - 15_000) < 5 * np.sqrt(30_000 / 4))


@pytest.mark.parametrize("nonzeros, error", [(0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)])
def test_sparse_signs_refuse_impossible_counts(nonzeros, error):
    with pytest.raises(error, match="nonzeros"):
        SparseSign(nonzeros=nonzeros)


class Undensified(StructuredMatrix):
    """A test matrix that refuses to be made dense."""

    def __init__(self, omega):
        self.omega = omega

    shape = property(lambda self: self.omega.shape)
    like = property(lambda self: self.omega.like)
    storage = property(lambda self: self.omega.storage)

    def _matmul(self, x):
        return self.omega._matmul(x)

    def _rmatmul(self, y):
        return self.omega._rmatmul(y)

    def to_dense(self):
        raise AssertionError("the test matrix was made dense")

    def matmul_flops(self, columns):
        return self.omega.matmul_flops(columns)


@pytest.mark.parametrize("sketch", SKETCHES[1:], ids=repr)
def test_a_structured_test_matrix_is_not_made_dense_for_dense_and_factored_operands(sketch):
    rng = np.random.default_rng(1)
    omega = sketch.draw(30, 7, rng=rng, like=np.empty(0))
    dense, factored = (
        rng.standard_normal((2, 9, 30)),
        LowRank(rng.standard_normal((9, 3)), rng.standard_normal((3, 30))),
    )
    np.testing.assert_allclose(Dense(dense).sketch(Undensified(omega)), dense @ omega.to_dense(), atol=1e-12)
    desired = factored.to_dense() @ omega.to_dense()
    np.testing.assert_allclose(factored.sketch(Undensified(omega)), desired, atol=1e-12)


def test_the_guard_against_dense_test_matrices_works():
    with pytest.raises(AssertionError, match="made dense"):
        Undensified(Gaussian().draw(4, 2, rng=np.random.default_rng(0), like=np.empty(0))).to_dense()


@pytest.mark.parametrize(
    "sketch, size, most",
    [
        (CountSketch(), 64, 2 * 4096),
        (SparseSign(nonzeros=4), 64, 8 * 4096),
        (SubsampledCosine(), 64, 4096 + 64),
        (SubsampledHadamard(), 64, 4096 + 64),
        (RowSampling(), 64, 2 * 64),
        (TensorSketch(), 64, 4 * 64),
        (KroneckerSketch(), 64, 2 * 64 * 8),
        (KhatriRaoSketch(), 64, 2 * 64 * 64),
    ],
    ids=repr,
)
def test_storage_is_that_of_the_structure(sketch, size, most):
    assert sketch.draw(4096, size, rng=np.random.default_rng(0), like=np.empty(0)).storage <= most


@pytest.mark.parametrize("sketch, n", [(SubsampledCosine(), 15), (SubsampledHadamard(), 16)], ids=repr)
@pytest.mark.parametrize("copies", [1, 2])
def test_a_transform_with_all_columns_is_orthonormal(sketch, n, copies):
    omega = sketch.draw(n, copies * n, rng=np.random.default_rng(0), like=np.empty(0)).to_dense()
    np.testing.assert_allclose(omega @ omega.T, np.eye(n), atol=1e-13)


@pytest.mark.parametrize("sketch", [SubsampledCosine(), SubsampledHadamard()], ids=repr)
def test_columns_of_a_transform_are_orthogonal(sketch):
    omega = sketch.draw(32, 9, rng=np.random.default_rng(0), like=np.empty(0)).to_dense()
    np.testing.assert_allclose(omega.T @ omega, np.eye(9) * 32 / 9, atol=1e-12)


@pytest.mark.parametrize("sketch", [SubsampledCosine(), SubsampledHadamard()], ids=repr)
def test_signs_spread_a_spike(sketch):
    """A sampled unit vector keeps its length to a factor sqrt(2) after the transform, and vanishes without it."""
    omega = sketch.draw(1024, 64, rng=np.random.default_rng(0), like=np.empty(0)).to_dense()
    lengths = np.linalg.norm(omega, axis=1)
    assert lengths.min() > 0.6
    assert lengths.max() < 1.45
    sampled = RowSampling().draw(1024, 64, rng=np.random.default_rng(0), like=np.empty(0)).to_dense()
    assert np.linalg.norm(sampled, axis=1).min() == 0


def test_rows_are_sampled_with_the_probabilities_given():
    p = np.array([4.0, 1.0, 0.0, 3.0])
    omega = RowSampling(p).draw(4, 80_000, rng=np.random.default_rng(0), like=np.empty(0)).to_dense()
    counts = (omega != 0).sum(axis=1)
    spread = np.sqrt(80_000 * p / 8 * (1 - p / 8))
    assert np.all(np.abs(counts - 80_000 * p / 8) <= 5 * spread)
    values = np.array([row[row != 0].max(initial=0.0) for row in omega])
    np.testing.assert_allclose(values[[0, 1, 3]], (8 / (80_000 * p[[0, 1, 3]])) ** 0.5)


def test_rows_sampled_without_replacement_are_distinct():
    omega = RowSampling(replace=False).draw(9, 9, rng=np.random.default_rng(0), like=np.empty(0)).to_dense()
    np.testing.assert_allclose(omega @ omega.T, np.eye(9), atol=1e-14)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: RowSampling((1.0, -1.0)), "weights must be finite"),
        (lambda: RowSampling((0.0, 0.0)), "not all zero"),
        (lambda: RowSampling((1.0, 2.0), replace=False), "replace=False"),
        (lambda: RowSampling((1.0, 2.0)).draw(3, 2, rng=np.random.default_rng(0), like=np.empty(0)), "2 probabilities"),
        (lambda: TensorSketch(modes=0), "modes"),
        (lambda: KroneckerSketch(modes=()), "modes is empty"),
        (lambda: TensorSketch((3, 4)).draw(13, 2, rng=np.random.default_rng(0), like=np.empty(0)), "multiply to 12"),
    ],
)
def test_impossible_parameters_of_structured_sketches_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("n", [1, 2, 7, 11, 64, 65, 1000])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_modes_cover_all_coordinates_and_are_balanced(n, count):
    sizes = folded_sizes(n, count)
    assert len(sizes) == count
    assert n <= np.prod(sizes)
    assert max(sizes) <= np.ceil(round(n ** (1 / count), 9))


@pytest.mark.parametrize(
    "sketch, size", [(TensorSketch((4, 3, 5)), 8), (KhatriRaoSketch((4, 3, 5)), 7), (KroneckerSketch((4, 3, 5)), 8)]
)
def test_tensor_products_are_sketched_without_being_formed(xp, sketch, size, assert_close):
    rng = np.random.default_rng(0)
    factors = [xp.asarray(rng.standard_normal((n, 2))) for n in (4, 3, 5)]
    omega = sketch.draw(60, size, rng=rng, like=factors[0])
    tensor = isinstance(sketch, TensorSketch)
    made = omega.transposed_khatri_rao(factors) if tensor else sketched_tensor_products(omega, factors)
    assert_close(made, omega.mT @ KhatriRao(tuple(factors)).to_dense(), rtol=0, atol=100 * xp.eps())


def test_a_kronecker_sketch_of_selected_columns_takes_no_tensor_products():
    omega = KroneckerSketch((4, 3)).draw(12, 5, rng=np.random.default_rng(0), like=np.empty(0))
    with pytest.raises(TypeError, match="needs no selection"):
        sketched_tensor_products(omega, [np.ones((4, 1)), np.ones((3, 1))])


def test_a_kronecker_sketch_is_a_kronecker_product():
    omega = KroneckerSketch((4, 3)).draw(12, 6, rng=np.random.default_rng(0), like=np.empty(0))
    assert isinstance(omega, Kronecker)
    assert [u.shape for u in omega.factors] == [(4, 3), (3, 2)]


def test_khatri_rao_columns_are_tensor_products_of_signs():
    omega = KhatriRaoSketch((4, 3), rademacher=True).draw(12, 5, rng=np.random.default_rng(0), like=np.empty(0))
    assert isinstance(omega, KhatriRao)
    np.testing.assert_allclose(np.abs(omega.to_dense()), 5**-0.5)
    assert all(np.linalg.matrix_rank(column.reshape(4, 3)) == 1 for column in omega.to_dense().T)


def test_a_tensor_sketch_refuses_factors_of_other_sizes():
    omega = TensorSketch((4, 3)).draw(12, 5, rng=np.random.default_rng(0), like=np.empty(0))
    with pytest.raises(ValueError, match="do not fit modes"):
        omega.transposed_khatri_rao((np.ones((3, 1)), np.ones((4, 1))))
