"""Prefix scan of causal attention: sums of features over the past of a leaf, exact entries within it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tnattn.arrays import Array, array_namespace, matmul_into
from tnattn.attention.kernel_features import KernelFeatures, feature_entries


class Run(NamedTuple):
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


def runs(n_q: int, n_k: int, *, leaf: int, most: int) -> Iterator[Run]:
    """Yield runs of at most ``most`` leaves in order; queries are the last ``n_q`` of ``n_k`` positions."""
    before, none = n_k - n_q, slice(0, 0)
    first = before // leaf * leaf  # of the leaf of the first query
    for start in range(0, first - leaf, most * leaf):  # keys of the past of all queries
        yield Run(slice(start, min(start + most * leaf, first - leaf)), none, none, 1)
    start = first
    while start < n_k:
        # the first leaf, one with some of its queries only and an incomplete last one stand alone
        alone = start == 0 or start < before or start + leaf > n_k
        leaves = 1 if alone else min(most, (n_k - start) // leaf)
        stop = min(start + leaves * leaf, n_k)
        added = slice(start - leaf, start + (leaves - 1) * leaf) if start else none
        yield Run(added, slice(start, stop), slice(max(start - before, 0), stop - before), leaves)
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


class Workspace:
    """Arrays of the last run of a thread, whose memory serves the next: fresh memory costs more than a product.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.attention.prefix_scan import Workspace
    >>> space, a, b = Workspace(), np.ones((1, 4, 2, 3)), np.ones((1, 4, 3, 2))
    >>> first = space.product("sums", a, b)
    >>> np.shares_memory(space.product("sums", a[:, :3], b[:, :3]), first)  # fewer matrices of the same size
    True
    """

    def __init__(self) -> None:
        self._arrays: dict[str, Array] = {}

    def room(self, name: str, axis: int, size: int) -> Array | None:
        """Return the array kept under a name, cut to a size along an axis; None if it is too small."""
        found = self._arrays.get(name)
        if found is None or found.shape[axis] < size:
            return None
        return found[:, :size, ...] if axis == 1 else found[..., :size, :]

    def keep(self, name: str, axis: int, array: Array | None) -> None:
        """Keep an array under a name, unless a larger one is kept."""
        if array is not None and self.room(name, axis, array.shape[axis]) is None:
            self._arrays[name] = array

    def product(self, name: str, a: Array, b: Array) -> Array:
        """Return a @ b of arrays (g, L, ...), written over the last product of this name."""
        product = matmul_into(a, b, self.room(name, 1, a.shape[1]))
        self.keep(name, 1, product)
        return product


class Scan:
    """Scan of some key heads, each with R query heads.

    Parameters
    ----------
    features : KernelFeatures
    queries : Array, (g, R, n_q, d)
    keys : Array, (g, 1, n_k, d)
    rows : list of Array, (g, R or 1, n_k, c)
        Factors of the kernel.
    leaf : int
    exact : callable
        Returns entries (g, L, R, r', r) and shifts (g, L, R, r') of leaves of queries (g, L, R, r', d) and keys
        (g, L, 1, r, d). Features that are exact do without.
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
        leaf: int,
        exact: Callable[[Array, Array], tuple[Array, Array]],
        space: Workspace,
    ) -> None:
        self._features, self._queries, self._keys, self._rows = features, queries, keys, rows
        self._leaf, self._exact, self._space = leaf, exact, space

    def parts(self, most: int) -> Iterator[tuple[slice, Array, Array]]:
        """Yield queries, products (g, R, n, c) and shifts (g, R, n), run by run of at most ``most`` leaves."""
        past: Past | None = None
        for run in runs(self._queries.shape[-2], self._keys.shape[-2], leaf=self._leaf, most=most):
            if run.added.stop > run.added.start:
                past = self._grown(past, run.added, run.leaves)
            if run.queries.stop > run.queries.start:
                products, shift = self._answered(past, run)
                yield run.queries, _by_query(products), _by_query(shift[..., None])[..., 0]

    def _key_parts(self, columns: slice, leaves: int) -> tuple[Array | None, Array | None]:
        """Return exponents and factors of the features of leaves of keys, (g, L, 1, r, m)."""
        spare = self._space.room("keys", -2, columns.stop - columns.start)
        exponents, factors = self._features.of_keys(self._keys[:, :, columns, :], spare)
        self._space.keep("keys", -2, exponents)
        return _by_leaf(exponents, leaves), _by_leaf(factors, leaves)

    def _grown(self, past: Past | None, added: slice, leaves: int) -> Past:
        """Return the sums with some leaves of keys more, after each of them."""
        exponents, factors = self._key_parts(added, leaves)
        peak = None if exponents is None else _running_maximum(exponents, None if past is None else past.peak)
        before = None if past is None else _in_units(past.sums[:, -1, ...], past.peak, peak, -1, 0)
        features = feature_entries(exponents, factors, peak)
        sums = self._space.product("sums", features.mT, self._right(added, leaves))
        for index in range(leaves):
            if before is not None:
                sums[:, index, ...] += before
            if index + 1 < leaves:
                before = _in_units(sums[:, index, ...], peak, peak, index, index + 1)
        return Past(peak, sums)

    def _answered(self, past: Past | None, run: Run) -> tuple[Array, Array]:
        """Return products (g, L, R, r', c) and shifts (g, L, R, r') of the queries of a run."""
        queries, right = self._queries[:, :, run.queries, :], self._right(run.keys, run.leaves)
        if past is None and not self._features.exact:
            kernel, shift = self._within(None, queries, run)
            return self._space.product("near", kernel, right), shift
        peak = None if past is None else past.peak
        features, top = query_features(self._features, queries, run.leaves, peak, self._space)
        kernel, shift = self._within(features, queries, run)
        near = self._space.product("near", kernel, right)
        if past is None:
            return near, shift
        far = self._space.product("far", features, past.sums)
        (far, near), shift = in_common_units([(far, top), (near, shift)])
        near += far
        return near, shift

    def _within(self, features: Array | None, queries: Array, run: Run) -> tuple[Array, Array]:
        """Return exact entries (g, L, R, r', r) and shifts (g, L, R, r') of the leaves of a run."""
        if features is None or not self._features.exact:
            keys = _by_leaf(self._keys[:, :, run.keys, :], run.leaves)
            return self._exact(_by_leaf(queries, run.leaves), keys)
        xp = array_namespace(features)
        _, factors = self._key_parts(run.keys, run.leaves)
        kernel = self._space.product("within", features, factors.mT)
        # queries are the last positions of their leaf
        kernel = xp.tril(kernel, k=kernel.shape[-1] - kernel.shape[-2])
        return kernel, xp.zeros_like(kernel[..., 0])

    def _right(self, columns: slice, leaves: int) -> Array:
        """Return the rows that the kernel is multiplied with, (g, L, R or 1, r, c)."""
        parts = [_by_leaf(x[:, :, columns, :], leaves) for x in self._rows]
        return parts[0] if len(parts) == 1 else array_namespace(parts[0]).concat(parts, axis=-1)


