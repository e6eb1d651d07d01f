"""Prefix scan of causal attention: sums of features over the past of a leaf, exact entries within it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from tnattn.arrays import Array, array_namespace
from tnattn.attention.broadcasting import concat_broadcast
from tnattn.attention.exact_leaves import Leaves
from tnattn.attention.kernel_features import KernelFeatures, feature_entries
from tnattn.attention.workspace import Workspace


class ScanStep(NamedTuple):
    """Consecutive leaves of equal size, and the keys that join their past.

    ``added`` has as many leaves, each just before the one whose past it completes; it is empty for the first leaf.

    Examples
    --------
    >>> from tnattn.attention.prefix_scan import runs
    >>> for run in runs(10, 10, leaf=3, most=2):
    ...     print(run.added, run.keys, run.queries, run.leaves)
    slice(0, 0, None) slice(0, 3, None) slice(0, 3, None) 1
    slice(0, 6, None) slice(3, 9, None) slice(3, 9, None) 2
    slice(6, 9, None) slice(9, 10, None) slice(9, 10, None) 1
    """

    added: slice
    keys: slice
    queries: slice
    leaves: int


def runs(n_q: int, n_k: int, *, leaf: int, most: int) -> Iterator[ScanStep]:
    """Yield runs of at most ``most`` leaves in order; queries are the last ``n_q`` of ``n_k`` positions."""
    before, none = n_k - n_q, slice(0, 0)
    first = before // leaf * leaf  # of the leaf of the first query
    for start in range(0, first - leaf, most * leaf):  # keys of the past of all queries
        yield ScanStep(slice(start, min(start + most * leaf, first - leaf)), none, none, 1)
    start = first
    while start < n_k:
        # the first leaf, one with some of its queries only and an incomplete last one stand alone
        alone = start == 0 or start < before or start + leaf > n_k
        leaves = 1 if alone else min(most, (n_k - start) // leaf)
        stop = min(start + leaves * leaf, n_k)
        added = slice(start - leaf, start + (leaves - 1) * leaf) if start else none
        yield ScanStep(added, slice(start, stop), slice(max(start - before, 0), stop - before), leaves)
        start = stop


class Past(NamedTuple):
    """Sums over the past of every leaf of feature times row, in units of exp(peak).

    The units are the largest exponents of the past, so that neither a sum nor a feature overflows, and no later key is
    looked at.

    Parameters
    ----------
    peak : Array, (g, L, 1, 1, m or 1), or None for units of one
    sums : Array, (g, L, R or 1, m, c)

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.prefix_scan import Past
    >>> Past(None, np.ones((1, 2, 1, 4, 3))).sums.shape  # two leaves, four features, three columns
    (1, 2, 1, 4, 3)
    """

    peak: Array | None
    sums: Array


class Scan:
    """Scan of some key heads, each with R query heads.

    Parameters
    ----------
    features : KernelFeatures
    queries : Array, (g, R, n_q, d)
    keys : Array, (g, 1, n_k, d)
    rows : list of Array, (g, R or 1, n_k, c)
        Factors of the kernel.
    leaves : Leaves
    space : Workspace

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Causal, CausalMask, LinearAttention
    >>> problem = AttentionProblem(*np.ones((3, 1, 5, 2)), mask=CausalMask())
    >>> found = Causal(LinearAttention(), leaf=2)(problem).denominators[0, 0] / (1 + 2**-0.25) ** 2 / 2
    >>> np.round(found, 12).tolist()  # the row sums of equal tokens count them
    [1.0, 2.0, 3.0, 4.0, 5.0]
    """

    def __init__(
        self,
        features: KernelFeatures,
        queries: Array,
        keys: Array,
        rows: list[Array],
        *,
        leaves: Leaves,
        space: Workspace,
    ) -> None:
        self._features, self._queries, self._keys, self._rows = features, queries, keys, rows
        self._leaves, self._space = leaves, space

    def parts(self, most: int) -> Iterator[tuple[slice, Array, Array]]:
        """Yield queries, products (g, R, n, c) and shifts (g, R, n), run by run of at most ``most`` leaves.

        The next run overwrites the products.
        """
        past: Past | None = None
        for run in runs(self._queries.shape[-2], self._keys.shape[-2], leaf=self._leaves.size, most=most):
            added, own = self._exact_keys(run) if self._features.exact else (None, None)
            if _size(run.added):
                past = self._grown(past, run, added)
            if _size(run.queries):
                products, shift = self._answered(past, run, own)
                yield run.queries, _by_query(products), _by_query(shift[..., None])[..., 0]

    def _exact_keys(self, run: ScanStep) -> tuple[Array | None, Array | None]:
        """Return exact features (g, L, 1, r, m) of the keys that join the past, and of those of the run."""

        def evaluated(name: str, columns: slice, leaves: int) -> Array | None:
            if not _size(columns):
                return None
            spare = self._space.room(name, -2, _size(columns))
            features = feature_entries(*self._features.of_keys(self._keys[:, :, columns, :], spare), None)
            self._space.keep(name, -2, features)
            return by_leaf(features, leaves)

        if _size(run.added) != _size(run.keys):
            return evaluated("added", run.added, run.leaves), evaluated("keys", run.keys, run.leaves)
        # the leaves of the run but its last join the past of later ones: once evaluated
        every = evaluated("keys", slice(run.added.start, run.keys.stop), run.leaves + 1)
        assert every is not None
        return every[:, :-1, ...], every[:, 1:, ...]

    def _grown(self, past: Past | None, run: ScanStep, features: Array | None) -> Past:
        """Return the sums with some leaves of keys more, after each of them; exact features are evaluated already."""
        peak, leaves = None, run.leaves
        if features is None:
            spare = self._space.room("keys", -2, _size(run.added))
            exponents, factors = self._features.of_keys(self._keys[:, :, run.added, :], spare)
            self._space.keep("keys", -2, exponents)
            exponents = by_leaf(exponents, leaves)
            peak = None if exponents is None else _running_maximum(exponents, None if past is None else past.peak)
            features = feature_entries(exponents, by_leaf(factors, leaves), peak)
        before = None if past is None else _in_units(past.sums[:, -1, ...], past.peak, peak, -1, 0)
        sums = self._space.product("sums", features.mT, self._right(run.added, leaves))
        for index in range(leaves):
            if before is not None:
                sums[:, index, ...] += before
            if index + 1 < leaves:
                before = _in_units(sums[:, index, ...], peak, peak, index, index + 1)
        return Past(peak, sums)

    def _answered(self, past: Past | None, run: ScanStep, own: Array | None) -> tuple[Array, Array]:
        """Return products (g, L, R, r', c) and shifts (g, L, R, r') of the queries of a run."""
        queries, right = self._queries[:, :, run.queries, :], self._right(run.keys, run.leaves)
        if past is None and not self._features.exact:
            kernel, shift = self._within(None, own, queries, run)
            return self._space.product("near", kernel, right), shift
        peak = None if past is None else past.peak
        features, top = query_features(self._features, queries, run.leaves, peak, self._space)
        kernel, shift = self._within(features, own, queries, run)
        near = self._space.product("near", kernel, right)
        if past is None:
            return near, shift
        far = self._space.product("far", features, past.sums)
        (far, near), shift = in_common_units([(far, top), (near, shift)])
        near += far
        return near, shift

    def _within(self, features: Array | None, own: Array | None, queries: Array, run: ScanStep) -> tuple[Array, Array]:
        """Return exact entries (g, L, R, r', r) and shifts (g, L, R, r') of the leaves of a run."""
        if features is not None and own is not None:
            return self._leaves.of_features(features, own, self._space)
        keys = by_leaf(self._keys[:, :, run.keys, :], run.leaves)
        return self._leaves.of_scores(by_leaf(queries, run.leaves), keys, self._space)

    def _right(self, columns: slice, leaves: int) -> Array:
        """Return the rows that the kernel is multiplied with, (g, L, R or 1, r, c)."""
        parts = [x[:, :, columns, :] for x in self._rows]
        if len(parts) == 1:
            return by_leaf(parts[0], leaves)
        joined = self._space.room("right", -2, _size(columns))
        if joined is None or joined.shape[0] != parts[0].shape[0]:  # the last heads may be fewer
            joined = concat_broadcast(parts, axis=-1)
            self._space.keep("right", -2, joined)
        else:
            first = 0
            for part in parts:
                joined[..., first : first + part.shape[-1]] = part
                first += part.shape[-1]
        return by_leaf(joined, leaves)


def query_features(
    features: KernelFeatures, queries: Array, leaves: int, peak: Array | None, space: Workspace
) -> tuple[Array, Array | None]:
    """Return features (g, L, R, r', m) of queries (g, R, L r', d) and the exponents of the units of their rows.

    The peaks (g, L, 1, 1, m or 1) of the keys are put back, in units of which their sums are.
    """
    xp = array_namespace(queries)
    exponents, factors = features.of_queries(queries, space.room("queries", -2, queries.shape[-2]))
    space.keep("queries", -2, factors if exponents is None else exponents)
    if exponents is None or peak is None:
        return feature_entries(None, by_leaf(factors, leaves), None), None
    exponents, factors = by_leaf(exponents, leaves), by_leaf(factors, leaves)
    exponents += peak
    top = xp.max(exponents, axis=-1, keepdims=True)  # enters the shift: the largest feature is exp(0)
    offset = features.offset(queries)
    if not isinstance(offset, float):
        offset = by_leaf(offset[..., None], leaves)[..., 0]
    return feature_entries(exponents, factors, top), top[..., 0] + offset


def in_common_units(parts: list[tuple[Array, Array | None]]) -> tuple[list[Array], Array]:
    """Return arrays (..., r, c), each in units of exp(shift) row by row, in units of the largest shift, written over.

    Where the first has no shift, all are in units of one.
    """
    (far, top), (near, shift) = parts
    assert shift is not None
    if top is None:
        return [far, near], shift
    xp = array_namespace(near)
    common = xp.maximum(top, shift)
    # rows of minus infinity, whose scores are all beyond the range, stay in units of one
    unit = xp.where(common == -float("inf"), xp.zeros_like(common), common)
    far *= xp.exp(top - unit)[..., None]
    near *= xp.exp(shift - unit)[..., None]
    return [far, near], common


def _running_maximum(exponents: Array, before: Array | None) -> Array:
    """Return the largest exponents up to the end of every leaf, (g, L, 1, 1, m), those before the first included."""
    xp = array_namespace(exponents)
    peak = xp.max(exponents, axis=-2, keepdims=True)
    last = None if before is None else before[:, -1, ...]
    for index in range(peak.shape[1]):
        if last is not None:
            peak[:, index, ...] = xp.maximum(peak[:, index, ...], last)
        last = peak[:, index, ...]
    return peak


def _in_units(sums: Array, of: Array | None, to: Array | None, i: int, j: int) -> Array:
    """Return a copy of sums (g, R, m, c) in units of exp(of), at leaf i, in those of exp(to), at leaf j."""
    xp = array_namespace(sums)
    if of is None or to is None:
        return xp.asarray(sums, copy=True)
    decay = xp.exp(of[:, i, ...] - to[:, j, ...])  # (g, 1, 1, m or 1), at most one
    return decay.mT * sums


def by_leaf(x: Any, leaves: int) -> Any:
    """Cut (g, R, L r, c) into (g, L, R, r, c); None stays None."""
    if x is None:
        return None
    xp = array_namespace(x)
    g, ratio, n, c = x.shape
    if ratio == 1:
        return xp.reshape(x, (g, leaves, 1, n // leaves, c))
    return xp.moveaxis(xp.reshape(x, (g, ratio, leaves, n // leaves, c)), 2, 1)


def _by_query(x: Array) -> Array:
    """Put leaves (g, L, R, r, c) behind each other, (g, R, L r, c)."""
    xp = array_namespace(x)
    g, leaves, ratio, r, c = x.shape
    return xp.reshape(x if ratio == 1 else xp.moveaxis(x, 1, 2), (g, ratio, leaves * r, c))


def _size(part: slice) -> int:
    return int(part.stop - part.start)


def by_heads(x: Array, groups: tuple[int, ...]) -> Array:
    """Return (..., G, R, a, b), or an array that broadcasts to it, as (count, R, a, b)."""
    xp = array_namespace(x)
    wide = xp.reshape(x, (*(1,) * (len(groups) + 3 - x.ndim), *x.shape))
    full = (*groups, *wide.shape[-3:])
    if tuple(wide.shape) != full:
        wide = xp.broadcast_to(wide, full)
    return xp.reshape(wide, (math.prod(groups), *full[-3:]))
