"""The Tucker decomposition by higher-order orthogonal iteration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace, eps
from tnattn.decomposition.base import require_at_least
from tnattn.decomposition.history import History, require_stagnation
from tnattn.decomposition.multilinear import mode_product, mode_sizes
from tnattn.decomposition.subspace import masked_columns, mode_subspace
from tnattn.decomposition.tensor_units import energy
from tnattn.decomposition.tucker.sequential import cheapest_order, truncated_modes
from tnattn.decomposition.tucker.truncated_tucker import OrthonormalTucker
from tnattn.decomposition.tucker.tucker_truncation import TuckerTruncation
from tnattn.device_budget import DeviceBudget, DeviceCounts, sweeps_taken
from tnattn.randnla.accuracy import within
from tnattn.randnla.iteration_accuracy import IterationAccuracy

__all__ = ["HOOI", "FittedTucker"]


@dataclass(frozen=True, eq=False, repr=False)
class FittedTucker(IterationAccuracy, OrthonormalTucker):
    """A Tucker tensor found by iteration.

    Parameters
    ----------
    core, factors
        See ``OrthonormalTucker``.
    ranks, residual, converged, stationary
        See ``IterationAccuracy``. A stationary fit need not be the best one.
    errors : Array, (..., sweeps + 1)
        Relative Frobenius error of the initial guess and after each sweep, repeated once a tensor of the stack is
        stationary.
    sweeps : Array, (...), integer
        Sweeps that each tensor took.
    error_certificate : Array, (...)
        Frobenius error, measured.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tucker import HOOI
    >>> tensor = np.random.default_rng(0).standard_normal((8, 9, 10))
    >>> result = HOOI(ranks=2, sweeps=3)(tensor)
    >>> int(result.sweeps), result.errors.shape, bool(result.stationary)
    (3, (4,), False)
    """

    errors: Array
    sweeps: Array
    error_certificate: Array

    degrees: ClassVar[Mapping[str, float]] = {**OrthonormalTucker.degrees, "error_certificate": 1.0}


@dataclass(frozen=True)
class HOOI(TuckerTruncation):
    """Improve one basis at a time, the others fixed, in sweeps over the modes.

    Parameters
    ----------
    ranks : int or tuple of int, optional
        Multilinear ranks, one for all modes or one for each.
    rtol : float, optional
        The ranks are those with which the initial guess, ``STHOSVD``, keeps this relative error; sweeps lower it.
    sweeps : int
        Largest number of sweeps.
    stagnation : float
        A tensor of the stack is left as it is once a sweep changes its relative error by at most this; 0 runs
        all until one changes nothing.
    order : int
        Number of modes.

    Notes
    -----
    Two projections of the tensor a sweep, O(r prod(n)) each: the modes are split in two halves, and all of a half
    share the projection of the other. De Lathauwer, De Moor and Vandewalle 2000b; Kolda and Bader 2009, Figure 4.4. No
    sweep increases the error.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tucker import HOOI
    >>> tensor = np.random.default_rng(0).standard_normal((8, 9, 10))
    >>> result = HOOI(ranks=2)(tensor)
    >>> [round(float(error), 2) for error in result.errors[[0, -1]]]
    [0.92, 0.91]
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(400, waits=12, copies=4), {"update of a basis": DeviceCounts(120, waits=4)}
    )

    sweeps: int = 10
    stagnation: float = 1e-6

    quasi_optimal: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("sweeps", self.sweeps, low=1, cure="use STHOSVD for the initial guess itself")
        require_stagnation(self.stagnation)

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"update of a basis": sweeps_taken(self.sweeps, result) * self.order}

    def decompose(self, tensor: Array, *, rng: Rng | None) -> FittedTucker:
        xp, order = array_namespace(tensor), self.order
        sizes = mode_sizes(tensor, order=order)
        ranks = self.ranks_for(sizes)
        norm_squared = energy(tensor, order=order)
        allowed = None if self.rtol is None else self.rtol**2 / order * norm_squared
        # initial guess: ST-HOSVD, within sqrt(d) of the best error
        modes = cheapest_order(sizes, ranks, range(order))
        core, found = truncated_modes(tensor, modes, order=order, ranks=ranks, allowed=allowed)
        bases = [found[j].basis for j in range(order)]
        true_ranks = xp.stack([found[j].ranks for j in range(order)], axis=-1)
        history = History(norm_squared > 0, self.stagnation)  # a zero tensor needs no sweep
        history.begin(_relative_error(tensor, bases, core, norm_squared))
        for _ in range(self.sweeps):
            swept, moved = improved_bases(tensor, bases, true_ranks)
            bases = [xp.where(history.active[..., None, None], new, old) for new, old in zip(swept, bases, strict=True)]
            # basis and core of a stationary tensor are kept together, or its error would not be that recorded
            core = xp.where(history.active[(..., *(None,) * order)], moved, core)
            if not history.record(_relative_error(tensor, bases, core, norm_squared)):
                break
        return FittedTucker(
            core=core,
            factors=tuple(bases),
            ranks=true_ranks,
            errors=history.stacked(),
            sweeps=history.sweeps,
            error_certificate=history.errors[-1] * xp.sqrt(norm_squared),
            residual=history.errors[-1],
            converged=within(history.errors[-1], self.rtol or 0.0),
            stationary=history.stationary,
        )


