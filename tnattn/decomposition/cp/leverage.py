"""The canonical polyadic decomposition by sampled alternating least squares."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from tnattn.arrays import Array, Rng, array_namespace, device, require_rng
from tnattn.decomposition.base import Decomposition, as_rank, require_integer
from tnattn.decomposition.cp.als import FittedCP, congruence, largest_rank, require_rank
from tnattn.decomposition.cp.khatri_rao_sampling import KhatriRaoSampling, khatri_rao_entries
from tnattn.decomposition.cp.start import CPStart, GaussianStart
from tnattn.decomposition.cp.sweep import half_sweep, normal_solution, relative_error, unit_columns
from tnattn.decomposition.cp.vanished_terms import revived
from tnattn.decomposition.fewest_terms import fewest_terms
from tnattn.decomposition.fit import History
from tnattn.decomposition.multilinear import mode_sizes
from tnattn.decomposition.scaling import energy, unit
from tnattn.randnla.accuracy import require_above_rounding, require_optional_tolerance
from tnattn.randnla.scores.leverage import leverage_scores

PATIENCE = 3  # epochs, for an epoch of sampled sweeps may end worse than it began


@dataclass(frozen=True)
class CPLeverage(Decomposition):
    """Solve every least-squares problem of the alternating iteration on sampled rows only.

    The rows of the Khatri-Rao product of the other factors are drawn by the products of the factors' leverage scores,
    which bound its own; it is never formed. A draw takes one fibre of the tensor.

    Parameters
    ----------
    rank : int
        Number of terms; at most, if there is a tolerance on the error.
    samples : int
        Rows drawn for each least-squares problem, with replacement.
    deterministic : int
        Rows of the largest probability that are taken besides, for certain and with weight one.
    epochs : int
        Largest number of epochs. Each ends with the exact solution for half of the modes, by one product with the
        tensor that measures the true error too; the best factors so far are kept.
    sweeps : int
        Sampled sweeps in an epoch.
    tolerance : float
        A tensor of the stack is left as it is once three epochs in a row have not lowered its relative error by more
        than this; 0 runs on while any of three lowers it.
    start : CPStart
        First factors.
    rtol : float, optional
        Fewer terms are used where they leave a relative error of at most this; see ``fewest_terms``.
    order : int
        Number of modes.

    Notes
    -----
    O(samples (r^2 + r n_j + n_j)) for mode j, whatever the size of the tensor, and one product with it in an epoch,
    O(rank prod(n)). Larsen and Kolda 2022, CP-ARLS-LEV. Deviations: the rows taken for certain are a fixed number, not
    those above a threshold, and what is drawn of them again has weight zero, which leaves the Gram matrix unbiased;
    repeated rows are not merged; sampled problems are solved by their normal equations; errors are measured, not
    estimated from a sample, and the product that this takes is used for exact updates. Drawn rows are shared by no two
    modes; a stack shares its uniform numbers.
    """

    recovery: ClassVar[float] = 1e-3  # epochs stop early

    rank: int = dataclasses.field(default=8, metadata={"budget": True})
    samples: int = 1024
    deterministic: int = 0
    epochs: int = 20
    sweeps: int = 5
    tolerance: float = 1e-6
    start: CPStart = dataclasses.field(default_factory=GaussianStart)
    rtol: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_integer("rank", self.rank, low=1, cure="keep at least one term")
        require_integer("samples", self.samples, low=1, cure="draw some rows")
        require_integer("deterministic", self.deterministic, low=0, cure="0 takes no row for certain")
        require_integer("epochs", self.epochs, low=1, cure="without an epoch there is no fit")
        require_integer("sweeps", self.sweeps, low=1, cure="without a sweep there is no fit")
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"tolerance is {self.tolerance}; 0 <= tolerance < 1 is needed; 0 runs all epochs")
        if not isinstance(self.start, CPStart):
            raise TypeError(f"start must be a CPStart, such as GaussianStart(); got {type(self.start).__name__}")
        require_optional_tolerance(self.rtol)

    def with_rank(self, rank: int, sizes: Sequence[int]) -> Self:
        return dataclasses.replace(self, rank=min(as_rank(rank), largest_rank(sizes)), rtol=None)

    def _require_fit(self, tensor: Array) -> None:
        require_rank(self.rank, mode_sizes(tensor, order=self.order))
        require_above_rounding(self.rtol or 0.0, tensor)

    def decompose(self, tensor: Array, *, rng: Rng | None) -> FittedCP:
        generator = require_rng(rng, "CPLeverage")
        return fewest_terms(lambda rank: self._fitted(tensor, rank, rng=generator), self.rank, self.rtol)

    def _fitted(self, tensor: Array, rank: int, *, rng: Rng) -> FittedCP:
        xp, order = array_namespace(tensor), self.order
        total = energy(tensor, order=order)
        starts = self.start.factors(tensor, rank=rank, order=order, rng=rng)
        factors = [unit(factor, order=2)[0] for factor in starts]  # only their ranges matter
        size = xp.sqrt(total)
        weights = xp.zeros_like(factors[0][..., 0, :])
        best, best_weights, captured = factors, weights, xp.zeros_like(size)
        least = xp.astype(size > 0, size.dtype)
        history = History(size > 0, self.tolerance, PATIENCE)
        for _ in range(self.epochs):
            factors = self._sampled_sweeps(tensor, factors, rng=rng)
            factors, weights, reached = half_sweep(tensor, factors, order=order)
            error = relative_error(tensor, weights, factors, reached, size, digits=3)
            better = history.active & (error < least)
            best = [xp.where(better[..., None, None], new, old) for new, old in zip(factors, best, strict=True)]
            best_weights = xp.where(better[..., None], weights, best_weights)
            captured, least = xp.where(better, reached, captured), xp.where(better, error, least)
            if not history.record(least):
                break
            factors = revived(tensor, weights, factors, reached, active=history.active)
        residual = relative_error(tensor, best_weights, best, captured, size, digits=6)
        return FittedCP(
            weights=best_weights,
            factors=tuple(best),
            errors=history.stacked(),
            sweeps=history.sweeps * self.sweeps,
            converged=history.converged,
            error_certificate=residual * size,
            residual=residual,
            congruence=congruence(best),
        )

    def _sampled_sweeps(self, tensor: Array, factors: Sequence[Array], *, rng: Rng) -> list[Array]:
        """Update all factors a few times, each from samples; columns have length one or zero."""
        xp, found = array_namespace(tensor), list(factors)
        sampling = KhatriRaoSampling(self.samples, self.deterministic)
        scores = [leverage_scores(factor) for factor in found]
        for mode in [*range(self.order)] * self.sweeps:
            fixed = [found[j] for j in range(self.order) if j != mode]
            known = [scores[j] for j in range(self.order) if j != mode]
            indices, scales = sampling.draw(fixed, rng=rng, scores=known)
            rows = khatri_rao_entries(fixed, indices)
            weighted = (scales * scales)[..., None] * rows
            right = xp.matmul(fibres(tensor, mode, indices, order=self.order), weighted)
            solution = normal_solution(xp.matmul(xp.matrix_transpose(weighted), rows), right)
            found[mode] = unit_columns(solution, xp.linalg.vector_norm(solution, axis=-2))
            scores[mode] = leverage_scores(found[mode])
        return found


def fibres(tensor: Array, mode: int, indices: Sequence[Array], *, order: int) -> Array:
    """Return the fibres (..., n_mode, s) of a mode at indices (..., s) of the other modes; nothing is unfolded."""
    xp, sizes = array_namespace(tensor), mode_sizes(tensor, order=order)
    strides = [math.prod(sizes[j + 1 :]) for j in range(order)]
    others = [j for j in range(order) if j != mode]
    first: Array = sum(i * strides[j] for j, i in zip(others, indices, strict=True))
    batch = tuple(tensor.shape[: tensor.ndim - order])
    if not batch and mode == order - 1:  # a fibre lies in one piece
        rows = xp.take(xp.reshape(tensor, (-1, sizes[mode])), first // sizes[mode], axis=0)
        return xp.matrix_transpose(rows)
    along = xp.arange(sizes[mode], dtype=indices[0].dtype, device=device(tensor)) * strides[mode]
    places = along[:, None] + first[..., None, :]  # (..., n, s): twice as fast as (..., s, n), where every step is long
    flat, wanted = xp.reshape(tensor, (*batch, -1)), xp.reshape(places, (*batch, -1))
    # without a stack a plain gather is twice as fast
    taken = xp.take_along_axis(flat, wanted, axis=-1) if batch else xp.take(flat, wanted, axis=0)
    return xp.reshape(taken, (*batch, *places.shape[-2:]))
