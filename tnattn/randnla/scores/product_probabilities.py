"""Probabilities for sampling columns of the left and rows of the right factor of a matrix product."""

from __future__ import annotations

import abc
from dataclasses import dataclass

from tnattn.arrays import Array, array_namespace, broadcast_shape, device, eps, quiet_overflow
from tnattn.linalg import largest_entry, spectral_norm
from tnattn.randnla.scores.leverage import leverage_scores
from tnattn.structured.base import StructuredMatrix

_BLOCK = 1 << 22  # entries of an implicit matrix in memory at a time: 32 MB in float64


class ProductProbabilities(abc.ABC):
    """Base of the rules for the probabilities. A subclass is a frozen dataclass; ``cls()`` must work."""

    @abc.abstractmethod
    def weights(self, a: StructuredMatrix, b: StructuredMatrix) -> Array:
        """Return non-negative weights (..., n), proportional to the probabilities, for (..., m, n) and (..., n, p)."""


@dataclass(frozen=True)
class Uniform(ProductProbabilities):
    """Equal probabilities; no entries are read.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Dense
    >>> from tnattn.randnla.scores import Uniform
    >>> a, b = Dense(np.array([[1.0, 0.0, 2.0]])), Dense(np.array([[3.0], [1.0], [1.0]]))
    >>> print(np.round(Uniform().weights(a, b), 3))
    [1. 1. 1.]
    """

    def weights(self, a: StructuredMatrix, b: StructuredMatrix) -> Array:
        xp = array_namespace(a.like)
        batch = broadcast_shape(a.batch, b.batch)
        return xp.ones((*batch, a.shape[-1]), dtype=a.dtype, device=device(a.like))


@dataclass(frozen=True)
class NormOptimal(ProductProbabilities):
    """Probabilities proportional to ``||a_k|| ||b_k||``, which minimise the variance. O((m + p) n).

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Dense
    >>> from tnattn.randnla.scores import NormOptimal
    >>> a, b = Dense(np.array([[1.0, 0.0, 2.0]])), Dense(np.array([[3.0], [1.0], [1.0]]))
    >>> print(np.round(NormOptimal().weights(a, b), 3))
    [0.5   0.    0.333]
    """

    def weights(self, a: StructuredMatrix, b: StructuredMatrix) -> Array:
        return _over_longest(column_lengths(a)) * _over_longest(column_lengths(b.mT))


@dataclass(frozen=True)
class ColumnNorms(ProductProbabilities):
    """Probabilities proportional to ``||a_k||^2``; the right factor is not read. O(m n).

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Dense
    >>> from tnattn.randnla.scores import ColumnNorms
    >>> a, b = Dense(np.array([[1.0, 0.0, 2.0]])), Dense(np.array([[3.0], [1.0], [1.0]]))
    >>> print(np.round(ColumnNorms().weights(a, b), 3))
    [0.25 0.   1.  ]
    """

    def weights(self, a: StructuredMatrix, b: StructuredMatrix) -> Array:
        xp = array_namespace(a.like)
        return xp.broadcast_to(_over_longest(column_lengths(a)) ** 2, (*broadcast_shape(a.batch, b.batch), a.shape[-1]))


@dataclass(frozen=True)
class BothNorms(ProductProbabilities):
    """Probabilities proportional to ``||a_k||^2 / ||A||^2 + ||b_k||^2 / ||B||^2``, for errors in the spectral norm.

    O(m n min(m, n) + n p min(n, p)) for the spectral norms, dense forms in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Dense
    >>> from tnattn.randnla.scores import BothNorms
    >>> a, b = Dense(np.array([[1.0, 0.0, 2.0]])), Dense(np.array([[3.0], [1.0], [1.0]]))
    >>> print(np.round(BothNorms().weights(a, b), 3))
    [1.018 0.091 0.891]
    """

    def weights(self, a: StructuredMatrix, b: StructuredMatrix) -> Array:
        return _relative_squares(a) + _relative_squares(b.mT)


@dataclass(frozen=True)
class Leverage(ProductProbabilities):
    """Probabilities proportional to the sum of the leverage scores of the columns of A and of the rows of B.

    O(m n min(m, n) + n p min(n, p)), dense forms in memory. For factors whose columns
    or rows differ in norm but not in importance.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Dense
    >>> from tnattn.randnla.scores import Leverage
    >>> a = np.array([[1.0, 0.0, 2.0], [0.0, 0.01, 0.0]])  # the short column alone spans a direction
    >>> print(np.round(Leverage().weights(Dense(a), Dense(np.ones((3, 1)))), 3))
    [0.533 1.333 1.133]
    """

    def weights(self, a: StructuredMatrix, b: StructuredMatrix) -> Array:
        return leverage_scores(a.to_dense().mT) + leverage_scores(b.to_dense())


def column_lengths(a: StructuredMatrix) -> Array:
    """Return the Euclidean norms (..., n) of the columns of matrices (..., m, n), a block of columns at a time."""
    xp = array_namespace(a.like)
    if a.explicit:
        return _lengths(a.dense_view())
    n, place = a.shape[-1], device(a.like)
    step = max(1, _BLOCK // (a.shape[-2] * a.count))
    starts = range(0, n, step)
    blocks = [_lengths(a.columns(xp.arange(start, min(start + step, n), device=place))) for start in starts]
    return xp.concat(blocks, axis=-1)


def _lengths(x: Array) -> Array:
    """Return the norms (..., c) of the columns of matrices (..., m, c), rescaled where squares leave the range."""
    xp = array_namespace(x)
    with quiet_overflow():
        lengths = xp.linalg.vector_norm(x, axis=-2)
    longest = xp.max(lengths, axis=-1)
    # above this the squares are normal numbers with all their digits
    least = (float(xp.finfo(x.dtype).smallest_normal) ** 0.5) / eps(x)
    if not bool(xp.any(xp.isinf(longest) | (longest < least))):
        return lengths
    unit = largest_entry(x)
    return unit[..., 0] * xp.linalg.vector_norm(x / unit, axis=-2)


def _over_longest(lengths: Array) -> Array:
    """Return lengths (..., n) over the longest, so that products and squares stay in range."""
    xp = array_namespace(lengths)
    longest = xp.max(lengths, axis=-1, keepdims=True)
    return lengths / xp.where(longest > 0, longest, xp.ones_like(longest))


def _relative_squares(a: StructuredMatrix) -> Array:
    xp = array_namespace(a.like)
    norm = spectral_norm(a.to_dense())[..., None]
    return (column_lengths(a) / xp.where(norm > 0, norm, xp.ones_like(norm))) ** 2
