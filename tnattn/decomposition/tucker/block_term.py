"""Block-term decomposition: a sum of Tucker tensors, fitted by block coordinate descent."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.decomposition.base import Decomposition, require_at_least
from tnattn.decomposition.fewest_terms import fewest_terms
from tnattn.decomposition.multilinear import mode_product
from tnattn.decomposition.subspace import mode_subspace
from tnattn.decomposition.tensor_units import norm
from tnattn.decomposition.truncation import require_ranks
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.device_budget import DeviceBudget, DeviceCounts, sweeps_taken
from tnattn.randnla.accuracy import require_above_rounding, require_optional_tolerance
from tnattn.randnla.iteration_accuracy import IterationAccuracy
from tnattn.structured.block_term import BlockTermTensor
from tnattn.structured.tucker import TuckerTensor

__all__ = ["BlockTerm", "FittedBlockTerms"]


@dataclass(frozen=True, eq=False, repr=False)
class FittedBlockTerms(IterationAccuracy, BlockTermTensor):
    """A block-term tensor with orthonormal factors in every term.

    Parameters
    ----------
    core, factors
        See ``BlockTermTensor``.
    ranks, residual, converged, stationary
        See ``IterationAccuracy``; ranks count the terms. A fit that is not stationary may gain by more sweeps.
    error_certificate : Array, (...)
        Frobenius error, measured.
    sweeps : Array, (...), integer
        Sweeps that each tensor of the stack took.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tucker import BlockTerm
    >>> i, j, k = np.ogrid[:8, :8, :8]
    >>> result = BlockTerm(terms=3, ranks=1, sweeps=0)(1 / (1.0 + i + j + k))
    >>> int(result.ranks), int(result.sweeps), round(float(result.residual), 3)
    (3, 0, 0.063)
    """

    error_certificate: Array
    sweeps: Array

    degrees: ClassVar[Mapping[str, float]] = {**BlockTermTensor.degrees, "error_certificate": 1.0}


@dataclass(frozen=True)
class BlockTerm(Decomposition):
    """Fit a sum of Tucker tensors of given multilinear ranks.

    Parameters
    ----------
    terms : int
        At most, if there is a tolerance on the error.
    ranks : int or tuple of int
        Multilinear ranks of every term, one for all modes or one for each.
    sweeps : int
        At most; 0 returns the initial guess, each term the ST-HOSVD of the residual of those before.
    stagnation : float
        A tensor is stationary once a sweep lowers its relative error by at most this.
    rtol : float, optional
        Fewer terms are used where they leave a relative error of at most this; see ``fewest_terms``.
    order : int
        Number of modes.

    Notes
    -----
    O(terms prod(n) max(r)) a sweep. De Lathauwer 2008. Deviation: instead of alternating least squares over factors, a
    term is fitted to the residual of the others by one sweep of higher-order orthogonal iteration, which needs no
    normal equations and never increases the error. Only a local minimum; the split into terms need not be unique.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tucker import BlockTerm
    >>> tensor = np.zeros((4, 4, 4))
    >>> tensor[:2, :2, :2] = 1 + np.eye(2)
    >>> tensor[2:, 2:, 2:] = [[0, 1], [1, 0]]
    >>> result = BlockTerm(terms=2, ranks=2)(tensor)
    >>> result.core.shape, bool(result.residual < 1e-6)
    ((2, 2, 2, 2), True)
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(600, waits=20, copies=4), {"update of a basis": DeviceCounts(110, waits=3)}
    )

    terms: int = 2
    ranks: int | tuple[int, ...] = 2
    sweeps: int = 50
    stagnation: float = 1e-6
    rtol: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("terms", self.terms, low=1, cure="a sum needs a term")
        require_at_least("sweeps", self.sweeps, low=0, cure="0 leaves the initial guess")
        if not self.stagnation >= 0:
            raise ValueError(f"stagnation is {self.stagnation}; 0 or a positive number is needed")
        require_optional_tolerance(self.rtol)
        require_ranks(self.ranks, count=self.order, order=self.order)

    @property
    def _term(self) -> STHOSVD:
        """Decomposition of the residual that is the initial guess of a term."""
        return STHOSVD(ranks=self.ranks, order=self.order)

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"update of a basis": sweeps_taken(self.sweeps, result) * self.terms * self.order}

    def with_rank(self, rank: int, sizes: Sequence[int]) -> Self:
        ranks = self._term.with_rank(rank, sizes).ranks
        assert ranks is not None
        return dataclasses.replace(self, ranks=ranks, rtol=None)

    def _require_fit(self, tensor: Array) -> None:
        self._term._require_fit(tensor)
        require_above_rounding(self.rtol or 0.0, tensor)

    def decompose(self, tensor: Array, *, rng: Rng | None) -> FittedBlockTerms:
        return fewest_terms(lambda terms: self._fitted(tensor, terms), self.terms, self.rtol)

    def _fitted(self, tensor: Array, terms: int) -> FittedBlockTerms:
        xp, order = array_namespace(tensor), self.order
        residual, found = tensor, []
        # initial guess: greedy deflation, each term the ST-HOSVD of the current residual
        for _ in range(terms):
            guess = self._term.decompose(residual, rng=None)
            found.append(TuckerTensor(guess.core, guess.factors))
            residual = residual - found[-1].to_dense()
        size = norm(tensor, order=order)
        size = xp.where(size > 0, size, xp.ones_like(size))  # a zero tensor has error 0, not 0 / 0
        error = norm(residual, order=order) / size
        active, taken = xp.ones_like(error) > 0, xp.zeros_like(error, dtype=xp.int64)
        for _ in range(self.sweeps):
            if not bool(xp.any(active)):  # one synchronisation a sweep
                break
            for place, term in enumerate(found):
                goal = residual + term.to_dense()  # the tensor less all other terms
                better = _chosen(active, _refitted(term, goal), term)
                found[place], residual = better, goal - better.to_dense()
            # measured from the residual itself: differences of norms would cancel near an exact fit
            after = norm(residual, order=order) / size
            taken = taken + xp.astype(active, xp.int64)
            active, error = active & (error - after > self.stagnation), after
        factors = [xp.stack([term.factors[j] for term in found], axis=-3) for j in range(order)]
        cores = xp.stack([term.core for term in found], axis=-order - 1)
        return FittedBlockTerms(
            core=cores,
            factors=tuple(factors),
            error_certificate=error * size,
            sweeps=taken,
            ranks=xp.full_like(taken, terms),
            residual=error,
            stationary=~active,
        )


