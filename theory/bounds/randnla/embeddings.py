"""How far a random embedding is from an isometry on a subspace."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory import errors
from theory.bound import Instance, Source, Values, bound, require
from theory.bounds.randnla.instances import gap_spectrum, slow_spectrum, with_singular_values
from theory.bounds.randnla.leverage import embedding_distortion
from theory.errors import Error, singular_values
from theory.guarantee import ExactExpectation, WithProbability
from tnattn.randnla.count_sketch import CountSketch
from tnattn.randnla.embedding import Embedding
from tnattn.randnla.gaussian import Gaussian
from tnattn.randnla.qb import QB
from tnattn.randnla.range_finder import RangeFinder
from tnattn.randnla.sketch import Sketch
from tnattn.randnla.sparse_sign import SparseSign
from tnattn.randnla.trigonometric import SubsampledHadamard


def _flat(rng: np.random.Generator) -> Instance:
    return Embedding(40, Gaussian()), rng.standard_normal((48, 3))


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


def _hadamard_vector(rng: np.random.Generator) -> Instance:
    return Embedding(384, SubsampledHadamard()), rng.standard_normal((512, 1))


def _hadamard_plane(rng: np.random.Generator) -> Instance:
    """Return a plane that holds a coordinate, which the transform alone would map to a flat vector."""
    a = rng.standard_normal((512, 2))
    a[0, 1] = 1e3
    return Embedding(448, SubsampledHadamard()), a


def _hadamard_gap(rng: np.random.Generator) -> Instance:
    finder = RangeFinder(rank=1, oversampling=47, sketch=SubsampledHadamard())
    return QB(finder), with_singular_values(rng, gap_spectrum(1, 64), 64, 64)


def _hadamard_slow(rng: np.random.Generator) -> Instance:
    finder = RangeFinder(rank=1, oversampling=55, sketch=SubsampledHadamard())
    return QB(finder), with_singular_values(rng, [50.0, *slow_spectrum(59)], 60, 64)


def repeated_columns(sketch: Sketch, size: int) -> float:
    """Return theta of the second moment: 1 for independent signs of fixed length per row, 0 for normal entries."""
    if isinstance(sketch, Gaussian):
        return 0.0
    require(isinstance(sketch, (CountSketch, SparseSign)), "the sketch is Gaussian, a CountSketch or of sparse signs")
    if isinstance(sketch, SparseSign):
        require(size % min(sketch.nonzeros, size) == 0, "the signs per row divide the number of columns")
    return 1.0


def gram_second_moment(a: Values, b: Values, size: int, theta: float) -> Values:
    """Return (||A||_F^2 ||B||_F^2 + ||A^T B||_F^2 - 2 theta sum_i ||a_i||^2 ||b_i||^2) / size, (...)."""
    first, second = (np.sum(x**2, axis=-1) for x in (a, b))
    product = np.swapaxes(a, -1, -2) @ b
    whole = first.sum(axis=-1) * second.sum(axis=-1) + np.sum(product**2, axis=(-2, -1))
    return np.asarray((whole - 2 * theta * np.sum(first * second, axis=-1)) / size)


def _gram_error(target: Any, result: Any) -> Values:
    a = errors.dense(target)
    sketched = errors.dense(result) @ a
    difference = np.swapaxes(sketched, -1, -2) @ sketched - np.swapaxes(a, -1, -2) @ a
    return np.asarray(np.sum(difference**2, axis=(-2, -1)))


def _gram_size(target: Any) -> Values:
    a = errors.dense(target)
    return np.asarray(np.sum((np.swapaxes(a, -1, -2) @ a) ** 2, axis=(-2, -1)))


gram_frobenius_squared = Error("squared Frobenius norm of the Gram matrix", _gram_error, _gram_size, _gram_size)


@bound(
    method=Embedding,
    error=gram_frobenius_squared,
    guarantee=ExactExpectation(),
    source=Source("Clarkson & Woodruff 2013; Kane & Nelson 2014", "re-derived"),
    extremal=_flat,
    generic=_spiky,
)
def embedding_gram_second_moment(method: Embedding, a: Any) -> Values:
    """E||(SA)^T SA - A^T A||_F^2 = (||A||_F^4 + ||A^T A||_F^2 - 2 t sum_i ||a_i||^4) / m.

    a_i are the rows of A, m is the number of rows of S;
    t = 1 for CountSketch and for any number of signs per row, t = 0 for Gaussian embeddings.
    """
    theta = repeated_columns(method.sketch, method.size)
    dense = errors.dense(a)
    return gram_second_moment(dense, dense, method.size, theta)


@bound(
    method=Embedding,
    error=embedding_distortion,
    guarantee=WithProbability(),
    source=Source("Nelson & Nguyen 2013; Meng & Mahoney 2013", "constants re-derived"),
    extremal=_two_flat,
    generic=_two_spikes,
)
def countsketch_embedding(method: Embedding, a: Any, *, epsilon: float = 0.9) -> tuple[Values, Values]:
    """||U^T S^T S U - I|| <= e, except with probability k (k+1) / (m e^2); U is an orthonormal basis of the range of A.

    k is the number of columns of A, m the number of rows of S.
    """
    repeated_columns(method.sketch, method.size)
    require(epsilon > 0, "e > 0")
    s, k = _full_rank(a)
    chance = k * (k + 1) / (method.size * epsilon**2)
    return np.full(s.shape[:-1], epsilon), np.full(s.shape[:-1], chance)


def _full_rank(a: Any) -> tuple[Values, int]:
    s, k = singular_values(a), int(a.shape[-1])
    require(a.shape[-2] >= k, "A is tall")
    require(bool(np.all(s[..., -1] > a.shape[-2] * np.finfo(np.float64).eps * s[..., 0])), "A has full column rank")
    return s, k


def hadamard_failure(n: int, k: int, size: int, epsilon: float, beta: float, *, upper: bool = True) -> float:
    """Return the chance that a subsampled Hadamard transform distorts a k-dimensional subspace by more than epsilon."""
    reach = (np.sqrt(k) + np.sqrt(8 * np.log(beta * n))) ** 2
    low = np.exp(-epsilon) / (1 - epsilon) ** (1 - epsilon)
    high = np.exp(epsilon) / (1 + epsilon) ** (1 + epsilon)
    return float(1 / beta + k * low ** (size / reach) + (k * high ** (size / reach) if upper else 0.0))


@bound(
    method=Embedding,
    error=embedding_distortion,
    guarantee=WithProbability(),
    source=Source("Tropp 2011", "Lemmas 3.3 and 3.4"),
    extremal=_hadamard_vector,
    generic=_hadamard_plane,
    must_fail=0.01,  # a vector is changed by some (2 (1/l - 1/n))^(1/2) = 0.04
)
def srht_embedding_explicit(
    method: Embedding, a: Any, *, epsilon: float = 0.9, beta: float = 20.0
) -> tuple[Values, Values]:
    """||U^T S^T S U - I|| < e, except with probability 1/b + k c(-e)^(l/M) + k c(e)^(l/M), c(e) = exp(e) / (1+e)^(1+e).

    M = (sqrt(k) + sqrt(8 log(b n)))^2 for k columns and n rows of A, n a power of two; S has l rows. Very loose: with
    64 rows the probability is above 1 for every b, e and l. Of one vector with 512 rows and l = 384, b = 20 and e = 0.9
    give M = 92.1 and 0.05 + 0.0614 + 0.2636 = 0.375, where nine vectors in ten change by less than 0.07.
    """
    require(isinstance(method.sketch, SubsampledHadamard), "the sketch is a subsampled Hadamard transform")
    require(0 < epsilon < 1 and beta > 1, "0 < e < 1 and b > 1")
    n = int(a.shape[-2])
    require(n & (n - 1) == 0 and method.size <= n, "n is a power of two and l <= n")
    s, k = _full_rank(a)
    chance = hadamard_failure(n, k, method.size, epsilon, beta)
    return np.full(s.shape[:-1], epsilon), np.full(s.shape[:-1], chance)


@bound(
    method=QB,
    error=errors.projection_spectral,
    guarantee=WithProbability(),
    source=Source("Halko, Martinsson & Tropp 2011; Tropp 2011", "Theorem 11.2 with explicit constants"),
    extremal=_hadamard_gap,
    generic=_hadamard_slow,
    must_fail=0.25,
)
def srft_rangefinder_explicit(method: QB, a: Any, *, epsilon: float = 0.9, beta: float = 20.0) -> tuple[Values, float]:
    """||A - QQ^T A|| <= sqrt(1 + n / ((1-e) l)) s_{k+1}, except with probability 1/b + k c(-e)^(l/M).

    c(e) = exp(e) / (1+e)^(1+e), M = (sqrt(k) + sqrt(8 log(b n)))^2 for l columns of a Hadamard transform of length n.
    With k = 1, n = 64, l = 48, e = 0.9 and b = 20: 3.79 s_2, except with probability 0.05 + 0.645 = 0.695. Behind a
    large gap in a flat spectrum the error is s_2.
    """
    finder, n = method.range_finder, int(a.shape[-1])
    require(isinstance(finder.sketch, SubsampledHadamard), "the test matrix is a subsampled Hadamard transform")
    require(finder.power_iterations == 0, "no power iterations")
    require(0 < epsilon < 1 and beta > 1, "0 < e < 1 and b > 1")
    require(n & (n - 1) == 0 and finder.size <= min(a.shape[-2:]), "n is a power of two and l <= min(m, n)")
    value = np.sqrt(1 + n / ((1 - epsilon) * finder.size)) * singular_values(a)[..., finder.rank]
    return np.asarray(value), hadamard_failure(n, finder.rank, finder.size, epsilon, beta, upper=False)
