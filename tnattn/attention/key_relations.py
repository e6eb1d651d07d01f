"""Set relations between the keys of two pieces of attention."""

from __future__ import annotations

from typing import Literal

from tnattn.arrays import Array, array_namespace, device, to_host

Relation = Literal["same", "disjoint", "contains", "overlapping"]


def relation(a: slice | Array, b: slice | Array) -> Relation:
    """Return the relation of two sets of keys.

    Parameters
    ----------
    a, b : slice or Array
        ``slice(None)`` is the set of all keys; other slices have a start and a stop.

    Returns
    -------
    str
        "same", "disjoint", "contains" (b lies in a), or "overlapping".
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
    first, second = _members(a), _members(b)  # None is the set of all keys, whose size is not known here
    if first is None:
        return "contains"
    if second is None:
        return "overlapping"
    if first == second:
        return "same"
    if not first & second:
        return "disjoint"
    return "contains" if second <= first else "overlapping"


def union(a: slice | Array, b: slice | Array, *, like: Array) -> slice | Array:
    """Return the union of two sets of keys that are the same, disjoint, or one inside the other.

    Parameters
    ----------
    a, b : slice or Array
        If one lies in the other, it is ``b``.
    like : Array
        Library and device of the result where it is no slice.

    Returns
    -------
    slice or Array, int64, ascending
    """
    if relation(a, b) in ("same", "contains"):
        return a
    # adjacent slices stay a slice, so that chains of chunks do not become lists
    if isinstance(a, slice) and isinstance(b, slice) and (a.stop == b.start or b.stop == a.start):
        return slice(min(a.start, b.start), max(a.stop, b.stop))
    members = sorted((_members(a) or set()) | (_members(b) or set()))
    xp = array_namespace(like)
    return xp.asarray(members, dtype=xp.int64, device=device(like))


def shown(keys: slice | Array) -> str:
    """Return a set of keys as text for a message."""
    if isinstance(keys, slice):
        return "all" if keys == slice(None) else f"{keys.start}:{keys.stop}"
    return f"a list of {len(_members(keys) or ())}"


def _members(keys: slice | Array) -> set[int] | None:
    """Return the keys as a set, or None for all of them."""
    if isinstance(keys, slice):
        return None if keys == slice(None) else set(range(keys.start, keys.stop))
    return {int(key) for key in to_host(keys).ravel()}
