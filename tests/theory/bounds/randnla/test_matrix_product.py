"""Theorems about approximate matrix products: worked examples and hypotheses (data: test_verdicts.py)."""

import dataclasses

import numpy as np
import pytest
from fixtures import rng

from theory.bounds.randnla import matrix_product
from theory.comparison.compare import compare
from theory.statement.bound import Bound, HypothesisViolated
from theory.statistics.verdict import Verdict
from tnattn.randnla.scores.product_probabilities import (
    BothNorms,
    ColumnNorms,
    NormOptimal,
    ProductProbabilities,
    Uniform,
)
from tnattn.randnla.sketches.probes import Rademacher
from tnattn.randnla.sketches.sparse_sign import SparseSign
from tnattn.randnla.solvers.matrix_product import SampledProduct, SketchedProduct
from tnattn.structured.composite import Product
from tnattn.structured.dense import Dense

BOUNDS = [b for b in vars(matrix_product).values() if isinstance(b, Bound)]
every_bound = pytest.mark.parametrize("theorem", BOUNDS, ids=lambda b: b.name)


def product(a, b):
    return Product(Dense(np.asarray(a, dtype=float)), Dense(np.asarray(b, dtype=float)))


WORKED = product([[1, 2]], [[3], [1]])
RANDOM = product(rng().standard_normal((5, 9)), rng(1).standard_normal((9, 4)))


@every_bound
def test_a_theorem_gives_one_value_per_matrix_of_a_stack(theorem):
    method, target = theorem.generic(rng(1))
    a, b = target.left.array, target.right.array
    prediction = theorem(method, product(np.stack([a, 2 * a])[:, None], np.stack([b, b])[:, None]))
    assert prediction.value.shape == (2, 1)
    np.testing.assert_allclose(prediction.value[0, 0], theorem(method, target).value)


@pytest.mark.parametrize(
    "probabilities, value", [(NormOptimal(), 0.0), (Uniform(), 1.0), (ColumnNorms(), 25.0)], ids=repr
)
def test_worked_variances(probabilities, value):
    """A = [1 2], B = [3; 1], one draw: optimal 5^2 - 25, uniform 2 (9 + 4) - 25, by the columns 9/0.2 + 4/0.8 - 25."""
    method = SampledProduct(1, probabilities)
    np.testing.assert_allclose(matrix_product.product_variance(method, WORKED).value, value, atol=1e-13)
    np.testing.assert_allclose(matrix_product.product_optimal(method, WORKED).value, 0.0, atol=1e-13)


def test_column_norms_give_the_product_of_the_norms():
    """p_k = ||a_k||^2 / ||A||_F^2 gives exactly (||A||_F^2 ||B||_F^2 - ||AB||_F^2) / c."""
    a, b = RANDOM.left.array, RANDOM.right.array
    value = matrix_product.product_variance(SampledProduct(7, ColumnNorms()), RANDOM).value
    np.testing.assert_allclose(value, (np.sum(a**2) * np.sum(b**2) - np.sum((a @ b) ** 2)) / 7)


def test_optimal_probabilities_attain_the_lower_bound():
    method = SampledProduct(3)
    one, two = matrix_product.product_variance(method, RANDOM), matrix_product.product_optimal(method, RANDOM)
    np.testing.assert_allclose(one.value, two.value)


def test_distinct_draws_by_enumeration():
    """All pairs of three indices, by hand: weights n / c = 3/2."""
    a, b = rng(2).standard_normal((2, 3)), rng(3).standard_normal((3, 2))
    errors = [np.sum((1.5 * a[:, [i, j]] @ b[[i, j]] - a @ b) ** 2) for i, j in [(0, 1), (0, 2), (1, 2)]]
    method = SampledProduct(2, Uniform(), replacement=False)
    value = matrix_product.product_variance_distinct(method, product(a, b)).value
    np.testing.assert_allclose(value, np.mean(errors))


def test_high_probability_by_hand():
    """M = 5, b = 1, c = 25, d = 1/e: 5/5 + 5 sqrt(2/25) = 1 + sqrt 2."""
    theorem = matrix_product.amm_high_probability.with_parameters(delta=np.exp(-1))
    np.testing.assert_allclose(theorem(SampledProduct(25), WORKED).value, 1 + 2**0.5)
    # uniform: p_k = 1/2 >= b 3/5 with b = 5/6
    value = theorem(SampledProduct(25, Uniform()), WORKED).value
    np.testing.assert_allclose(value, 5 / (25 * 5 / 6) ** 0.5 + 6 * (2 / 25) ** 0.5)


