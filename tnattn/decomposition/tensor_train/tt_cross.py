"""Tensor-train cross approximation: few entries of the tensor, chosen by alternating sweeps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import (
    Array,
    Rng,
    array_namespace,
    device,
    eps,
    is_array,
    require_rng,
)
from tnattn.decomposition.base import require_at_least
from tnattn.decomposition.entries import (
    ArrayEntries,
    CountedEntries,
    EntryTensor,
    LargerEntry,
    prefixed,
    suffixed,
    united,
)
from tnattn.decomposition.tensor_train.cross_train import CrossFit, CrossTrain, solved
from tnattn.decomposition.tensor_train.pivoting import every_row, fitted, interpolation
from tnattn.decomposition.tensor_train.sampled_fibres import SampledFibres, sample_fibres
from tnattn.decomposition.tensor_train.train_truncation import TrainTruncation
from tnattn.decomposition.tensor_train.tt_rounding import TTRounding
from tnattn.decomposition.tensor_units import restored_tensor
from tnattn.device_budget import DeviceBudget, DeviceCounts, sweeps_taken
from tnattn.linalg import rank_for_tolerance, small_svd
from tnattn.randnla.accuracy import warn_of_missed, within
from tnattn.structured.tensor_train import TensorTrain

FIRST_RANK = 8  # largest rank of the first sweep if a tolerance is given
SWEEPS = (2, 6)  # for given ranks, where a third pass gains a few percent; for a tolerance, whose ranks must grow
FINAL_FIBRES = 48  # of each mode, at least, for the error estimate of the result
FIT = 0.8  # share of the tolerance for the error of the fit
MARGIN = 0.7  # share of the remainder for the rounding: the final estimate has an interval too


@dataclass(frozen=True)
class TTCross(TrainTruncation):
    """Fit a train to the entries of few fibres of a tensor, found by alternating sweeps.

    Parameters
    ----------
    ranks : int or tuple of int, optional
        Ranks of the inner bonds.
    rtol : float, optional
        Relative error at which sweeps end, by the upper confidence bound from sampled fibres. No guarantee: a
        ``ToleranceWarning`` reports that it is not met, ``CrossTrain.converged`` for which tensors. Ranks at most
        double from one sweep to the next.
    sweeps : int, optional
        Passes from the left, at most; 2 for given ranks and 6 for a tolerance by default.
    enrichment : float
        At least 1: the bonds of the cross are this many times the given ranks; rounding removes the rest.
    rows_per_column : float
        At least 1: a bond is fitted by least squares to this many times as many rows as it has columns; 1 interpolates.
    oversampling : int
        Further columns that each step looks at: at random first, then where the last train was worst.
    samples : int
        Entries, about, on which a train is checked after each sweep and at the end: 16 fibres of each mode at least,
        and 48 at the end.
    order : int
        Number of modes.

    Notes
    -----
    With bonds of c = enrichment r + oversampling columns and s = rows_per_column c rows: O(sweeps d n s c) entries,
    O(sweeps d n s c^2) operations, memory O(n s c); the tensor is never formed. Oseledets & Tyrtyshnikov 2010, with
    left-nested rows. Deviations: a bond that r columns and r rows determine alone loses a factor sqrt(r n) to the
    pivots in the worst case, and 2 to 10 in practice; more rows and columns, fitted and rounded, come near to the best
    train. Columns are added where sampled residuals are large. A bond that can hold all rows reads nothing. A stack
    shares its ranks, the largest that one of its tensors needs.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tensor_train import TTCross
    >>> i, j, k = np.ogrid[:40, :40, :40]
    >>> train = TTCross(rtol=1e-3)(1 / (1.0 + i + j + k), rng=np.random.default_rng(0))
    >>> train.evaluations < 40**3, bool(train.converged), bool(train.interval[1] <= 1e-3)
    (True, True, True)
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(600, waits=20, copies=16),
        {"bond of a sweep": DeviceCounts(700, waits=12, copies=10), "pivot of a bond": DeviceCounts(60)},
    )

    sweeps: int | None = None
    enrichment: float = 2.0
    rows_per_column: float = 1.5
    oversampling: int = 4
    samples: int = 1024

    reads_entries: ClassVar[bool] = True
    certifies: ClassVar[bool] = False  # the error is estimated, with confidence bounds
    residual_is: ClassVar = "an estimate"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sweeps is not None:
            require_at_least("sweeps", self.sweeps, low=1, cure="one pass makes a train")
        require_at_least("oversampling", self.oversampling, low=0, cure="0 looks at as many columns as bonds")
        require_at_least("samples", self.samples, low=1, cure="a train without a check has no error estimate")
        for name, value in (("enrichment", self.enrichment), ("rows_per_column", self.rows_per_column)):
            if not 1 <= value < math.inf:
                raise ValueError(f"{name} is {value!r}; a number of at least 1 is needed: 1 adds nothing")

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        sweeps = sweeps_taken(self.sweeps or SWEEPS[self.ranks is None], result)
        bonds = result.fit.train.largest_ranks if result is not None else self.rank_limits(target.shape[-self.order :])
        passes, most = 2 * sweeps * (self.order - 1), math.ceil(self.rows_per_column * (max(bonds) + self.oversampling))
        return {"bond of a sweep": passes, "pivot of a bond": passes * most}

    def decompose(self, tensor: Array | EntryTensor, *, rng: Rng | None) -> CrossTrain:
        generator = require_rng(rng, type(self).__name__)
        source = CountedEntries(ArrayEntries(tensor, self.order) if is_array(tensor) else tensor, self.order)
        while True:
            try:
                return restored_tensor(self._crossed(source, generator), source.exponent)
            except LargerEntry:  # each time by more than half of the range of the dtype, so that it ends soon
                continue

    def _crossed(self, source: CountedEntries, generator: Rng) -> CrossTrain:
        """Fit a train to the entries, in the current unit, by alternating sweeps."""
        ranks = self.ranks_for(source.sizes)
        bonds = self._bonds(source, ranks)
        columns, most = self._first_columns(source, bonds, generator), self.sweeps or SWEEPS[ranks is None]
        for sweep in range(1, most + 1):
            fit = self._forward(source, columns, self._share(sweep))
            if sweep == most and ranks is not None:  # nothing to decide: the entries of a check are saved
                rounding = TTRounding(ranks=ranks)
                break
            check = sample_fibres(source, fit.train, entries=self.samples, rng=generator)
            if sweep == most or self._suffices(check):
                rounding = TTRounding(ranks=ranks) if ranks is not None else self._rest(check, max(source.sizes))
                break
            columns = self._next_columns(source, bonds, fit, columns, check, self._share(sweep))
        return self._judged(source, fit, rounding, sweep, generator)

    def _judged(self, source: CountedEntries, fit: CrossFit, rounding: TTRounding, sweeps: int, rng: Rng) -> CrossTrain:
        """Round a train and estimate its error on new fibres, independent of its construction."""
        xp = array_namespace(source.like)
        ranks, bonds = rounding.ranks, fit.train.largest_ranks
        if isinstance(ranks, tuple) and all(bond <= rank for bond, rank in zip(bonds, ranks, strict=True)):
            equal = [xp.full(source.batch, bond, dtype=xp.int64, device=device(source.like)) for bond in bonds]
            train, true_ranks = fit.train, xp.stack(equal, axis=-1)
        else:
            rounded = rounding(fit.train)
            train, true_ranks = rounded, rounded.ranks
        final = sample_fibres(source, train, entries=self.samples, rng=rng, fewest=FINAL_FIBRES)
        interval = final.interval()
        converged = within(interval[1], self.rtol or 0.0)
        if self.rtol is not None:
            spent = f"ranks {train.largest_ranks} after {sweeps} sweeps, as far as {final.count} fibres can tell,"
            warn_of_missed(converged, interval[1], self.rtol, spent)
        return CrossTrain(
            train.cores,
            ranks=true_ranks,
            fit=fit,
            evaluations=source.evaluations,
            residual=final.relative_error,
            interval=interval,
            converged=converged,
            sampled_fibres=final.count,
            sweeps=sweeps,
        )

    def _suffices(self, check: SampledFibres) -> bool:
        """Return true if the upper confidence bound is below the share of the tolerance for the fit."""
        xp = array_namespace(check.residual)
        return bool(xp.all(within(check.interval()[1], 0.0 if self.rtol is None else FIT * self.rtol)))

    def _rest(self, check: SampledFibres, longest: int) -> TTRounding:
        """Return the rounding that may spend what a fit has left of a tolerance: their errors are nearly orthogonal."""
        xp, rtol = array_namespace(check.residual), self.rtol or 0.0
        spent = min(FIT, float(xp.max(check.interval()[1])) / rtol)
        least = longest * eps(check.residual)  # a smaller tolerance cannot be resolved
        return TTRounding(rtol=max(MARGIN * math.sqrt(1 - spent**2) * rtol, least))

    def _share(self, sweep: int) -> float:
        """Return what a step may discard of its columns: less from sweep to sweep, for the fit amplifies it."""
        allowed = (self.rtol or 0.0) / math.sqrt(self.order - 1)
        return math.ldexp(allowed, -sweep - 1)

    def _bonds(self, source: CountedEntries, ranks: tuple[int, ...] | None) -> list[int] | None:
        """Return the number of columns of each bond in a backward pass; None if the tolerance decides."""
        if ranks is None:
            return None
        limits = self.rank_limits(source.sizes)
        return [min(limit, math.ceil(self.enrichment * rank)) for rank, limit in zip(ranks, limits, strict=True)]

    def _first_columns(self, source: CountedEntries, bonds: list[int] | None, rng: Rng) -> list[Array]:
        """Return random multi-indices (..., c, d - k - 1) of the modes to the right of each bond, or all of them."""
        limits = self.rank_limits(source.sizes)
        wanted = [FIRST_RANK] * len(limits) if bonds is None else bonds
        counts = [min(limit, count + self.oversampling) for limit, count in zip(limits, wanted, strict=True)]
        return [source.right_of(k, count, rng) for k, count in enumerate(counts)]

    def _forward(self, source: CountedEntries, columns: Sequence[Array], share: float) -> CrossFit:
        """Choose rows from the left, and return the train that is fitted to them."""
        left = source.no_index()
        inverse: Array | None = None
        cores: list[Array] = []
        rows: list[Array] = []
        inverses: list[Array] = []
        for k, n in enumerate(source.sizes[:-1]):
            count = left.shape[-2]
            if columns[k].shape[-2] >= count * n:  # all rows: exact, without reading an entry
                chosen, coefficients, solve = every_row(source.like, source.batch, count * n)
            else:
                # the SVD drops columns that are rounding; maxvol rows make the interpolation well conditioned
                basis = self._basis(source.block(left, k, columns[k]), share)
                r = basis.shape[-1]
                chosen, coefficients, solve = fitted(basis, min(count * n, math.ceil(self.rows_per_column * r)))
            cores.append(solved(inverse, coefficients, n))
            left, inverse = suffixed(left, chosen, n), solve
            rows.append(left)
            inverses.append(solve)
        xp, last = array_namespace(source.like), len(source.sizes) - 1
        entries = source.block(left, last, source.no_index())  # (..., s, n, 1)
        n = source.sizes[last]
        cores.append(solved(inverse, xp.reshape(entries, (*source.batch, left.shape[-2] * n, 1)), n))
        return CrossFit(TensorTrain(tuple(cores)), tuple(rows), tuple(inverses))

    def _next_columns(
        self,
        source: CountedEntries,
        bonds: list[int] | None,
        fit: CrossFit,
        columns: Sequence[Array],
        check: SampledFibres,
        share: float,
    ) -> list[Array]:
        """Return columns for every bond, chosen from the right by the rows and by the largest sampled residuals."""
        extra = self._extra(source, fit.train)
        worst = check.worst(max(extra))
        right, found = source.no_index(), list(columns)
        for k in range(len(source.sizes) - 1, 0, -1):
            n, count, bond = source.sizes[k], right.shape[-2], k - 1
            if math.prod(source.sizes[:k]) <= columns[bond].shape[-2]:
                break  # this bond and all before it hold every row
            if bonds is not None and bonds[bond] >= n * count:
                chosen, _, _ = every_row(source.like, source.batch, n * count)
            else:
                # the interpolating rows come first and suffice to distinguish columns
                rows = fit.rows[bond][..., : fit.inverses[bond].shape[-2], :]
                block = source.block(united(rows, worst[..., : extra[bond], :k]), k, right)  # (..., s, n, c)
                basis = self._basis(_moved(block), share, None if bonds is None else bonds[bond])
                chosen, _ = interpolation(basis)
            right = prefixed(right, chosen)
            found[bond] = united(right, worst[..., : extra[bond], k:])
        return found

    def _extra(self, source: CountedEntries, train: TensorTrain) -> list[int]:
        """Return the number of further rows and columns of each bond in the next sweep."""
        if self.ranks is not None:
            return [self.oversampling] * len(train.largest_ranks)
        # as many again as the rank, so that ranks can double
        room = zip(train.largest_ranks, self.rank_limits(source.sizes), strict=True)
        return [self.oversampling + max(0, min(rank, limit - rank)) for rank, limit in room]

    def _basis(self, block: Array, share: float, most: int | None = None) -> Array:
        """Return the leading left singular vectors (..., l n, r) of a block (..., l, n, c) as a matrix (..., l n, c).

        All of them that are not rounding, or that a tolerance asks for; ``most`` at most.
        """
        xp = array_namespace(block)
        m, c = block.shape[-3] * block.shape[-2], block.shape[-1]
        u, s, _ = small_svd(xp.reshape(block, (*block.shape[:-3], m, c)))
        if self.rtol is None:
            # not max(m, c) eps, which reaches a percent of s_1 in float32 for long sequences
            ranks = xp.sum(xp.astype(s > c * eps(s) * s[..., :1], xp.int64), axis=-1)
        else:
            ranks = rank_for_tolerance(s, rtol=share)
        return u[..., : min(max(1, int(xp.max(ranks))), most or c)]


def _moved(block: Array) -> Array:
    """Return a block (..., n, c, l) from (..., l, n, c)."""
    first = block.ndim - 3
    return array_namespace(block).permute_dims(block, (*range(first), first + 1, first + 2, first))
