"""The canonical polyadic decomposition by sampled alternating least squares."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device, require_rng
from tnattn.decomposition.base import require_at_least
from tnattn.decomposition.cp.alternating import AlternatingLeastSquares
from tnattn.decomposition.cp.fitted_cp import FittedCP, fitted_cp
from tnattn.decomposition.cp.khatri_rao_sampling import KhatriRaoSampling, khatri_rao_entries
from tnattn.decomposition.cp.start import CPStart, GaussianStart
from tnattn.decomposition.cp.sweep import half_sweep, normal_solution, relative_error, unit_columns
from tnattn.decomposition.cp.vanished_terms import revived
from tnattn.decomposition.history import History
from tnattn.decomposition.multilinear import mode_sizes
from tnattn.decomposition.tensor_units import energy
from tnattn.device_budget import DeviceBudget, DeviceCounts, blocks, sweeps_taken
from tnattn.linalg import numerical_svd

__all__ = ["CPLeverage"]

PATIENCE = 3  # epochs without progress until a tensor is stationary: a sampled epoch may raise the error


@dataclass(frozen=True)
class CPLeverage(AlternatingLeastSquares):
    """Solve every least-squares problem of the alternating iteration on sampled rows only.

    Rows of the Khatri-Rao product of the other factors are sampled by the products of the factors' leverage scores,
    which bound its own; it is never formed. A sample takes one fibre of the tensor.

    Parameters
    ----------
    rank : int
        Number of terms; at most, if there is a tolerance on the error.
    samples : int
        Rows sampled for each least-squares problem, with replacement.
    deterministic : int
        Rows of the largest probability that are taken in addition, for certain and with weight one.
    epochs : int
        Largest number of epochs. Each ends with the exact solution for half of the modes, by one product with the
        tensor that measures the true error too; the best factors so far are kept.
    sweeps : int
        Sampled sweeps in an epoch.
    stagnation : float
        A tensor of the stack is left as it is once three epochs in a row have not lowered its relative error by more
        than this; 0 runs on while any of three lowers it.
    start : CPStart
        Rule of the initial guess.
    rtol : float, optional
        Fewer terms are used where they leave a relative error of at most this; see ``fewest_terms``.
    order : int
        Number of modes.

    Notes
    -----
    O(samples (r^2 + r n_j + n_j)) for mode j, whatever the size of the tensor, and one product with it in an epoch,
    O(rank prod(n)). Larsen and Kolda 2022, CP-ARLS-LEV. Deviations: the rows taken for certain are a fixed number, not
    those above a threshold, and samples that repeat them have weight zero, which leaves the Gram matrix unbiased;
    repeated rows are not merged; sampled problems are solved by their normal equations; errors are measured, not
    estimated from a sample, and the product that this takes is used for exact updates. Drawn rows are shared by no two
    modes; a stack shares its uniform numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.cp import CPLeverage
    >>> rng = np.random.default_rng(0)
    >>> a, b, c = (rng.standard_normal((n, 3)) for n in (8, 9, 10))
    >>> tensor = np.einsum("ir,jr,kr->ijk", a, b, c)
    >>> result = CPLeverage(rank=3, samples=40)(tensor, rng=rng)
    >>> result.weights.shape, bool(result.residual < 1e-2)
    ((3,), True)
    """

    device_budget: ClassVar = DeviceBudget(
        DeviceCounts(400, waits=16, copies=8),
        {"epoch": DeviceCounts(400, waits=12, copies=4), "update of a factor": DeviceCounts(200, waits=3, copies=2)},
    )

    rank: int = dataclasses.field(default=8, metadata={"budget": True})
    samples: int = 1024
    deterministic: int = 0
    epochs: int = 20
    sweeps: int = 5
    stagnation: float = 1e-6
    start: CPStart = dataclasses.field(default_factory=GaussianStart)
    rtol: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("samples", self.samples, low=1, cure="draw some rows")
        require_at_least("deterministic", self.deterministic, low=0, cure="0 takes no row for certain")
        require_at_least("epochs", self.epochs, low=1, cure="without an epoch there is no fit")

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        epochs = blocks(sweeps_taken(self.epochs * self.sweeps, result), self.sweeps)
        return {"epoch": epochs, "update of a factor": epochs * self.sweeps * self.order}

    def fitted(self, tensor: Array, rank: int, *, rng: Rng | None) -> FittedCP:
        generator = require_rng(rng, "CPLeverage")
        xp, order = array_namespace(tensor), self.order
        size = xp.sqrt(energy(tensor, order=order))
        factors = self._initial_factors(tensor, rank, rng=generator)
        weights = xp.zeros_like(factors[0][..., 0, :])
        best, best_weights, captured = factors, weights, xp.zeros_like(size)
        least = xp.astype(size > 0, size.dtype)
        history = History(size > 0, self.stagnation, PATIENCE)
        for _ in range(self.epochs):
            factors = self._sampled_sweeps(tensor, factors, rng=generator)
            # exact least squares for half of the modes: the product that measures the true error serves twice
            factors, weights, reached = half_sweep(tensor, factors, order=order)
            error = relative_error(tensor, weights, factors, reached, size, digits=3)
            better = history.active & (error < least)  # the best factors are kept, not the last
            best = [xp.where(better[..., None, None], new, old) for new, old in zip(factors, best, strict=True)]
            best_weights = xp.where(better[..., None], weights, best_weights)
            captured, least = xp.where(better, reached, captured), xp.where(better, error, least)
            if not history.record(least):
                break
            factors = revived(tensor, weights, factors, reached, active=history.active)
        sweeps = history.sweeps * self.sweeps
        return fitted_cp(tensor, best_weights, best, captured, size=size, history=history, sweeps=sweeps)

    def _sampled_sweeps(self, tensor: Array, factors: Sequence[Array], *, rng: Rng) -> list[Array]:
        """Update all factors a few times, each from samples; columns have length one or zero."""
        xp, found = array_namespace(tensor), list(factors)
        sampling = KhatriRaoSampling(self.samples, self.deterministic)
        scores = [_leverages(factor) for factor in found]  # updated with their factor only
        for mode in [*range(self.order)] * self.sweeps:
            fixed = [found[j] for j in range(self.order) if j != mode]
            known = [scores[j] for j in range(self.order) if j != mode]
            indices, scales = sampling.draw(fixed, rng=rng, scores=known)
            rows = khatri_rao_entries(fixed, indices)
            # normal equations (Z^T S^T S Z) A^T = Z^T S^T S X^T of the sampled problem, Z the Khatri-Rao product
            weighted = (scales * scales)[..., None] * rows
            right = xp.matmul(fibres(tensor, mode, indices, order=self.order), weighted)
            solution = normal_solution(xp.matmul(xp.matrix_transpose(weighted), rows), right)
            found[mode] = unit_columns(solution, xp.linalg.vector_norm(solution, axis=-2))
            scores[mode] = _leverages(found[mode])
        return found


def _leverages(factor: Array) -> Array:
    """Return the leverage scores (..., n) of a factor (..., n, r), without the checks of ``leverage_scores``.

    Columns of length one are finite and need no scaling; each check would make a device wait.
    """
    u = numerical_svd(factor)[0]
    return array_namespace(u).sum(u * u, axis=-1)


def fibres(tensor: Array, mode: int, indices: Sequence[Array], *, order: int) -> Array:
    """Return the fibres (..., n_mode, s) of a mode at indices (..., s) of the other modes, without an unfolding."""
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
