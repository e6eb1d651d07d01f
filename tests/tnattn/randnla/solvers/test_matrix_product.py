"""Sampled and sketched products: unbiased, exact where they must be, of every probability."""

import numpy as np
import pytest
from fixtures import rng

from tnattn.arrays import to_host
from tnattn.gallery import matrix_with_spectrum, polynomial_spectrum
from tnattn.randnla.scores.product_probabilities import (
    BothNorms,
    ColumnNorms,
    Leverage,
    NormOptimal,
    ProductProbabilities,
    Uniform,
)
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.sketches.probes import Rademacher
from tnattn.randnla.sketches.sparse_sign import SparseSign
from tnattn.randnla.solvers.matrix_product import SampledProduct, SketchedProduct, inclusion_chances
from tnattn.structured.composite import Product
from tnattn.structured.dense import Dense
from tnattn.structured.low_rank import LowRank

PROBABILITIES = [Uniform(), NormOptimal(), ColumnNorms(), BothNorms(), Leverage()]
METHODS = [
    *(SampledProduct(6, p, replacement) for p in PROBABILITIES for replacement in (True, False)),
    SketchedProduct(6),
    SketchedProduct(6, SparseSign(nonzeros=2)),
]
every_method = pytest.mark.parametrize("method", METHODS, ids=repr)
TRIALS = 600


def factors(seed=0, batch=()):
    a = rng(seed).standard_normal((*batch, 3, 12)) * np.linspace(1, 3, 12)
    return a, rng(seed + 100).standard_normal((*batch, 12, 2)) + 1


def largest_z(samples, desired):
    return np.abs((samples.mean(axis=0) - desired) / (samples.std(axis=0) / len(samples) ** 0.5)).max()


@every_method
def test_the_mean_over_runs_is_the_product(method):
    (a, b), generator = factors(), rng(1)
    samples = np.stack([method(a, b, rng=generator).to_dense() for _ in range(TRIALS)])
    assert largest_z(samples, a @ b) < 5.5  # six entries at level 1e-6, with room for the tails


def test_a_biased_product_is_found_out():
    (a, b), generator = factors(), rng(1)
    samples = np.stack([1.3 * METHODS[2](a, b, rng=generator).to_dense() for _ in range(TRIALS)])
    assert largest_z(samples, a @ b) > 5.5


@pytest.mark.parametrize("probabilities", PROBABILITIES, ids=repr)
def test_all_indices_without_replacement_give_the_exact_product_on_every_library(xp, probabilities, assert_close):
    a, b = factors(batch=(2,))
    for dtype in xp.dtypes:
        left, right = xp.asarray(a, dtype), xp.asarray(b, dtype)
        result = SampledProduct(12, probabilities, replacement=False)(left, right, rng=rng())
        assert_close(result.to_dense(), left @ right, rtol=0, atol=500 * float(np.finfo(dtype).eps))


@every_method
def test_every_library_draws_the_same(xp, method):
    a, b = factors(batch=(2,))
    desired = method(a, b, rng=rng(6)).to_dense()
    actual = method(xp.asarray(a), xp.asarray(b), rng=rng(6)).to_dense()
    if xp.dtype == "float32":  # other draws
        assert actual.shape == desired.shape
    else:
        np.testing.assert_allclose(to_host(actual), desired, rtol=0, atol=1e-12 * np.abs(desired).max())


@pytest.mark.parametrize("probabilities", PROBABILITIES, ids=repr)
def test_distinct_indices_are_distinct(probabilities):
    a, b = factors()
    indices = SampledProduct(9, probabilities, replacement=False)(a, b, rng=rng()).indices
    assert len(set(indices.tolist())) == 9


@pytest.mark.parametrize("probabilities", PROBABILITIES, ids=repr)
def test_an_index_is_among_distinct_ones_with_its_chance(probabilities):
    (a, b), generator = factors(), rng(3)
    method = SampledProduct(5, probabilities, replacement=False)
    counts = np.zeros(12)
    for _ in range(TRIALS):
        counts[method(a, b, rng=generator).indices] += 1
    chance = inclusion_chances(probabilities.weights(Dense(a), Dense(b)), 5)
    assert np.all(np.abs(counts - TRIALS * chance) <= 5.5 * np.sqrt(TRIALS * chance * (1 - chance)) + 1e-6)


def test_chances_by_hand():
    """Two of (5, 1, 1, 1, 0): the first is certain, the others share one draw."""
    np.testing.assert_allclose(inclusion_chances(np.array([5.0, 1, 1, 1, 0]), 2), [1, 1 / 3, 1 / 3, 1 / 3, 0])
    np.testing.assert_allclose(inclusion_chances(np.ones(5), 2), np.full(5, 0.4))
    np.testing.assert_allclose(inclusion_chances(np.array([5.0, 1, 0, 0]), 3), [1, 1, 0, 0])
    np.testing.assert_allclose(inclusion_chances(np.zeros((2, 4)), 3), np.zeros((2, 4)))


@pytest.mark.parametrize("count", [1, 3, 7, 12])
def test_chances_add_up_and_none_exceeds_one(count, seed):
    weights = rng(seed).random((4, 12)) ** 6
    chances = inclusion_chances(weights, count)
    np.testing.assert_allclose(chances.sum(axis=-1), count)
    assert np.all(chances <= 1)


