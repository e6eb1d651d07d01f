"""Second moments of sketches that act mode by mode."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from theory.bounds.hypotheses import require_full_column_rank
from theory.bounds.randnla.embeddings import gram_frobenius_squared
from theory.bounds.randnla.leverage import embedding_distortion
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import ExactExpectation, InExpectation, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from theory.statistics.moments import mean_spread
from tnattn.randnla.sketches.embedding import Embedding
from tnattn.randnla.sketches.kronecker_sketch import KhatriRaoSketch
from tnattn.randnla.sketches.modes import folded_sizes
from tnattn.randnla.sketches.tensor_sketch import TensorSketch


def _flat(rng: np.random.Generator) -> Instance:
    """Return a pure tensor of flat vectors."""
    return Embedding(20, TensorSketch((8, 8))), np.ones((64, 1))


def _matrix(rng: np.random.Generator) -> Instance:
    return Embedding(40, TensorSketch((4, 4, 4))), rng.standard_normal((64, 3))


def _two_dimensions(rng: np.random.Generator) -> Instance:
    x = np.kron(np.ones(8), np.r_[np.ones(4), np.zeros(4)])
    return Embedding(60, TensorSketch((8, 8))), np.stack([np.ones(64), x], axis=-1)


def _one_dimension(rng: np.random.Generator) -> Instance:
    return Embedding(90, TensorSketch((8, 8))), rng.standard_normal((64, 1))


def _pure(rng: np.random.Generator) -> Instance:
    x, y = rng.standard_normal((2, 8))
    return Embedding(400, KhatriRaoSketch((8, 8))), np.kron(x, y)[:, None]


def _diffuse(rng: np.random.Generator) -> Instance:
    return Embedding(20, KhatriRaoSketch((4, 8), rademacher=True)), rng.standard_normal((32, 1))


def _pure_signs(rng: np.random.Generator) -> Instance:
    x, y = rng.standard_normal((2, 8))
    return Embedding(1000, KhatriRaoSketch((8, 8), rademacher=True)), np.kron(x, y)[:, None]


def _flat_signs(rng: np.random.Generator) -> Instance:
    return Embedding(50, KhatriRaoSketch((4, 4), rademacher=True)), np.ones((16, 1))


def _order(sizes: int | tuple[int, ...]) -> int:
    return len(sizes) if isinstance(sizes, tuple) else sizes


pham = Paper(
    "Pham & Pagh 2013; Avron, Nguyen & Woodruff 2014", method=Embedding, instances=(_flat, _matrix), must_fail=0.2
)


@pham("constant 3^q - 1 re-derived", error=gram_frobenius_squared, guarantee=InExpectation())
def tensorsketch_moment(method: Embedding, a: Any) -> Values:
    """E||(SA)^T SA - A^T A||_F^2 <= (3^q - 1) / m ||A||_F^4 for a TensorSketch of q modes into m dimensions.

    Letters: q the number of modes; m the number of rows of S; S the sketch.
    Hypotheses: the sketch is a TensorSketch.
    """
    sketch = method.sketch
    require(isinstance(sketch, TensorSketch), "the sketch is a TensorSketch")
    assert isinstance(sketch, TensorSketch)
    size = np.linalg.norm(errors.dense(a), axis=(-2, -1))
    # a mode of signs has fourth moment at most 3, and q modes are independent
    return np.asarray((3 ** _order(sketch.modes) - 1) / method.size * size**4)


avron = Paper(
    "Avron, Nguyen & Woodruff 2014", method=Embedding, instances=(_one_dimension, _two_dimensions), must_fail=0.1
)


@avron("constant 3^q - 1 re-derived", error=embedding_distortion, guarantee=WithProbability())
def tensorsketch_embedding(method: Embedding, a: Any, *, epsilon: float = 0.9) -> tuple[Values, Values]:
    """||U^T S^T S U - I|| <= e, except with probability k^2 (3^q - 1) / (m e^2); U is a basis, k its columns.

    Letters: U an orthonormal basis of the range of A; S the sketch; e the distortion, a parameter; k the number of
    columns of A; q the number of modes; m the number of rows of S.
    Hypotheses: the sketch is a TensorSketch; e > 0; A is tall; A has full column rank, beyond rounding.
    """
    sketch = method.sketch
    require(isinstance(sketch, TensorSketch), "the sketch is a TensorSketch")
    assert isinstance(sketch, TensorSketch)
    require(epsilon > 0, "e > 0")
    s, k = require_full_column_rank(a)
    # Markov's inequality for the squared Frobenius norm, ||U||_F^4 = k^2
    chance = k**2 * (3 ** _order(sketch.modes) - 1) / (method.size * epsilon**2)
    return np.full(s.shape[:-1], epsilon), np.full(s.shape[:-1], chance)


def _length_square(target: Any, result: Any) -> Values:
    x = errors.dense(target)
    mapped = errors.dense(result) @ x
    return np.asarray((np.sum(mapped**2, axis=(-2, -1)) - np.sum(x**2, axis=(-2, -1))) ** 2)


def _length_size(target: Any) -> Values:
    return np.asarray(np.sum(errors.dense(target) ** 2, axis=(-2, -1)) ** 2)


length_square = Error("squared change of a squared length", _length_square, _length_size, _length_size)


rakhshan = Paper("Rakhshan & Rabusseau 2020", method=Embedding, instances=(_pure, _diffuse))


@rakhshan("by hypercontractivity, re-derived", error=length_square, guarantee=InExpectation(), must_fail=0.1)
def kr_sketch_moment(method: Embedding, a: Any) -> Values:
    """E(||Sx||^2 - ||x||^2)^2 <= (3^N - 1) / m ||x||^4 for N modes and m dimensions.

    Equality for pure tensors and normal factors.

    Letters: x the vector; N the number of modes; m the number of rows of S; S the sketch.
    Hypotheses: the sketch is a Khatri-Rao sketch; A is one vector.
    """
    sketch = method.sketch
    require(isinstance(sketch, KhatriRaoSketch), "the sketch is a Khatri-Rao sketch")
    assert isinstance(sketch, KhatriRaoSketch)
    require(a.shape[-1] == 1, "A is one vector")
    return np.asarray((3 ** _order(sketch.modes) - 1) / method.size * _length_size(a))


def _signs_spread(method: Embedding, a: Any) -> Values:
    """Bound the relative variance by the moments of prod_k (w_k . x_k)^2: those of signs are at most Gaussian ones.

    The second moment is exact; in the fourth central one, E Y^4 - 4 E Y^3 + 6 E Y^2 - 3 for E Y = 1, the third is at
    least (E Y^2)^2 by the inequality of Cauchy and Schwarz.
    """
    square, fourth = np.ones(a.shape[:-2]), np.ones(a.shape[:-2])
    for x in pure_factors(method, a):
        # E (w . x)^4 = 3 ||x||_2^4 - 2 ||x||_4^4 for signs w
        square = square * (3 - 2 * np.sum(x**4, axis=-1))
        fourth = fourth * _eighth_moment(x)
    central = fourth - 4 * square**2 + 6 * square - 3
    return mean_spread(central / (square - 1) ** 2, method.size)


def _eighth_moment(x: Values) -> Values:
    """Return E (w . x)^8 for signs w and unit vectors x, from the cumulants of w . x."""
    p = [np.sum(x ** (2 * k), axis=-1) for k in range(1, 5)]
    # cumulants of a sign: 1, -2, 16, -272; those of a sum of independent variables add
    k2, k4, k6, k8 = p[0], -2 * p[1], 16 * p[2], -272 * p[3]
    return np.asarray(k8 + 28 * k6 * k2 + 35 * k4**2 + 210 * k4 * k2**2 + 105 * k2**4)


def pure_factors(method: Embedding, a: Any) -> list[Values]:
    """Return unit vectors x_k of which the vector is a multiple of the Kronecker product, with the hypotheses."""
    sketch = method.sketch
    require(isinstance(sketch, KhatriRaoSketch), "the sketch is a Khatri-Rao sketch")
    assert isinstance(sketch, KhatriRaoSketch)
    require(sketch.rademacher, "the factors are signs")
    require(a.shape[-1] == 1, "A is one vector")
    sizes = folded_sizes(int(a.shape[-2]), sketch.modes)
    require(math.prod(sizes) == a.shape[-2], "the modes multiply to the number of rows")
    x, lead, found = errors.dense(a).reshape(*a.shape[:-2], *sizes), len(a.shape) - 2, []
    for k, n in enumerate(sizes):
        unfolding = np.moveaxis(x, lead + k, lead).reshape(*a.shape[:-2], n, -1)
        u, s, _ = np.linalg.svd(unfolding)
        # pure to rounding: a rank above one in some mode would show at the size of the second term
        require(bool(np.all(s[..., 1:] <= 1e-10 * s[..., :1])), "x is a pure tensor")
        found.append(u[..., 0])
    return found


signs = replace(rakhshan, instances=(_pure_signs, _flat_signs), guarantee=ExactExpectation(spread=_signs_spread))


@signs("re-derived", error=length_square)
def kr_sketch_rademacher_moment(method: Embedding, a: Any) -> Values:
    """E(||Sx||^2 - ||x||^2)^2 = (prod_k (3 ||x_k||_2^4 - 2 ||x_k||_4^4) - ||x||^4) / m for pure tensors and signs.

    Letters: x the vector; x_k its factor in mode k; m the number of rows of S; S the sketch.
    Hypotheses: the sketch is a Khatri-Rao sketch; the factors are signs; A is one vector; the modes multiply to the
    number of rows; x is a pure tensor.
    """
    product = np.ones(a.shape[:-2])
    for x in pure_factors(method, a):
        product = product * (3 - 2 * np.sum(x**4, axis=-1))
    return np.asarray((product - 1) * _length_size(a) / method.size)
