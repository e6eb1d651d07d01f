"""Which keys a query may see, closed under ``&``.

Queries are the last n_q positions of the n_k keys (bottom-right alignment): query i stands at i + n_k - n_q.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Literal, final

from tnattn.arrays import Array, array_namespace, broadcast_shape, device
from tnattn.scalars import Parameters

Coverage = Literal["all", "some", "none"]


class UnsupportedMask(ValueError):
    """A method was given a mask that it does not honour."""


class Mask(Parameters, abc.ABC):
    """A rule that adds 0, a finite bias or minus infinity to every score."""

    @abc.abstractmethod
    def additive(self, i: Array, j: Array, *, n_q: int, n_k: int, like: Array) -> Array | None:
        """Return what is added to the scores of queries i and keys j.

        Parameters
        ----------
        i, j : Array, integer, broadcastable against each other; the last two axes are (query, key)
        n_q, n_k : int
            Numbers of queries and keys of the whole problem.
        like : Array
            Gives library, device and dtype.

        Returns
        -------
        Array or None
            Broadcastable to the scores in grouped layout (..., G, R, query, key); None when nothing is added.
        """

    def coverage(self, rows: slice, columns: slice, *, n_q: int, n_k: int) -> Coverage:
        """Say without looking at entries whether a block is admissible everywhere, somewhere (or unknown), nowhere."""
        return "some"

    @property
    def conjuncts(self) -> tuple[Mask, ...]:
        """The rules that must hold together."""
        return (self,)

    @property
    def has_bias(self) -> bool:
        """Whether finite values other than zero are added somewhere."""
        return any(isinstance(part, Bias) for part in self.conjuncts)

    def validate(self, batch: tuple[int, ...], heads: int, n_q: int, n_k: int) -> None:
        """Raise ValueError when the mask does not fit a problem of these sizes."""
        return None

    def grouped(self, groups: int) -> Mask:
        """Return the rule with its arrays in grouped layout, (..., G, R, n_q, n_k)."""
        return self

    @final
    def __and__(self, other: Mask) -> Mask:
        """Return the rule that adds what both add."""
        parts = tuple(m for m in (*self.conjuncts, *other.conjuncts) if not isinstance(m, Full))
        if not parts:
            return Full()
        return parts[0] if len(parts) == 1 else Conjunction(parts)


@dataclass(frozen=True)
class Full(Mask):
    """Every query sees every key."""

    def additive(self, i: Array, j: Array, *, n_q: int, n_k: int, like: Array) -> Array | None:
        return None

    def coverage(self, rows: slice, columns: slice, *, n_q: int, n_k: int) -> Coverage:
        return "all"


@dataclass(frozen=True)
class Causal(Mask):
    """A query sees the keys up to its own position."""

    def additive(self, i: Array, j: Array, *, n_q: int, n_k: int, like: Array) -> Array | None:
        return _barrier(j <= i + (n_k - n_q), like)

    def coverage(self, rows: slice, columns: slice, *, n_q: int, n_k: int) -> Coverage:
        shift = n_k - n_q
        if columns.stop - 1 <= rows.start + shift:
            return "all"
        return "none" if columns.start > rows.stop - 1 + shift else "some"


@dataclass(frozen=True)
class SlidingWindow(Mask):
    """A query at position t sees the keys from t - left to t + right.

    Parameters
    ----------
    left, right : int
        Non-negative numbers of neighbours on either side; ``right=0`` is causal.
    """

    left: int
    right: int = 0

    def __post_init__(self) -> None:
        for name in ("left", "right"):
            value = getattr(self, name)
            if value < 0:
                raise ValueError(f"{name} must be a non-negative integer; got {value!r}")

    def additive(self, i: Array, j: Array, *, n_q: int, n_k: int, like: Array) -> Array | None:
        distance = i + (n_k - n_q) - j
        return _barrier((distance <= self.left) & (distance >= -self.right), like)

    def coverage(self, rows: slice, columns: slice, *, n_q: int, n_k: int) -> Coverage:
        first, last = rows.start + n_k - n_q, rows.stop - 1 + n_k - n_q
        if columns.start > last + self.right or columns.stop - 1 < first - self.left:
            return "none"
        return "all" if columns.start >= last - self.left and columns.stop - 1 <= first + self.right else "some"


@dataclass(frozen=True, eq=False)
class Padding(Mask):
    """Keys from ``lengths`` on are padding that no query sees.

    Parameters
    ----------
    lengths : int or Array, integer
        Number of real keys, one for all or one per batch entry (the axes before the heads).
    """

    lengths: int | Array

    def additive(self, i: Array, j: Array, *, n_q: int, n_k: int, like: Array) -> Array | None:
        lengths = self.lengths
        if not isinstance(lengths, int):
            lengths = lengths[..., None, None, None, None]  # (..., G, R, query, key)
        return _barrier((j < lengths) & (i >= 0), like)

    def coverage(self, rows: slice, columns: slice, *, n_q: int, n_k: int) -> Coverage:
        if not isinstance(self.lengths, int):
            return "some"
        if columns.stop <= self.lengths:
            return "all"
        return "none" if columns.start >= self.lengths else "some"

    def validate(self, batch: tuple[int, ...], heads: int, n_q: int, n_k: int) -> None:
        if isinstance(self.lengths, int):
            if not 0 <= self.lengths <= n_k:
                raise ValueError(f"lengths {self.lengths} must lie between 0 and the number of keys, {n_k}")
            return
        if "int" not in str(self.lengths.dtype):
            raise TypeError(f"lengths must be integers; got {self.lengths.dtype}")
        if tuple(self.lengths.shape) != batch:
            raise ValueError(f"lengths has shape {tuple(self.lengths.shape)}; expected one per batch entry, {batch}")
        xp = array_namespace(self.lengths)
        if bool(xp.any((self.lengths < 0) | (self.lengths > n_k))):
            raise ValueError(f"lengths must lie between 0 and the number of keys, {n_k}; got {self.lengths}")


@dataclass(frozen=True, eq=False)
class Explicit(Mask):
    """A boolean array says which keys a query sees.

    Parameters
    ----------
    allowed : Array, bool, broadcastable to (..., H, n_q, n_k)
    """

    allowed: Array

    def additive(self, i: Array, j: Array, *, n_q: int, n_k: int, like: Array) -> Array | None:
        return _barrier(_pick(self.allowed, i, j), like)

    def grouped(self, groups: int) -> Mask:
        return Explicit(_grouped(self.allowed, groups))

    def validate(self, batch: tuple[int, ...], heads: int, n_q: int, n_k: int) -> None:
        if "bool" not in str(self.allowed.dtype):
            raise TypeError(f"allowed must be boolean; got {self.allowed.dtype}; for additive scores use Bias")
        _validate_shape("allowed", self.allowed, batch, heads, n_q, n_k)


@dataclass(frozen=True, eq=False)
class Bias(Mask):
    """An array is added to the scores; minus infinity forbids a key.

    Parameters
    ----------
    bias : Array, floating, broadcastable to (..., H, n_q, n_k), without NaN or plus infinity
    """

    bias: Array

    def additive(self, i: Array, j: Array, *, n_q: int, n_k: int, like: Array) -> Array | None:
        xp = array_namespace(like)
        return xp.astype(_pick(self.bias, i, j), like.dtype)

    def grouped(self, groups: int) -> Mask:
        return Bias(_grouped(self.bias, groups))

    def validate(self, batch: tuple[int, ...], heads: int, n_q: int, n_k: int) -> None:
        xp = array_namespace(self.bias)
        if bool(xp.any(xp.isnan(self.bias) | (self.bias == float("inf")))):
            raise ValueError("bias holds NaN or plus infinity; only finite values and minus infinity are admissible")
        _validate_shape("bias", self.bias, batch, heads, n_q, n_k)


@dataclass(frozen=True, eq=False)
class Conjunction(Mask):
    """Several rules at once; made by ``&``."""

    parts: tuple[Mask, ...]

    def additive(self, i: Array, j: Array, *, n_q: int, n_k: int, like: Array) -> Array | None:
        total = None
        for part in self.parts:
            term = part.additive(i, j, n_q=n_q, n_k=n_k, like=like)
            if term is not None:
                total = term if total is None else total + term
        return total

    def coverage(self, rows: slice, columns: slice, *, n_q: int, n_k: int) -> Coverage:
        found = {part.coverage(rows, columns, n_q=n_q, n_k=n_k) for part in self.parts}
        if "none" in found:
            return "none"
        return "all" if found == {"all"} else "some"

    def grouped(self, groups: int) -> Mask:
        return Conjunction(tuple(part.grouped(groups) for part in self.parts))

    @property
    def conjuncts(self) -> tuple[Mask, ...]:
        return self.parts

    def validate(self, batch: tuple[int, ...], heads: int, n_q: int, n_k: int) -> None:
        for part in self.parts:
            part.validate(batch, heads, n_q, n_k)


def _barrier(allowed: Array, like: Array) -> Array:
    xp = array_namespace(like)
    zero = xp.zeros((), dtype=like.dtype, device=device(like))
    return xp.where(allowed, zero, xp.full_like(zero, -float("inf")))


def _grouped(array: Array, groups: int) -> Array:
    """Split the head axis of (..., H, n_q, n_k) into (..., G, R, n_q, n_k)."""
    if array.ndim < 3:
        return array
    xp = array_namespace(array)
    heads = array.shape[-3]
    split = (1, 1) if heads == 1 else (groups, heads // groups)
    return xp.reshape(array, (*array.shape[:-3], *split, *array.shape[-2:]))


def _pick(array: Array, i: Array, j: Array) -> Array:
    """Return array[..., i, j] for broadcastable integer i, j, honouring axes of length one."""
    xp = array_namespace(array)
    n_q, n_k = array.shape[-2:]
    i = i if n_q > 1 else xp.zeros_like(i)
    j = j if n_k > 1 else xp.zeros_like(j)
    if i.ndim == 2 and j.ndim == 2 and i.shape[-1] == 1 and j.shape[-2] == 1:  # a block
        return xp.take(xp.take(array, i[:, 0], axis=-2), j[0, :], axis=-1)
    flat = i * n_k + j  # (..., query, slot)
    batch = broadcast_shape(array.shape[:-2], flat.shape[:-2])
    source = xp.reshape(xp.broadcast_to(array, (*batch, n_q, n_k)), (*batch, n_q * n_k))
    index = xp.broadcast_to(flat, (*batch, *flat.shape[-2:]))
    picked = xp.take_along_axis(source, xp.reshape(index, (*batch, -1)), axis=-1)
    return xp.reshape(picked, index.shape)


def _validate_shape(name: str, array: Array, batch: tuple[int, ...], heads: int, n_q: int, n_k: int) -> None:
    full = (*batch, heads, n_q, n_k)
    given = tuple(array.shape)
    fits = len(given) <= len(full) and all(a in (1, b) for a, b in zip(reversed(given), reversed(full), strict=False))
    if not fits or array.ndim < 2:
        raise ValueError(f"{name} has shape {given}, which does not broadcast to (..., H, n_q, n_k) = {full}")
