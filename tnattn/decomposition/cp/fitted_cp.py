"""Result type of canonical polyadic fits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, array_namespace, device
from tnattn.decomposition.cp.sweep import gram, relative_error
from tnattn.decomposition.history import History
from tnattn.randnla.iteration_accuracy import IterationAccuracy
from tnattn.structured.cp import CPTensor

__all__ = ["FittedCP"]

DEGENERATE = -0.85  # cosine of two terms; a convention of the literature on swamps


@dataclass(frozen=True, eq=False, repr=False)
class FittedCP(IterationAccuracy, CPTensor):
    """A canonical polyadic tensor with columns of length one and weights that are not negative.

    Parameters
    ----------
    weights, factors
        See ``CPTensor``.
    ranks, residual, converged, stationary
        See ``IterationAccuracy``; ranks count the terms. A stationary fit may be a local minimum, or a swamp that was
        left too early.
    errors : Array, (..., sweeps)
        Relative Frobenius error after each sweep that ran, repeated once a tensor of the stack is stationary.
    sweeps : Array, (...), integer
        Sweeps that each tensor took.
    error_certificate : Array, (...)
        Frobenius error, measured: from the difference itself where the difference of norms keeps fewer than six digits.
    congruence : Array, (...)
        Smallest cosine of the angle between two terms, at least -1; 1 if there is one term only.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.cp import CPALS
    >>> tensor = np.random.default_rng(0).standard_normal((4, 5, 6))
    >>> fit = CPALS(rank=2, sweeps=5)(tensor)
    >>> fit.errors.shape, round(float(fit.residual), 2), round(float(fit.congruence), 2), bool(fit.degenerate)
    ((5,), 0.79, -0.3, False)
    """

    errors: Array
    sweeps: Array
    error_certificate: Array
    congruence: Array

    degrees: ClassVar[Mapping[str, float]] = {**CPTensor.degrees, "error_certificate": 1.0}

    @property
    def degenerate(self) -> Array:
        """Mask (...) of the fits with two nearly opposite terms: these grow and cancel, and a best fit may not exist.

        The threshold -0.85 on the cosine is a convention; look at ``congruence`` and ``weights``.
        """
        return self.congruence < DEGENERATE


def fitted_cp(
    tensor: Array,
    weights: Array,
    factors: Sequence[Array],
    captured: Array,
    *,
    size: Array,
    history: History,
    sweeps: Array,
) -> FittedCP:
    """Return the result of an iteration, with its error measured.

    Parameters
    ----------
    tensor : Array, (..., n_0, ..., n_{d-1})
    weights : Array, (..., r)
    factors : sequence of Array, (..., n_j, r)
    captured : Array, (...)
        Inner product of the fit with the tensor.
    size : Array, (...)
        Norm of the tensor.
    history : History
    sweeps : Array, (...), integer
    """
    xp = array_namespace(tensor)
    residual = relative_error(tensor, weights, factors, captured, size, digits=6)  # from the difference if need be
    return FittedCP(
        weights=weights,
        factors=tuple(factors),
        ranks=xp.full_like(sweeps, int(weights.shape[-1])),
        residual=residual,
        stationary=history.stationary,
        errors=history.stacked(),
        sweeps=sweeps,
        error_certificate=residual * size,
        congruence=congruence(factors),
    )


def congruence(factors: Sequence[Array]) -> Array:
    """Return the smallest cosine (...) between two terms, whose columns have length one or zero."""
    xp = array_namespace(factors[0])
    # <a o b o c, a' o b' o c'> = <a, a'> <b, b'> <c, c'>: the Hadamard product of the Gram matrices
    cosines = math.prod(gram(factor) for factor in factors)
    # a term's cosine with itself is no congruence of two terms
    identity = xp.eye(cosines.shape[-1], dtype=cosines.dtype, device=device(cosines))
    return xp.min(xp.where(identity > 0, xp.ones_like(cosines), cosines), axis=(-2, -1))
