"""Matrix products by sampled columns and rows, or by a sketch of the inner dimension."""

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
        Columns of A over the root of their expected number of samples.
    right : Array, (..., c, p)
        Rows of B over the same root.
    indices : Array, (..., c), integer
        The sampled positions; those of zero columns of ``left`` are meaningless.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import SampledProduct
    >>> a, b = np.array([[1.0, 0.0, 2.0]]), np.array([[3.0], [1.0], [1.0]])
    >>> result = SampledProduct(samples=3, replacement=False)(a, b, rng=np.random.default_rng(0))
    >>> print(np.sort(result.indices), result.to_dense())
    [0 0 2] [[5.]]
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

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import SketchedProduct
    >>> a, b = np.ones((2, 50)), np.ones((50, 3))
    >>> result = SketchedProduct(size=8)(a, b, rng=np.random.default_rng(0))
    >>> print(result.left.shape, result.right.shape, result.shape)
    (2, 8) (8, 3) (2, 3)
    """

    left: Array
    right: Array

    def factors(self) -> tuple[Array, Array]:
        return self.left, self.right


@dataclass(frozen=True)
class SampledProduct(Parameters):
    """Unbiased approximation of A B by a weighted sum of a few outer products of columns of A and rows of B.

    Parameters
    ----------
    samples : int
        Number c of samples, positive; at most the inner dimension without replacement.
    probabilities : ProductProbabilities
        With replacement, of each sample. Without, an index has the inclusion probability c times its probability; where
        that exceeds one it is one, and the others are scaled to the sum c.
    replacement : bool
        Independent samples if True. Else a systematic sample in random order: c distinct indices, or all indices of
        positive probability if they are fewer.

    Notes
    -----
    O((m + p) c) beyond the probabilities. Drineas, Kannan & Mahoney 2006, Algorithm 1; without replacement Madow 1949
    and the weights of Horvitz & Thompson 1952. With all indices and no replacement the product is exact. Columns of
    an implicit matrix are products with unit vectors. A stack shares the random numbers, not the indices.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import SampledProduct
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.standard_normal((20, 1000)), rng.standard_normal((1000, 30))
    >>> for samples in 50, 500:
    ...     error = a @ b - SampledProduct(samples=samples)(a, b, rng=rng).to_dense()
    ...     print(round(float(np.linalg.norm(error) / (np.linalg.norm(a) * np.linalg.norm(b))), 2))
    0.13
    0.05
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
        a : as for a MatrixMethod, (..., m, n); or a structured Product of both, and no ``b``
        b : as for a MatrixMethod, (..., n, p)
        rng : numpy.random.Generator or DeviceDraws

        Raises
        ------
        TypeError
            If a factor is of another kind or not floating, or ``rng`` is no generator.
        ValueError
            If the shapes do not fit, or the inner dimension is too small to sample without replacement.
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
        # E[sum a_k b_k / expected_k] = A B; the root of the weight on either side
        drawn = expected > 0
        scale = xp.where(drawn, 1 / xp.sqrt(xp.where(drawn, expected, xp.ones_like(expected))), xp.zeros_like(expected))
        scale = xp.astype(scale, left.dtype, copy=False)
        columns, rows = left.columns(indices) * scale[..., None, :], right.mT.columns(indices).mT * scale[..., None]
        return SampledProductResult(*_restored_pair(columns, rows, units), indices=indices)


@dataclass(frozen=True)
class SketchedProduct(Parameters):
    """Unbiased approximation ``(A Omega) (Omega^T B)`` of A B, with a test matrix of the inner dimension.

    Parameters
    ----------
    size : int
        Columns of the test matrix, positive.
    sketch : Sketch
        Its distribution.

    Notes
    -----
    A product of each factor with the sketch; neither norms nor entries of the factors are read.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import SketchedProduct
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.standard_normal((20, 1000)), rng.standard_normal((1000, 30))
    >>> for size in 50, 500:
    ...     error = a @ b - SketchedProduct(size=size)(a, b, rng=rng).to_dense()
    ...     print(round(float(np.linalg.norm(error) / (np.linalg.norm(a) * np.linalg.norm(b))), 2))
    0.15
    0.04
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
    """Return indices (..., c) sampled with replacement, and their expected numbers of samples, zero for no sample."""
    xp = array_namespace(weights)
    weights = xp.astype(weights, accumulator_dtype(weights), copy=False)
    indices = sample_indices(weights, uniform(rng, (count,), like=weights))
    total = xp.sum(weights, axis=-1, keepdims=True)
    picked = gather_rows(weights[..., None], indices[..., None])[..., 0, 0]
    return indices, count * picked / xp.where(total > 0, total, xp.ones_like(total))


def _systematic(weights: Array, count: int, rng: Rng) -> tuple[Array, Array]:
    """Return distinct indices (..., c) and their inclusion probabilities, zero for no sample (Madow 1949)."""
    xp = array_namespace(weights)
    chances = inclusion_chances(weights, count)
    order = xp.argsort(uniform(rng, (weights.shape[-1],), like=weights))  # equal weights: a simple random sample
    shuffled = xp.take(chances, order, axis=-1)
    cumulative = xp.cumulative_sum(shuffled, axis=-1)
    # one uniform number and unit steps through sums of inclusion probabilities of at most one: distinct indices
    aim = uniform(rng, (1,), like=chances) + xp.arange(count, dtype=chances.dtype, device=device(chances))
    passed = xp.sum(xp.astype(cumulative[..., None, :] <= aim[:, None], xp.int64), axis=-1)  # (..., c)
    position = xp.minimum(passed, xp.full_like(passed, weights.shape[-1] - 1))
    picked = gather_rows(shuffled[..., None], position[..., None])[..., 0, 0]
    inside = passed < weights.shape[-1]  # fewer positive weights than samples: no index
    indices = xp.reshape(xp.take(order, xp.reshape(position, (-1,))), position.shape)
    return indices, xp.where(inside, picked, xp.zeros_like(picked))


def inclusion_chances(weights: Array, count: int) -> Array:
    """Return inclusion probabilities min(1, f w_i) (..., n) with the sum ``count``, or the number of positive weights.

    Notes
    -----
    O(n log n): the t largest weights get the probability one, t being the least number after which none exceeds one.
    """
    xp = array_namespace(weights)
    wide = xp.astype(weights, accumulator_dtype(weights), copy=False)
    ranked = xp.flip(xp.sort(wide, axis=-1), axis=-1)
    # tails[t] = sum of ranked[t:], added from the smallest up
    tails = xp.flip(xp.cumulative_sum(xp.flip(ranked, axis=-1), axis=-1), axis=-1)
    n = wide.shape[-1]
    uncertain = count - xp.arange(n, dtype=wide.dtype, device=device(wide))
    factor = uncertain / xp.where(tails > 0, tails, xp.ones_like(tails))
    fits = (factor * ranked <= 1) | (tails <= 0)
    certain = xp.sum(xp.astype(~fits, xp.int64), axis=-1)  # what fits at t fits at t + 1
    first = xp.minimum(certain, xp.full_like(certain, n - 1))
    chosen = gather_rows(factor[..., None], first[..., None, None])[..., 0, 0, 0]
    exhausted = gather_rows(tails[..., None], first[..., None, None])[..., 0, 0, 0] <= 0
    positive = xp.astype(wide > 0, wide.dtype)
    return xp.where(exhausted[..., None], positive, xp.minimum(chosen[..., None] * wide, xp.ones_like(wide)))
