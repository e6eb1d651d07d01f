"""Rectangles and leaves of the causal recursion, stacked by size, and the kernel that they make up."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from tnattn.arrays import Array, Rng, array_namespace, device
from tnattn.attention import masks
from tnattn.attention.approximation import Approximation
from tnattn.attention.problem import AttentionProblem
from tnattn.structured import Product, ShiftedBlocks, StructuredMatrix
from tnattn.structured.shifted_blocks import from_stack

__all__ = ["Span"]  # the rest is part of ``Causal``

_ENTRIES = 1 << 21  # scalars of a stack of parts: 8 MB of float32


class Span(NamedTuple):
    """Intervals of the positions of queries and keys of a part.

    Examples
    --------
    >>> from tnattn.attention.wrappers import Span
    >>> Span(rows=slice(4, 8), columns=slice(0, 4))  # queries of the later, keys of the earlier half
    Span(rows=slice(4, 8, None), columns=slice(0, 4, None))
    """

    rows: slice
    columns: slice


def queries_of(problem: AttentionProblem, start: int, stop: int) -> slice:
    """Return the queries at positions start, ..., stop - 1."""
    before = problem.n_k - problem.n_q  # earlier positions have keys, but no query
    return slice(max(start - before, 0), max(stop - before, 0))


def halves(n: int, leaf: int) -> tuple[list[list[Span]], list[list[Span]]]:
    """Return stacks of equal rectangles, level by level, and stacks of equal leaves; each stack from the end."""
    rectangles: list[dict[tuple[int, int], list[Span]]] = []
    leaves: dict[int, list[Span]] = {}
    parts = [(0, n)]
    while parts:
        halves, level = [], {}  # type: list[tuple[int, int]], dict[tuple[int, int], list[Span]]
        for start, stop in parts:
            if stop - start <= leaf:
                leaves.setdefault(stop - start, []).append(Span(slice(start, stop), slice(start, stop)))
                continue
            middle = (start + stop) // 2
            span = Span(slice(middle, stop), slice(start, middle))
            level.setdefault((stop - middle, middle - start), []).append(span)
            halves += [(start, middle), (middle, stop)]  # breadth first: a level has at most two sizes
        rectangles.append(level)
        parts = halves
    stacks = [spans for level in rectangles for _, spans in sorted(level.items())]
    return [spans[::-1] for spans in stacks], [spans[::-1] for _, spans in sorted(leaves.items())]


def with_queries(problem: AttentionProblem, spans: list[Span]) -> list[Span]:
    """Return the parts with a query at their positions: those at the end."""
    return [span for span in spans if span.rows.stop > problem.n_k - problem.n_q]


def stacked(problem: AttentionProblem, spans: list[Span], mask: masks.Mask) -> AttentionProblem:
    """Return the parts as one problem with a new first batch axis; where queries are missing, zeros stand in front."""
    xp = array_namespace(problem.q)
    before = problem.n_k - problem.n_q

    def queries(rows: slice) -> Array:
        found = problem.q[..., max(rows.start - before, 0) : rows.stop - before, :]
        # a first rectangle may have some of its queries only; rows of zeros are cut off again by spread
        missing = (*found.shape[:-2], rows.stop - rows.start - found.shape[-2], found.shape[-1])
        if missing[-2] == 0:
            return found
        return xp.concat([xp.zeros(missing, dtype=found.dtype, device=device(found)), found], axis=-2)

    return replace(
        problem,
        q=_stack([queries(span.rows) for span in spans]),
        k=_stack([problem.k[..., span.columns, :] for span in spans]),
        v=_stack([problem.v[..., span.columns, :] for span in spans]),
        mask=mask,
        scale=problem.score_scale,
        check_finite=False,
    )


def _stack(arrays: list[Array]) -> Array:
    """Return arrays along a new first axis; a single one is not copied."""
    return arrays[0][None, ...] if len(arrays) == 1 else array_namespace(arrays[0]).stack(arrays)


def spread(stack: Approximation, spans: list[Span], problem: AttentionProblem) -> Approximation:
    """Return a stack of parts as one piece for all queries; a query outside all parts has no key in it."""
    xp = array_namespace(problem.q)
    before, depth = problem.n_k - problem.n_q, len(stack.kernel.batch)
    starts = tuple(span.rows.start - before for span in spans)  # negative where queries in front are missing

    def rows(x: Array, outside: float) -> Array:
        """(b, ..., r) to (..., n_q)."""
        out = xp.full((*x.shape[1:-1], problem.n_q), outside, dtype=x.dtype, device=device(x))
        for block, start in enumerate(starts):
            out[..., max(start, 0) : start + x.shape[-1]] = x[block, ..., max(-start, 0) :]
        return out

    expand = stack.expand
    if expand is not None:
        columns = tuple(span.columns.start for span in spans)
        expand = ShiftedBlocks(expand.mT, columns, problem.n_k, shared=len(expand.batch) < depth).mT
    return replace(
        stack,
        kernel=ShiftedBlocks(stack.kernel, starts, problem.n_q),
        shift=rows(stack.shift, -float("inf")),
        values=from_stack(stack.values),
        mass=None if stack.mass is None else from_stack(stack.mass[..., None])[..., 0],
        normaliser=None if stack.normaliser is None else rows(stack.normaliser, 0.0),
        keys=slice(None),
        expand=expand,
    )


class Parts(NamedTuple):
    """Parts of one size, which run as one problem.

    Examples
    --------
    >>> from tnattn.attention.wrappers.rectangles import Span, Parts
    >>> Parts([Span(slice(1, 2), slice(0, 1))], rng=None, leaf=False).spans[0].rows
    slice(1, 2, None)
    """

    spans: list[Span]
    rng: Rng | None
    leaf: bool


def cut(spans: list[Span], problem: AttentionProblem, columns: int | None) -> Iterator[list[Span]]:
    """Yield the parts in lists, in order, whose queries, keys, values and ``columns`` each fit into a stack."""
    if not spans:
        return
    size = spans[0].columns.stop - spans[0].columns.start
    per_head = (2 * size + (columns or size)) * (problem.width + problem.value_width)
    step = max(1, _ENTRIES // (math.prod(problem.batch) * per_head))
    for start in range(0, len(spans), step):
        yield spans[start : start + step]


def blocks_of(
    piece: Approximation, spans: list[Span], problem: AttentionProblem
) -> Iterator[tuple[slice, tuple[Array, Array, Array]]]:
    """Yield the queries of every part of a stack, and their numerators, denominators and shifts."""
    before = problem.n_k - problem.n_q
    numerators, denominators = piece._products  # read only
    for block, span in enumerate(spans):
        missing = max(before - span.rows.start, 0)  # rows of zeros in front
        rows = slice(span.rows.start - before + missing, span.rows.stop - before)
        yield (
            rows,
            (
                numerators[block, ..., missing:, :],
                denominators[block, ..., missing:],
                piece.shift[block, ..., missing:],
            ),
        )


class RectangleKernel(StructuredMatrix):
    """The causal kernel of rectangles and leaves over the original keys, (..., G, R, n_q, n_k), in units of a shift.

    Nothing of a part is kept: its piece is made once more when the kernel is multiplied, with the draw that it had.

    Parameters
    ----------
    problem : AttentionProblem
    stacks : list of Parts
    piece : callable
        Returns the approximation of a stack.
    shift : Array, (..., G, R, n_q)
    flops : tuple of int
        Operations of a product with no column, and those that every column adds.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Causal, CausalMask, ValueSampling
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 1, 8, 2)), mask=CausalMask())
    >>> found = Causal(ValueSampling(2), leaf=2)(problem, rng=np.random.default_rng(0))
    >>> type(found.kernel).__name__, found.kernel.shape
    ('RectangleKernel', (1, 1, 8, 8))
    >>> bool(np.allclose(found.kernel @ problem.values, found.numerators))
    True
    """

    def __init__(
        self,
        problem: AttentionProblem,
        stacks: list[Parts],
        piece: Callable[[Parts], Approximation],
        shift: Array,
        flops: tuple[int, int],
    ) -> None:
        self._problem, self._stacks, self._piece, self._shift, self._flops = problem, stacks, piece, shift, flops

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self._problem.batch, self._problem.n_q, self._problem.n_k)

    @property
    def like(self) -> Array:
        return self._problem.q

    @property
    def storage(self) -> int:
        parts = (self._problem.q, self._problem.k, self._problem.v, self._shift)
        return sum(math.prod(part.shape) for part in parts)

    def matmul_flops(self, columns: int) -> int:
        return self._flops[0] + self._flops[1] * columns

    def _matmul(self, x: Array) -> Array:
        return self._added(lambda kernel, factor: factor * kernel._matmul(x))

    def _rmatmul(self, y: Array) -> Array:
        return self._added(lambda kernel, factor: kernel._rmatmul(factor * y))

    def to_dense(self) -> Array:
        return self._added(lambda kernel, factor: factor * kernel.to_dense())

    def _added(self, product: Callable[[StructuredMatrix, Array], Array]) -> Array:
        """Return the sum over the stacks of a product of their kernels and factors (..., n_q, 1) of their rows."""
        xp = array_namespace(self._shift)
        # a row without keys has minus infinity in every stack
        unit = xp.where(self._shift == -float("inf"), xp.zeros_like(self._shift), self._shift)
        total = None
        for stack in self._stacks:
            part = spread(self._piece(replayed(stack)), stack.spans, self._problem)
            assert part.expand is not None
            found = product(Product(part.kernel, part.expand), xp.exp(part.shift - unit)[..., None])
            total = found if total is None else total + found
        return total


def replayed(stack: Parts) -> Parts:
    """Return a stack with a generator of its own in the same state."""
    return stack._replace(rng=copy.deepcopy(stack.rng))