def query_features(
    features: KernelFeatures, queries: Array, leaves: int, peak: Array | None, space: Workspace
) -> tuple[Array, Array | None]:
    """Return features (g, L, R, r', m) of queries (g, R, L r', d) and the exponents of the units of their rows.

    The peaks (g, L, 1, 1, m or 1) of the keys are put back, in units of which their sums are.
    """
    xp = array_namespace(queries)
    exponents, factors = features.of_queries(queries, space.room("queries", -2, queries.shape[-2]))
    if exponents is None or peak is None:
        return feature_entries(None, _by_leaf(factors, leaves), None), None
    space.keep("queries", -2, exponents)
    exponents, factors = _by_leaf(exponents, leaves), _by_leaf(factors, leaves)
    exponents += peak
    top = xp.max(exponents, axis=-1, keepdims=True)  # enters the shift: the largest feature is exp(0)
    offset = features.offset(queries)
    if not isinstance(offset, float):
        offset = _by_leaf(offset[..., None], leaves)[..., 0]
    return feature_entries(exponents, factors, top), top[..., 0] + offset


def key_features(features: KernelFeatures, keys: Array) -> tuple[Array, Array | None]:
    """Return features of keys (..., n, m) in units of exp of their largest exponents, and these."""
    exponents, factors = features.of_keys(keys)
    peak = None if exponents is None else array_namespace(keys).max(exponents, axis=-2, keepdims=True)
    return feature_entries(exponents, factors, peak), peak


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


def _by_leaf(x: Any, leaves: int) -> Any:
    """Cut (g, R, L r, c) into (g, L, R, r, c); None stays None."""
    if x is None:
        return None
    xp = array_namespace(x)
    g, ratio, n, c = x.shape
    return xp.moveaxis(xp.reshape(x, (g, ratio, leaves, n // leaves, c)), 2, 1)


def _by_query(x: Array) -> Array:
    """Put leaves (g, L, R, r, c) behind each other, (g, R, L r, c)."""
    xp = array_namespace(x)
    g, leaves, ratio, r, c = x.shape
    return xp.reshape(xp.moveaxis(x, 1, 2), (g, ratio, leaves * r, c))


def by_heads(x: Array, groups: tuple[int, ...]) -> Array:
    """Return (..., G, R, a, b), or an array that broadcasts to it, as (count, R, a, b)."""
    xp = array_namespace(x)
    wide = xp.reshape(x, (*(1,) * (len(groups) + 3 - x.ndim), *x.shape))
    full = (*groups, *wide.shape[-3:])
    if tuple(wide.shape) != full:
        wide = xp.broadcast_to(wide, full)
    return xp.reshape(wide, (math.prod(groups), *full[-3:]))
