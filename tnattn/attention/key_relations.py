"""Set relations between the keys of two pieces of attention."""

from __future__ import annotations

import math
from typing import Literal

from tnattn.arrays import Array, array_namespace, device, from_host, to_host

Relation = Literal["same", "disjoint", "contains", "overlapping"]


def relation(a: slice | Array, b: slice | Array) -> Relation:
    """Return the relation of two sets of keys.

    Parameters
    ----------
    a, b : slice or Array
        ``slice(None)`` is the set of all keys; other slices have a start and a stop. Keys are not negative.

    Returns
    -------
    str
        "same", "disjoint", "contains" (b lies in a), or "overlapping".

    Notes
    -----
    Slices are compared by their ends; lists of n keys in O(n log n) on their device, with one read of three numbers.
    """
    if isinstance(a, slice) and isinstance(b, slice):  # compared by their ends, without a list of keys
        if a == b:
            return "same"
        if a == slice(None):
            return "contains"
        if b == slice(None):
            return "overlapping"
        if a.stop <= b.start or b.stop <= a.start:
            return "disjoint"
        return "contains" if a.start <= b.start and b.stop <= a.stop else "overlapping"
    if isinstance(a, slice) and a == slice(None):  # all keys, whose number is not known here
        return "contains"
    if isinstance(b, slice) and b == slice(None):
        return "overlapping"
    like = a if not isinstance(a, slice) else b
    common, first, second = (int(n) for n in to_host(_counts(_listed(a, like=like), _listed(b, like=like))))
    if common == first == second:
        return "same"
    if common == 0:
        return "disjoint"
    return "contains" if common == second else "overlapping"


def union(a: slice | Array, b: slice | Array, *, like: Array, known: Relation | None = None) -> slice | Array:
    """Return the union of two sets of keys that are the same, disjoint, or one inside the other.

    Parameters
    ----------
    a, b : slice or Array
        If one lies in the other, it is ``b``.
    like : Array
        Library and device of the result where it is no slice.
    known : str, optional
        Their relation, where it has been computed.

    Returns
    -------
    slice or Array, int64, ascending
    """
    if (known or relation(a, b)) in ("same", "contains"):
        return a
    # adjacent slices stay a slice, so that chains of chunks do not become lists
    if isinstance(a, slice) and isinstance(b, slice) and (a.stop == b.start or b.stop == a.start):
        return slice(min(a.start, b.start), max(a.stop, b.stop))
    xp = array_namespace(like)
    return xp.sort(xp.concat([_listed(a, like=like), _listed(b, like=like)]))


def shown(keys: slice | Array) -> str:
    """Return a set of keys as text for a message."""
    if isinstance(keys, slice):
        return "all" if keys == slice(None) else f"{keys.start}:{keys.stop}"
    return f"a list of {math.prod(keys.shape)}"


def _listed(keys: slice | Array, *, like: Array) -> Array:
    """Return keys as a vector of int64, in the library and on the device of ``like``."""
    xp = array_namespace(like)
    if isinstance(keys, slice):
        return xp.arange(keys.start, keys.stop, dtype=xp.int64, device=device(like))
    if array_namespace(keys) is not xp:
        keys = from_host(to_host(keys), like=like)
    return xp.astype(xp.reshape(keys, (-1,)), xp.int64, copy=False)


def _counts(first: Array, second: Array) -> Array:
    """Return how many distinct keys two vectors have in common, and how many each has, (3,)."""
    xp = array_namespace(first)
    first, second = _marked(first, 1), _marked(second, 1 + first.shape[0])
    both = xp.sort(xp.concat([first, second]))
    present = (both[1:] == both[:-1], first >= 0, second >= 0)
    return xp.stack([xp.sum(xp.astype(x, xp.int64)) for x in present])


def _marked(keys: Array, offset: int) -> Array:
    """Return sorted keys in which those that repeat another are negative and distinct, at most ``-offset``."""
    xp = array_namespace(keys)
    keys = xp.sort(keys)
    again = keys[1:] == keys[:-1]
    numbers = -offset - xp.arange(again.shape[0], dtype=xp.int64, device=device(keys))
    return xp.concat([keys[:1], xp.where(again, numbers, keys[1:])])
