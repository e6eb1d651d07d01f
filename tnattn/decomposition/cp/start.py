"""Initial guesses of alternating least squares."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass

from tnattn.arrays import Array, Rng, array_namespace, normal, require_rng
from tnattn.decomposition.multilinear import mode_sizes
from tnattn.decomposition.subspace import mode_subspace
from tnattn.scalars import Parameters

__all__ = ["CPStart", "GaussianStart", "GivenStart", "SingularVectorStart"]


class CPStart(Parameters, abc.ABC):
    """A rule that gives the factors of an initial guess; frozen, compared by value."""

    @abc.abstractmethod
    def factors(self, tensor: Array, *, rank: int, order: int, rng: Rng | None) -> tuple[Array, ...]:
        """Return one factor (..., n_j, rank) for each mode of a tensor."""

    def within(self, bases: tuple[Array, ...]) -> CPStart:
        """Return the rule for the core of a tensor in orthonormal bases (..., n_j, k_j)."""
        return self


@dataclass(frozen=True)
class SingularVectorStart(CPStart):
    """Take the leading left singular vectors of the mode unfoldings, as the HOSVD gives them.

    Where ``rank`` exceeds the rank of an unfolding, the missing columns are Gaussian and need a generator.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.cp import SingularVectorStart
    >>> rng = np.random.default_rng(0)
    >>> a, b, c = (rng.standard_normal((n, 3)) for n in (8, 9, 10))
    >>> tensor = np.einsum("ir,jr,kr->ijk", a, b, c)
    >>> factors = SingularVectorStart().factors(tensor, rank=3, order=3, rng=None)
    >>> [factor.shape for factor in factors], bool(np.allclose(factors[0].T @ factors[0], np.eye(3)))
    ([(8, 3), (9, 3), (10, 3)], True)
    """

    def factors(self, tensor: Array, *, rank: int, order: int, rng: Rng | None) -> tuple[Array, ...]:
        xp, found = array_namespace(tensor), []
        sizes, batch = mode_sizes(tensor, order=order), tuple(tensor.shape[: tensor.ndim - order])
        for mode, n in enumerate(sizes):
            # an unfolding has no more singular vectors than its shorter side
            limit = min(n, math.prod(sizes) // n)
            basis = mode_subspace(tensor, mode, order=order, rank=min(rank, limit)).basis
            if rank > limit:
                who = f"CPALS at rank {rank}, above the {limit} singular vectors of mode {mode},"
                # divided by sqrt(n): columns of expected squared length one, as the singular vectors have
                drawn = normal(require_rng(rng, who), (*batch, n, rank - limit), like=tensor) / n**0.5
                basis = xp.concat([basis, drawn], axis=-1)
            found.append(basis)
        return tuple(found)


@dataclass(frozen=True)
class GaussianStart(CPStart):
    """Take factors with independent Gaussian entries.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.cp import CPALS, GaussianStart
    >>> tensor = np.random.default_rng(0).standard_normal((4, 5, 6))
    >>> fits = [CPALS(rank=2, start=GaussianStart())(tensor, rng=np.random.default_rng(seed)) for seed in range(2)]
    >>> round(min(float(fit.residual) for fit in fits), 2)  # several guesses, for minima may be local
    0.76
    """

    def factors(self, tensor: Array, *, rank: int, order: int, rng: Rng | None) -> tuple[Array, ...]:
        rng = require_rng(rng, "CPALS with a Gaussian initial guess")
        sizes, batch = mode_sizes(tensor, order=order), tuple(tensor.shape[: tensor.ndim - order])
        # divided by sqrt(n): columns of expected squared length one
        return tuple(normal(rng, (*batch, n, rank), like=tensor) / n**0.5 for n in sizes)


@dataclass(frozen=True, eq=False)
class GivenStart(CPStart):
    """Take given factors.

    Parameters
    ----------
    given : tuple of Array, (..., n_j, rank)

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.cp import CPALS, GivenStart
    >>> rng = np.random.default_rng(0)
    >>> a, b, c = (rng.standard_normal((n, 3)) for n in (8, 9, 10))
    >>> tensor = np.einsum("ir,jr,kr->ijk", a, b, c)
    >>> fit = CPALS(rank=3, sweeps=1, start=GivenStart((a, b, c)))(tensor)
    >>> bool(fit.residual < 1e-12)
    True
    """

    given: tuple[Array, ...]

    def factors(self, tensor: Array, *, rank: int, order: int, rng: Rng | None) -> tuple[Array, ...]:
        expected = [(*tensor.shape[: tensor.ndim - order], n, rank) for n in mode_sizes(tensor, order=order)]
        shapes = [tuple(factor.shape) for factor in self.given]
        if shapes != expected:
            raise ValueError(f"given factors have shapes {shapes}; {expected} are needed for this tensor and rank")
        return self.given

    def within(self, bases: tuple[Array, ...]) -> CPStart:
        xp = array_namespace(*bases)
        pairs = zip(bases, self.given, strict=True)  # coordinates of the projections in the bases
        return GivenStart(tuple(xp.matmul(xp.matrix_transpose(basis), factor) for basis, factor in pairs))
