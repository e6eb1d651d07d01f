"""Distortion of a subspace by a random embedding."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.hypotheses import require_full_column_rank
from theory.bounds.randnla.leverage import embedding_distortion
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import ExactExpectation, WithProbability
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from theory.statistics.moments import chaos_spread
from tnattn.randnla.sketches.base import Sketch
from tnattn.randnla.sketches.count_sketch import CountSketch
from tnattn.randnla.sketches.embedding import Embedding
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.randnla.sketches.sparse_sign import SparseSign


def _flat(rng: np.random.Generator) -> Instance:
    return Embedding(120, Gaussian()), rng.standard_normal((48, 3))


def _spiky(rng: np.random.Generator) -> Instance:
    a = rng.standard_normal((48, 3))
    a[:2] *= 20.0
    return Embedding(30, CountSketch()), a


def _two_spikes(rng: np.random.Generator) -> Instance:
    """Return two coordinates: CountSketch fails exactly if they meet."""
    a = np.zeros((48, 2))
    a[0, 0], a[1, 1] = 1.0, 1.0
    return Embedding(60, CountSketch()), a


def _two_flat(rng: np.random.Generator) -> Instance:
    return Embedding(60, SparseSign(nonzeros=4)), rng.standard_normal((64, 2))


def repeated_columns(sketch: Sketch, size: int) -> float:
    """Return theta of the second moment: 1 for independent signs of fixed length per row, 0 for normal entries."""
    if isinstance(sketch, Gaussian):
        return 0.0
    require(isinstance(sketch, (CountSketch, SparseSign)), "the sketch is Gaussian, a CountSketch or of sparse signs")
    if isinstance(sketch, SparseSign):
        # signs fall into blocks of columns; blocks of different size would give rows of different variance
        require(size % min(sketch.nonzeros, size) == 0, "the signs per row divide the number of columns")
    return 1.0


def gram_second_moment(a: Values, b: Values, size: int, theta: float) -> Values:
    """Return (||A||_F^2 ||B||_F^2 + ||A^T B||_F^2 - 2 theta sum_i ||a_i||^2 ||b_i||^2) / size, (...)."""
    first, second = (np.sum(x**2, axis=-1) for x in (a, b))
    product = np.swapaxes(a, -1, -2) @ b
    products = first.sum(axis=-1) * second.sum(axis=-1) + np.sum(product**2, axis=(-2, -1))
    # fixed row lengths take the diagonal terms out of the fourth moments
    return np.asarray((products - 2 * theta * np.sum(first * second, axis=-1)) / size)


def embedding_spread(method: Embedding, a: Any) -> float:
    """Bound the relative variance of squared changes of inner products; no bound is known for sparse embeddings."""
    return chaos_spread(method.size) if isinstance(method.sketch, Gaussian) else np.inf


def _gram_error(target: Any, result: Any) -> Values:
    a = errors.dense(target)
    sketched = errors.dense(result) @ a
    difference = np.swapaxes(sketched, -1, -2) @ sketched - np.swapaxes(a, -1, -2) @ a
    return np.asarray(np.sum(difference**2, axis=(-2, -1)))


def _gram_size(target: Any) -> Values:
    a = errors.dense(target)
    return np.asarray(np.sum((np.swapaxes(a, -1, -2) @ a) ** 2, axis=(-2, -1)))


gram_frobenius_squared = Error("squared Frobenius norm of the Gram matrix", _gram_error, _gram_size, _gram_size)


clarkson = Paper("Clarkson & Woodruff 2013; Kane & Nelson 2014", method=Embedding, instances=(_flat, _spiky))


@clarkson("re-derived", error=gram_frobenius_squared, guarantee=ExactExpectation(spread=embedding_spread))
def embedding_gram_second_moment(method: Embedding, a: Any) -> Values:
    """E||(SA)^T SA - A^T A||_F^2 = (||A||_F^4 + ||A^T A||_F^2 - 2 t sum_i ||a_i||^4) / m.

    a_i are the rows of A, m is the number of rows of S;
    t = 1 for CountSketch and for any number of signs per row, t = 0 for Gaussian embeddings.

    Letters: t 1 for signs and 0 for normal entries; S the embedding.
    Hypotheses: the sketch is Gaussian, a CountSketch or of sparse signs; the signs per row divide the number of
    columns.
    """
    theta = repeated_columns(method.sketch, method.size)
    dense = errors.dense(a)
    return gram_second_moment(dense, dense, method.size, theta)


nelson = Paper("Nelson & Nguyen 2013; Meng & Mahoney 2013", method=Embedding, instances=(_two_flat, _two_spikes))


@nelson("constants re-derived", error=embedding_distortion, guarantee=WithProbability())
def countsketch_embedding(method: Embedding, a: Any, *, epsilon: float = 0.9) -> tuple[Values, Values]:
    """||U^T S^T S U - I|| <= e, except with probability k (k+1) / (m e^2); U is an orthonormal basis of the range of A.

    k is the number of columns of A, m the number of rows of S.

    Letters: U an orthonormal basis of the range of A; S the embedding; e the distortion, a parameter.
    Hypotheses: the sketch is Gaussian, a CountSketch or of sparse signs; the signs per row divide the number of
    columns; e > 0; A is tall; A has full column rank, beyond rounding.
    """
    repeated_columns(method.sketch, method.size)
    require(epsilon > 0, "e > 0")
    s, k = require_full_column_rank(a)
    # Markov's inequality for the squared Frobenius norm, whose mean is at most k (k + 1) / m for an orthonormal basis
    chance = k * (k + 1) / (method.size * epsilon**2)
    return np.full(s.shape[:-1], epsilon), np.full(s.shape[:-1], chance)