def improved_bases(tensor: Array, bases: Sequence[Array], ranks: Array) -> tuple[list[Array], Array]:
    """Improve each basis in turn, given the others; return them and the core.

    Parameters
    ----------
    tensor : Array, (..., n_0, ..., n_{d-1})
    bases : sequence of Array, (..., n_j, r_j)
        Orthonormal columns, zero beyond the rank of a tensor.
    ranks : Array, (..., d), integer
    """
    xp, order, bases = array_namespace(tensor), len(bases), list(bases)
    cut = order // 2  # two halves: each shares one projection of the tensor, the expensive product
    projected = tensor
    for half, others in ((range(cut), range(cut, order)), (range(cut, order), range(cut))):
        shared = projected_on(tensor, bases, others)
        for mode in half:
            projected = projected_on(shared, bases, [j for j in half if j != mode])
            rank, sizes = int(bases[mode].shape[-1]), mode_sizes(projected, order=order)
            # a basis of full rank cannot improve; nor can one with more columns than the projection has rank
            if rank < sizes[mode] and rank * sizes[mode] <= math.prod(sizes):
                basis = mode_subspace(projected, mode, order=order, rank=rank).basis
                bases[mode] = masked_columns(xp, basis, ranks[..., mode])  # ranks stay those of the initial guess
    last = xp.matrix_transpose(bases[order - 1])
    return bases, mode_product(projected, last, order - 1, order=order)


def projected_on(tensor: Array, bases: Sequence[Array], modes: Sequence[int]) -> Array:
    """Return the tensor with some modes expressed in their bases, the mode that shrinks most first."""
    xp, order = array_namespace(tensor), len(bases)
    # the strongest compression first makes every later product smaller
    for mode in sorted(modes, key=lambda j: bases[j].shape[-1] / bases[j].shape[-2]):
        tensor = mode_product(tensor, xp.matrix_transpose(bases[mode]), mode, order=order)
    return tensor


def _relative_error(tensor: Array, bases: Sequence[Array], core: Array, norm_squared: Array) -> Array:
    """Return the relative error (...) of a projection, zero for a zero tensor.

    From the energy of the core while half of the digits survive the cancellation, else from the difference itself.
    """
    xp, order = array_namespace(tensor), len(bases)
    unit = xp.where(norm_squared > 0, norm_squared, xp.ones_like(norm_squared))
    square = xp.where(norm_squared > 0, 1 - energy(core, order=order) / unit, xp.zeros_like(norm_squared))
    if bool(xp.all((square > math.sqrt(eps(tensor))) | (norm_squared == 0))):
        return xp.sqrt(square)
    fitted = core
    for mode, basis in enumerate(bases):
        fitted = mode_product(fitted, basis, mode, order=order)
    return xp.sqrt(energy(tensor - fitted, order=order) / unit)
