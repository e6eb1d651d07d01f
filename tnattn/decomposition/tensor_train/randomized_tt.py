"""The tensor-train decomposition by successive randomized range finders."""

from __future__ import annotations

from dataclasses import dataclass, field

from tnattn.arrays import Array, Rng, array_namespace, require_rng
from tnattn.decomposition.base import require_at_least
from tnattn.decomposition.multilinear import mode_sizes
from tnattn.decomposition.subspace import Subspace, energy_outside, leading_subspace
from tnattn.decomposition.tensor_train.train_truncation import TrainTruncation
from tnattn.decomposition.tensor_train.truncated_train import TruncatedTensorTrain
from tnattn.decomposition.tensor_units import energy, norm
from tnattn.decomposition.truncation import truncation_record
from tnattn.decomposition.tucker.randomized_tucker import FIRST_RANK
from tnattn.randnla.low_rank.range_finder import RangeFinder
from tnattn.randnla.sketches.base import Sketch
from tnattn.randnla.sketches.gaussian import Gaussian
from tnattn.structured.conversion import as_structured


@dataclass(frozen=True)
class RandomizedTTSVD(TrainTruncation):
    """Split one mode after the other off a tensor, each by a randomized range finder instead of an SVD.

    Parameters
    ----------
    ranks : int or tuple of int, optional
        Ranks of the inner bonds.
    rtol : float, optional
        Bound on the relative error; the range finder grows until its residual is below ``rtol^2 / (d - 1)`` of the
        energy.
    oversampling : int
        Further columns of every test matrix.
    power_iterations : int
        Of every range finder; each costs two more products with the remainder of the tensor.
    truncate : bool
        Truncate the oversampled bases to the ranks. Without it bonds have rank + oversampling, as in the theorem on
        the expected error.
    sketch : Sketch
    order : int
        Number of modes.
    exact_below : float
        An unfolding whose shorter side is at most this many times rank plus oversampling is truncated without a
        sketch, which would cost more than its Gram matrix. 0 sketches all.

    Notes
    -----
    O(prod(n) (r + p) (1 + power_iterations)) in products. Huber, Schneider & Wolf 2017. Every step projects the
    remainder orthogonally, so that the discarded energies add up to the square of the error as in ``TTSVD``.
    All tensors of a stack share the test matrices. For short unfoldings, and where rank and oversampling reach the size
    of an unfolding, nothing is drawn: the leading subspace is taken as in ``TTSVD``.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tensor_train import RandomizedTTSVD
    >>> i, j, k = np.ogrid[:40, :40, :40]
    >>> method = RandomizedTTSVD(ranks=4, oversampling=4, exact_below=0)
    >>> train = method(1 / (1.0 + i + j + k), rng=np.random.default_rng(0))
    >>> train.largest_ranks, round(float(train.residual), 3)
    ((4, 4), 0.003)
    """

    oversampling: int = 12
    power_iterations: int = 1
    truncate: bool = True
    sketch: Sketch = field(default_factory=Gaussian)
    exact_below: float = 6.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("oversampling", self.oversampling, low=0, cure="0 draws as many columns as the rank")
        require_at_least("power_iterations", self.power_iterations, low=0, cure="0 is the plain range finder")
        if not self.exact_below >= 0:
            raise ValueError(f"exact_below is {self.exact_below}; a number that is not negative is needed")

    def decompose(self, tensor: Array, *, rng: Rng | None) -> TruncatedTensorTrain:
        generator = require_rng(rng, type(self).__name__)
        xp = array_namespace(tensor)
        sizes, batch = mode_sizes(tensor, order=self.order), tuple(tensor.shape[: tensor.ndim - self.order])
        ranks = self.ranks_for(sizes) or (None,) * (self.order - 1)
        remainder = tensor
        allowed = None if self.rtol is None else self.rtol**2 / (self.order - 1) * energy(remainder, order=self.order)
        cores, steps, bond = [], [], 1
        for size, rank in zip(sizes, ranks, strict=False):
            # (..., r_{k-1} n_k, n_{k+1} ... n_d)
            remainder = xp.reshape(remainder, (*batch, bond * size, -1))
            step, remainder = self._step(remainder, rank, allowed, generator)
            steps.append(step)
            cores.append(xp.reshape(step.basis, (*batch, bond, size, step.basis.shape[-1])))
            bond = step.basis.shape[-1]
        return TruncatedTensorTrain(
            cores=(*cores, xp.reshape(remainder, (*batch, bond, sizes[-1], 1))),
            **truncation_record(steps, norm(remainder, order=2), self.rtol),
        )

    def _step(self, a: Array, rank: int | None, allowed: Array | None, rng: Rng) -> tuple[Subspace, Array]:
        """Return a subspace of the columns of a (..., m, n) and the coefficients (..., r, n) of its projection."""
        xp = array_namespace(a)
        limit = min(a.shape[-2:])
        columns = (rank or FIRST_RANK) + self.oversampling
        short = limit <= self.exact_below * columns  # the Gram matrix of the short side is cheaper than a sketch
        if short or (rank is not None and columns >= limit):  # a sketch of full size spans the range anyway
            keep = rank if self.truncate or rank is None else min(columns, limit)
            kept = leading_subspace(a, rank=keep, energy=allowed)
            return kept, xp.matmul(xp.matrix_transpose(kept.basis), a)
        basis, rows, residual_squared = self._range(a, min(rank or self.oversampling + 1, limit), rng)
        if allowed is not None:
            # half of the allowed energy for the sketch, the other half for the truncation of its basis
            while basis.shape[-1] < limit and bool(xp.any(residual_squared > allowed / 2)):
                basis, rows, residual_squared = self._range(a, min(2 * basis.shape[-1], limit), rng)
            inner = leading_subspace(rows, energy=xp.maximum(allowed - residual_squared, xp.zeros_like(allowed)))
        elif self.truncate:
            inner = leading_subspace(rows, rank=min(rank or limit, rows.shape[-2]))
        else:
            inner = leading_subspace(rows, rank=rows.shape[-2])
        coefficients = xp.matmul(xp.matrix_transpose(inner.basis), rows)
        return Subspace(xp.matmul(basis, inner.basis), residual_squared + inner.discarded, inner.ranks), coefficients

    def _range(self, a: Array, rank: int, rng: Rng) -> tuple[Array, Array, Array]:
        """Return an orthonormal basis, the coefficients and the squared residual (...) of the projection."""
        xp = array_namespace(a)
        finder = RangeFinder(rank, self.oversampling, self.power_iterations, self.sketch)
        basis = finder.basis(as_structured(a, "tensor"), rng=rng)
        rows = xp.matmul(xp.matrix_transpose(basis), a)
        return basis, rows, energy_outside(a, basis, rows)
