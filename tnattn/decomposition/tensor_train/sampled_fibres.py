"""Estimation of the error of a tensor train from random fibres."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tnattn.arrays import Array, Rng, array_namespace, contract, device, multi_indices
from tnattn.decomposition.entries import CountedEntries
from tnattn.structured.gather import gather_rows
from tnattn.structured.tensor_train import TensorTrain

__all__ = ["SampledFibres"]

FEWEST = 16  # fibres of a mode, at least: fewer do not estimate a variance


@dataclass(frozen=True, eq=False)
class SampledFibres:
    """Residuals of a train on fibres of every mode.

    Parameters
    ----------
    indices : Array, (..., m, d), integer
        Multi-indices of all entries of the fibres.
    residual, values : Array, (..., m)
        Entry minus that of the train, and entry.
    train_entry : Array, (...)
        Root mean square of all entries of the train.
    fibres : tuple of (int, int)
        Number and length of the fibres of every mode, in the order of the entries.

    Notes
    -----
    Fibres rather than single entries: of a tensor with one large entry in every fibre, such as the weights of
    attention to single keys, a sample of single entries would contain none. Fibres of every mode, for an interpolation
    is exact on the fibres that it was computed from, so that the residuals on fibres of one mode may all vanish.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.entries import ArrayEntries, CountedEntries
    >>> from tnattn.decomposition.tensor_train import TTSVD
    >>> from tnattn.decomposition.tensor_train.sampled_fibres import sample_fibres
    >>> tensor = np.random.default_rng(0).standard_normal((8, 9, 10))
    >>> train, source = TTSVD(ranks=4)(tensor), CountedEntries(ArrayEntries(tensor, 3), 3)
    >>> fibres = sample_fibres(source, train, entries=400, rng=np.random.default_rng(1))
    >>> fibres.count, round(float(fibres.relative_error), 2), round(float(train.residual), 2)
    (48, 0.78, 0.76)
    """

    indices: Array
    residual: Array
    values: Array
    train_entry: Array
    fibres: tuple[tuple[int, int], ...]

    @property
    def count(self) -> int:
        """Number of fibres."""
        return sum(number for number, _ in self.fibres)

    @property
    def relative_error(self) -> Array:
        """Norm of the residuals over that of the entries (...); the norm of the residuals where all entries are 0."""
        xp = array_namespace(self.values)
        error, size, _ = self._means()
        known = size > 0
        ratio = xp.sqrt(error / xp.where(known, size, xp.ones_like(size)))
        return xp.where(known, ratio, xp.sqrt(error) * self._unit()[..., 0])

    def interval(self) -> tuple[Array, Array]:
        """Return asymptotic confidence bounds (...), (...) on the relative error of the train; not a certificate.

        Three standard errors of the logarithm of the ratio of the two sums of squares, each fibre one sample:
        nearly always right where squares of residuals have light tails, in 85 to 100 percent of the runs for weights of
        trained heads. It reflects the spread among the sampled fibres; an error in few entries that none of them meets
        is not detected.
        """
        xp, estimate = array_namespace(self.values), self.relative_error
        error, size, gain = self._means()
        residual, values = self.residual / self._unit(), self.values / self._unit()
        # the same estimator of the squared norm as in ``_means``, entry by entry
        squares = xp.where(gain[..., None], residual * (2 * values - residual), values * values)
        parts = [
            x / xp.where(mean != 0, mean, xp.ones_like(mean))[..., None]
            for x, mean in ((residual * residual, error), (squares, size))
        ]
        variance, start, total = xp.zeros_like(error), 0, self.values.shape[-1]
        for number, n in self.fibres:
            # delta method: the relative deviation of the ratio is the difference of those of the two sums
            sums = [
                xp.sum(xp.reshape(x[..., start : start + number * n], (*x.shape[:-1], number, n)), axis=-1)
                for x in parts
            ]
            variance = variance + number * xp.var((sums[0] - sums[1]) / total, axis=-1, correction=1)
            start += number * n
        spread = 1.5 * xp.sqrt(variance)  # three standard errors, halved by the square root of the ratio
        return estimate * xp.exp(-spread), estimate * xp.exp(spread)

    def _unit(self) -> Array:
        """Return the largest entry (..., 1), so that squares of multiples of it neither overflow nor vanish."""
        xp = array_namespace(self.values)
        largest = xp.maximum(xp.max(xp.abs(self.values), axis=-1), xp.max(xp.abs(self.residual), axis=-1))
        largest = xp.maximum(largest, self.train_entry)[..., None]
        return xp.where(largest > 0, largest, xp.ones_like(largest))

    def _means(self) -> tuple[Array, Array, Array]:
        """Return the mean squares (...) of residuals and entries, in units, and the mask of those that use the train.

        The norm of the train is known, and only the difference of the squared norms is sampled: a control variate.
        Without it, one fibre with most of the mass, such as a key with most of the weights, dominates the variance.
        """
        xp, unit = array_namespace(self.values), self._unit()
        residual, values = self.residual / unit, self.values / unit
        # a^2 = t^2 + (a - t)(a + t) with a - t the residual and a + t = 2 a - residual
        of_train = (self.train_entry / unit[..., 0]) ** 2 + xp.mean(residual * (2 * values - residual), axis=-1)
        gain = of_train > 0  # the sampled difference may exceed the norm of the train: then plain means
        size = xp.where(gain, of_train, xp.mean(values * values, axis=-1))
        return xp.mean(residual * residual, axis=-1), size, gain

    def worst(self, count: int) -> Array:
        """Return the multi-indices (..., count, d) of the largest residuals, those of different fibres first."""
        xp, start = array_namespace(self.residual), 0
        magnitude = xp.abs(self.residual)
        most, parts = xp.max(magnitude, axis=-1)[..., None, None], []
        for number, n in self.fibres:
            part = xp.reshape(magnitude[..., start : start + number * n], (*magnitude.shape[:-1], number, n))
            # the maximum of every fibre is raised above all other entries, for it to come first in the order
            raised = xp.where(part == xp.max(part, axis=-1, keepdims=True), part + most, part)
            parts.append(xp.reshape(raised, (*magnitude.shape[:-1], number * n)))
            start += number * n
        order = xp.argsort(xp.concat(parts, axis=-1), axis=-1, descending=True)
        return gather_rows(self.indices, order[..., : min(count, order.shape[-1]), None])[..., 0, :]


def sample_fibres(
    source: CountedEntries, train: TensorTrain, *, entries: int, rng: Rng, fewest: int = FEWEST
) -> SampledFibres:
    """Compare a train with a tensor on random fibres of every mode, about ``entries`` entries, ``fewest`` fibres each.

    O(f r (n + d r)) operations beyond the entries.
    """
    xp, sizes = array_namespace(source.like), source.sizes
    found, fibres = [], []
    for mode, n in enumerate(sizes):
        count = max(fewest, entries // (n * len(sizes)))  # an equal share of the entries for every mode
        shape = (*source.batch, count)
        drawn = multi_indices(rng, sizes, shape, like=source.like)
        digits = [drawn[..., j] for j in range(len(sizes))]
        values = xp.reshape(_fibres(train, digits, mode), (*source.batch, count * n))
        running = xp.arange(n, dtype=xp.int64, device=device(source.like))
        spread = [running if j == mode else digit[..., None] for j, digit in enumerate(digits)]
        indices = xp.stack([xp.broadcast_to(digit, (*shape, n)) for digit in spread], axis=-1)
        indices = xp.reshape(indices, (*source.batch, count * n, len(sizes)))
        exact = source.entries(indices)
        found.append((indices, exact - values, exact))
        fibres.append((count, n))
    indices, residual, exact = zip(*found, strict=True)
    return SampledFibres(
        indices=xp.concat(indices, axis=-2),
        residual=xp.concat(residual, axis=-1),
        values=xp.concat(exact, axis=-1),
        train_entry=train.norm() / math.sqrt(math.prod(sizes)),
        fibres=tuple(fibres),
    )


def _fibres(train: TensorTrain, digits: list[Array], mode: int) -> Array:
    """Return the fibres (..., f, n) of a mode at given indices (..., f) of the other modes."""
    cores = list(train.cores)
    left = _slice(cores[0], digits[0]) if mode else None  # (..., f, 1, r)
    for core, digit in zip(cores[1:mode], digits[1:mode], strict=True):
        left = contract("...fxa,...fab->...fxb", left, _slice(core, digit))
    right = None
    for core, digit in zip(cores[:mode:-1], digits[:mode:-1], strict=True):
        piece = _slice(core, digit)
        right = piece if right is None else contract("...fab,...fbx->...fax", piece, right)
    middle = cores[mode]
    if left is None:
        fibres = middle[..., 0, :, :][..., None, :, :]  # (..., 1, n, r)
    else:
        fibres = contract("...fa,...anb->...fnb", left[..., 0, :], middle)
    if right is None:
        return fibres[..., 0]
    if left is None:
        return contract("...nb,...fb->...fn", fibres[..., 0, :, :], right[..., 0])
    return contract("...fnb,...fb->...fn", fibres, right[..., 0])


def _slice(core: Array, digits: Array) -> Array:
    """Return the slices (..., f, a, b) of a core (..., a, n, b) at indices (..., f)."""
    xp = array_namespace(core)
    *batch, a, n, b = core.shape
    moved = xp.permute_dims(core, (*range(len(batch)), *(len(batch) + j for j in (1, 0, 2))))
    picked = gather_rows(xp.reshape(moved, (*batch, n, a * b)), digits[..., None])
    return xp.reshape(picked, (*picked.shape[:-2], a, b))