def _refitted(term: TuckerTensor, goal: Array) -> TuckerTensor:
    """Return a term after one sweep of higher-order orthogonal iteration on what it is to fit."""
    xp, order, factors = array_namespace(goal), term.order, list(term.factors)
    core = term.core
    for mode in range(order):
        seen = goal  # projected on the bases of all other modes, as in HOOI
        for other in range(order):
            if other != mode:
                seen = mode_product(seen, xp.matrix_transpose(factors[other]), other, order=order)
        factors[mode] = mode_subspace(seen, mode, order=order, rank=int(factors[mode].shape[-1])).basis
        core = mode_product(seen, xp.matrix_transpose(factors[mode]), mode, order=order)
    return TuckerTensor(core, tuple(factors))


def _chosen(active: Array, new: TuckerTensor, old: TuckerTensor) -> TuckerTensor:
    """Return the new term for the active tensors of a stack, and the old one for the stationary tensors."""
    xp = array_namespace(active)

    def pick(a: Array, b: Array) -> Array:
        mask = xp.reshape(active, (*active.shape, *(1,) * (a.ndim - active.ndim)))  # broadcast over the modes
        return xp.where(mask, a, b)

    factors = zip(new.factors, old.factors, strict=True)
    return TuckerTensor(pick(new.core, old.core), tuple(pick(a, b) for a, b in factors))
