"""Random embeddings of single vectors, of pairs, and of finite sets of points."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from theory.bounds.randnla.embeddings import embedding_spread, repeated_columns
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import ExactExpectation, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.randnla.sketches.count_sketch import CountSketch
from tnattn.randnla.sketches.embedding import Embedding
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.sketches.sparse_sign import SparseSign


def _vector(rng: np.random.Generator) -> Instance:
    """Orthogonal vectors, whose changes of length are independent: the worst of them is judged."""
    return Embedding(100), np.eye(20)[:, :, None]


def _vectors_for_two_sides(rng: np.random.Generator) -> Instance:
    return Embedding(120), np.eye(20)[:, :, None]


def _spike(rng: np.random.Generator) -> Instance:
    return Embedding(60), np.eye(30)[:, :1]


def _signs(rng: np.random.Generator) -> Instance:
    return Embedding(100, SparseSign(nonzeros=100)), np.ones((40, 1))


def _signs_generic(rng: np.random.Generator) -> Instance:
    return Embedding(60, SparseSign(nonzeros=60)), rng.standard_normal((30, 1))


def _points(rng: np.random.Generator) -> Instance:
    return Embedding(220), rng.standard_normal((30, 8))


def _corners(rng: np.random.Generator) -> Instance:
    return Embedding(300), np.eye(40)[:, :10]


def _pair(rng: np.random.Generator) -> Instance:
    return Embedding(120), rng.standard_normal((40, 2))


def _sparse_pair(rng: np.random.Generator) -> Instance:
    return Embedding(30, CountSketch()), rng.standard_normal((40, 2))


def _long_pair(rng: np.random.Generator) -> Instance:
    """Pairs of equal vectors, orthogonal to the other pairs: the variance is twice that of an orthogonal pair."""
    return Embedding(360), np.repeat(np.eye(20)[:, :, None], 2, axis=-1)


def _generic_pair(rng: np.random.Generator) -> Instance:
    return Embedding(120), rng.standard_normal((40, 2))


def _unit(x: Values) -> Values:
    # changes are relative; a zero vector is mapped to zero exactly
    size = np.linalg.norm(x, axis=-2, keepdims=True)
    return np.asarray(x / np.where(size > 0, size, 1.0))


def _length_change(target: Any, result: Any) -> Values:
    mapped = errors.dense(result) @ _unit(errors.dense(target))
    return np.asarray(np.abs(np.sum(mapped**2, axis=(-2, -1)) - 1))


def _pairwise_change(target: Any, result: Any) -> Values:
    points = errors.dense(target)
    # differences are mapped, not mapped points subtracted: near points would cancel
    i, j = np.triu_indices(points.shape[-1], 1)
    mapped = errors.dense(result) @ _unit(points[..., i] - points[..., j])
    return np.asarray(np.abs(np.sum(mapped**2, axis=-2) - 1).max(axis=-1))


def _product_change(target: Any, result: Any) -> Values:
    x = _unit(errors.dense(target))
    mapped = errors.dense(result) @ x
    inner = np.sum(mapped[..., 0] * mapped[..., 1], axis=-1)
    return np.asarray(np.abs(inner - np.sum(x[..., 0] * x[..., 1], axis=-1)))


def _product_square(target: Any, result: Any) -> Values:
    scale = np.prod(np.linalg.norm(errors.dense(target), axis=-2)[..., :2], axis=-1)
    return np.asarray((scale * _product_change(target, result)) ** 2)


def _one(target: Any) -> Values:
    return np.ones(target.shape[:-2])


def _product_size(target: Any) -> Values:
    return np.asarray(np.prod(np.linalg.norm(errors.dense(target), axis=-2)[..., :2] ** 2, axis=-1))


length_change = Error("relative change of a squared length", _length_change, _one, _one)
pairwise_change = Error("largest relative change of a squared distance", _pairwise_change, _one, _one)
product_change = Error("change of an inner product of unit vectors", _product_change, _one, _one)
product_square = Error("squared change of an inner product", _product_square, _product_size, _product_size)


def gaussian_upper(size: int, epsilon: float) -> float:
    """Return the Chernoff bound exp(-m (e - ln(1+e)) / 2) on the chance of a squared length above 1 + e."""
    # m ||Sx||^2 / ||x||^2 is chi-squared with m degrees of freedom
    return float(np.exp(-size / 2 * (epsilon - np.log1p(epsilon))))


def gaussian_lower(size: int, epsilon: float) -> float:
    """Return the Chernoff bound exp(-m (-e - ln(1-e)) / 2) on the chance of a squared length below 1 - e."""
    return float(np.exp(-size / 2 * (-epsilon - np.log1p(-epsilon))))


def exponent(epsilon: float) -> float:
    """Return e^2 / 2 - e^3 / 3."""
    return epsilon**2 / 2 - epsilon**3 / 3


def points_size(points: int, epsilon: float, beta: float = 0.0) -> int:
    """Return the dimension (4 + 2 b) ln N / (e^2/2 - e^3/3), rounded up, that all pairs of N points need."""
    # a union bound over N^2 / 2 pairs, so that N^2 exp(-m (e^2/2 - e^3/3) / 2) <= N^-b
    return int(np.ceil((4 + 2 * beta) * np.log(points) / exponent(epsilon)))


def _require_vector(method: Embedding, a: Any, epsilon: float) -> None:
    require(a.shape[-1] == 1, "A is one vector")
    require(bool(np.all(np.linalg.norm(errors.dense(a), axis=(-2, -1)) > 0)), "the vector is not zero")
    require(0 < epsilon < 1, "0 < e < 1")


def _require_gaussian(method: Embedding) -> None:
    require(isinstance(method.sketch, Gaussian), "the embedding is Gaussian")


dasgupta = Paper("Dasgupta & Gupta 2003", method=Embedding, instances=(_vector, _spike))


@dasgupta("Lemma 2.2, exact exponents", error=length_change, guarantee=WithProbability())
def jl_tail(method: Embedding, a: Any, *, epsilon: float = 0.5) -> tuple[Values, float]:
    """| ||Sx||^2/||x||^2 - 1 | < e, except with probability exp(-m (e - ln(1+e)) / 2) + exp(-m (-e - ln(1-e)) / 2).

    Letters: x a vector; e the distortion, a parameter; m the number of rows of S; S the embedding.
    Hypotheses: the embedding is Gaussian; A is one vector; the vector is not zero; 0 < e < 1.
    """
    _require_gaussian(method)
    _require_vector(method, a, epsilon)
    return np.full(a.shape[:-2], epsilon), gaussian_upper(method.size, epsilon) + gaussian_lower(method.size, epsilon)


@dasgupta("Lemma 2.2", error=length_change, guarantee=WithProbability(), instances=(_vectors_for_two_sides, _spike))
def jl_dasgupta_gupta(method: Embedding, a: Any, *, epsilon: float = 0.5) -> tuple[Values, float]:
    """| ||Sx||^2 / ||x||^2 - 1 | < e, except with probability exp(-m (e^2/2 - e^3/3) / 2) + exp(-m e^2 / 4).

    Letters: x a vector; e the distortion, a parameter; m the number of rows of S; S the embedding.
    Hypotheses: the embedding is Gaussian; A is one vector; the vector is not zero; 0 < e < 1.
    """
    _require_gaussian(method)
    _require_vector(method, a, epsilon)
    chance = np.exp(-method.size / 2 * exponent(epsilon)) + np.exp(-method.size * epsilon**2 / 4)
    return np.full(a.shape[:-2], epsilon), float(chance)


achlioptas = Paper("Achlioptas 2003", method=Embedding, instances=(_signs, _signs_generic))


@achlioptas("Theorem 1.1", error=length_change, guarantee=WithProbability())
def jl_achlioptas(method: Embedding, a: Any, *, epsilon: float = 0.5) -> tuple[Values, float]:
    """| ||Sx||^2 / ||x||^2 - 1 | < e, except with probability 2 exp(-m (e^2/2 - e^3/3) / 2), S of signs / sqrt(m).

    Letters: x a vector; e the distortion, a parameter; m the number of rows of S; S the embedding.
    Hypotheses: every entry is a sign; A is one vector; the vector is not zero; 0 < e < 1.
    """
    sketch = method.sketch
    require(isinstance(sketch, SparseSign) and sketch.nonzeros >= method.size, "every entry is a sign")
    _require_vector(method, a, epsilon)
    return np.full(a.shape[:-2], epsilon), float(2 * np.exp(-method.size / 2 * exponent(epsilon)))


dasgupta_2003 = Paper("Dasgupta & Gupta 2003; Achlioptas 2003", method=Embedding, instances=(_points, _corners))


@dasgupta_2003("Theorems 2.1 and 1.1", error=pairwise_change, guarantee=WithProbability())
def jl_all_pairs(method: Embedding, a: Any, *, epsilon: float = 0.5) -> tuple[Values, float]:
    """| ||Sx - Sy||^2 / ||x - y||^2 - 1 | < e for all pairs, except with probability N^2 exp(-m (e^2/2 - e^3/3) / 2).

    x and y are columns of A, N in number.

    Letters: e the distortion, a parameter; N the number of points; m the number of rows of S; S the embedding.
    Hypotheses: entries are normal or signs; N >= 2 and 0 < e < 1; no two points are equal.
    """
    sketch, points = method.sketch, int(a.shape[-1])
    signs = isinstance(sketch, SparseSign) and sketch.nonzeros >= method.size
    require(isinstance(sketch, Gaussian) or signs, "entries are normal or signs")
    require(points >= 2 and 0 < epsilon < 1, "N >= 2 and 0 < e < 1")
    columns = errors.dense(a)
    # equal points have no relative change of distance
    distinct = [np.unique(columns[i], axis=-1).shape[-1] == points for i in np.ndindex(*columns.shape[:-2])]
    require(all(distinct), "no two points are equal")
    return np.full(a.shape[:-2], epsilon), float(points**2 * np.exp(-method.size / 2 * exponent(epsilon)))


folklore = Paper("folklore", method=Embedding, instances=(_pair, _sparse_pair))


@folklore("re-derived", error=product_square, guarantee=ExactExpectation(spread=embedding_spread))
def jl_variance(method: Embedding, a: Any) -> Values:
    """E(<Sx, Sy> - <x, y>)^2 = (||x||^2 ||y||^2 + <x, y>^2 - 2 t sum_i x_i^2 y_i^2) / m, x and y the columns of A.

    t = 1 for CountSketch and for any number of signs per row, t = 0 for Gaussian embeddings.

    Letters: x a vector; y another vector; t 1 for signs and 0 for normal entries; m the number of rows of S; S the
    embedding.
    Hypotheses: A is two vectors; the sketch is Gaussian, a CountSketch or of sparse signs; the signs per row divide the
    number of columns.
    """
    require(a.shape[-1] == 2, "A is two vectors")
    theta = repeated_columns(method.sketch, method.size)
    return pair_variance(errors.dense(a), method.size, theta)


def pair_variance(a: Values, size: int, theta: float) -> Values:
    """Return the variance of the embedded inner product of the two columns of a, (...)."""
    x, y = a[..., 0], a[..., 1]
    lengths = np.sum(x**2, axis=-1) * np.sum(y**2, axis=-1)
    inner = np.sum(x * y, axis=-1) ** 2
    return np.asarray((lengths + inner - 2 * theta * np.sum(x**2 * y**2, axis=-1)) / size)


polarisation = replace(folklore, instances=(_long_pair, _generic_pair), must_fail=0.15)


@polarisation("by polarisation, re-derived", error=product_change, guarantee=WithProbability())
def jl_inner_product(method: Embedding, a: Any, *, epsilon: float = 0.3) -> tuple[Values, float]:
    """|<Sx, Sy> - <x, y>| < e ||x|| ||y||, except with probability 4 exp(-m (e - ln(1+e)) / 2), x and y the columns.

    Letters: x a vector; y another vector; e the distortion, a parameter; m the number of rows of S; S the embedding.
    Hypotheses: the embedding is Gaussian; A is two vectors; 0 < e < 1.
    """
    _require_gaussian(method)
    require(a.shape[-1] == 2, "A is two vectors")
    require(0 < epsilon < 1, "0 < e < 1")
    # <x, y> = (||x + y||^2 - ||x - y||^2) / 4: two lengths, each with two tails, of which the upper is the larger
    return np.full(a.shape[:-2], epsilon), 4 * gaussian_upper(method.size, epsilon)
