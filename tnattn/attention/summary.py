"""Key sets and their summaries: compressed keys and values of a cache, which answer any queries."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass, field
from typing import final

from tnattn.arrays import Array, Rng, array_namespace, check_finite, dtype_name, is_half, widened
from tnattn.attention.approximation import Approximation
from tnattn.attention.broadcasting import copied
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.validation import (
    plain_floating,
    require_grouped,
    require_heads,
    require_key_value_shapes,
    require_same_kind,
)
from tnattn.display import Displayed
from tnattn.scalars import Parameters


@dataclass(frozen=True, eq=False, repr=False)
class KeySet(Parameters, Displayed):
    """Keys and values in grouped layout, with the scale of the scores.

    Parameters
    ----------
    keys : Array, (..., G, 1, n, d), floating
    values : Array, (..., G, 1, n, d_v)
    scale : float
        Positive.
    check_finite : bool
        Refuse NaN and infinity; switch off where the arrays have been checked.
    shared : bool
        The summary is used up with the arrays and may keep views of them.

    Raises
    ------
    TypeError
        If an array is not floating, or libraries or dtypes differ.
    ValueError
        If shapes do not fit, or entries are not finite.

    Notes
    -----
    Keys and values in half precision are widened to float32 here: summaries hold sums over tokens.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import KeySet
    >>> k, v = np.random.default_rng(0).standard_normal((2, 3, 10, 4))
    >>> keys = KeySet.from_arrays(k, v)
    >>> keys.keys.shape, keys.n, keys.scale
    ((3, 1, 10, 4), 10, 0.5)
    """

    keys: Array
    values: Array
    scale: float
    check_finite: bool = field(default=True, repr=False)
    shared: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("keys", "values"):
            object.__setattr__(self, name, plain_floating(getattr(self, name), name))
            require_grouped(getattr(self, name), name)
        require_same_kind(keys=self.keys, values=self.values)
        require_key_value_shapes(self.keys, self.values, ("keys", "values"))
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scale must be a positive number; got {self.scale!r}")
        # checked in the given dtype, where the caller sees the fault, and widened then
        for name in ("keys", "values"):
            if self.check_finite:
                check_finite(getattr(self, name), name)
            object.__setattr__(self, name, widened(getattr(self, name)))

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
        return cls(problem.keys, problem.values, problem.score_scale, check_finite=False)

    @classmethod
    def from_arrays(cls, k: Array, v: Array, *, scale: float | None = None, check_finite: bool = True) -> KeySet:
        """Return the key set of k (..., G, n, d) and v (..., G, n, d_v); the scale is 1 / sqrt(d) by default."""
        require_heads(k, "k")
        require_heads(v, "v")
        default = 1 / math.sqrt(max(1, k.shape[-1]))  # an empty width is refused with its name by the constructor
        return cls(k[..., None, :, :], v[..., None, :, :], scale if scale is not None else default, check_finite)

    @property
    def owned(self) -> Array:
        """The keys for a summary to keep: a copy, unless they are shared."""
        return self.keys if self.shared else copied(self.keys)

    @property
    def owned_values(self) -> Array:
        """The values for a summary to keep, as ``owned``."""
        return self.values if self.shared else copied(self.values)

    @property
    def n(self) -> int:
        """Number of keys."""
        return int(self.keys.shape[-2])


class Summary(Parameters, Displayed, abc.ABC):
    """Base class of compressed keys and values, which own their arrays, independent of the caller's buffers."""

    @property
    @abc.abstractmethod
    def nbytes(self) -> int:
        """Bytes that the summary keeps."""

    @property
    @abc.abstractmethod
    def like(self) -> Array:
        """Array (..., G, 1, m, d_v) with library, device, dtype, batch axes and width of the values."""

    @property
    @abc.abstractmethod
    def width(self) -> int:
        """Width d of the keys and of the queries."""

    @abc.abstractmethod
    def approximate(self, queries: Array) -> Approximation:
        """Answer queries in grouped layout, (..., G, R, n_q, d), in the dtype of the summary."""

    @property
    @final
    def groups(self) -> int:
        """Number of key heads G."""
        return int(self.like.shape[-4])

    @final
    def attend(self, q: Array, *, check_finite: bool = True) -> Approximation:
        """Answer queries.

        Parameters
        ----------
        q : Array, (..., H, n_q, d)
            H must be a multiple of the number of key heads. In half precision, the answer is cast back to its dtype.
        check_finite : bool
            Refuse NaN and infinity.

        Raises
        ------
        TypeError
            If ``q`` has another library or dtype than the keys.
        ValueError
            If shapes do not fit, or entries are not finite.
        """
        q = self._fitting(q, "q", self.width)
        heads = q.shape[-3]
        if heads == 0 or heads % self.groups:
            raise ValueError(
                f"{heads} query heads cannot be shared among {self.groups} key heads; the first must be a multiple"
            )
        _require_finite(q, "q", check_finite)
        wide = widened(q)
        shape = (*q.shape[:-3], self.groups, heads // self.groups, *q.shape[-2:])
        # heads that share a key head are neighbours: (..., H, ...) is (..., G, R, ...) without a copy
        result = self.approximate(array_namespace(q).reshape(wide, shape))
        return result.labelled(dtype=q.dtype) if is_half(q) else result

    @final
    def extend(self, k: Array, v: Array, *, rng: Rng | None = None, check_finite: bool = True) -> Summary:
        """Return the summary with further keys (..., G, n, d) and values (..., G, n, d_v), where the method can grow.

        Raises
        ------
        TypeError
            If it cannot, or an array has another library or dtype than the keys.
        ValueError
            If shapes do not fit, or entries are not finite.
        """
        # a subclass that can grow overrides the method
        if type(self)._extended is Summary._extended:
            raise TypeError(f"{type(self).__name__} cannot grow; summarise all keys again")
        k, v = self._fitting(k, "k", self.width), self._fitting(v, "v", int(self.like.shape[-1]))
        require_key_value_shapes(k, v)
        if k.shape[-3] != self.groups:
            raise ValueError(f"k has {k.shape[-3]} heads and the summary {self.groups}; they must agree")
        _require_finite(k, "k", check_finite)
        _require_finite(v, "v", check_finite)
        return self._extended(widened(k), widened(v), rng=rng)

    def _extended(self, k: Array, v: Array, *, rng: Rng | None) -> Summary:
        """Return the summary with further keys and values that fit it; a summary that can grow overrides this."""
        raise NotImplementedError

    def _fitting(self, x: Array, name: str, width: int) -> Array:
        """Return an array (..., heads, tokens, width) that fits library, dtype, batch and width of the summary."""
        x = plain_floating(x, name)
        array_namespace(x, self.like)
        # half precision fits a summary in float32
        if widened(x).dtype != self.like.dtype:
            raise TypeError(
                f"{name} has dtype {dtype_name(x.dtype)} and the summary {dtype_name(self.like.dtype)}; convert {name}"
            )
        if x.shape[-1] != width:
            raise ValueError(f"{name} has width {x.shape[-1]} and the summary {width}; they must agree")
        if x.shape[-2] == 0:
            raise ValueError(f"{name} has shape {tuple(x.shape)}: no axis of tokens may be empty")
        batch = tuple(self.like.shape[:-4])
        if tuple(x.shape[:-3]) != batch:
            raise ValueError(f"{name} has shape {tuple(x.shape)}; the axes before the heads must be {batch}")
        return x


def bytes_of(*arrays: Array) -> int:
    """Return the bytes of the entries of arrays of any library."""
    width = {"float64": 8, "int64": 8, "float32": 4}
    return sum(math.prod(array.shape) * width.get(dtype_name(array.dtype), 2) for array in arrays)


def _require_finite(x: Array, name: str, wanted: bool) -> None:
    if wanted:
        check_finite(x, name)
