"""Tensor trains from few entries: cross interpolation with alternating sweeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, Rng, array_namespace, broadcast_shape, device, integers, is_array, require_rng
from tnattn.decomposition.base import require_integer
from tnattn.decomposition.entries import ArrayEntries, EntryTensor
from tnattn.decomposition.pivoting import interpolation
from tnattn.decomposition.sampled_fibres import SampledFibres, sample_fibres
from tnattn.decomposition.train_truncation import TrainTruncation
from tnattn.linalg import rank_for_tolerance, small_svd
from tnattn.structured.sparse import gather_rows
from tnattn.structured.tensor_train import TensorTrain

BLOCK = 1 << 20  # entries asked for at a time
FIRST_RANK = 8  # of a tolerance: what the first sweep may find


@dataclass(frozen=True, eq=False, repr=False)
class CrossTrain(TensorTrain):
    """A train interpolated from entries; all cores but the last are interpolation matrices.

    Parameters
    ----------
    cores
        See ``TensorTrain``. Core k, as a matrix (..., r_k n_k, r_{k+1}), is the identity in the rows chosen for bond
        k + 1; the last core holds the entries of the chosen rows.
    rows : tuple of Array, (..., r_{k+1}, k + 1), integer
        Multi-indices of the first k + 1 modes, chosen for each bond, nested.
    evaluations : int
        Entries that were computed, over the whole stack, those of the check included.
    sampled_error : Array, (...)
        Relative error on fibres drawn after the train was made, an unbiased look at it: what is large is reported, but
        an error in few entries that no fibre meets stays unseen.
    sampled_fibres : int
        Number of these fibres.
    sweeps : int
        Passes from the left that were made.
    """

    rows: tuple[Array, ...]
    evaluations: int
    sampled_error: Array
    sampled_fibres: int
    sweeps: int


@dataclass(frozen=True)
class TTCross(TrainTruncation):
    """Interpolate a tensor from the entries of few of its fibres, found by alternating sweeps.

    Parameters
    ----------
    ranks : int or tuple of int, optional
        Ranks of the inner bonds.
    rtol : float, optional
        Relative error on sampled fibres at which sweeps end; a goal, not a guarantee: see ``CrossTrain.sampled_error``.
        Ranks at most double from one sweep to the next.
    sweeps : int
        Passes from the left, at most.
    oversampling : int
        Further columns that each step looks at: at random first, then where the last train was worst.
    samples : int
        Entries on which a train is checked after each sweep, and once more at the end.
    order : int
        Number of modes.

    Notes
    -----
    O(sweeps d n r (r + p)) entries, O(sweeps d n r (r + p)^2) operations, memory O(n r^2): the tensor is never formed.
    Oseledets & Tyrtyshnikov 2010, with left-nested rows. Deviations: a step takes the leading singular subspace of its
    columns and interpolates that from rows of nearly maximal volume; columns are added where sampled residuals are
    large. A stack shares its ranks, the largest that one of its tensors needs.
    """

    sweeps: int = 4
    oversampling: int = 4
    samples: int = 1024

    reads_entries: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_integer("sweeps", self.sweeps, low=1, cure="one pass makes a train")
        require_integer("oversampling", self.oversampling, low=0, cure="0 looks at as many columns as the rank")
        require_integer("samples", self.samples, low=1, cure="a train without a check says nothing about its error")

    def decompose(self, tensor: Array | EntryTensor, *, rng: Rng | None) -> CrossTrain:
        generator = require_rng(rng, type(self).__name__)
        source = _Counted(ArrayEntries(tensor, self.order) if is_array(tensor) else tensor, self.order)
        ranks = self.ranks_for(source.sizes)
        columns = self._first_columns(source, ranks, generator)
        share = self._share(0)
        train, rows = self._forward(source, ranks, columns, share)
        check, done = self._check(source, train, generator), 1
        while done < self.sweeps and not self._satisfied(check):
            extra, share = self._extra(source, train), self._share(done)
            worst = check.worst(max(extra))
            columns = self._backward(source, ranks, rows, [worst[..., :e, :] for e in extra], share)
            columns = [_united(c, worst[..., :e, k + 1 :]) for k, (c, e) in enumerate(zip(columns, extra, strict=True))]
            train, rows = self._forward(source, ranks, columns, share)
            check, done = self._check(source, train, generator), done + 1
        final = self._check(source, train, generator)
        return CrossTrain(train.cores, tuple(rows), source.evaluations, final.relative_error, final.count, done)

    def _satisfied(self, check: SampledFibres) -> bool:
        xp = array_namespace(check.residual)
        return self.rtol is not None and bool(xp.all(check.relative_error <= self.rtol / 2))

    def _share(self, sweep: int) -> float:
        """Return what a step may discard of its columns: less from sweep to sweep, for interpolation amplifies it."""
        allowed = (self.rtol or 0.0) / math.sqrt(self.order - 1)
        return math.ldexp(allowed, -sweep - 1)

    def _extra(self, source: _Counted, train: TensorTrain) -> list[int]:
        """Return how many further rows and columns the next sweep looks at for each bond."""
        if self.ranks is not None:
            return [self.oversampling] * len(train.ranks)
        room = zip(train.ranks, self.rank_limits(source.sizes), strict=True)
        return [self.oversampling + min(rank, limit - rank) for rank, limit in room]

    def _first_columns(self, source: _Counted, ranks: tuple[int, ...] | None, rng: Rng) -> list[Array]:
        """Return random multi-indices (..., c, d - k - 1) of the modes to the right of each bond."""
        xp, columns = array_namespace(source.like), []
        for k, limit in enumerate(self.rank_limits(source.sizes)):
            count = (ranks[k] if ranks is not None else min(FIRST_RANK, limit)) + self.oversampling
            digits = [integers(rng, 0, n, (*source.batch, count), like=source.like) for n in source.sizes[k + 1 :]]
            columns.append(xp.stack(digits, axis=-1))
        return columns

    def _forward(
        self, source: _Counted, ranks: tuple[int, ...] | None, columns: Sequence[Array], share: float
    ) -> tuple[TensorTrain, list[Array]]:
        """Choose rows from the left, and return the train that interpolates from them."""
        xp, batch = array_namespace(source.like), source.batch
        left = xp.zeros((*batch, 1, 0), dtype=xp.int64, device=device(source.like))
        cores: list[Array] = []
        rows: list[Array] = []
        for k, n in enumerate(source.sizes[:-1]):
            block = source.block(left, k, columns[k])  # (..., r, n, c)
            r, c = block.shape[-3], block.shape[-1]
            chosen, coefficients = self._chosen(
                xp.reshape(block, (*batch, r * n, c)), None if ranks is None else ranks[k], share
            )
            cores.append(xp.reshape(coefficients, (*batch, r, n, coefficients.shape[-1])))
            left = _split(left, chosen, n)
            rows.append(left)
        last = len(source.sizes) - 1
        nothing = xp.zeros((*batch, 1, 0), dtype=xp.int64, device=device(source.like))
        cores.append(source.block(left, last, nothing))
        return TensorTrain(tuple(cores)), rows

    def _backward(
        self,
        source: _Counted,
        ranks: tuple[int, ...] | None,
        rows: Sequence[Array],
        worst: Sequence[Array],
        share: float,
    ) -> list[Array]:
        """Return columns for every bond, chosen from the right against the rows and where the train was worst."""
        xp, batch = array_namespace(source.like), source.batch
        right = xp.zeros((*batch, 1, 0), dtype=xp.int64, device=device(source.like))
        columns = []
        for k in range(len(source.sizes) - 1, 0, -1):
            n = source.sizes[k]
            block = source.block(_united(rows[k - 1], worst[k - 1][..., :k]), k, right)  # (..., r + p, n, c)
            across = xp.permute_dims(
                block, (*range(len(batch)), *(len(batch) + j for j in (1, 2, 0)))
            )  # (..., n, c, r + p)
            matrix = xp.reshape(across, (*batch, n * block.shape[-1], block.shape[-3]))
            chosen, _ = self._chosen(matrix, None if ranks is None else ranks[k - 1], share)
            count = right.shape[-2]
            digit, kept = (chosen // count)[..., None], gather_rows(right, (chosen % count)[..., None])[..., 0, :]
            right = xp.concat([digit, kept], axis=-1)
            columns.append(right)
        return columns[::-1]

    def _chosen(self, matrix: Array, rank: int | None, share: float) -> tuple[Array, Array]:
        """Return rows of a matrix (..., m, c) and the matrix that interpolates its leading subspace from them."""
        u, s, _ = small_svd(matrix)
        if rank is None:
            xp = array_namespace(s)
            rank = max(1, int(xp.max(rank_for_tolerance(s, rtol=share))))
        return interpolation(u[..., : min(rank, u.shape[-1])])

    def _check(self, source: _Counted, train: TensorTrain, rng: Rng) -> SampledFibres:
        return sample_fibres(source, train, entries=self.samples, rng=rng)


class _Counted:
    """Entries of a stack of tensors in blocks, with their number."""

    def __init__(self, tensor: EntryTensor, order: int) -> None:
        self._tensor, self.evaluations, shape = tensor, 0, tuple(tensor.shape)
        self.batch, self.sizes = shape[: len(shape) - order], shape[len(shape) - order :]
        self.like = tensor.like

    def entries(self, indices: Array) -> Array:
        """Return entries (..., m) at multi-indices (..., m, d)."""
        self.evaluations += math.prod(indices.shape[:-1])
        return self._tensor.entries(indices)

    def block(self, left: Array, mode: int, right: Array) -> Array:
        """Return all entries (..., l, n, c) with left and right parts from two lists, and any index of a mode.

        Parameters
        ----------
        left : Array, (..., l, mode), integer
        mode : int
        right : Array, (..., c, d - mode - 1), integer
        """
        xp, n = array_namespace(self.like), self.sizes[mode]
        l, c = left.shape[-2], right.shape[-2]
        step = max(1, BLOCK // (l * n * max(1, math.prod(self.batch))))
        middle = xp.arange(n, dtype=xp.int64, device=device(left))[:, None, None]
        parts = []
        for start in range(0, c, step):
            some = right[..., start : min(start + step, c), :]
            shape = (*self.batch, l, n, some.shape[-2])
            digits = (left[..., :, None, None, :], middle, some[..., None, None, :, :])
            full = xp.concat([xp.broadcast_to(d, (*shape, d.shape[-1])) for d in digits], axis=-1)
            flat = xp.reshape(full, (*self.batch, math.prod(shape[-3:]), len(self.sizes)))
            parts.append(xp.reshape(self.entries(flat), shape))
        return xp.concat(parts, axis=-1)


def _split(left: Array, chosen: Array, n: int) -> Array:
    """Return the multi-indices of rows of an unfolding whose rows are pairs (left, index)."""
    xp = array_namespace(left)
    kept = gather_rows(left, (chosen // n)[..., None])[..., 0, :]
    return xp.concat([kept, (chosen % n)[..., None]], axis=-1)


def _united(some: Array, others: Array) -> Array:
    """Put two lists of multi-indices (..., m, k) one after the other."""
    xp = array_namespace(some, others)
    batch = broadcast_shape(some.shape[:-2], others.shape[:-2])
    return xp.concat([xp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (some, others)], axis=-2)
