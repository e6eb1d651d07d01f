"""Second moments of queries and keys, from which the transform and the bits of a key code follow."""

from __future__ import annotations

import abc
import itertools
from dataclasses import dataclass
from typing import Any

from tnattn.arrays import Array, accumulator_dtype, array_namespace, device, eps, widened
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.sparse.key_code import KeyCode
from tnattn.attention.sparse.normal_levels import MOST_BITS, normal_levels
from tnattn.display import Displayed
from tnattn.linalg.eigenvalues import eigh, leading_eigh
from tnattn.linalg.scaling import binary_scale
from tnattn.scalars import Parameters, as_integer

__all__ = ["KeyStatistics"]

_FLOOR = 1e-6  # of the largest eigenvalue: queries say nothing about directions below it, which must be invertible
_SHARE = 5 / 8  # coordinates per bit; water filling uses 16 to 22 coordinates for 32 bits on heads of language models


class CodeSource(abc.ABC):
    """Base class of what a key code is made from other than the problem at hand."""

    @abc.abstractmethod
    def code(self, bits: int, *, like: Array | None = None) -> KeyCode:
        """Return a code of given bits per key, in the dtype of an array."""

    @abc.abstractmethod
    def require_fit(self, problem: AttentionProblem) -> None:
        """Raise ValueError or TypeError unless the code fits the keys of a problem."""


@dataclass(frozen=True, eq=False, repr=False)
class KeyStatistics(CodeSource, Parameters, Displayed):
    """Mean and covariance of the keys and second moment of the queries of every key head, in powers of two as units.

    They are a value: those of one text code the keys of another, and a stream of keys under statistics that stay.

    Parameters
    ----------
    mean : Array, (..., G, 1, 1, d)
        Of the keys behind the sinks, divided by ``key_unit``.
    covariance : Array, (..., G, 1, d, d)
        Of the same keys, divided by the square of ``key_unit``.
    moment : Array, (..., G, 1, d, d)
        Mean of q q^T over the queries of the group, divided by the square of ``query_unit``; zero where none is known.
    key_unit, query_unit : Array, (..., G, 1, 1, 1)

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem
    >>> from tnattn.attention.sparse import KeyStatistics
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 2, 64, 16)))
    >>> code = KeyStatistics.of(problem).code(bits=24)
    >>> code.rank, np.sum(code.bits, axis=-1).ravel().tolist()
    (15, [24, 24])
    """

    mean: Array
    covariance: Array
    moment: Array
    key_unit: Array
    query_unit: Array

    @classmethod
    def of(cls, problem: AttentionProblem, *, sinks: int = 4) -> KeyStatistics:
        """Return the statistics of all queries and of the keys behind the sinks of a problem, whatever its mask.

        Parameters
        ----------
        problem : AttentionProblem
            Should span the positions at which the code will be used: rotary embeddings move slow coordinates with the
            position, and statistics of a short prefix are worse than those of another text of full length.
        sinks : int
            First keys that are left out: they are outliers, and would take coordinates and bits.
        """
        sinks = as_integer(sinks, "sinks", least=0)
        return second_moments(widened(problem.queries), widened(problem.keys), sinks=sinks)

    def code(self, bits: int, *, like: Array | None = None) -> KeyCode:
        """Return the transform code of least mean square error of the scores.

        Parameters
        ----------
        bits : int
            Per key, at least one; at most six for each of at most 5/8 bits coordinates are used.
        like : Array, optional
            Keys whose dtype the code gets; that of the statistics by default.

        Notes
        -----
        With A = C_q^(1/2), eigenvalues floored, and A C_k A = W diag(lambda) W^T, the coordinates y = W^T A (k - m)
        are uncorrelated, and errors in them err as much in q^T k, on the average over queries, whatever the
        coordinate: leading ones truncate Q K^T optimally in the Frobenius norm. O(d^3) per key head.
        """
        xp = array_namespace(self.mean)
        bits = as_integer(bits, "bits", least=1)
        d = int(self.mean.shape[-1])
        rank, wide = code_rank(bits, d), accumulator_dtype(self.mean)
        values, vectors = eigh(xp.astype(self.moment, wide, copy=False))
        largest = values[..., -1:]
        values = xp.where(largest > 0, xp.maximum(values, _FLOOR * largest), xp.ones_like(values))
        root = xp.sqrt(values)[..., None, :]
        half = (vectors * root) @ vectors.mT  # C_q^(1/2)
        product = half @ xp.astype(self.covariance, wide, copy=False) @ half
        variances, rotation = leading_eigh((product + product.mT) / 2, keep=rank)
        # what is rounding of the largest variance is none
        none = variances <= eps(variances) * variances[..., :1]
        variances = xp.where(none, xp.zeros_like(variances), variances)
        deviation = xp.sqrt(variances)[..., None, :]
        some = deviation > 0
        inverse = xp.where(some, 1 / xp.where(some, deviation, xp.ones_like(deviation)), xp.zeros_like(deviation))
        dtype = self.mean.dtype if like is None else like.dtype

        def cast(x: Array) -> Array:
            return xp.astype(x, dtype, copy=False)

        return KeyCode(
            mean=cast(self.mean),
            encoder=cast(half @ rotation * inverse),
            dual=cast((vectors / root) @ (vectors.mT @ rotation) * deviation),
            bits=_filled(variances, bits)[..., None, :],
            key_unit=cast(self.key_unit),
            query_unit=cast(self.query_unit),
            bits_per_key=min(bits, MOST_BITS * rank),
        )

    def require_fit(self, problem: AttentionProblem) -> None:
        """Raise ValueError or TypeError unless the statistics are of as many key heads and as wide as a problem."""
        array_namespace(self.mean, problem.q)  # refuses arrays of two libraries
        d, groups = int(self.mean.shape[-1]), int(self.mean.shape[-4])
        if (d, groups) != (problem.width, problem.groups):
            raise ValueError(
                f"statistics are of {groups} key heads of width {d}; the problem has {problem.groups} of width "
                f"{problem.width}; take statistics of a problem of the same layer"
            )


