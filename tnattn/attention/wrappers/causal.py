"""The causal form of a method without masks: a prefix scan, or exact diagonal leaves and unmasked rectangles."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, ClassVar

from tnattn.arrays import Rng, array_namespace, device
from tnattn.attention import masks
from tnattn.attention.approximation import Approximation, require_mergeable
from tnattn.attention.cost import Cost, exact_cost
from tnattn.attention.kernel_features import KernelFeatures
from tnattn.attention.method import AttentionMethod, JointMethod, KeyMethod
from tnattn.attention.prefix_kernel import PrefixKernel
from tnattn.attention.prefix_scan import runs
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.running_sums import RunningSums
from tnattn.attention.sampling.value_sampling import ValueSampling
from tnattn.attention.summary import KeySet
from tnattn.attention.wrappers.rectangles import (
    Parts,
    RectangleKernel,
    blocks_of,
    cut,
    halves,
    queries_of,
    stacked,
    with_queries,
)
from tnattn.device_budget import DeviceBudget, DeviceCounts, blocks
from tnattn.structured import Diagonal, Product, Selection


@dataclass(frozen=True)
class Causal(JointMethod):
    """Causal attention from a method without masks: exact leaves, and a scan or rectangles before them.

    Leaves of at most ``leaf`` consecutive positions are exact, in the method's own kernel. Where summaries are sums
    over the keys (``Performer``, ``LinearAttention``: their class says ``scanned``), one state runs over the sequence,
    and every query meets the sum of all keys before its leaf. Any other method runs on rectangles: the positions are
    halved until a part is a leaf, and it approximates attention of the queries of a right half to the keys of its left
    half, as one unmasked problem.

    Parameters
    ----------
    method : AttentionMethod
        A key method without probes. Any other reads later queries, which are not available in token-by-token
        generation.
    leaf : int
        Largest part that is exact, at least one.
    leaks_queries : bool
        Accept a method that reads later queries.

    Raises
    ------
    TypeError
        If the method needs queries and ``leaks_queries`` is false.

    Notes
    -----
    Queries that are the last of a sequence get what they get within the whole sequence. A problem without a mask goes
    to the method as it is.

    A scan takes the operations of the method without a mask and those of the leaves, and memory for the output and a
    tile. It makes one draw, and what it fixes of the keys, like the origin of ``Performer``, comes from the first leaf:
    a later key cannot change an earlier output. Leaves begin at the first position, so that further tokens change none.

    Rectangles: n_k / leaf at most, every key in log2(n_k / leaf) of them. Those of one size, at most two per level, run
    together as stacks in a new batch axis, with one generator per size: a method that draws once for all heads does so
    for all rectangles of a stack, of which very many keys make several. They are stacked from the end of the sequence,
    so that draws made matrix by matrix are those of the whole sequence also where only its last queries are given; a
    rectangle that has some of its queries is filled up with zeros. Sums are added stack by stack, and no kernel is
    kept: its products, which only ``weights`` takes, run the method once more with the same draws.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, Causal, CausalMask, PivotedCoreset
    >>> problem = AttentionProblem(*np.random.default_rng(0).standard_normal((3, 1, 128, 4)), mask=CausalMask())
    >>> for keys in (4, 16, 64):
    ...     method = Causal(PivotedCoreset(keys=keys), leaf=16)
    ...     error = np.linalg.norm(method(problem, rng=np.random.default_rng(0)).output - problem.output)
    ...     print(keys, round(float(error / np.linalg.norm(problem.output)), 2))
    4 0.42
    16 0.12
    64 0.0
    """

    # rectangles of one level are one call of the method, or two where their shapes differ
    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(250, waits=8, copies=4), {"level": DeviceCounts(150, waits=4, copies=4)}
    )

    method: AttentionMethod = field(default_factory=ValueSampling)
    leaf: int = 64
    leaks_queries: bool = False

    masks: ClassVar[tuple[type[masks.Mask], ...]] = (masks.FullMask, masks.CausalMask)
    waives: ClassVar[dict[str, str]] = {
        "fields.leaks_queries": "a permission: it changes what is accepted, not the output",
    }
    guarantee: ClassVar[str] = "that of the method, for all of the past or rectangle by rectangle; leaves exact"
    source: ClassVar[str] = (
        "Han et al. 2023 (HyperAttention), Algorithm 4, with a leaf size; scans: Katharopoulos et al. 2020, section 3.3"
    )
    role: ClassVar = "adapter"

    def __post_init__(self) -> None:
        if not isinstance(self.method, AttentionMethod):
            raise TypeError(f"method must be an attention method; got {self.method!r}")
        if self.leaf < 1:
            raise ValueError(f"leaf must be an integer >= 1; got {self.leaf!r}")
        sees_queries = not isinstance(self.method, KeyMethod) or self.method.probes
        if sees_queries and not self.leaks_queries:
            raise TypeError(
                f"{type(self.method).__name__} reads queries, so earlier outputs would depend on later queries; use a "
                "key method without probes, or accept it with leaks_queries=True"
            )

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        levels = blocks(target.n_k, self.leaf).bit_length()
        return {"level": levels, "method": 2 * levels}

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        if not any(isinstance(part, masks.CausalMask) for part in problem.mask.conjuncts):
            return self.method(problem, rng=rng)
        if problem.n_k <= self.leaf:
            return self.method.exact_piece(problem)
        features = self._features(problem, rng)
        return self._merged(problem, rng) if features is None else self._scanned(problem, features)

    # rectangles

    def _stacks(self, problem: AttentionProblem, rng: Rng | None) -> Iterator[Parts]:
        """Yield the rectangles and the leaves in which a query stands, in stacks of one size."""
        rectangles, leaves = halves(problem.n_k, self.leaf)
        # children of the generator, one per size, so that a draw does not depend on what was drawn before
        draws = rng.spawn(len(rectangles)) if rng is not None else [None] * len(rectangles)
        for spans, draw in zip(rectangles, draws, strict=True):
            for part in cut(with_queries(problem, spans), problem, self.method.budget):
                yield Parts(part, draw, leaf=False)
        for spans in leaves:
            for part in cut(with_queries(problem, spans), problem, 2 * self.leaf):
                yield Parts(part, None, leaf=True)

    def _merged(self, problem: AttentionProblem, rng: Rng | None) -> Approximation:
        """Return the sum of all parts: the sums of one stack at a time are added to those of their rows."""
        xp = array_namespace(problem.q)
        sums = RunningSums(problem.batch, problem.n_q, problem.value_width, like=problem.q)
        units = self.method.exact_piece(problem.rectangle(slice(0, 1), slice(0, 1))).units
        stacks, flops = [], []
        for stack in self._stacks(problem, rng):
            stacks.append(stack._replace(rng=copy.deepcopy(stack.rng)))  # for the kernel, which makes the piece again
            flops.append(self._added(problem, stack, sums, units))
        every = xp.arange(problem.n_k, dtype=xp.int64, device=device(problem.q))
        counted = [part for part in flops if part is not None]
        if len(counted) == len(flops):
            total = sum(none for none, _ in counted), sum(each for _, each in counted)
            kernel = RectangleKernel(problem, stacks, lambda stack: self._piece(problem, stack), sums.shift, total)
            found = Approximation(
                kernel,
                sums.shift,
                problem.values,
                normaliser=sums.denominators,
                expand=Selection(every, problem.n_k, problem.q),
            )
        else:  # columns are no combinations of keys: one for each query, which holds its sums
            ones = Diagonal(xp.ones_like(sums.denominators))
            found = Approximation(ones, sums.shift, sums.numerators, sums.denominators)
        return found.labelled(units=units).holding(sums.numerators, sums.denominators)

    def _added(self, problem: AttentionProblem, stack: Parts, sums: RunningSums, units: str) -> tuple[int, int] | None:
        """Add the piece of a stack, of which nothing is kept.

        Returns the operations of a product with its kernel over keys, without a column and per column; None if its
        columns are no combinations of keys.
        """
        piece = self._piece(problem, stack)
        require_mergeable(piece, units)
        for rows, part in blocks_of(piece, stack.spans, problem):
            sums.add(rows, *part)
        if piece.expand is None:
            return None
        product = Product(piece.kernel, piece.expand)
        return product.matmul_flops(0), product.matmul_flops(1) - product.matmul_flops(0)

    def _piece(self, problem: AttentionProblem, stack: Parts) -> Approximation:
        mask = masks.CausalMask() if stack.leaf else masks.FullMask()
        parts = stacked(problem, stack.spans, mask)
        return self.method.exact_piece(parts) if stack.leaf else self.method(parts, rng=stack.rng)

    # scans

    def _features(self, problem: AttentionProblem, rng: Rng | None) -> KernelFeatures | None:
        """Return features by which the past is summed; None for rectangles."""
        if not isinstance(self.method, KeyMethod) or not self.method.scanned:
            return None
        first = problem.rectangle(slice(0, 1), slice(0, self.leaf))  # later keys are not those of the past
        return self.method.prefix_features(KeySet.of(first), rng=rng)

    def _scanned(self, problem: AttentionProblem, features: KernelFeatures) -> Approximation:
        xp = array_namespace(problem.q)
        kernel = PrefixKernel(features, problem, self.leaf)
        (numerators, denominators), shift = kernel.swept((problem.values, xp.ones_like(problem.keys[..., :1])))
        every = xp.arange(problem.n_k, dtype=xp.int64, device=device(problem.q))
        return Approximation(
            kernel=kernel,
            shift=shift,
            values=problem.values,
            expand=Selection(every, problem.n_k, problem.q),
            units=features.units,
        ).holding(numerators, denominators[..., 0])

    def exact_piece(self, problem: AttentionProblem) -> Approximation:
        return self.method.exact_piece(problem)

    def cost(self, problem: AttentionProblem) -> Cost:
        """Return the cost of exact leaves, and of the scan or of all rectangles, which one cache serves."""
        if not any(isinstance(part, masks.CausalMask) for part in problem.mask.conjuncts):
            return self.method.cost(problem)
        if isinstance(self.method, KeyMethod) and self.method.scanned and problem.n_k > self.leaf:
            return self._scan_cost(problem)
        return reduce(lambda a, b: a + b, self._costs(problem, 0, problem.n_k))

    def _scan_cost(self, problem: AttentionProblem) -> Cost:
        """Every key joins the sums once, those of the last leaf never; the first leaf has no past to ask."""
        last = (problem.n_k - 1) // self.leaf * self.leaf
        past = self.method.cost(problem.rectangle(queries_of(problem, self.leaf, problem.n_k), slice(0, last)))
        leaves = 0.0
        for run in runs(problem.n_q, problem.n_k, leaf=self.leaf, most=problem.n_k):
            queries, keys = ((part.stop - part.start) // run.leaves for part in (run.queries, run.keys))
            if queries:
                leaves += run.leaves * exact_cost(problem.rectangle(slice(0, queries), slice(0, keys))).flops
        features = self.method.budget or problem.width
        return replace(
            past,
            flops=past.flops + leaves,
            peak_scalars=float(problem.groups * features * (problem.value_width + 1) + self.leaf),
        )

    def _costs(self, problem: AttentionProblem, start: int, stop: int) -> Iterator[Cost]:
        if stop - start <= self.leaf:
            # leaves are squares that the mask cuts after their products
            yield exact_cost(problem.rectangle(queries_of(problem, start, stop), slice(start, stop)))
            return
        # the same halves as in ``halves``
        middle = (start + stop) // 2
        rows = queries_of(problem, middle, stop)
        yield self.method.cost(problem.rectangle(rows, slice(start, middle)))
        yield from self._costs(problem, middle, stop)
        if queries_of(problem, start, middle).start < rows.start:
            yield from self._costs(problem, start, middle)
