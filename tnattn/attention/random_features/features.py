"""Feature maps with inner products unbiased for exp(x . y), and distributions of their directions."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace, normal
from tnattn.linalg import orthonormalise


class FeatureKind(abc.ABC):
    """A map phi with E phi(x) . phi(y) = exp(x . y), built from projections w . x on Gaussian directions w.

    A feature is factor * exp(exponent), so that exponents can be shifted before exp is evaluated.
    """

    @abc.abstractmethod
    def directions(self, features: int) -> int:
        """Return the number of directions that give this many features."""

    @abc.abstractmethod
    def divisor(self, features: int) -> int:
        """Return the divisor of the inner product of the plain features."""

    @abc.abstractmethod
    def parts(self, projections: Array, half_squares: Array) -> tuple[Array, Array | None]:
        """Return exponents and factors of the features.

        Parameters
        ----------
        projections : Array, (..., n, p)
        half_squares : Array, (..., n, 1)
            Half the squared lengths of the vectors.

        Returns
        -------
        exponents : Array, (..., n, m) or (..., n, 1)
            May be the array of the projections, written over.
        factors : Array, (..., n, m), or None for ones
        """


@dataclass(frozen=True)
class Positive(FeatureKind):
    """exp(w . x - |x|^2 / 2): positive, variance growing with exp(|x + y|^2).

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.random_features import Positive
    >>> x, y = np.asarray([[0.3, 0.4]]), np.asarray([[0.4, 0.3]])
    >>> w = np.random.default_rng(0).standard_normal((2**14, 2))  # directions
    >>> features = [np.exp(Positive().parts(z @ w.T, z @ z.T / 2)[0]) for z in (x, y)]
    >>> estimate = np.vecdot(*features) / Positive().divisor(2**14)
    >>> round(estimate.item(), 1), round(np.exp(np.vecdot(x, y)).item(), 1)
    (1.3, 1.3)
    """

    def directions(self, features: int) -> int:
        return features

    def divisor(self, features: int) -> int:
        return features

    def parts(self, projections: Array, half_squares: Array) -> tuple[Array, Array | None]:
        # E exp(w . z) = exp(|z|^2 / 2) with z = x + y: the half squares leave x . y
        projections -= half_squares
        return projections, None


@dataclass(frozen=True)
class Hyperbolic(FeatureKind):
    """exp(+-w . x - |x|^2 / 2): positive features of every direction and of its opposite.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.random_features import Hyperbolic
    >>> x, w = np.asarray([[0.6, 0.8]]), np.asarray([[1.0, 0.0]])
    >>> exponents, factors = Hyperbolic().parts(x @ w.T, x @ x.T / 2)
    >>> np.round(exponents, 6).tolist(), factors  # one direction, two features
    ([[0.1, -1.1]], None)
    """

    def directions(self, features: int) -> int:
        return _half(features, self)

    def divisor(self, features: int) -> int:
        return features

    def parts(self, projections: Array, half_squares: Array) -> tuple[Array, Array | None]:
        xp = array_namespace(projections)
        # -w has the distribution of w, and the pair cancels the odd part of the error
        return xp.concat([projections, -projections], axis=-1) - half_squares, None


@dataclass(frozen=True)
class Trigonometric(FeatureKind):
    """exp(|x|^2 / 2) (sin w . x, cos w . x): signed, so that small kernel values may come out negative.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.random_features import Trigonometric
    >>> x, w = np.asarray([[0.6, 0.8]]), np.asarray([[1.0, 0.0]])
    >>> exponents, factors = Trigonometric().parts(x @ w.T, x @ x.T / 2)
    >>> np.round(exponents, 6).tolist(), np.round(factors, 2).tolist()
    ([[0.5]], [[0.56, 0.83]])
    """

    def directions(self, features: int) -> int:
        return _half(features, self)

    def divisor(self, features: int) -> int:
        return _half(features, self)

    def parts(self, projections: Array, half_squares: Array) -> tuple[Array, Array | None]:
        xp = array_namespace(projections)
        # sin w.x sin w.y + cos w.x cos w.y = cos w.(x - y), of expectation exp(-|x - y|^2 / 2)
        return half_squares, xp.concat([xp.sin(projections), xp.cos(projections)], axis=-1)


def _half(features: int, kind: FeatureKind) -> int:
    if features % 2:
        raise ValueError(
            f"features {features} is odd; {type(kind).__name__} uses two features per direction, so pass an even number"
        )
    return features // 2


class Directions(abc.ABC):
    """A distribution of directions, each of which is standard normal by itself."""

    @abc.abstractmethod
    def draw(self, count: int, width: int, *, rng: Rng, like: Array) -> Array:
        """Return directions, (count, width), in the dtype, library and device of ``like``."""


@dataclass(frozen=True)
class Independent(Directions):
    """Independent directions.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.random_features import Independent
    >>> w = Independent().draw(4096, 3, rng=np.random.default_rng(0), like=np.zeros(1))
    >>> w.shape, round(float(np.std(w)), 1)
    ((4096, 3), 1.0)
    """

    def draw(self, count: int, width: int, *, rng: Rng, like: Array) -> Array:
        xp = array_namespace(like)
        return xp.astype(_wide_normal(rng, (count, width), like), like.dtype)


@dataclass(frozen=True)
class Orthogonal(Directions):
    """Blocks of ``width`` directions that are exactly orthogonal and have independent chi-distributed lengths.

    Notes
    -----
    O(count width^2). Choromanski et al. 2021, section 3; a last block may be incomplete.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.random_features import Orthogonal
    >>> w = Orthogonal().draw(3, 3, rng=np.random.default_rng(0), like=np.zeros(1))
    >>> unit = w / np.linalg.norm(w, axis=-1, keepdims=True)
    >>> bool(np.allclose(unit @ unit.T, np.eye(3)))
    True
    """

    def draw(self, count: int, width: int, *, rng: Rng, like: Array) -> Array:
        xp = array_namespace(like)
        blocks = math.ceil(count / width)
        # Q of a Gaussian matrix, with the diagonal of R positive, is uniformly (Haar) distributed
        frames = orthonormalise(_wide_normal(rng, (blocks, width, width), like))
        unit = xp.reshape(frames, (blocks * width, width))[:count, :]
        # chi-distributed lengths make every direction standard normal by itself
        lengths = xp.linalg.vector_norm(_wide_normal(rng, (count, width), like), axis=-1, keepdims=True)
        return xp.astype(unit * lengths, like.dtype)


def _wide_normal(rng: Rng, shape: tuple[int, ...], like: Array) -> Array:
    """Return normal numbers drawn in the widest dtype of the device: one seed, one draw for all dtypes."""
    return normal(rng, shape, like=like, dtype=accumulator_dtype(like))