def test_distinct_indices_have_less_error_than_independent_ones():
    (a, b), generator = factors(), rng(4)
    squared = [
        np.mean(
            [
                np.sum((SampledProduct(8, replacement=r)(a, b, rng=generator).to_dense() - a @ b) ** 2)
                for _ in range(200)
            ]
        )
        for r in (True, False)
    ]
    assert squared[1] < 0.6 * squared[0]


@every_method
def test_each_product_of_a_stack_is_drawn_as_if_alone(method):
    a, b = factors(batch=(2, 2))
    together = method(a, b, rng=rng(5)).to_dense().reshape(4, 3, 2)
    alone = [method(x, y, rng=rng(5)).to_dense() for x, y in zip(a.reshape(4, 3, 12), b.reshape(4, 12, 2), strict=True)]
    np.testing.assert_allclose(together, alone, atol=1e-12 * np.abs(together).max())


@every_method
def test_a_shared_factor_is_broadcast(method):
    a, b = factors(batch=(2,))
    for left, right in ((a, b[0]), (a[0], b)):
        result = method(left, right, rng=rng(5))
        assert result.shape == (2, 3, 2)
        assert result.to_dense().shape == (2, 3, 2)
        np.testing.assert_allclose(result @ np.ones((2, 1)), result.to_dense() @ np.ones((2, 1)), atol=1e-12)


@every_method
def test_zero_factors_give_a_zero_product(xp, method):
    a, b = xp.asarray(np.zeros((2, 3, 12))), xp.asarray(factors()[1])
    assert np.all(to_host(method(a, b, rng=rng()).to_dense()) == 0)


@every_method
def test_implicit_factors_are_multiplied_as_dense_ones(method):
    a, b = factors()
    desired = method(a, b, rng=rng(3)).to_dense()
    for given in (Product(Dense(a), Dense(b)), Product(LowRank(np.eye(3), a), LowRank(b, np.eye(2)))):
        np.testing.assert_allclose(method(given, rng=rng(3)).to_dense(), desired, atol=1e-12)


def test_an_inner_dimension_of_one_is_exact():
    a, b = np.array([[2.0], [3.0]]), np.array([[5.0, 7.0]])
    for probabilities in PROBABILITIES:
        np.testing.assert_allclose(SampledProduct(3, probabilities)(a, b, rng=rng()).to_dense(), a @ b)


@every_method
def test_a_seed_gives_the_same_bits_twice(method):
    one, two = (method(*factors(), rng=rng(2)).to_dense() for _ in range(2))
    assert np.array_equal(one, two)


@every_method
def test_float32_stays_float32(method):
    a, b = (x.astype(np.float32) for x in factors())
    result = method(a, b, rng=rng())
    assert result.dtype == result.to_dense().dtype == np.float32
    assert np.all(np.isfinite(result.to_dense()))


@pytest.mark.parametrize("method", [SampledProduct(24), SketchedProduct(24, Gaussian())], ids=repr)
def test_more_samples_lower_the_error(method):
    a = matrix_with_spectrum(polynomial_spectrum(20), (20, 40), rng())
    few = np.mean([np.linalg.norm(method(a, a.T, rng=rng(i)).to_dense() - a @ a.T) for i in range(20)])
    name = "samples" if isinstance(method, SampledProduct) else "size"
    more = type(method)(**{name: 24 * 16})
    many = np.mean([np.linalg.norm(more(a, a.T, rng=rng(i)).to_dense() - a @ a.T) for i in range(20)])
    assert 0.15 < many / few < 0.4  # a quarter


@pytest.mark.parametrize(
    "call, kind, words",
    [
        (lambda: SampledProduct(0), ValueError, "samples is 0"),
        (lambda: SampledProduct(probabilities="uniform"), TypeError, "NormOptimal"),
        (lambda: SampledProduct(replacement=1), TypeError, "True or False"),
        (lambda: SketchedProduct(sketch=None), TypeError, "a Sketch"),
        (lambda: SketchedProduct(size=0), ValueError, "size is 0"),
        (lambda: SampledProduct(13, replacement=False)(*factors(), rng=rng()), ValueError, "inner dimension 12"),
        (lambda: SampledProduct()(np.eye(3), np.eye(4), rng=rng()), ValueError, "cannot be multiplied"),
        (lambda: SampledProduct()(np.eye(3), rng=rng()), TypeError, "b is missing"),
        (lambda: SampledProduct()(np.eye(3), np.full((3, 3), np.nan), rng=rng()), ValueError, "b holds 9 NaN"),
        (lambda: SampledProduct()(np.eye(3), np.eye(3)), TypeError, "pass rng"),
        (lambda: SketchedProduct(sketch=Rademacher())(np.eye(3), np.eye(3)), TypeError, "pass rng"),
    ],
)
def test_bad_input_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_probabilities_of_one_s_own_are_accepted():
    class First(ProductProbabilities):
        def weights(self, a, b):
            return np.eye(1, a.shape[-1])[0]

    result = SampledProduct(4, First())(*factors(), rng=rng())
    assert result.indices.tolist() == [0, 0, 0, 0]
