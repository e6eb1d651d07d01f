"""Tensor decompositions of the keys and values of all heads, with attention computed in the factors."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device, dtype_name, runs_on_host, widened
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost
from tnattn.attention.method import KeyMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.summary import KeySet, Summary
from tnattn.attention.tensor.token_factors import TokenFactors
from tnattn.decomposition.base import Decomposition
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.structured import Dense, ExponentialKernel

__all__ = ["FactoredCache", "FactoredKeyValue"]

_COORDINATES = 1 << 20  # coordinates of queries held at a time on the host: 4 MB of float32
_LEAST = 256  # queries of a block, at least: as many as share a tile of 1024 keys


@dataclass(frozen=True)
class FactoredKeyValue(KeyMethod):
    """Decompose the tensors (token, head, feature) of keys and of values, and attend through their factors.

    Parameters
    ----------
    decomposition : Decomposition
        Of order 3.
    rank : int, optional
        Wanted in every mode or bond, lowered where the sizes admit less; None leaves the decomposition's own ranks or
        tolerance.

    Notes
    -----
    Scores are products of the token factor with queries contracted with the feature factor and the core; the softmax
    over them is exact, and its product with the values is contracted in the same order: O(n r) per query and head,
    where exact attention needs O(n (d + d_v)). The mean key and value of every head are kept apart, so that a vector
    added to all keys changes nothing. Causal attention comes from the wrapper ``Causal``, which decomposes rectangles
    one by one; the factors of all tokens at once would mix later keys into earlier outputs, so the mask itself is
    refused.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, FactoredKeyValue
    >>> rng = np.random.default_rng(0)
    >>> k, v = rng.standard_normal((2, 4, 1, 1)) * rng.standard_normal((2, 1, 128, 8))  # multiples of one head
    >>> problem = AttentionProblem(rng.standard_normal((4, 128, 8)), k, v)
    >>> outputs = [FactoredKeyValue(rank=r)(problem).output for r in (2, 4, 8)]
    >>> [round(float(np.linalg.norm(x - problem.output) / np.linalg.norm(problem.output)), 2) for x in outputs]
    [0.45, 0.38, 0.0]
    """

    decomposition: Decomposition = field(default_factory=STHOSVD)
    rank: int | None = budget(16)

    guarantee: ClassVar[str] = "that of the decomposition for keys and values; tanh(range of score errors / 4) then"
    waives: ClassVar[dict[str, str]] = {
        "fields.decomposition.mode_order": "one rank for all modes truncates that of the tokens alone, in any order",
    }
    source: ClassVar[str] = "Vannieuwenhoven, Vandebril & Meerbergen 2012; Zhang et al. 2025 (TPA) for the cache"
    role: ClassVar = "representative"

    def __post_init__(self) -> None:
        if not isinstance(self.decomposition, Decomposition):
            raise TypeError(
                f"decomposition is {self.decomposition!r}; a Decomposition such as STHOSVD() is needed: "
                "from tnattn import STHOSVD"
            )
        if self.decomposition.order != 3:
            raise ValueError(
                f"decomposition has order {self.decomposition.order}; (token, head, feature) needs order 3"
            )
        if self.rank is not None and self.rank < 1:
            raise ValueError(f"rank must be a positive integer or None; got {self.rank!r}")

    def fitted(self, sizes: tuple[int, int, int]) -> Decomposition:
        """Return the decomposition with its ranks for the sizes (token, head, feature)."""
        return self.decomposition if self.rank is None else self.decomposition.with_rank(self.rank, sizes)

    def summarise(self, keys: KeySet, *, probe: Array | None = None, rng: Rng | None = None) -> FactoredCache:
        return FactoredCache(keys.scale, self._factored(keys.keys, rng), self._factored(keys.values, rng))

    def _factored(self, vectors: Array, rng: Rng | None) -> TokenFactors:
        """Return the factors of vectors (..., G, 1, n, d)."""
        tensor, mean = tokens_first(vectors)
        return TokenFactors.of(self.fitted(tensor.shape[-3:])(tensor, rng=rng), mean)

    @property
    def budget(self) -> int | None:
        return self.rank

    def stages(self, problem: AttentionProblem) -> list[tuple[Any, Any]]:
        tensors = [tokens_first(vectors)[0] for vectors in (problem.keys, problem.values)]
        return [(self.fitted(tensor.shape[-3:]), tensor) for tensor in tensors]

    def cost(self, problem: AttentionProblem) -> Cost:
        """Count Gram matrices of the features and one product with every mode, then attention through the ranks."""
        h, g, n_q, n = problem.heads, problem.groups, problem.n_q, problem.n_k
        d, e = problem.width, problem.value_width
        full = max(n, d, e)
        r = min(self.rank or full, full)  # without a rank the decomposition decides: the upper bound
        token, feature = min(r, n), min(r, max(d, e))
        size = float(g * n * (d + e))
        modes = 2 * (g * feature) ** 3 + d**3 + e**3  # eigenvectors take about 9 n^3
        build = 2.0 * g * n * (d * d + e * e) + 2 * size * (g + feature) + 2.0 * g * n * feature * token + 9.0 * modes
        per_query = 2.0 * (feature * (d + e) + 3 * token * feature + n * (2 * token + 1) + d)
        return Cost(
            flops=build + h * n_q * per_query,
            scalars_moved=3 * size + 2.0 * n * token + 2.0 * h * n_q * n,
            peak_scalars=2 * size + float(h * n_q * feature),
            state_per_token=2.0 * token,
        )


@dataclass(frozen=True, eq=False, repr=False)
class FactoredCache(Summary):
    """Compressed keys and values.

    Parameters
    ----------
    scale : float
    keys, values : TokenFactors
        Their ``residual`` is the norm that the projection of appended tokens has lost.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import FactoredKeyValue, KeySet
    >>> rng = np.random.default_rng(0)
    >>> k, v = rng.standard_normal((2, 4, 1, 1)) * rng.standard_normal((2, 1, 128, 8))
    >>> cache = FactoredKeyValue(rank=8).summarise(KeySet.from_arrays(k, v))
    >>> cache.nbytes, k.nbytes + v.nbytes
    (22272, 65536)
    >>> cache.attend(rng.standard_normal((4, 3, 8))).output.shape
    (4, 3, 8)
    """

    scale: float
    keys: TokenFactors
    values: TokenFactors

    @property
    def nbytes(self) -> int:
        width = {"float64": 8, "float32": 4}[dtype_name(self.keys.mean.dtype)]
        return width * (self.keys.storage + self.values.storage)

    @property
    def like(self) -> Array:
        return self.values.mean[..., None, :, :]  # (..., G, 1, 1, d_v)

    @property
    def width(self) -> int:
        return int(self.keys.mean.shape[-1])

    def approximate(self, queries: Array) -> Approximation:
        xp = array_namespace(queries)
        *batch, ratio, n_q, d = queries.shape
        rows, width, kind = ratio * n_q, self.like.shape[-1], {"dtype": queries.dtype, "device": device(queries)}
        flat = xp.reshape(queries, (*batch, rows, d))
        numerators = xp.empty((*batch, rows, width), **kind)
        mass, shift = (xp.empty((*batch, rows, 1), **kind) for _ in range(2))
        step = self._step(flat)
        for start in range(0, rows, step):
            part = slice(start, start + step)
            found = self._rows(widened(flat[..., part, :]) * self.scale)
            for whole, x in zip((numerators, mass, shift), found, strict=True):
                whole[..., part, :] = xp.astype(x, queries.dtype, copy=False)
        numerators = xp.reshape(numerators, (*batch, ratio, n_q, width))
        mass, shift = (xp.reshape(x, (*batch, ratio, n_q)) for x in (mass, shift))
        identity = xp.eye(width, **kind)
        # the product with the values has been done in the factors
        piece = Approximation(
            kernel=Dense(numerators),
            shift=shift,
            values=xp.broadcast_to(identity, (*batch, 1, width, width)),
            normaliser=mass,
        )
        return piece.holding(numerators, mass)

    def _step(self, queries: Array) -> int:
        """Return the number of queries (..., m, d) whose coordinates among the tokens are held at a time."""
        if not runs_on_host(queries):
            return max(1, int(queries.shape[-2]))
        rank = max(self.keys.coordinates, self.values.coordinates)
        step: int = _COORDINATES // max(1, math.prod(queries.shape[:-2]) * rank)
        return max(_LEAST, step // _LEAST * _LEAST)

    def _rows(self, queries: Array) -> tuple[Array, Array, Array]:
        """Return numerators (..., G, m, d_v), masses and shifts (..., G, m, 1) of scaled queries (..., G, m, d)."""
        xp, tokens = array_namespace(queries), self.keys.rows
        # keys and values of all heads have the coordinates of their tokens in common
        kernel, (sums, mass) = ExponentialKernel.shifted(
            self.keys.contracted(queries), tokens, times=(self.values.rows, xp.ones_like(tokens[..., :1]))
        )
        numerators = self.values.expanded(sums) + mass * self.values.mean
        shift = kernel.shift[..., None] + queries @ self.keys.mean.mT
        return numerators, mass, shift

    def _extended(self, k: Array, v: Array, *, rng: Rng | None) -> FactoredCache:
        """Project further keys (..., G, m, d) and values onto the factors of the cache.

        O(m G d r + G d r^2), no draw. Ranks and means do not grow: a token outside the span of the others loses that
        part, whose norm is added to ``residual``. Summarise anew where that becomes large.
        """
        return replace(self, keys=self.keys.extended(k), values=self.values.extended(v))


def tokens_first(vectors: Array) -> tuple[Array, Array]:
    """Return the centred tensor (..., n, G, d) and the means (..., G, 1, d) of vectors (..., G, 1, n, d)."""
    xp = array_namespace(vectors)
    wide = widened(vectors[..., 0, :, :])
    mean = xp.mean(wide, axis=-2, keepdims=True)
    axes = (*range(wide.ndim - 3), wide.ndim - 2, wide.ndim - 3, wide.ndim - 1)
    return xp.permute_dims(wide - mean, axes), mean
