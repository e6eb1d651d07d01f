"""Errors of sampled and of sketched matrix products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from theory.bounds.randnla.instances import slow_spectrum, with_singular_values
from theory.statement import errors
from theory.statement.bound import Instance, Maker, require
from theory.statement.guarantee import ExactExpectation, InExpectation, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from theory.statistics.moments import chaos_spread, distinct_spread, sampled_spread
from tnattn.arrays import to_host
from tnattn.randnla.scores.product_probabilities import BothNorms, ColumnNorms, Uniform
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.sketches.probes import Rademacher
from tnattn.randnla.solvers.matrix_product import SampledProduct, SketchedProduct
from tnattn.structured.composite import Product
from tnattn.structured.dense import Dense


def _product(a: Values, b: Values) -> Product:
    return Product(Dense(a), Dense(b))


def _random(rng: np.random.Generator, method: Any) -> Instance:
    a = with_singular_values(rng, slow_spectrum(10), 10, 24)
    return method, _product(a, with_singular_values(rng, slow_spectrum(8), 24, 8))


def _one_term(rng: np.random.Generator, method: Any) -> Instance:
    """Orthogonal outer products of one size: every sample has the same error, and the product is small."""
    return method, _product(np.eye(24), np.eye(24))


def _common_part(rng: np.random.Generator, method: Any) -> Instance:
    """Outer products of one size with a common part: all samples have nearly the same error, the product is large."""
    a = np.concatenate([np.ones((1, 24)), np.eye(24)])
    return method, _product(a, a.T)


def _both_signs(rng: np.random.Generator, method: Any) -> Instance:
    """Outer products of one size and both signs, of rank one: the stable ranks are as small as they can be."""
    return method, _product(np.ones((1, 24)), np.where(np.arange(24) % 3, 1.0, -1.0)[:, None])


def _on(matrices: Callable[[np.random.Generator, Any], Instance], method: Any) -> Maker:
    """Return the maker of an instance of a method."""
    return lambda rng: matrices(rng, method)


def product_pair(target: Any) -> tuple[Values, Values]:
    """Return the two factors as float64 arrays on the host."""
    require(isinstance(target, Product), "the target is a product of two matrices")
    return errors.dense(target.left), errors.dense(target.right)


def term_sizes(a: Values, b: Values) -> Values:
    """Return ||a_k|| ||b_k||, (..., n), for columns of a and rows of b."""
    return np.asarray(np.linalg.norm(a, axis=-2) * np.linalg.norm(b, axis=-1))


def square(a: Values) -> Values:
    """Return ||A||_F^2, (...)."""
    return np.asarray(np.sum(a**2, axis=(-2, -1)))


def drawn_gram(gram: Values, probability: Values) -> Values:
    """Return inner products of the vectors that are drawn, T_k / p_k, (..., n, n); zero where p_k is."""
    inverse = np.where(probability > 0, 1.0 / np.where(probability > 0, probability, 1.0), 0.0)  # T_k = 0 where p_k is
    return np.asarray(gram * inverse[..., :, None] * inverse[..., None, :])


def sampled_variance(sizes: Values, probability: Values, product: Values, samples: int) -> Values:
    """Return (sum_k ||a_k||^2 ||b_k||^2 / p_k - ||A B||_F^2) / c, (...), for sizes ||a_k|| ||b_k|| (..., n)."""
    ratio = np.where(sizes > 0, sizes**2 / np.where(probability > 0, probability, 1.0), 0.0)
    return np.asarray((ratio.sum(axis=-1) - product) / samples)


def optimal_variance(sizes: Values, product: Values, samples: int) -> Values:
    """Return ((sum_k ||a_k|| ||b_k||)^2 - ||A B||_F^2) / c, (...), the least of the variances."""
    return np.asarray((sizes.sum(axis=-1) ** 2 - product) / samples)


def bernstein_error(
    mean_stable_rank: Values, dimension: int, samples: int, delta: float, *, share: npt.ArrayLike = 1.0
) -> Values:
    """Return the e with D exp(-b c e^2 / (4 asr (1 + e/3))) = delta, (...)."""
    kappa = 4 * mean_stable_rank * np.log(dimension / delta) / (np.asarray(share) * samples)
    return np.asarray(kappa / 6 + np.sqrt(kappa**2 / 36 + kappa))  # the positive root of e^2 = kappa (1 + e / 3)


def _probability(method: SampledProduct, target: Any) -> tuple[Values, Values, Values]:
    """Return the factors and the probabilities of independent samples."""
    a, b = product_pair(target)
    require(method.replacement, "draws are independent, with replacement")
    weights = np.asarray(to_host(method.probabilities.weights(target.left, target.right)), dtype=np.float64)
    total = weights.sum(axis=-1, keepdims=True)
    probability = weights / np.where(total > 0, total, 1.0)
    require(bool(np.all((probability > 0) | (term_sizes(a, b) == 0))), "p_k > 0 where ||a_k|| ||b_k|| > 0")
    return a, b, probability


def _terms(a: Values, b: Values) -> Values:
    """Return the inner products of the outer products a_k b_k, (..., n, n)."""
    return np.asarray((np.swapaxes(a, -1, -2) @ a) * (b @ np.swapaxes(b, -1, -2)))


def _spread(method: SampledProduct, target: Any) -> Values:
    a, b, probability = _probability(method, target)
    return sampled_spread(drawn_gram(_terms(a, b), probability), probability, method.samples)


def _distinct(method: SampledProduct, target: Any) -> Values:
    a, b = product_pair(target)
    n = a.shape[-1]
    equal = np.full((*a.shape[:-2], n), 1.0 / n)
    independent = sampled_spread(drawn_gram(_terms(a, b), equal), equal, method.samples)
    return distinct_spread(independent, n, method.samples)


drineas = Paper(
    "Drineas, Kannan & Mahoney 2006",
    method=SampledProduct,
    instances=(_on(_one_term, SampledProduct(40, Uniform())), _on(_random, SampledProduct(60, ColumnNorms()))),
    statement="Lemmas 3 and 4",
)


@drineas(error=errors.matrix_frobenius_squared, guarantee=ExactExpectation(spread=_spread))
def product_variance(method: SampledProduct, target: Any) -> Values:
    """E||AB - CR||_F^2 = (sum_k ||a_k||^2 ||b_k||^2 / p_k - ||AB||_F^2) / c for c independent draws.

    Letters: k an index of terms; a_k the columns of A; b_k the rows of B; p_k the probabilities; c the number of draws;
    B the second factor; C the sampled columns; R the sampled rows.
    Hypotheses: the target is a product of two matrices; draws are independent, with replacement; p_k > 0 where ||a_k||
    ||b_k|| > 0.
    """
    a, b, probability = _probability(method, target)
    return sampled_variance(term_sizes(a, b), probability, square(a @ b), method.samples)


cochran = Paper(
    "Cochran 1977",
    method=SampledProduct,
    instances=(
        _on(_common_part, SampledProduct(4, Uniform(), replacement=False)),
        _on(_random, SampledProduct(12, Uniform(), replacement=False)),
    ),
)


@cochran("Theorem 2.2", error=errors.matrix_frobenius_squared, guarantee=ExactExpectation(spread=_distinct))
def product_variance_distinct(method: SampledProduct, target: Any) -> Values:
    """E||AB - CR||_F^2 = (n - c) / ((n - 1) c) (n sum_k ||a_k||^2 ||b_k||^2 - ||AB||_F^2), c distinct indices of n.

    All sets of c indices have the same probability.

    Letters: k an index of terms; a_k the columns of A; b_k the rows of B; B the second factor; C the sampled columns; R
    the sampled rows; c the number of indices drawn; n the number of terms.
    Hypotheses: a simple random sample; the target is a product of two matrices; c <= n and n > 1.
    """
    require(isinstance(method.probabilities, Uniform) and not method.replacement, "a simple random sample")
    a, b = product_pair(target)
    n, c = a.shape[-1], method.samples
    require(n > 1 and c <= n, "c <= n and n > 1")
    return np.asarray((n - c) / ((n - 1) * c) * (n * np.sum(term_sizes(a, b) ** 2, axis=-1) - square(a @ b)))


drineas_optimal = replace(
    drineas,
    instances=(_on(_one_term, SampledProduct(40)), _on(_random, SampledProduct(60, BothNorms()))),
    guarantee=InExpectation(spread=_spread),
)


@drineas_optimal(error=errors.matrix_frobenius_squared, side="lower")
def product_optimal(method: SampledProduct, target: Any) -> Values:
    """E||AB - CR||_F^2 >= ((sum_k ||a_k|| ||b_k||)^2 - ||AB||_F^2) / c, an equality for p_k ~ ||a_k|| ||b_k||.

    Letters: k an index of terms; a_k the columns of A; b_k the rows of B; c the number of draws; p_k the probabilities;
    B the second factor; C the sampled columns; R the sampled rows.
    Hypotheses: the target is a product of two matrices; draws are independent, with replacement; p_k > 0 where ||a_k||
    ||b_k|| > 0.
    """
    a, b, _ = _probability(method, target)
    return optimal_variance(term_sizes(a, b), square(a @ b), method.samples)


drineas_tail = replace(
    drineas,
    instances=(
        lambda rng: (SampledProduct(2000), _product(np.eye(64), np.eye(64))),
        _on(_random, SampledProduct(200)),
    ),
    must_fail=0.1,
    guarantee=WithProbability(),
    statement="Theorem 1; constant sharpened by McDiarmid's inequality",
)


@drineas_tail(error=errors.matrix_frobenius, sharpest={"delta": 0.85})
def amm_high_probability(method: SampledProduct, target: Any, *, delta: float = 0.1) -> tuple[Values, Values]:
    """||AB - CR||_F <= M / sqrt(b c) + (M / b) sqrt(2 log(1/d) / c), except with probability d.

    M is the sum of ||a_k|| ||b_k||, and p_k >= b ||a_k|| ||b_k|| / M.

    Letters: b the least share of the ideal probabilities; a_k the columns of A; b_k the rows of B; c the number of
    draws; d the failure probability, a parameter; B the second factor; C the sampled columns; R the sampled rows.
    Hypotheses: 0 < d < 1; the target is a product of two matrices; draws are independent, with replacement; p_k > 0
    where ||a_k|| ||b_k|| > 0; A B is not a sum of zeros.
    """
    require(0 < delta < 1, "0 < d < 1")
    a, b, probability = _probability(method, target)
    sizes = term_sizes(a, b)
    total = sizes.sum(axis=-1)
    require(bool(np.all(total > 0)), "A B is not a sum of zeros")
    ideal = sizes / total[..., None]
    beta = np.where(ideal > 0, probability / np.where(ideal > 0, ideal, 1.0), np.inf).min(axis=-1)
    c = method.samples
    value = total / np.sqrt(beta * c) + total / beta * np.sqrt(2 * np.log(1 / delta) / c)
    return np.asarray(value), np.full(value.shape, delta)


def _both_norms(method: SampledProduct, target: Any) -> tuple[Values, Values, int]:
    """Return ||A|| ||B||, the mean stable rank and the rows of A plus columns of B."""
    require(method.replacement and isinstance(method.probabilities, BothNorms), "independent draws by both norms")
    a, b = product_pair(target)
    norms = [np.linalg.norm(x, ord=2, axis=(-2, -1)) for x in (a, b)]
    require(bool(np.all(norms[0] > 0) and np.all(norms[1] > 0)), "A and B are not zero")
    asr = (square(a) / norms[0] ** 2 + square(b) / norms[1] ** 2) / 2
    return np.asarray(norms[0] * norms[1]), np.asarray(asr), a.shape[-2] + b.shape[-1]


tropp = Paper(
    "Tropp 2015",
    method=SampledProduct,
    instances=(_on(_both_signs, SampledProduct(200, BothNorms())), _on(_random, SampledProduct(400, BothNorms()))),
    must_fail=0.1,
    statement="Corollary 6.2.1; constants re-derived",
)


@tropp(error=errors.matrix_spectral, guarantee=InExpectation())
def amm_spectral_bernstein(method: SampledProduct, target: Any) -> Values:
    """E||AB - CR|| <= (sqrt(4 asr log D / c) + 2 asr log D / (3 c)) ||A|| ||B||.

    asr is the mean of the stable ranks ||A||_F^2 / ||A||^2, D the rows of A plus the columns of B.

    Letters: c the number of draws; B the second factor; C the sampled columns; R the sampled rows.
    Hypotheses: independent draws by both norms; the target is a product of two matrices; A and B are not zero.
    """
    scale, asr, dimension = _both_norms(method, target)
    log = asr * np.log(dimension) / method.samples
    return np.asarray((np.sqrt(4 * log) + 2 * log / 3) * scale)


@tropp(error=errors.matrix_spectral, guarantee=WithProbability())
def amm_spectral_bernstein_tail(method: SampledProduct, target: Any, *, delta: float = 0.1) -> tuple[Values, Values]:
    """P{||AB - CR|| >= e ||A|| ||B||} <= D exp(-c e^2 / (4 asr (1 + e/3))).

    ``delta`` is the probability for which the inequality is solved for e; letters as in the expectation.

    Letters: e the relative error; B the second factor; D the rows of A plus the columns of B; c the number of draws;
    asr the mean of the stable ranks; C the sampled columns; R the sampled rows.
    Hypotheses: 0 < delta < 1; independent draws by both norms; the target is a product of two matrices; A and B are not
    zero.
    """
    require(0 < delta < 1, "0 < delta < 1")
    scale, asr, dimension = _both_norms(method, target)
    return scale * bernstein_error(asr, dimension, method.samples, delta), np.full(scale.shape, delta)


achlioptas = Paper(
    "Achlioptas 2003",
    method=SketchedProduct,
    instances=(_on(_one_term, SketchedProduct(120)), _on(_random, SketchedProduct(20, Rademacher()))),
    guarantee=ExactExpectation(spread=lambda method, target: chaos_spread(method.size)),
)


@achlioptas("second moments, re-derived", error=errors.matrix_frobenius_squared)
def product_sketch_variance(method: SketchedProduct, target: Any) -> Values:
    """E||AB - A W W^T B||_F^2 = (||A||_F^2 ||B||_F^2 + ||AB||_F^2) / c for a Gaussian sketch W of c columns.

    For random signs less by 2 sum_k ||a_k||^2 ||b_k||^2 / c.

    Letters: W the sketch; B the second factor; c the number of columns of W.
    Hypotheses: the sketch is Gaussian or of random signs; the target is a product of two matrices.
    """
    require(isinstance(method.sketch, (Gaussian, Rademacher)), "the sketch is Gaussian or of random signs")
    a, b = product_pair(target)
    fourth = np.sum(term_sizes(a, b) ** 2, axis=-1) if isinstance(method.sketch, Rademacher) else 0.0
    return np.asarray((square(a) * square(b) + square(a @ b) - 2 * fourth) / method.size)
