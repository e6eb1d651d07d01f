"""Higher-order orthogonal iteration: errors no larger than that of its initial guess, hence quasi-optimal."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.decomposition.instances import decaying, with_faces
from theory.bounds.decomposition.unfoldings import mode_tails, realised_ranks, require_one_tensor, size
from theory.statement import errors
from theory.statement.bound import Instance
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.decomposition.tucker.hooi import HOOI, FittedTucker
from tnattn.decomposition.tucker.st_hosvd import STHOSVD


def _one_face(rng: np.random.Generator) -> Instance:
    """Only one mode discards anything: the initial guess is optimal, and no sweep improves on it."""
    return HOOI(ranks=2), with_faces(rng, (0.0, 2.0, 0.0))


def _every_face(rng: np.random.Generator) -> Instance:
    return HOOI(ranks=2), with_faces(rng, (1.0, 2.0, 3.0), core=1e3)


def _decaying(rng: np.random.Generator) -> Instance:
    return HOOI(ranks=(2, 3, 4), sweeps=5), decaying(rng, (6, 7, 8))


def _order_four(rng: np.random.Generator) -> Instance:
    return HOOI(ranks=(2, 2, 3, 2), order=4), decaying(rng, (4, 5, 6, 3))


delathauwer = Paper(
    "De Lathauwer, De Moor & Vandewalle 2000b", method=HOOI, instances=(_one_face, _decaying), statement="Section 3"
)


@delathauwer(error=errors.tensor_frobenius)
def hooi_monotone(method: HOOI, tensor: Any) -> Values:
    """||X - X'||_F <= ||X - S||_F, S the sequentially truncated HOSVD of the same ranks, the initial guess.

    For X_000 = 2, X_111 = 1 and ranks 1 the error stays 1.

    Letters: S the sequentially truncated tensor.
    Hypotheses: there is one tensor, no stack; the ranks are given.
    """
    ranks = realised_ranks(method, tensor)
    start = STHOSVD(ranks=ranks, order=method.order)(tensor)
    return errors.tensor_frobenius(tensor, start)


# a subtraction: e_t^2 is one minus the share of ||X||_F^2 that the core holds
@delathauwer(
    error=errors.tensor_frobenius, guarantee=Deterministic(subtraction=True), instances=(_one_face, _order_four)
)
def hooi_every_sweep(method: HOOI, tensor: Any, result: FittedTucker) -> Values:
    """||X - X'||_F <= min_t e_t ||X||_F, e_t the relative error after sweep t: no sweep increases it.

    Letters: t the number of a sweep; e the relative error after a sweep.
    Hypotheses: there is one tensor, no stack.
    """
    require_one_tensor(method, tensor)
    return np.asarray(errors.dense(result.errors).min() * size(tensor))


@delathauwer(error=errors.tensor_frobenius, instances=(_every_face, _order_four))
def hooi(method: HOOI, tensor: Any) -> Values:
    """||X - X'||_F <= (sum_j tau_j^2)^(1/2), tau_j the tail of the mode-j unfolding at rank r_j.

    Hence at most sqrt(d) times the best error. For X_000 = 2, X_111 = 1 and ranks 1: sqrt(3), where the error is 1.

    Hypotheses: there is one tensor, no stack; the ranks are given.
    """
    return np.asarray(np.linalg.norm(mode_tails(method, tensor)))
