"""One basis for all matrices of a stack."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.decomposition.instances import decaying
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import eigenvalues, spectrum_of, tail
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.decomposition.tucker.shared_factors import SharedFactors, SharedTucker


def _different_heads(rng: np.random.Generator) -> Instance:
    return SharedFactors(ranks=3), decaying(rng, (4, 8, 6))


def _one_range(rng: np.random.Generator) -> Instance:
    """All members have the same singular vectors: nothing is lost by sharing."""
    left, right = (np.linalg.qr(rng.standard_normal((n, n)))[0] for n in (7, 7))
    spectra = 2.0 ** -np.arange(7) * rng.uniform(1.0, 1.5, (5, 1))
    return SharedFactors(ranks=2), np.einsum("ij,hj,kj->hik", left, spectra, right)


def _stacked(method: SharedFactors, tensor: Any) -> tuple[Values, int]:
    """Return the matrix [W_1 W_2 ...] and the rank, or raise HypothesisViolated."""
    x = errors.dense(tensor)
    require(x.ndim == method.order == 3, "there is one stack of matrices")
    require(method.modes == (1,), "there is one shared basis, for the columns")
    require(method.ranks is not None, "the rank is given")
    (rank,) = method.ranks_for(x.shape) or (0,)
    # (h, m, n) to (m, h n)
    return np.moveaxis(x, 1, 0).reshape(x.shape[1], -1), rank


eckart = Paper(
    "Eckart & Young 1936",
    method=SharedFactors,
    instances=(_one_range, _different_heads),
    statement="for the stacked matrix, re-derived",
)


@eckart(error=errors.tensor_frobenius_squared)
def head_stack_eckart_young(method: SharedFactors, tensor: Any, result: SharedTucker) -> tuple[Values, Values]:
    """sum_h ||W_h - U U^T W_h||_F^2 = sum_{j>r} l_j(sum_h W_h W_h^T), the least that a shared basis U can leave.

    It is the squared tail of [W_1 W_2 ...]. For W_1 = diag(2, 0), W_2 = diag(0, 1) and r = 1: 1.

    Letters: h an index of matrices; U the shared basis; l the eigenvalues.
    Hypotheses: there is one stack of matrices; there is one shared basis, for the columns; the rank is given.
    """
    stacked, rank = _stacked(method, tensor)
    return errors.tensor_frobenius_squared(tensor, result), np.asarray(eigenvalues(stacked @ stacked.T)[rank:].sum())


@eckart(error=errors.tensor_frobenius_squared, side="lower")
def head_stack_floor(method: SharedFactors, tensor: Any) -> Values:
    """sum_h ||W_h - U U^T W_h||_F^2 >= sum_h tau_r(W_h)^2, the error with a basis for each matrix.

    For W_1 = diag(2, 0), W_2 = diag(0, 1) and r = 1: 0.

    Letters: h an index of matrices; U the shared basis.
    Hypotheses: there is one stack of matrices; there is one shared basis, for the columns; the rank is given.
    """
    _, rank = _stacked(method, tensor)
    return np.asarray(np.sum(tail(spectrum_of(tensor), rank) ** 2))
