"""The error of a tensor train on fibres drawn at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tnattn.arrays import Array, Rng, array_namespace, contract, device, integers
from tnattn.decomposition.scaling import norm
from tnattn.structured.sparse import gather_rows
from tnattn.structured.tensor_train import TensorTrain

FEWEST = 4  # fibres, however long they are


class Entries(Protocol):
    """A stack of tensors that gives entries (..., m) at multi-indices (..., m, d)."""

    batch: tuple[int, ...]
    sizes: tuple[int, ...]
    like: Array

    def entries(self, indices: Array) -> Array:
        """Return entries."""


@dataclass(frozen=True, eq=False)
class SampledFibres:
    """Residuals of a train on fibres of every mode.

    Parameters
    ----------
    indices : Array, (..., m, d), integer
        Multi-indices of all entries of the fibres.
    residual, values : Array, (..., m)
        Entry minus that of the train, and entry.
    count : int
        Number of fibres.

    Notes
    -----
    Whole fibres rather than single entries: of a tensor with one large entry in every fibre, such as the weights of
    attention to single keys, entries drawn one by one would meet none. And of every mode, for an interpolation is exact
    on the fibres that it was made from, so that fibres of one mode may all look right.
    """

    indices: Array
    residual: Array
    values: Array
    count: int

    @property
    def relative_error(self) -> Array:
        """Norm of the residuals over that of the entries (...); the norm of the residuals where all entries are 0."""
        xp = array_namespace(self.values)
        size = norm(self.values, order=1)
        return norm(self.residual, order=1) / xp.where(size > 0, size, xp.ones_like(size))

    def worst(self, count: int) -> Array:
        """Return the multi-indices (..., count, d) of the largest residuals."""
        xp = array_namespace(self.residual)
        order = xp.argsort(xp.abs(self.residual), axis=-1, descending=True)
        return gather_rows(self.indices, order[..., : min(count, order.shape[-1]), None])[..., 0, :]


def sample_fibres(source: Entries, train: TensorTrain, *, entries: int, rng: Rng) -> SampledFibres:
    """Compare a train with a tensor on random fibres of every mode, about ``entries`` entries, at least 4 fibres each.

    O(f r (n + d r)) operations beyond the entries.
    """
    xp, sizes = array_namespace(source.like), source.sizes
    found, total = [], 0
    for mode, n in enumerate(sizes):
        count = max(FEWEST, entries // (n * len(sizes)))
        shape = (*source.batch, count)
        digits = [integers(rng, 0, size, shape, like=source.like) for size in sizes]
        values = xp.reshape(_fibres(train, digits, mode), (*source.batch, count * n))
        running = xp.arange(n, dtype=xp.int64, device=device(source.like))
        spread = [running if j == mode else digit[..., None] for j, digit in enumerate(digits)]
        indices = xp.stack([xp.broadcast_to(digit, (*shape, n)) for digit in spread], axis=-1)
        indices = xp.reshape(indices, (*source.batch, count * n, len(sizes)))
        exact = source.entries(indices)
        found.append((indices, exact - values, exact))
        total += count
    indices, residual, exact = zip(*found, strict=True)
    return SampledFibres(xp.concat(indices, axis=-2), xp.concat(residual, axis=-1), xp.concat(exact, axis=-1), total)


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
