"""The full cache of a decoder: all keys and values, kept exactly and checked once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost, exact_cost
from tnattn.attention.method import KeyMethod
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.softmax_piece import streamed_piece
from tnattn.attention.summary import KeySet, Summary, bytes_of

__all__ = ["CachedKeys", "FullCache"]


@dataclass(frozen=True)
class FullCache(KeyMethod):
    """Keep every key and value, and answer queries exactly: the cache that compressed ones are measured against.

    Notes
    -----
    O(n_q n_k (d + d_v)) operations; the state is d + d_v scalars per token and key head. Keys and values are checked
    for NaN and infinity when they enter, and not when queries are answered.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, FullCache, KeySet
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 2, 10, 4))
    >>> cache = FullCache().summarise(KeySet.from_arrays(k[:, :9], v[:, :9]))
    >>> cache = cache.extend(k[:, 9:], v[:, 9:])  # one more token
    >>> bool(np.allclose(cache.attend(q).output, AttentionProblem(q, k, v).output))
    True
    """

    guarantee: ClassVar[str] = "exact"
    source: ClassVar[str] = "Vaswani et al. 2017, equation (1)"

    def summarise(self, keys: KeySet, *, probe: Array | None = None, rng: Rng | None = None) -> CachedKeys:
        return CachedKeys(keys.owned, keys.owned_values, keys.scale)

    def cost(self, problem: AttentionProblem) -> Cost:
        return exact_cost(problem)


class _Room:
    """Buffers of which a cache fills the front; the first one that extends the cache takes the rest."""

    def __init__(self, keys: Array, values: Array) -> None:
        self._left = [(keys, values)]

    def taken(self) -> tuple[Array, Array] | None:
        """Return the buffers, to the first that asks, or None."""
        try:
            return self._left.pop()  # one step, so that of two threads only one gets them
        except IndexError:
            return None


@dataclass(frozen=True, eq=False, repr=False)
class CachedKeys(Summary):
    """All keys (..., G, 1, n, d) and values (..., G, 1, n, d_v).

    ``extend`` copies the new tokens only, into memory that is doubled when it is full: O(1) copies per token. An older
    cache keeps its tokens, and may be extended by others.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import FullCache, KeySet
    >>> k, v = np.random.default_rng(0).standard_normal((2, 1, 6, 4))
    >>> older = FullCache().summarise(KeySet.from_arrays(k[:, :4], v[:, :4]))
    >>> newer = older.extend(k[:, 4:], v[:, 4:])
    >>> older.n, newer.n, newer.nbytes
    (4, 6, 384)
    """

    keys: Array
    values: Array
    scale: float
    room: _Room | None = field(default=None, repr=False)

    @property
    def n(self) -> int:
        """Number of tokens."""
        return int(self.keys.shape[-2])

    @property
    def nbytes(self) -> int:
        return bytes_of(self.keys, self.values)

    @property
    def like(self) -> Array:
        return self.values

    @property
    def width(self) -> int:
        return int(self.keys.shape[-1])

    def approximate(self, queries: Array) -> Approximation:
        q = array_namespace(queries).reshape(queries, (*queries.shape[:-4], -1, *queries.shape[-2:]))
        k, v = self.keys[..., 0, :, :], self.values[..., 0, :, :]
        problem = AttentionProblem(q, k, v, scale=self.scale, check_finite=False)
        return streamed_piece(problem, kept=False)

    def _extended(self, k: Array, v: Array, *, rng: Rng | None) -> CachedKeys:
        start, stop = self.n, self.n + int(k.shape[-2])
        buffers = None if self.room is None else self.room.taken()
        if buffers is None or buffers[0].shape[-2] < stop:
            buffers = _moved(self.keys, max(stop, 2 * start)), _moved(self.values, max(stop, 2 * start))
        for buffer, new in zip(buffers, (k, v), strict=True):
            buffer[..., start:stop, :] = new[..., None, :, :]  # behind the tokens of every older cache
        keys, values = (buffer[..., :stop, :] for buffer in buffers)
        return CachedKeys(keys, values, self.scale, _Room(*buffers))


def _moved(x: Array, capacity: int) -> Array:
    """Return a buffer for ``capacity`` tokens that begins with the tokens of x."""
    xp = array_namespace(x)
    buffer = xp.empty((*x.shape[:-2], capacity, x.shape[-1]), dtype=x.dtype, device=device(x))
    buffer[..., : x.shape[-2], :] = x
    return buffer
