"""Softmax attention of a stack of heads: softmax(scale Q K^T + mask) V."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from tnattn.arrays import Array, array_namespace, check_finite, dtype_name, quiet_overflow, widened
from tnattn.attention.fused_output import fused_output
from tnattn.attention.masks import FullMask, Mask
from tnattn.attention.softmax import SoftmaxOperator
from tnattn.attention.validation import (
    plain_floating,
    require_inner_products,
    require_key_value_shapes,
    require_query_shape,
    require_same_kind,
)
from tnattn.cached import cached_property
from tnattn.display import Displayed
from tnattn.scalars import Parameters


@dataclass(frozen=True, eq=False, repr=False)
class AttentionProblem(Parameters, Displayed):
    """softmax(scale Q K^T + mask) V for a stack of heads.

    Parameters
    ----------
    q : Array, (..., H, n_q, d), floating
    k : Array, (..., G, n_k, d)
        Head h belongs to group h // (H / G); grouped keys are never copied.
    v : Array, (..., G, n_k, d_v)
    mask : Mask
        Causal and window masks place the queries at the last n_q positions of the keys; others need no positions, and
        serve cross-attention with more queries than keys.
    scale : float, optional
        Factor of the scores; 1 / sqrt(d) by default.
    softcap : float, optional
        Scores s become softcap * tanh(s / softcap), before the mask.
    check_finite : bool
        Refuse NaN and infinity; switch off where the arrays are known to be finite.
    tile : int, optional
        Queries and keys of a tile of the streamed products; the default suits the library, and sweeps few queries in
        one pass. It and ``fused`` change speed and memory, and results by rounding only.
    fused : bool
        Let PyTorch's fused kernel compute ``output`` under full and causal masks, in single or double precision.

    Raises
    ------
    TypeError
        If an array is not floating, the libraries or dtypes differ, or the mask is no ``Mask``.
    ValueError
        If shapes do not fit, entries are not finite, or scale, softcap or a bias leaves the range of the dtype in which
        scores are computed: that of the arrays, float32 for float16 and bfloat16.

    Notes
    -----
    Inside, queries have the grouped layout (..., G, R, n_q, d) with R = H / G, and keys (..., G, 1, n_k, d). Results
    are new arrays, the caller's own. Not checked: that scores stay in the range of the dtype; ``bad_rows`` counts the
    rows where they do not, and ``require_range`` refuses such a problem.

    Examples
    --------
    >>> import numpy as np
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 2, 5, 4))
    >>> AttentionProblem(q, k, v).output.shape
    (2, 5, 4)
    """

    q: Array
    k: Array
    v: Array
    mask: Mask = field(default_factory=FullMask)
    scale: float | None = None
    softcap: float | None = None
    check_finite: bool = field(default=True, repr=False)
    tile: int | None = field(default=None, metadata={"performance": True})
    fused: bool = field(default=False, repr=False, metadata={"performance": True})

    def __post_init__(self) -> None:
        for name in ("q", "k", "v"):
            object.__setattr__(self, name, plain_floating(getattr(self, name), name))
        if not isinstance(self.mask, Mask):
            raise TypeError(
                f"mask must be a rule such as CausalMask(); got {type(self.mask).__name__}; "
                "from tnattn import CausalMask"
            )
        require_same_kind(q=self.q, k=self.k, v=self.v)
        require_query_shape(self.q, self.k)
        require_key_value_shapes(self.k, self.v)
        like = widened(self.q[..., :0, :])  # library, device and dtype of the scores
        limits = array_namespace(like).finfo(like.dtype)
        least, most = float(limits.smallest_normal), float(limits.max)
        for name in ("scale", "softcap"):
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise ValueError(
                    f"{name} must be a positive number, between {least:.3g} and {most:.3g} for scores in "
                    f"{dtype_name(like.dtype)}; got {value!r}"
                )
        if self.tile is not None and self.tile < 1:
            raise ValueError(f"tile must be a positive number of queries and keys; got {self.tile}")
        self.mask.validate(tuple(self.q.shape[:-3]), self.heads, self.n_q, self.n_k, like=like)
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

    @cached_property  # one object: SoftmaxOperator recognises it and keeps the product
    def values(self) -> Array:
        """Values, (..., G, 1, n_k, d_v)."""
        return self.v[..., None, :, :]

    @cached_property
    def grouped_mask(self) -> Mask:
        """The mask with its arrays in grouped layout."""
        return self.mask.grouped(self.groups)

    def ungroup(self, array: Array) -> Array:
        """Merge the axes (G, R) of an array (..., G, R, a, b), or one that broadcasts to it, into (..., H, a, b)."""
        xp = array_namespace(array)
        shape = (*self.batch, *array.shape[-2:])
        if tuple(array.shape) != shape:  # a broadcast view repeats memory, and NumPy makes it read-only
            array = xp.asarray(xp.broadcast_to(array, shape), copy=True)
        return xp.reshape(array, (*self.batch[:-2], self.heads, *array.shape[-2:]))

    @property
    def scaled_queries(self) -> Array:
        """Queries times the score scale, for methods that need scores to be inner products.

        Raises
        ------
        ValueError
            If the problem has a softcap, for then they are not.
        """
        require_inner_products(self.softcap)
        return self.queries * self.score_scale

    # scores

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
            Memory O(n_q w); O(n_q w d) per head. In float32 for half precision.
        """
        with quiet_overflow():  # bad_rows counts what leaves the range
            return self.weights.blocks.gathered(indices)

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
            O((rows.stop - rows.start) s d) per head. In float32 for half precision.
        """
        with quiet_overflow():
            return self.weights.blocks.tiles(rows, indices)

    def require_range(self) -> None:
        """Raise ValueError if scores may leave the range of their dtype: the largest |q| |k| scale is beyond it."""
        like, reach = widened(self.q[..., :0, :]), self.weights.blocks.reach
        if not reach <= (most := float(array_namespace(like).finfo(like.dtype).max)):  # true for NaN, too
            raise ValueError(
                f"the largest |q| |k| scale is {reach:.3g}, beyond the range of {dtype_name(like.dtype)} ({most:.3g}), "
                "in which scores are computed; divide q or k, reduce scale, or convert to a wider dtype"
            )

    # exact attention

    @cached_property
    def weights(self) -> SoftmaxOperator:
        """The exact weights as an implicit operator."""
        return SoftmaxOperator(self)

    @property
    def output(self) -> Array:
        """The exact output, (..., H, n_q, d_v), streamed once: memory O(n) beyond it.

        A row without admissible keys is zero, ``empty_rows`` counts them; a row whose scores leave the range of the
        dtype is NaN, ``bad_rows`` counts them.
        """
        output = fused_output(self) if self.fused else None
        return self.ungroup(self.weights @ self.values if output is None else output)

    @cached_property
    def empty_rows(self) -> int:
        """Number of rows, over all heads, that the mask leaves without a key."""
        xp, empty = array_namespace(self.q), self.weights.log_mass == -float("inf")
        return int(xp.sum(xp.astype(empty, xp.int64)))

    @property
    def bad_rows(self) -> Array:
        """Number of rows of every head, (..., H), whose exact output is not finite."""
        xp = array_namespace(self.q)
        bad = ~xp.all(xp.isfinite(self.output), axis=-1)
        return xp.sum(xp.astype(bad, xp.int64), axis=-1)

    def rows(self, indices: Array) -> Array:
        """Return exact rows of the weights, (..., H, len(indices), n_k), for a vector of query indices."""
        return self.ungroup(self.weights.rows(indices))

    def dense_scores(self) -> Array:
        """Return all masked scores, (..., H, n_q, n_k), in float32 for half precision: O(n_q n_k) memory."""
        return self.ungroup(self.block_scores(slice(0, self.n_q), slice(0, self.n_k)))

    def dense_weights(self) -> Array:
        """Return all weights, (..., H, n_q, n_k): O(n_q n_k) memory, for inspection and oracles only."""
        return self.ungroup(self.weights.to_dense())

    # parts

    def rectangle(self, rows: slice, columns: slice, mask: Mask | None = None) -> AttentionProblem:
        """Return the problem of a block of queries and keys under another mask, full by default; unchecked."""
        return replace(
            self,
            q=self.q[..., rows, :],
            k=self.k[..., columns, :],
            v=self.v[..., columns, :],
            mask=mask if mask is not None else FullMask(),
            scale=self.score_scale,
            check_finite=False,
        )
