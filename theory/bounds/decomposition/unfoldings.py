"""Tails of the singular values of unfoldings, the data of the theorems on truncated decompositions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from theory.statement.bound import require
from theory.statement.errors import dense, spectrum_of, tail
from theory.statement.prediction import Values
from tnattn.decomposition.multilinear import unfold
from tnattn.decomposition.truncation import Truncation


def realised_ranks(method: Truncation, tensor: Any) -> tuple[int, ...]:
    """Return the ranks that a method was given, or raise HypothesisViolated."""
    require_one_tensor(method, tensor)
    require(method.ranks is not None, "the ranks are given")
    return method.ranks_for(tuple(tensor.shape)) or ()


def require_one_tensor(method: Truncation, tensor: Any) -> None:
    """Raise HypothesisViolated unless all axes of an array are modes."""
    require(len(tensor.shape) == method.order, "there is one tensor, no stack")


def mode_tails(method: Truncation, tensor: Any) -> Values:
    """Return the tails (d,) of the mode unfoldings at the ranks of a method."""
    x = dense(tensor)
    ranks = realised_ranks(method, x)
    # the tails depend on the tensor and the ranks alone, not on the method
    return np.array([tail(spectrum_of(unfold(x, j, order=x.ndim)), rank) for j, rank in enumerate(ranks)])


def bond_tails(method: Truncation, tensor: Any) -> Values:
    """Return the tails (d - 1,) of the unfoldings of the first k modes against the others at the ranks of a method."""
    x = dense(tensor)
    ranks = realised_ranks(method, x)
    return np.array(
        [tail(spectrum_of(x.reshape(math.prod(x.shape[:k]), -1)), rank) for k, rank in enumerate(ranks, start=1)]
    )


def size(tensor: Any) -> float:
    """Return the Frobenius norm of a tensor."""
    return float(np.linalg.norm(dense(tensor)))
