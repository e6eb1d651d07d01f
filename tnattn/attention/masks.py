"""Rules that admit, forbid or bias the keys of every query, closed under ``&``.

Rules that use positions of queries align them with the last n_q positions of the n_k keys (bottom-right): query i
stands at i + n_k - n_q. Rules with scalars compare by value, arrays by identity: a comparison of entries would
synchronise a device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import Array, array_namespace, dtype_name, is_array
from tnattn.attention.mask import ConjunctionMask, Coverage, FullMask, Mask, UnsupportedMask
from tnattn.attention.mask_arrays import (
    as_mask_array,
    barrier,
    pick,
    require_broadcastable,
    require_same_place,
    some_heads,
    split_heads,
)
from tnattn.scalars import as_integer

__all__ = [
    "BiasMask",
    "CausalMask",
    "ConjunctionMask",
    "Coverage",
    "ExplicitMask",
    "FullMask",
    "Mask",
    "PaddingMask",
    "SlidingWindowMask",
    "UnsupportedMask",
]


@dataclass(frozen=True, repr=False)
class CausalMask(Mask):
    """A query sees the keys up to its own position.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, CausalMask
    >>> AttentionProblem(*np.zeros((3, 1, 2, 1)), mask=CausalMask()).dense_weights()[0].tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """

    stationary: ClassVar[bool] = True

    def additive(self, i: Array, j: Array, *, n_q: int, n_k: int, like: Array) -> Array | None:
        return barrier(j <= i + (n_k - n_q), like)

    def coverage(self, rows: slice, columns: slice, *, n_q: int, n_k: int) -> Coverage:
        shift = n_k - n_q
        # the earliest query decides on "all", the latest on "none"
        if columns.stop - 1 <= rows.start + shift:
            return "all"
        return "none" if columns.start > rows.stop - 1 + shift else "some"


@dataclass(frozen=True, repr=False)
class SlidingWindowMask(Mask):
    """A query at position t sees the keys from t - left to t + right.

    Parameters
    ----------
    left, right : int
        Non-negative numbers of neighbours on either side; ``right=0`` is causal.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, SlidingWindowMask
    >>> problem = AttentionProblem(*np.zeros((3, 1, 3, 1)), mask=SlidingWindowMask(left=1))
    >>> problem.dense_weights()[0].tolist()
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]
    """

    left: int
    right: int = 0

    stationary: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("left", "right"):
            value = getattr(self, name)
            if value < 0:
                raise ValueError(f"{name} must be a non-negative integer; got {value!r}")

    def additive(self, i: Array, j: Array, *, n_q: int, n_k: int, like: Array) -> Array | None:
        distance = i + (n_k - n_q) - j
        return barrier((distance <= self.left) & (distance >= -self.right), like)

    def coverage(self, rows: slice, columns: slice, *, n_q: int, n_k: int) -> Coverage:
        # positions of the first and the last query of the block
        first, last = rows.start + n_k - n_q, rows.stop - 1 + n_k - n_q
        if columns.start > last + self.right or columns.stop - 1 < first - self.left:
            return "none"
        return "all" if columns.start >= last - self.left and columns.stop - 1 <= first + self.right else "some"


@dataclass(frozen=True, eq=False, repr=False)
class PaddingMask(Mask):
    """Keys from ``lengths`` on are padding that no query sees.

    Parameters
    ----------
    lengths : int or Array, integer
        Number of real keys, one for all or one per batch entry (the axes before the heads).

    Examples
    --------
    >>> PaddingMask(3) == PaddingMask(3)
    True
    """

    lengths: int | Array

    aligned: ClassVar[bool] = False

    def __post_init__(self) -> None:
        lengths: Any = self.lengths
        if is_array(lengths) and lengths.ndim > 0:
            lengths = as_mask_array(lengths, "lengths", "integral")
        else:
            lengths = as_integer(lengths, "lengths", cure="give one number of keys, or an array of one per batch entry")
        object.__setattr__(self, "lengths", lengths)

    def __eq__(self, other: object) -> bool:
        # only integers compare by value
        if (
            not isinstance(other, PaddingMask)
            or not isinstance(self.lengths, int)
            or not isinstance(other.lengths, int)
        ):
            return self is other
        return self.lengths == other.lengths

    def __hash__(self) -> int:
        return hash((PaddingMask, self.lengths if isinstance(self.lengths, int) else id(self)))

    def additive(self, i: Array, j: Array, *, n_q: int, n_k: int, like: Array) -> Array | None:
        lengths = self.lengths
        if not isinstance(lengths, int):
            xp = array_namespace(lengths)
            lengths = xp.astype(lengths, xp.int64)[..., None, None, None, None]  # (..., G, R, query, key)
        return barrier((j < lengths) & (i >= 0), like)

    def coverage(self, rows: slice, columns: slice, *, n_q: int, n_k: int) -> Coverage:
        if not isinstance(self.lengths, int):  # lengths differ over the batch, and a block covers all of it
            return "some"
        if columns.stop <= self.lengths:
            return "all"
        return "none" if columns.start >= self.lengths else "some"

    def validate(self, batch: tuple[int, ...], heads: int, n_q: int, n_k: int, *, like: Array | None = None) -> None:
        super().validate(batch, heads, n_q, n_k, like=like)
        lengths = self.lengths
        if isinstance(lengths, int):
            if not 0 <= lengths <= n_k:
                raise ValueError(f"lengths {lengths} must lie between 0 and the number of keys, {n_k}")
            return
        if like is not None:
            require_same_place("lengths", lengths, like)
        if tuple(lengths.shape) != batch:
            raise ValueError(f"lengths has shape {tuple(lengths.shape)}; expected one per batch entry, {batch}")
        xp = array_namespace(lengths)
        if bool(xp.any((lengths < 0) | (lengths > n_k))):
            raise ValueError(f"lengths must lie between 0 and the number of keys, {n_k}; got {lengths}")


@dataclass(frozen=True, eq=False, repr=False)
class ExplicitMask(Mask):
    """A boolean array of admissible keys.

    Parameters
    ----------
    allowed : Array, bool, broadcastable to (..., H, n_q, n_k)

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, ExplicitMask
    >>> mask = ExplicitMask(np.asarray([[True, False], [False, False]]))
    >>> problem = AttentionProblem(*np.zeros((3, 1, 2, 1)), mask=mask)
    >>> problem.dense_weights()[0].tolist(), problem.empty_rows
    ([[1.0, 0.0], [0.0, 0.0]], 1)
    """

    allowed: Array

    aligned: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "allowed", as_mask_array(self.allowed, "allowed", "bool"))

    def additive(self, i: Array, j: Array, *, n_q: int, n_k: int, like: Array) -> Array | None:
        return barrier(pick(self.allowed, i, j), like)

    def grouped(self, groups: int) -> Mask:
        return ExplicitMask(split_heads(self.allowed, groups))

    def of_heads(self, heads: slice) -> Mask:
        return ExplicitMask(some_heads(self.allowed, heads))

    def validate(self, batch: tuple[int, ...], heads: int, n_q: int, n_k: int, *, like: Array | None = None) -> None:
        super().validate(batch, heads, n_q, n_k, like=like)
        if like is not None:
            require_same_place("allowed", self.allowed, like)
        require_broadcastable("allowed", self.allowed, batch, heads, n_q, n_k)


@dataclass(frozen=True, eq=False, repr=False)
class BiasMask(Mask):
    """An array that is added to the scores; minus infinity forbids a key.

    Parameters
    ----------
    bias : Array, floating, broadcastable to (..., H, n_q, n_k), without NaN or plus infinity
        Of any floating dtype; scores keep theirs, in which finite entries must stay finite.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, BiasMask
    >>> mask = BiasMask(np.log(np.asarray([[1.0, 3.0], [1.0, 1.0]])))
    >>> np.round(AttentionProblem(*np.zeros((3, 1, 2, 1)), mask=mask).dense_weights()[0], 6).tolist()
    [[0.25, 0.75], [0.5, 0.5]]
    """

    bias: Array

    aligned: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "bias", as_mask_array(self.bias, "bias", "real floating"))

    def additive(self, i: Array, j: Array, *, n_q: int, n_k: int, like: Array) -> Array | None:
        xp = array_namespace(like)
        return xp.astype(pick(self.bias, i, j), like.dtype)

    def grouped(self, groups: int) -> Mask:
        return BiasMask(split_heads(self.bias, groups))

    def of_heads(self, heads: slice) -> Mask:
        return BiasMask(some_heads(self.bias, heads))

    def validate(self, batch: tuple[int, ...], heads: int, n_q: int, n_k: int, *, like: Array | None = None) -> None:
        super().validate(batch, heads, n_q, n_k, like=like)
        xp = array_namespace(self.bias)
        if not bool(xp.all(self.bias < float("inf"))):  # false for NaN, too
            raise ValueError("bias holds NaN or plus infinity; only finite values and minus infinity are admissible")
        if like is not None:
            require_same_place("bias", self.bias, like)
            self._require_range(like)
        require_broadcastable("bias", self.bias, batch, heads, n_q, n_k)

    def _require_range(self, like: Array) -> None:
        """Raise ValueError if finite entries overflow in the dtype of the scores."""
        xp = array_namespace(like)
        most = float(xp.finfo(like.dtype).max)
        # entries of a dtype no wider than that of the scores need no look
        if float(xp.finfo(self.bias.dtype).max) > most and self.largest() > most:
            raise ValueError(
                f"bias holds entries of size {self.largest():.3g}, beyond the range of {dtype_name(like.dtype)} "
                f"({most:.3g}), in which scores are computed; use minus infinity to forbid a key, or wider queries"
            )

    @property
    def has_bias(self) -> bool:
        return True

    def largest(self) -> float:
        xp = array_namespace(self.bias)
        magnitude = xp.abs(self.bias)  # minus infinity, which forbids a key, is left out
        magnitude = xp.where(magnitude < float("inf"), magnitude, xp.zeros_like(magnitude))
        return float(xp.max(magnitude)) if math.prod(magnitude.shape) else 0.0
