"""The question: softmax(scale Q K^T + mask) V for a stack of heads."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from tnattn.arrays import Array, array_namespace, check_finite, device, require_floating
from tnattn.attention.masks import Full, Mask
from tnattn.attention.softmax import SoftmaxOperator
from tnattn.cached import cached_property
from tnattn.scalars import Parameters
from tnattn.structured.sparse import gather_rows

_BLOCK = 1 << 22  # gathered scalars held at a time


@dataclass(frozen=True, eq=False)
class AttentionProblem(Parameters):
    """softmax(scale Q K^T + mask) V for a stack of heads.

    Parameters
    ----------
    q : Array, (..., H, n_q, d), floating
    k : Array, (..., G, n_k, d)
        Head h belongs to group h // (H / G); grouped keys are never copied.
    v : Array, (..., G, n_k, d_v)
    mask : Mask
        Queries are the last n_q positions.
    scale : float, optional
        Factor of the scores; 1 / sqrt(d) by default.
    softcap : float, optional
        Scores s become softcap * tanh(s / softcap), before the mask.
    check_finite : bool
        Refuse NaN and infinity; switch off where the arrays have passed the door already.

    Raises
    ------
    TypeError
        If an array is not floating, the libraries or dtypes differ, or the mask is no ``Mask``.
    ValueError
        If shapes do not fit, or entries are not finite.

    Notes
    -----
    Inside, queries have the grouped layout (..., G, R, n_q, d) with R = H / G, and keys (..., G, 1, n_k, d); see
    ``queries``, ``keys`` and ``values``.
    """

    q: Array
    k: Array
    v: Array
    mask: Mask = field(default_factory=Full)
    scale: float | None = None
    softcap: float | None = None
    check_finite: bool = True

    def __post_init__(self) -> None:
        for name in ("q", "k", "v"):
            array = getattr(self, name)
            require_floating(array, name)
            if array.ndim < 3:
                raise ValueError(
                    f"{name} has shape {tuple(array.shape)}; expected (..., heads, tokens, width): add a head axis"
                )
        if not isinstance(self.mask, Mask):
            raise TypeError(
                f"mask must be a rule of tnattn.attention.masks, such as Causal(); got {type(self.mask).__name__}"
            )
        q, k, v = self.q.shape, self.k.shape, self.v.shape
        array_namespace(self.q, self.k, self.v)
        if not self.q.dtype == self.k.dtype == self.v.dtype:
            raise TypeError(
                f"q, k and v have dtypes {self.q.dtype}, {self.k.dtype}, {self.v.dtype}; convert them to one"
            )
        if k[-1] != q[-1]:
            raise ValueError(f"queries have width {q[-1]} and keys {k[-1]}; they must agree")
        if k[:-1] != v[:-1]:
            raise ValueError(f"k {tuple(k)} and v {tuple(v)} must agree in every axis but the last")
        if q[:-3] != k[:-3]:
            raise ValueError(f"q {tuple(q)} and k {tuple(k)} must agree in the axes before the heads")
        if k[-3] == 0 or q[-3] % k[-3]:
            raise ValueError(
                f"{q[-3]} query heads cannot be shared among {k[-3]} key heads; the first must be a multiple"
            )
        if k[-2] == 0 or q[-2] == 0 or q[-1] == 0 or v[-1] == 0:
            raise ValueError(f"q {tuple(q)}, k {tuple(k)}, v {tuple(v)}: no axis of tokens or width may be empty")
        if q[-2] > k[-2] and any(not isinstance(part, Full) for part in self.mask.conjuncts):
            raise ValueError(
                f"{q[-2]} queries are more than {k[-2]} keys, so a positional mask has no meaning; use Full()"
            )
        for name in ("scale", "softcap"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive number; got {value!r}")
        self.mask.validate(tuple(q[:-3]), q[-3], q[-2], k[-2])
        if self.check_finite:
            for name in ("q", "k", "v"):
                check_finite(getattr(self, name), name)

    # sizes

    @property
    def heads(self) -> int:
        """Number of query heads H."""
        return int(self.q.shape[-3])

    @property
    def groups(self) -> int:
        """Number of key heads G."""
        return int(self.k.shape[-3])

    @property
    def n_q(self) -> int:
        """Number of queries."""
        return int(self.q.shape[-2])

    @property
    def n_k(self) -> int:
        """Number of keys."""
        return int(self.k.shape[-2])

    @property
    def width(self) -> int:
        """Width d of queries and keys."""
        return int(self.q.shape[-1])

    @property
    def value_width(self) -> int:
        """Width d_v of the values."""
        return int(self.v.shape[-1])

    @property
    def batch(self) -> tuple[int, ...]:
        """Batch shape of the grouped layout, (..., G, R)."""
        return (*self.q.shape[:-3], self.groups, self.heads // self.groups)

    @property
    def score_scale(self) -> float:
        """The factor of the scores, with its default filled in."""
        return self.scale if self.scale is not None else 1 / math.sqrt(self.width)

    # grouped layout

    @cached_property
    def queries(self) -> Array:
        """Queries, (..., G, R, n_q, d)."""
        return array_namespace(self.q).reshape(self.q, (*self.batch, self.n_q, self.width))

    @property
    def keys(self) -> Array:
        """Keys, (..., G, 1, n_k, d)."""
        return self.k[..., None, :, :]

    @cached_property  # one object, by which the exact weights know that they are asked for the output
    def values(self) -> Array:
        """Values, (..., G, 1, n_k, d_v)."""
        return self.v[..., None, :, :]

    @cached_property
    def grouped_mask(self) -> Mask:
        """The mask with its arrays in grouped layout."""
        return self.mask.grouped(self.groups)

    def ungroup(self, array: Array) -> Array:
        """Merge the axes (G, R) of an array (..., G, R, a, b) into heads, (..., H, a, b)."""
        xp = array_namespace(array)
        shape = (*self.batch, *array.shape[-2:])
        return xp.reshape(xp.broadcast_to(array, shape), (*self.batch[:-2], self.heads, *array.shape[-2:]))

    @property
    def scaled_queries(self) -> Array:
        """Queries times the score scale, for methods that need scores to be inner products.

        Raises
        ------
        ValueError
            If the problem has a softcap, for then they are not.
        """
        if self.softcap is not None:
            raise ValueError(
                f"softcap={self.softcap} makes the scores no inner products of queries and keys, "
                "which this method needs; use a method that evaluates scores, or softcap=None"
            )
        return self.queries * self.score_scale

    # scores

    def _cap(self, scores: Array) -> Array:
        if self.softcap is None:
            return scores
        return self.softcap * array_namespace(scores).tanh(scores / self.softcap)

    def block_scores(self, rows: slice, columns: slice) -> Array:
        """Return masked scores of a block of queries and keys, (..., G, R, rows, columns).

        O(rows columns d) per head.
        """
        return self.weights.scores(rows, columns)

    def gathered_scores(self, indices: Array) -> Array:
        """Return masked scores of every query with its own list of keys.

        Parameters
        ----------
        indices : Array, (..., n_q, w), integer, broadcastable to the grouped layout

        Returns
        -------
        Array, (..., G, R, n_q, w)
            Memory O(n_q w); O(n_q w d) per head.
        """
        xp = array_namespace(self.q)
        width = indices.shape[-1]
        step = max(1, _BLOCK // max(1, width * self.width * math.prod(self.batch)))
        blocks = []
        for start in range(0, self.n_q, step):
            stop = min(start + step, self.n_q)
            part = indices[..., start:stop, :]
            keys = gather_rows(self.keys, part)  # (..., rows, w, d)
            query = self.queries[..., start:stop, None, :] * self.score_scale
            blocks.append((query @ keys.mT)[..., 0, :])
        scores = self._cap(xp.concat(blocks, axis=-2))
        i = xp.arange(self.n_q, device=device(self.q))[:, None]
        added = self.grouped_mask.additive(i, indices, n_q=self.n_q, n_k=self.n_k, like=self.q)
        return scores if added is None else scores + added

    def tile_scores(self, rows: slice, indices: Array) -> Array:
        """Return masked scores of blocks of consecutive queries, every block with a list of keys of its own.

        Parameters
        ----------
        rows : slice
            The queries, p blocks of equal size.
        indices : Array, (..., p, s), integer, broadcastable to the grouped layout

        Returns
        -------
        Array, (..., G, R, p, b, s)
            O((rows.stop - rows.start) s d) per head.
        """
        xp = array_namespace(self.q)
        blocks, width = indices.shape[-2:]
        queries = self.queries[..., rows, :] * self.score_scale
        size = queries.shape[-2] // blocks
        queries = xp.reshape(queries, (*queries.shape[:-2], blocks, size, self.width))
        scores = self._cap(queries @ gather_rows(self.keys, indices).mT)
        if all(isinstance(part, Full) for part in self.mask.conjuncts):
            return scores
        i = xp.arange(rows.start, rows.stop, dtype=xp.int64, device=device(self.q))[:, None]
        repeated = xp.broadcast_to(indices[..., None, :], (*indices.shape[:-1], size, width))
        j = xp.reshape(repeated, (*indices.shape[:-2], blocks * size, width))
        added = self.grouped_mask.additive(i, j, n_q=self.n_q, n_k=self.n_k, like=self.q)
        if added is None:
            return scores
        added = xp.broadcast_to(added, (*added.shape[:-2], blocks * size, width))
        return scores + xp.reshape(added, (*added.shape[:-2], blocks, size, width))

    # the exact answer

    @cached_property
    def weights(self) -> SoftmaxOperator:
        """The exact weights as an implicit operator: products stream, no n-by-n array is formed."""
        return SoftmaxOperator(self)

    @cached_property
    def output(self) -> Array:
        """The exact output, (..., H, n_q, d_v), streamed: memory O(n) beyond it.

        A row without admissible keys is zero; ``empty_rows`` counts them.
        """
        return self.ungroup(self.weights @ self.values)

    @cached_property
    def empty_rows(self) -> int:
        """Number of rows, over all heads, that may see no key."""
        xp = array_namespace(self.q)
        log_mass = xp.broadcast_to(self.weights.log_mass, (*self.batch, self.n_q))
        return int(xp.sum(xp.astype(xp.isinf(log_mass), xp.int64)))

    def rows(self, indices: Array) -> Array:
        """Return exact rows of the weights, (..., H, len(indices), n_k), for a vector of query indices."""
        return self.ungroup(self.weights.rows(indices))

    def dense_scores(self) -> Array:
        """Return all masked scores, (..., H, n_q, n_k): O(n_q n_k) memory, for inspection only."""
        return self.ungroup(self.block_scores(slice(0, self.n_q), slice(0, self.n_k)))

    def dense_weights(self) -> Array:
        """Return all weights, (..., H, n_q, n_k): O(n_q n_k) memory, for inspection and oracles only."""
        return self.ungroup(self.weights.to_dense())

    # parts

    def rectangle(self, rows: slice, columns: slice, mask: Mask | None = None) -> AttentionProblem:
        """Return the problem of a block of queries and keys under another mask (Full by default), not checked again."""
        return replace(
            self,
            q=self.q[..., rows, :],
            k=self.k[..., columns, :],
            v=self.v[..., columns, :],
            mask=mask if mask is not None else Full(),
            scale=self.score_scale,
            check_finite=False,
        )

    def __repr__(self) -> str:
        q, k, v = (tuple(x.shape) for x in (self.q, self.k, self.v))
        return f"AttentionProblem(q={q}, k={k}, v={v}, {self.q.dtype}, mask={type(self.mask).__name__})"
