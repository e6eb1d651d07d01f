"""Rows of a Khatri-Rao product sampled by products of leverage scores, without forming it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tnattn.arrays import Array, Rng, array_namespace, device, require_rng, uniform
from tnattn.decomposition.base import require_at_least
from tnattn.randnla.scores.leverage import leverage_scores, sample_indices
from tnattn.scalars import Parameters
from tnattn.structured.gather import gather_rows
from tnattn.structured.khatri_rao import KhatriRao
from tnattn.structured.sparse import Sparse

__all__ = ["KhatriRaoSampling"]


@dataclass(frozen=True)
class KhatriRaoSampling(Parameters):
    """Sampling of rows of a Khatri-Rao product with replacement, by the products of its factors' leverage scores.

    Parameters
    ----------
    samples : int
        Number of samples, positive.
    deterministic : int
        Rows of the largest probability that are taken in addition, for certain and with weight one; at most all.

    Notes
    -----
    O(n r^2 + samples log n) for factors of n rows; the deterministic rows take deterministic^N comparisons. The
    products bound the leverage scores of the Khatri-Rao product (Cheng, Peng, Liu and Perros 2016), to which they add
    up within a factor ``r^(N-1)`` for N factors of full column rank. Larsen and Kolda 2022. Deviation: samples that
    repeat a deterministic row have weight zero, where the paper samples anew.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.cp import KhatriRaoSampling
    >>> from tnattn.structured.khatri_rao import KhatriRao
    >>> rng = np.random.default_rng(0)
    >>> product = KhatriRao((rng.standard_normal((50, 4)), rng.standard_normal((60, 4))))
    >>> sampling = KhatriRaoSampling(samples=200, deterministic=10)(product, rng=rng)
    >>> product.shape, sampling.shape
    ((3000, 4), (210, 3000))
    """

    samples: int = 64
    deterministic: int = 0

    def __post_init__(self) -> None:
        require_at_least("samples", self.samples, low=1, cure="draw some rows")
        require_at_least("deterministic", self.deterministic, low=0, cure="0 takes no row for certain")

    def __call__(self, matrix: KhatriRao, *, rng: Rng | None = None) -> Sparse:
        """Return the sampling matrices S, (..., deterministic + samples, rows)."""
        indices, scales = self.draw(matrix.factors, rng=rng)
        rows = _place(indices, [int(factor.shape[-2]) for factor in matrix.factors])
        return Sparse(scales[..., None], rows[..., None], int(matrix.shape[-2]))

    def draw(
        self, factors: Sequence[Array], *, rng: Rng | None, scores: Sequence[Array] | None = None
    ) -> tuple[list[Array], Array]:
        """Sample rows, given by one index for each factor.

        Parameters
        ----------
        factors : sequence of Array, (..., n_j, r)
        rng : numpy.random.Generator or DeviceDraws
        scores : sequence of Array, (..., n_j), optional
            The leverage scores of the factors, if they are known.

        Returns
        -------
        indices : list of Array, (..., deterministic + samples), integer
        scales : Array, (..., deterministic + samples)
            ``S^T S`` with the rows scaled by them is the identity in expectation, on the rows of positive probability.
        """
        xp = array_namespace(*factors)
        source = require_rng(rng, "KhatriRaoSampling")
        scores = [leverage_scores(factor) for factor in factors] if scores is None else scores
        # a factor of zeros has no leverage: probabilities zero, and scales zero below
        chances = [p / xp.where(xp.sum(p, axis=-1) > 0, xp.sum(p, axis=-1), 1.0)[..., None] for p in scores]
        numbers = uniform(source, (len(chances), self.samples), like=chances[0])  # one transfer for all factors
        drawn = [sample_indices(p, numbers[j, :]) for j, p in enumerate(chances)]
        # independent indices: the probability of a row is the product of those of its indices
        chance = math.prod(xp.take_along_axis(p, i, axis=-1) for p, i in zip(chances, drawn, strict=True))
        positive = chance > 0
        # 1 / sqrt(samples p): the Gram matrix of the sampled rows is unbiased
        scales = xp.where(positive, 1 / xp.sqrt(self.samples * xp.where(positive, chance, xp.ones_like(chance))), 0.0)
        if self.deterministic == 0:
            return drawn, xp.astype(scales, factors[0].dtype)
        certain = _most_probable(chances, self.deterministic)
        sizes = [int(factor.shape[-2]) for factor in factors]
        # samples that repeat a certain row have weight 0: the others estimate the remaining sum without bias
        again = xp.any(_place(drawn, sizes)[..., :, None] == _place(certain, sizes)[..., None, :], axis=-1)
        scales = xp.where(again, xp.zeros_like(scales), scales)
        ones = xp.ones(tuple(certain[0].shape), dtype=scales.dtype, device=device(scales))
        indices = [xp.concat([a, b], axis=-1) for a, b in zip(certain, drawn, strict=True)]
        return indices, xp.astype(xp.concat([ones, scales], axis=-1), factors[0].dtype)


def _most_probable(chances: Sequence[Array], count: int) -> list[Array]:
    """Return the indices (..., count) of the largest products of one entry of each of several vectors (..., n_j).

    Each is among the products of the ``count`` largest of every vector, which are all compared.
    """
    xp = array_namespace(*chances)
    orders = [xp.argsort(p, axis=-1, descending=True)[..., : min(count, p.shape[-1])] for p in chances]
    product = xp.ones_like(chances[0][..., :1])
    for p, order in zip(chances, orders, strict=True):
        product = product[..., :, None] * xp.take_along_axis(p, order, axis=-1)[..., None, :]
        product = xp.reshape(product, (*product.shape[:-2], -1))
    chosen = xp.argsort(product, axis=-1, descending=True)[..., :count]
    found = []
    # from the position in the table of products back to one index for each vector
    for order in reversed(orders):
        width = order.shape[-1]
        found.append(xp.take_along_axis(order, chosen % width, axis=-1))
        chosen = chosen // width
    return found[::-1]


def _place(indices: Sequence[Array], sizes: Sequence[int]) -> Array:
    """Return the row of the Khatri-Rao product, the index of the last factor running fastest."""
    place = indices[0]
    for index, n in zip(indices[1:], sizes[1:], strict=True):
        place = place * n + index
    return place


def khatri_rao_entries(factors: Sequence[Array], indices: Sequence[Array]) -> Array:
    """Return rows (..., s, r) of a Khatri-Rao product, named by one index (..., s) for each factor."""
    return math.prod(gather_rows(factor, i[..., None])[..., 0, :] for factor, i in zip(factors, indices, strict=True))
