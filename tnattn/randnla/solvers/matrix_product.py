"""Products of matrices from sampled columns and rows, or through a sketch of the inner dimension."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

from tnattn.arrays import Array, Rng, accumulator_dtype, array_namespace, device, dtype_name, require_rng, uniform
from tnattn.randnla.scores import NormOptimal, ProductProbabilities, sample_indices
from tnattn.randnla.sketches import Gaussian, Sketch, require_sketch
from tnattn.randnla.units import Unit, in_units
from tnattn.scalars import Parameters, require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.composite import Product
from tnattn.structured.conversion import as_structured
from tnattn.structured.gather import gather_rows
from tnattn.structured.low_rank import LowRankMatrix

__all__ = ["SampledProduct", "SampledProductResult", "SketchedProduct", "SketchedProductResult"]


@dataclass(frozen=True, eq=False, repr=False)
class SampledProductResult(LowRankMatrix):
    """Approximate products from columns of A and rows of B.

    Parameters
    ----------
    left : Array, (..., m, c)
        Columns of A over the root of their expected number of draws.
    right : Array, (..., c, p)
        Rows of B over the same.
    indices : Array, (..., c), integer
        The positions drawn; those of zero columns of ``left`` mean nothing.
    """

    left: Array
    right: Array
    indices: Array

    def factors(self) -> tuple[Array, Array]:
        return self.left, self.right


@dataclass(frozen=True, eq=False, repr=False)
class SketchedProductResult(LowRankMatrix):
    """Approximate products ``(A Omega) (Omega^T B)``.

    Parameters
    ----------
    left : Array, (..., m, c)
    right : Array, (..., c, p)
    """

    left: Array
    right: Array

    def factors(self) -> tuple[Array, Array]:
        return self.left, self.right


@dataclass(frozen=True)
class SampledProduct(Parameters):
    """Approximates A B by a weighted sum of a few outer products of columns of A and rows of B, without bias.

    Parameters
    ----------
    samples : int
        Number c of draws, positive; at most the inner dimension without replacement.
    probabilities : ProductProbabilities
        With replacement, of each draw. Without, the chance of an index to be among the c is c times its probability,
        or one where that exceeds one and the others share the rest.
    replacement : bool
        Independent draws if True. Else a systematic sample in random order: c distinct indices, or all of those of
        positive probability where they are fewer.

    Notes
    -----
    O((m + p) c) beyond the probabilities. Drineas, Kannan & Mahoney 2006, Algorithm 1; without replacement Madow 1949
    and the weights of Horvitz & Thompson 1952. With all indices and no replacement the product is exact. An implicit
    matrix is multiplied with unit vectors. A stack shares the random numbers, not the indices.
    """

    samples: int = 64
    probabilities: ProductProbabilities = field(default_factory=NormOptimal)
    replacement: bool = True

    def __post_init__(self) -> None:
        require_count(self.samples, "samples", least=1)
        if not isinstance(self.probabilities, ProductProbabilities):
            raise TypeError(f"probabilities is {self.probabilities!r}; NormOptimal() or the like is needed")

    @final
    def __call__(self, a: Any, b: Any = None, *, rng: Rng | None = None) -> SampledProductResult:
        """Approximate the products of two stacks of matrices.

        Parameters
        ----------
        a : as for a MatrixMethod, (..., m, n); or a structured Product of both, and ``b`` is left out
        b : as for a MatrixMethod, (..., n, p)
        rng : numpy.random.Generator or DeviceDraws

        Raises
        ------
        TypeError
            If a factor is of another kind or not floating, or ``rng`` is no generator.
        ValueError
            If the shapes do not fit, or there are too few indices to draw without replacement.
        """
        left, right, *units = _pair_in_units(a, b)
        n = left.shape[-1]
        if not self.replacement and self.samples > n:
            raise ValueError(
                f"samples {self.samples} exceeds the inner dimension {n}; reduce samples or pass replacement=True"
            )
        source = require_rng(rng, "SampledProduct")
        weights = self.probabilities.weights(left, right)
        if self.replacement:
            indices, expected = _independent(weights, self.samples, source)
        else:
            indices, expected = _systematic(weights, self.samples, source)
        xp = array_namespace(expected)
        drawn = expected > 0
        scale = xp.where(drawn, 1 / xp.sqrt(xp.where(drawn, expected, xp.ones_like(expected))), xp.zeros_like(expected))
        scale = xp.astype(scale, left.dtype, copy=False)
        columns, rows = left.columns(indices) * scale[..., None, :], right.mT.columns(indices).mT * scale[..., None]
        return SampledProductResult(*_restored_pair(columns, rows, units), indices=indices)


@dataclass(frozen=True)
class SketchedProduct(Parameters):
    """Approximates A B by ``(A Omega) (Omega^T B)`` with a test matrix of the inner dimension, without bias.

    Parameters
    ----------
    size : int
        Columns of the test matrix, positive.
    sketch : Sketch
        Its distribution.

    Notes
    -----
    A product of each factor with the sketch. It needs neither norms nor entries of the factors.
    """

    size: int = 64
    sketch: Sketch = field(default_factory=Gaussian)

    def __post_init__(self) -> None:
        require_count(self.size, "size", least=1)
        require_sketch(self.sketch)

    @final
    def __call__(self, a: Any, b: Any = None, *, rng: Rng | None = None) -> SketchedProductResult:
        """Approximate the products of two stacks of matrices; arguments as for :class:`SampledProduct`."""
        left, right, *units = _pair_in_units(a, b)
        omega = self.sketch.draw(left.shape[-1], self.size, rng=rng, like=left.like)
        return SketchedProductResult(*_restored_pair(left.sketch(omega), right.mT.sketch(omega).mT, units))


def factor_pair(a: Any, b: Any) -> tuple[StructuredMatrix, StructuredMatrix]:
    """Return the two factors as structured matrices that can be multiplied."""
    if b is None:
        if not isinstance(a, Product):  # kind of argument: both factors in one
            raise TypeError(f"b is missing and a is a {type(a).__name__}; pass both factors, or one structured Product")
        return a.left, a.right
    left, right = as_structured(a, "a"), as_structured(b, "b")
    if dtype_name(left.dtype) != dtype_name(right.dtype):
        raise TypeError(
            f"a is {dtype_name(left.dtype)} and b is {dtype_name(right.dtype)}; convert one to the dtype of the other"
        )
    if left.shape[-1] != right.shape[-2]:
        raise ValueError(
            f"a {left.shape} and b {right.shape} cannot be multiplied; the last axis of a must be as long as the "
            f"next-to-last of b"
        )
    return left, right


def _pair_in_units(a: Any, b: Any) -> tuple[StructuredMatrix, StructuredMatrix, Unit | None, Unit | None]:
    """Return two factors with entries of about one, and the unit of each."""
    (left, first), (right, second) = (in_units(x) for x in factor_pair(a, b))
    return left, right, first, second


def _restored_pair(left: Array, right: Array, units: Sequence[Unit | None]) -> tuple[Array, Array]:
    first, second = units
    return (
        left if first is None else first.restored(left, name="left"),
        right if second is None else second.restored(right, name="right"),
    )


def _independent(weights: Array, count: int, rng: Rng) -> tuple[Array, Array]:
    """Return indices (..., c) drawn with replacement, and the expected numbers of draws of each, zero for no draw."""
    xp = array_namespace(weights)
    weights = xp.astype(weights, accumulator_dtype(weights), copy=False)
    indices = sample_indices(weights, uniform(rng, (count,), like=weights))
    total = xp.sum(weights, axis=-1, keepdims=True)
    picked = gather_rows(weights[..., None], indices[..., None])[..., 0, 0]
    return indices, count * picked / xp.where(total > 0, total, xp.ones_like(total))


def _systematic(weights: Array, count: int, rng: Rng) -> tuple[Array, Array]:
    """Return distinct indices (..., c), and the chance of each to be among them, zero for no draw."""
    xp = array_namespace(weights)
    chances = inclusion_chances(weights, count)
    order = xp.argsort(uniform(rng, (weights.shape[-1],), like=weights))  # equal weights: a simple random sample
    shuffled = xp.take(chances, order, axis=-1)
    cumulative = xp.cumulative_sum(shuffled, axis=-1)
    aim = uniform(rng, (1,), like=chances) + xp.arange(count, dtype=chances.dtype, device=device(chances))
    passed = xp.sum(xp.astype(cumulative[..., None, :] <= aim[:, None], xp.int64), axis=-1)  # (..., c)
    position = xp.minimum(passed, xp.full_like(passed, weights.shape[-1] - 1))
    picked = gather_rows(shuffled[..., None], position[..., None])[..., 0, 0]
    found = passed < weights.shape[-1]
    indices = xp.reshape(xp.take(order, xp.reshape(position, (-1,))), position.shape)
    return indices, xp.where(found, picked, xp.zeros_like(picked))


def inclusion_chances(weights: Array, count: int) -> Array:
    """Return chances min(1, f w_i) (..., n) that add up to ``count``, or to the number of positive weights.

    Notes
    -----
    O(n log n): the t largest weights get chance one, t being the least number after which no chance exceeds one.
    """
    xp = array_namespace(weights)
    wide = xp.astype(weights, accumulator_dtype(weights), copy=False)
    ranked = xp.flip(xp.sort(wide, axis=-1), axis=-1)
    rest = xp.flip(xp.cumulative_sum(xp.flip(ranked, axis=-1), axis=-1), axis=-1)  # sum of ranked[t:], from small up
    n = wide.shape[-1]
    left = count - xp.arange(n, dtype=wide.dtype, device=device(wide))
    factor = left / xp.where(rest > 0, rest, xp.ones_like(rest))
    fits = (factor * ranked <= 1) | (rest <= 0)
    certain = xp.sum(xp.astype(~fits, xp.int64), axis=-1)  # what fits at t fits at t + 1
    first = xp.minimum(certain, xp.full_like(certain, n - 1))
    chosen = gather_rows(factor[..., None], first[..., None, None])[..., 0, 0, 0]
    exhausted = gather_rows(rest[..., None], first[..., None, None])[..., 0, 0, 0] <= 0
    positive = xp.astype(wide > 0, wide.dtype)
    return xp.where(exhausted[..., None], positive, xp.minimum(chosen[..., None] * wide, xp.ones_like(wide)))
