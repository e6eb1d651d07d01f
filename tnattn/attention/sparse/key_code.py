"""Transform codes of keys: few bits per key from which scores are estimated."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tnattn.arrays import Array, array_namespace, device, quiet_overflow
from tnattn.attention.sparse.normal_levels import MOST_BITS, NormalLevels, normal_levels
from tnattn.display import Displayed
from tnattn.scalars import Parameters

__all__ = ["CodedKeys", "KeyCode"]

_LEVELS = 1 << MOST_BITS  # entries of a row of the tables


@dataclass(frozen=True, eq=False, repr=False)
class KeyCode(Parameters, Displayed):
    """A linear transform of keys and a quantiser of every coordinate, with the transform of queries dual to it.

    Made by ``KeyStatistics.code``. Coordinates have unit variance: the code of a key is the index of the nearest
    Lloyd-Max level of each, with as many bits as the coordinate has.

    Parameters
    ----------
    mean : Array, (..., G, 1, 1, d)
        Subtracted from keys in units of ``key_unit``; its score is the same for every key of a row.
    encoder : Array, (..., G, 1, d, r)
    dual : Array, (..., G, 1, d, r)
        Takes queries in units of ``query_unit`` to coordinates whose products with those of keys are scores.
    bits : Array, (..., G, 1, 1, r), int64
        At most six for every coordinate.
    key_unit, query_unit : Array, (..., G, 1, 1, 1)
    bits_per_key : int

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem
    >>> from tnattn.attention.sparse import KeyStatistics
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 1, 64, 4)))
    >>> code = KeyStatistics.of(problem).code(bits=16)
    >>> coded = code.encode(problem.keys)
    >>> coded.indices.shape, coded.nbytes, problem.k.nbytes  # 16 bits a key instead of 4 numbers
    ((1, 1, 64, 4), 128, 2048)
    >>> apart = problem.k - problem.k[:, 4:].mean(axis=-2, keepdims=True)
    >>> error = coded.scores(problem.queries) - problem.queries @ apart[..., None, :, :].mT
    >>> round(float(error[..., 4:].std() / (problem.queries @ problem.keys.mT).std()), 2)
    0.12
    """

    mean: Array
    encoder: Array
    dual: Array
    bits: Array
    key_unit: Array
    query_unit: Array
    bits_per_key: int

    @property
    def rank(self) -> int:
        """Number of coordinates."""
        return int(self.encoder.shape[-1])

    def encode(self, keys: Array) -> CodedKeys:
        """Return the codes of keys (..., G, 1, n, d), each independent of the others: 2 d r operations per key."""
        xp = array_namespace(self.encoder, keys)
        with quiet_overflow():  # a key far from all that the statistics know gets the outermost levels
            coordinates = (keys / self.key_unit - self.mean) @ self.encoder
        table = [(*levels.thresholds, *([math.inf] * (_LEVELS - len(levels.thresholds)))) for levels in _quantisers()]
        first = self.bits * _LEVELS
        index = xp.zeros(coordinates.shape, dtype=xp.int64, device=device(coordinates))
        step = _LEVELS // 2
        while step:  # binary search for the cells of all coordinates at once; rows end with infinite thresholds
            above = coordinates > _entries(table, first + index + (step - 1), like=coordinates)
            index = index + step * xp.astype(above, xp.int64)
            step //= 2
        return CodedKeys(self, xp.astype(index, xp.uint8))

    def coordinates(self, queries: Array) -> Array:
        """Return the coordinates (..., G, R, n, r) of queries (..., G, R, n, d): 2 d r operations per query."""
        with quiet_overflow():  # the product of the units is the size of a score, which may leave the range
            return (queries / self.query_unit) @ self.dual * (self.query_unit * self.key_unit)

    def mean_scores(self, queries: Array) -> Array:
        """Return the scores (..., G, R, n, 1) of queries with the mean key, which codes leave out."""
        with quiet_overflow():
            return (queries / self.query_unit) @ self.mean.mT * (self.query_unit * self.key_unit)


@dataclass(frozen=True, eq=False, repr=False)
class CodedKeys(Displayed):
    """Codes of keys, from which scores of any queries are estimated.

    Parameters
    ----------
    code : KeyCode
    indices : Array, (..., G, 1, n, r), uint8
        Of the levels, a byte each; what a packed store takes is counted by ``nbytes``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem
    >>> from tnattn.attention.sparse import KeyStatistics
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 1, 64, 4)))
    >>> code = KeyStatistics.of(problem).code(bits=16)
    >>> coded = code.encode(problem.keys[..., :60, :])
    >>> longer = coded.extend(problem.keys[..., 60:, :])  # four further tokens, under the same statistics
    >>> longer.n, bool(np.all(longer.indices == code.encode(problem.keys).indices))
    (64, True)
    """

    code: KeyCode
    indices: Array

    @property
    def n(self) -> int:
        """Number of keys."""
        return int(self.indices.shape[-2])

    @property
    def nbytes(self) -> int:
        """Bytes of the bits of all keys."""
        return math.ceil(int(math.prod(self.indices.shape[:-1])) * self.code.bits_per_key / 8)

    def levels(self) -> Array:
        """Return the coordinates (..., G, 1, n, r) that the codes stand for."""
        xp = array_namespace(self.indices)
        table = [(*levels.levels, *([0.0] * (_LEVELS - len(levels.levels)))) for levels in _quantisers()]
        places = self.code.bits * _LEVELS + xp.astype(self.indices, xp.int64)
        return _entries(table, places, like=self.code.encoder)

    def scores(self, queries: Array) -> Array:
        """Return estimates (..., G, R, n_q, n) of q^T (k - mean) for queries (..., G, R, n_q, d), without a scale."""
        return self.code.coordinates(queries) @ self.levels().mT

    def extend(self, keys: Array) -> CodedKeys:
        """Return the codes with those of further keys (..., G, 1, n, d)."""
        xp = array_namespace(self.indices)
        return replace(self, indices=xp.concat([self.indices, self.code.encode(keys).indices], axis=-2))


def _quantisers() -> list[NormalLevels]:
    """Return the quantisers of 0, 1, ..., 6 bits, the rows of the tables."""
    return [normal_levels(bits) for bits in range(MOST_BITS + 1)]


def _entries(table: list[tuple[float, ...]], places: Array, *, like: Array) -> Array:
    """Return entries of a table, row by row, at places of any shape, in the dtype of an array."""
    xp = array_namespace(places)
    flat = xp.asarray([x for row in table for x in row], dtype=like.dtype, device=device(like))
    return xp.reshape(xp.take(flat, xp.reshape(places, (-1,))), places.shape)