def test_the_published_high_probability_form_is_implied():
    """eta ||A||_F ||B||_F / sqrt(b c), eta = 1 + sqrt((8/b) log(1/d))."""
    value = matrix_product.amm_high_probability(SampledProduct(50), RANDOM).value
    norms = np.linalg.norm(RANDOM.left.array) * np.linalg.norm(RANDOM.right.array)
    assert value <= (1 + np.sqrt(8 * np.log(10))) * norms / 50**0.5


def test_spectral_expectation_by_hand():
    """A row and a column: stable ranks 1, D = 2; c = 100: sqrt(4 log 2 / 100) + 2 log 2 / 300, times sqrt(5 * 10)."""
    value = matrix_product.amm_spectral_bernstein(SampledProduct(100, BothNorms()), WORKED).value
    np.testing.assert_allclose(value, (0.166510922 + 0.00462098) * 50**0.5, rtol=1e-6)


def test_the_spectral_tail_solves_its_own_equation():
    """Stable ranks 2 and 4, so asr = 3, c = 400, D = 12: the worked example of the attention product."""
    epsilon = matrix_product.bernstein_error(np.asarray(3.0), 12, 400, 0.05)
    np.testing.assert_allclose(12 * np.exp(-400 * epsilon**2 / 2 / (2 * 3 * (1 + epsilon / 3))), 0.05)


def test_sketched_variances_by_hand():
    """c = 10: Gaussian (5 * 10 + 25) / 10, signs less by 2 (9 + 4) / 10."""
    np.testing.assert_allclose(matrix_product.product_sketch_variance(SketchedProduct(10), WORKED).value, 7.5)
    signs = SketchedProduct(10, Rademacher())
    np.testing.assert_allclose(matrix_product.product_sketch_variance(signs, WORKED).value, 4.9)


@dataclasses.dataclass(frozen=True)
class First(ProductProbabilities):
    """All weight on the first index."""

    def weights(self, a, b):
        return np.eye(1, a.shape[-1])[0]


@pytest.mark.parametrize(
    "theorem, method, target, words",
    [
        (matrix_product.product_variance, SampledProduct(1, First()), WORKED, "p_k > 0"),
        (matrix_product.product_variance, SampledProduct(1, replacement=False), WORKED, "with replacement"),
        (matrix_product.product_variance, SampledProduct(1), np.eye(3), "a product of two matrices"),
        (matrix_product.product_variance_distinct, SampledProduct(1, replacement=False), WORKED, "simple random"),
        (matrix_product.amm_high_probability.with_parameters(delta=0.0), SampledProduct(1), WORKED, "0 < d < 1"),
        (matrix_product.amm_high_probability, SampledProduct(1), product([[0.0]], [[1.0]]), "sum of zeros"),
        (matrix_product.amm_spectral_bernstein, SampledProduct(1), WORKED, "by both norms"),
        (matrix_product.amm_spectral_bernstein, SampledProduct(1, BothNorms()), product([[0.0]], [[1.0]]), "not zero"),
        (matrix_product.product_sketch_variance, SketchedProduct(3, SparseSign()), WORKED, "Gaussian or of random"),
    ],
)
def test_a_violated_hypothesis_is_named(theorem, method, target, words):
    with pytest.raises(HypothesisViolated, match=words):
        theorem(method, target)


@dataclasses.dataclass(frozen=True)
class Misweighted(ProductProbabilities):
    """Gives other probabilities to the theorem than to the draw."""

    asked: list = dataclasses.field(default_factory=list, compare=False)

    def weights(self, a, b):
        self.asked.append(0)
        sizes = np.linalg.norm(a.to_dense(), axis=-2) * np.linalg.norm(b.to_dense(), axis=-1)
        return sizes if len(self.asked) == 1 else sizes**-2.0


def test_draws_by_other_probabilities_are_found_out():
    method = SampledProduct(10, Misweighted())
    (comparison,) = compare(method, RANDOM, [matrix_product.product_variance], trials=400, rng=rng())
    assert comparison.verdict is Verdict.REFUTED
