"""Compressed keys and values that answer queries later: what a cache keeps."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.attention.approximation import Approximation
from tnattn.scalars import Parameters

if TYPE_CHECKING:
    from tnattn.attention.problem import AttentionProblem


@dataclass(frozen=True, eq=False)
class KeySet(Parameters):
    """Keys and values in grouped layout, with the scale of the scores.

    Parameters
    ----------
    keys : Array, (..., G, 1, n, d)
    values : Array, (..., G, 1, n, d_v)
    scale : float
    """

    keys: Array
    values: Array
    scale: float

    @classmethod
    def of(cls, problem: AttentionProblem) -> KeySet:
        """Return the keys of a problem whose scores are inner products.

        Raises
        ------
        ValueError
            If the problem has a softcap.
        """
        if problem.softcap is not None:
            raise ValueError(
                f"softcap={problem.softcap} makes the scores no inner products, which a key method "
                "needs; use softcap=None"
            )
        return cls(problem.keys, problem.values, problem.score_scale)

    @classmethod
    def from_arrays(cls, k: Array, v: Array, *, scale: float | None = None) -> KeySet:
        """Return the key set of k (..., G, n, d) and v (..., G, n, d_v); the scale is 1 / sqrt(d) by default."""
        return cls(k[..., None, :, :], v[..., None, :, :], scale if scale is not None else 1 / math.sqrt(k.shape[-1]))

    @property
    def n(self) -> int:
        """Number of keys."""
        return int(self.keys.shape[-2])


class Summary(Parameters, abc.ABC):
    """Compressed keys and values."""

    @property
    @abc.abstractmethod
    def nbytes(self) -> int:
        """Bytes that the summary keeps."""

    @property
    @abc.abstractmethod
    def groups(self) -> int:
        """Number of key heads G."""

    @abc.abstractmethod
    def approximate(self, queries: Array) -> Approximation:
        """Answer queries in grouped layout, (..., G, R, n_q, d)."""

    @final
    def attend(self, q: Array) -> Approximation:
        """Answer queries.

        Parameters
        ----------
        q : Array, (..., H, n_q, d)
            H must be a multiple of the number of key heads.

        Raises
        ------
        ValueError
            If it is not, or ``q`` has no axis of heads.
        """
        xp = array_namespace(q)
        if q.ndim < 3:
            raise ValueError(f"q has shape {tuple(q.shape)}; expected (..., heads, tokens, width): add a head axis")
        heads = q.shape[-3]
        if heads % self.groups:
            raise ValueError(f"{heads} query heads cannot be shared among {self.groups} key heads")
        return self.approximate(xp.reshape(q, (*q.shape[:-3], self.groups, heads // self.groups, *q.shape[-2:])))

    def extend(self, k: Array, v: Array, *, rng: Rng | None = None) -> Summary:
        """Return the summary with further keys (..., G, n, d) and values, where the method can grow.

        Raises
        ------
        TypeError
            If it cannot.
        """
        raise TypeError(f"{type(self).__name__} cannot grow; summarise all keys again")