def code_rank(bits: int, width: int) -> int:
    """Return the number of coordinates of a code, which is known before the statistics are."""
    return max(1, min(width, int(_SHARE * bits)))


def second_moments(
    queries: Array,
    keys: Array,
    *,
    sinks: int,
    queries_seen: Array | None = None,
    keys_seen: Array | None = None,
    isotropic: float = 0.0,
) -> KeyStatistics:
    """Return the statistics of queries (..., G, R, n_q, d) and keys (..., G, 1, n_k, d).

    Parameters
    ----------
    sinks : int
        First keys that are left out.
    queries_seen, keys_seen : Array, bool, (..., n), broadcastable to the grouped layout, optional
        Others are left out, too.
    isotropic : float
        Queries of the mean size in no direction that are added: where few queries are known, further ones will differ.

    Notes
    -----
    O((R n_q + n_k) d^2) per key head.
    """
    xp = array_namespace(queries, keys)
    # squares of huge or tiny entries would leave the range; powers of two are taken out without rounding
    key_unit, query_unit = binary_scale(keys, axis=(-2, -1)), binary_scale(queries, axis=(-3, -2, -1))
    keys = keys[..., sinks:, :] / key_unit
    weight, count = _weights(None if keys_seen is None else keys_seen[..., sinks:], keys)
    mean = xp.sum(keys if weight is None else keys * weight, axis=-2, keepdims=True) / count
    apart = keys - mean
    apart = apart if weight is None else apart * weight
    queries = queries / query_unit
    weight, number = _weights(queries_seen, queries)
    queries = queries if weight is None else queries * weight
    number, d = number * int(queries.shape[-3]), int(queries.shape[-1])
    moment = xp.sum(queries.mT @ queries, axis=-3, keepdims=True) / number
    if isotropic:
        identity = xp.eye(d, dtype=moment.dtype, device=device(moment))
        mean_square = xp.sum(moment * identity, axis=(-2, -1), keepdims=True) / d
        moment = (moment * number + isotropic * mean_square * identity) / (number + isotropic)
    return KeyStatistics(mean, apart.mT @ apart / count, moment, key_unit, query_unit)


def _weights(seen: Array | None, x: Array) -> tuple[Array | None, Any]:
    """Return weights (..., n, 1) of zero and one, or None, and their sum (..., 1, 1), at least one."""
    if seen is None:
        return None, max(1, int(x.shape[-2]))
    xp = array_namespace(x)
    weight = xp.astype(seen, x.dtype)[..., None]
    total = xp.sum(weight, axis=-2, keepdims=True)
    return weight, xp.maximum(total, xp.ones_like(total))


def _filled(variances: Array, bits: int) -> Array:
    """Return the bits of every coordinate, int64, shape of ``variances``: reverse water filling, bit by bit.

    The next bit goes where it lowers variance times distortion most. Gains of further bits of one coordinate fall, so
    that the greedy choice takes the largest of all gains, and is optimal.
    """
    xp = array_namespace(variances)
    distortions = [normal_levels(b).distortion for b in range(MOST_BITS + 1)]
    rank = int(variances.shape[-1])
    gains = [variances * (a - b) for a, b in itertools.pairwise(distortions)]
    flat = xp.reshape(xp.stack(gains, axis=-1), (*variances.shape[:-1], rank * MOST_BITS))
    order = xp.argsort(-flat, axis=-1)[..., : min(bits, rank * MOST_BITS)] // MOST_BITS  # coordinates, best bit first
    own = order[..., None] == xp.arange(rank, dtype=order.dtype, device=device(order))
    return xp.sum(xp.astype(own, xp.int64), axis=-2)
