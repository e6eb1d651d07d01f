"""CUR approximation of the kernel: columns and rows selected by pivots or leverage scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import (
    Array,
    Part,
    Rng,
    array_namespace,
    device,
    each_matrix,
    eps,
    exp_in_place,
    require_rng,
    uniform,
)
from tnattn.attention.approximation import Approximation
from tnattn.attention.cost import Cost
from tnattn.attention.exponentials import exponentials
from tnattn.attention.low_rank.regularised_inverse import DampedInverses
from tnattn.attention.method import JointMethod, budget
from tnattn.attention.problem import AttentionProblem
from tnattn.attention.validation import require_inner_products
from tnattn.device_budget import DeviceBudget, DeviceCounts
from tnattn.linalg import numerical_svd
from tnattn.randnla.columns.deim import deim
from tnattn.randnla.scores.leverage import leverage_scores
from tnattn.structured import Dense, Evaluated, ExponentialKernel, Product
from tnattn.structured.gather import take_rows

_GROWTH, _STEPS = 3.0, 5  # ridges tried one after the other: 0.03, 0.09, 0.27, 0.81, 1


@dataclass(frozen=True, eq=False, repr=False)
class ChosenColumns(Evaluated):
    """Selected columns of a kernel, evaluated on use, with the indices of the selected queries and keys.

    Parameters
    ----------
    tokens : Array, (..., G, R, n_q, d)
        All queries.
    chosen : Array, (..., G, R, size, d + 1)
        Scaled selected keys; their last coordinate is added to the scores of the column.
    shift : Array, (..., G, R, n_q)
    queries, keys : Array, (..., G, R, size), integer
    ridge : Array, (..., G, R)
        Relative ridge of the intersection.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, KernelCUR
    >>> rng = np.random.default_rng(0)
    >>> problem = AttentionProblem(*rng.standard_normal((3, 1, 64, 8)))
    >>> kernel = KernelCUR(columns=16)(problem, rng=rng).kernel
    >>> kernel.keys.shape, len(set(kernel.keys.ravel().tolist())), float(kernel.ridge[0, 0])
    ((1, 1, 16), 16, 0.03)
    """

    tokens: Array
    chosen: Array
    shift: Array
    queries: Array
    keys: Array
    ridge: Array

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.shift.shape, int(self.chosen.shape[-2]))

    @property
    def like(self) -> Array:
        return self.tokens

    @property
    def storage(self) -> int:
        return sum(math.prod(part.shape) for part in (self.tokens, self.chosen, self.shift))

    def evaluated(self, part: Part) -> Array:
        exponents = _with_ones(part.of(self.tokens)) @ part.of(self.chosen).mT
        exponents -= part.of(self.shift, 1)[..., None]
        return exp_in_place(exponents)

    def matmul_flops(self, columns: int) -> int:
        return int(2 * math.prod(self.shape) * (self.chosen.shape[-1] + columns))


@dataclass(frozen=True)
class KernelCUR(JointMethod):
    """exp(S) as C G^+ R, for its columns C at few keys, its rows R at few queries and their intersection G.

    Parameters
    ----------
    columns : int
        Number of keys, at least one; no more than there are queries or keys.
    sweeps : int
        Number of alternations that select queries as pivots of the columns, then keys as pivots of the rows. The
        initial keys are sampled by their leverage scores. ``KernelCUR(sweeps=0)`` samples queries and keys by the
        leverage scores of Q and K alone, at half the work.
    ridge : float
        Singular values of the intersection are damped below ``ridge`` times the largest; 0 cuts off rounding only. A
        row sum is surely wrong if it is not positive or below half the exact contribution of the selected keys. A
        matrix with such rows gets the ridge among ``ridge`` times 3, 9, 27, 81 (at most 1) that leaves the fewest; the
        result holds the ridge of every matrix. On 13 kinds of sequences of 512 and 2048 tokens (smooth, clustered,
        sharp, with a sink) and 64 columns no row of 40,960 was bad; one ridge for all left up to 69 of 4096.

    Notes
    -----
    (n_q + n_k) columns (1 + sweeps) scores, O((n_q + n_k) columns^2 (1 + sweeps)) operations and O((n_q + n_k) columns)
    memory: most weights are never evaluated. Every row of C and of R is shifted by its own largest score; the shifts
    of R cancel against those of the intersection, those of C are the shift of the approximation. Columns of C and of
    the intersection are in units of the latter's largest entry, since the column of a key with large weights in all
    rows would push the others under the ridge. The row sums come from the same product, so that pieces merge; rows
    whose denominator is not positive are counted as bad.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import AttentionProblem, KernelCUR
    >>> q, k, v = np.random.default_rng(0).standard_normal((3, 1, 128, 4))
    >>> problem = AttentionProblem(q, k, v)
    >>> outputs = [KernelCUR(columns=r)(problem, rng=np.random.default_rng(0)).output for r in (4, 16, 64)]
    >>> [round(float(np.linalg.norm(x - problem.output) / np.linalg.norm(problem.output)), 2) for x in outputs]
    [0.71, 0.28, 0.07]
    """

    device_budget: ClassVar = DeviceBudget(DeviceCounts(500, waits=12, copies=4), {"pivot": DeviceCounts(25)})

    columns: int = budget(64)
    sweeps: int = 1
    ridge: float = 0.03

    guarantee: ClassVar[str] = "always, after the run; exact in the chosen rows and columns with ridge 0"
    source: ClassVar[str] = "Mahoney & Drineas 2009; Goreinov et al. 2010, applied to the kernel"
    waives: ClassVar[Mapping[str, str]] = {
        "P8": "the ridge leaves an error where the intersection is ill-conditioned; exact at n with ridge=0",
    }

    def __post_init__(self) -> None:
        if self.columns < 1:
            raise ValueError(f"columns must be an integer >= 1; got {self.columns!r}")
        if self.sweeps < 0:
            raise ValueError(f"sweeps must be a non-negative integer; got {self.sweeps!r}")
        if not 0 <= self.ridge < 1:
            raise ValueError(f"ridge must lie in [0, 1); got {self.ridge!r}")

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"pivot": (1 + self.sweeps) * self.columns}

    def approximate(self, problem: AttentionProblem, *, rng: Rng | None) -> Approximation:
        xp, source = array_namespace(problem.q), require_rng(rng, "KernelCUR")
        require_inner_products(problem.softcap)
        size = min(self.columns, problem.n_q, problem.n_k)
        of_keys = uniform(source, (problem.n_k,), like=problem.q)
        # with a sweep, queries are pivots of the columns at sampled keys
        of_queries = of_keys if self.sweeps else uniform(source, (problem.n_q,), like=problem.q)

        def work(part: Part) -> tuple[Array, ...]:
            queries, keys = part.of(problem.queries) * problem.score_scale, part.of(problem.keys)
            j = _by_leverage(keys - xp.mean(keys, axis=-2, keepdims=True), size, of_keys)
            i = j if self.sweeps else _by_leverage(queries, size, of_queries)
            for _ in range(self.sweeps):
                i = _pivots(exponentials(queries, take_rows(keys, j), by_columns=True)[0])
                j = _pivots(exponentials(take_rows(queries, i), keys)[0].mT)
            j = xp.broadcast_to(j, i.shape)
            return i, j, *self._products(queries, keys, part.of(problem.values), i, j)

        i, j, ridge, chosen, shift, inverse, top, summed, products = each_matrix(work, problem.batch, like=problem.q)
        # the last coordinate belongs to no feature and has no scale
        scale = xp.asarray([problem.score_scale] * problem.width + [1.0], dtype=chosen.dtype, device=device(chosen))
        few = take_rows(problem.queries, i) * problem.score_scale
        return Approximation(
            kernel=ChosenColumns(problem.queries, chosen * scale, shift, i, j, ridge),
            shift=shift,
            values=summed[..., :-1],
            mass=summed[..., -1],
            expand=Product(Dense(inverse), ExponentialKernel(few, problem.keys, top)),
        ).holding(products[..., :-1], products[..., -1])

    def _products(self, queries: Array, keys: Array, values: Array, i: Array, j: Array) -> tuple[Array, ...]:
        """Return ridges, chosen keys with their units, shifts, inverse, units of rows, and the sums and products.

        Parameters
        ----------
        queries : Array, (..., n_q, d)
            Scaled.
        keys, values : Array, (..., n_k, d) and (..., n_k, d_v)
        i, j : Array, (..., size), integer
            Chosen queries and keys.
        """
        xp = array_namespace(queries)
        few, chosen = take_rows(queries, i), take_rows(keys, j)
        right, top = exponentials(few, keys)  # (..., size, n_k), its rows in units of their largest entry
        scores = few @ chosen.mT - top[..., None]
        # beside the column of a key with large weights in all rows, other columns would fall under the ridge, or vanish
        unit = xp.max(scores, axis=-2, keepdims=True)  # (..., 1, size)
        core = xp.exp(scores - unit)
        # one more coordinate subtracts the unit of every column inside the product: exp sees the difference only
        chosen = xp.concat([chosen, -unit.mT], axis=-1)
        left, shift = exponentials(_with_ones(queries), chosen)  # (..., n_q, size)
        # the product with the values comes before the inverse, of which it leaves d_v + 1 columns
        summed = xp.concat([right @ values, xp.sum(right, axis=-1, keepdims=True)], axis=-1)
        known = (left @ xp.exp(unit).mT)[..., 0] / 2  # true row sums are at least twice that
        inverse, ridge = self._inverse(core, left, summed[..., -1:], known)
        summed = inverse @ summed
        return ridge, chosen, shift, inverse, top, summed, left @ summed

    def _inverse(self, core: Array, left: Array, sums: Array, known: Array) -> tuple[Array, Array]:
        """Return the damped pseudo-inverse (..., size, size) of the intersections, and their ridges (...).

        Parameters
        ----------
        core : Array, (..., size, size)
        left : Array, (..., n_q, size)
            Columns of the kernel.
        sums : Array, (..., size, 1)
            Row sums of the chosen rows.
        known : Array, (..., n_q)
            Row sums below this are surely wrong.
        """
        xp = array_namespace(core)
        if not self.ridge:
            u, inverse, vt, _ = numerical_svd(core)
            return vt.mT @ (inverse[..., None] * u.mT), xp.zeros_like(inverse[..., 0])
        damped = DampedInverses.of(core, least=self.ridge)
        ridges = [min(self.ridge * _GROWTH**step, 1.0) for step in range(_STEPS)]
        # row sums of the approximation for all ridges, in one product with the columns
        masses = xp.concat([damped.times(sums, ridge) for ridge in ridges], axis=-1)
        found = left @ masses  # (..., n_q, steps)
        # lexicographic order: the number of bad rows, then that of rows that are surely wrong
        missed = xp.count_nonzero(~(found > 0), axis=-2) * (left.shape[-2] + 1)
        missed = missed + xp.count_nonzero(found < known[..., None], axis=-2)
        best = xp.argmin(missed, axis=-1)  # the first of equal ones
        ridge = xp.take(xp.asarray(ridges, dtype=core.dtype, device=device(core)), xp.reshape(best, (-1,)))
        ridge = xp.reshape(ridge, best.shape)
        return damped.matrix(ridge), ridge

    def cost(self, problem: AttentionProblem) -> Cost:
        """Count scores of rows and columns for each sweep and once more, pivots, and the products with the values."""
        h, n_q, n_k, d, e = problem.heads, problem.n_q, problem.n_k, problem.width, problem.value_width
        r = min(self.columns, n_q, n_k)
        scores = 2.0 * h * (n_q + n_k) * r * d
        pivots = h * ((n_q + n_k) * r * r - 2 * r**3 / 3)
        # leverage scores: two Gram matrices and triangular solves of a basis, and its rotation to singular vectors
        start = h * (8.0 * (n_k if self.sweeps else n_q + n_k) * d * d + 22.0 * d**3)
        # eigenvectors of the intersection take about 9 r^3, its products 6 r^3, a singular value decomposition 22 r^3
        tried = _STEPS + 1 if self.ridge else 1
        small = (15.0 if self.ridge else 22.0) * r**3 + 2.0 * r * r * (e + 1)
        applied = h * (2.0 * r * (n_k * (e + 1) + n_q * (e + 1 + tried)) + small)
        return Cost(
            flops=start + (1 + self.sweeps) * scores + self.sweeps * pivots + applied,
            scalars_moved=float(h * (n_q + n_k) * ((1 + self.sweeps) * (d + 2 * r) + e)),
            peak_scalars=float((n_q + n_k) * r + h * (n_q * (e + 1) + r * (d + e + r))),  # the kernels of one head
            state_per_token=0.0,
        )


def _by_leverage(x: Array, size: int, drawn: Array) -> Array:
    """Return ``size`` distinct rows (..., size) of matrices (..., n, d), sampled by their leverage scores.

    They are samples one after the other; ``drawn`` (n,) are uniform numbers.
    """
    xp = array_namespace(x)
    largest = xp.max(xp.abs(x), axis=(-2, -1), keepdims=True)  # leverage does not depend on the size
    scores = leverage_scores(x / xp.where(largest > 0, largest, xp.ones_like(largest)))
    least = xp.full_like(scores, eps(x))  # rows of zeros are selected last, but remain distinct
    clocks = -xp.log(1 - drawn) / xp.maximum(scores, least)  # exponential clocks: their order is successive sampling
    return xp.argsort(clocks, axis=-1)[..., :size]


def _pivots(columns: Array) -> Array:
    """Return the DEIM row indices (..., r) of the ranges of matrices (..., n, r).

    Row pivots of Gaussian elimination do not change where columns are combined with those before them: an orthonormal
    basis, by a triangular factor, has the same as the columns themselves.
    """
    return deim(columns)


def _with_ones(x: Array) -> Array:
    """Return x with one more column, of ones, whose product with a column of the other factor is added to scores."""
    xp = array_namespace(x)
    return xp.concat([x, xp.ones_like(x[..., :1])], axis=-1)
