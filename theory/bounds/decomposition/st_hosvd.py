"""The sequentially truncated higher-order singular value decomposition."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.decomposition.instances import decaying, with_faces
from theory.bounds.decomposition.unfoldings import mode_tails, require_one_tensor
from theory.statement import errors
from theory.statement.bound import Instance
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.decomposition.tucker.truncated_tucker import TruncatedTucker


def _every_face(rng: np.random.Generator) -> Instance:
    return STHOSVD(ranks=2, mode_order=(2, 0, 1)), with_faces(rng, (1.0, 2.0, 3.0))


def _decaying(rng: np.random.Generator) -> Instance:
    return STHOSVD(ranks=(2, 3, 4)), decaying(rng, (6, 7, 8))


def _order_four(rng: np.random.Generator) -> Instance:
    return STHOSVD(rtol=0.5, order=4), decaying(rng, (4, 5, 6, 3))


vannieuwenhoven = Paper(
    "Vannieuwenhoven, Vandebril & Meerbergen 2012",
    method=STHOSVD,
    instances=(_every_face, _decaying),
    statement="re-derived",
)


@vannieuwenhoven(error=errors.tensor_frobenius)
def sthosvd(method: STHOSVD, tensor: Any) -> Values:
    """||X - X'||_F <= (sum_j tau_j^2)^(1/2), tau_j the tail of the mode-j unfolding of X, in any order of the modes.

    A projection of the other modes does not increase a tail. For X_000 = 2, X_111 = 1 and ranks 1: sqrt(3).

    Hypotheses: there is one tensor, no stack; the ranks are given.
    """
    return np.asarray(np.linalg.norm(mode_tails(method, tensor)))


@vannieuwenhoven(error=errors.tensor_frobenius_squared, instances=(_every_face, _order_four))
def sthosvd_identity(method: STHOSVD, tensor: Any, result: TruncatedTucker) -> tuple[Values, Values]:
    """||X - X'||_F^2 = sum_j d_j^2, d_j the norm of the part that step j discards from the current core.

    For X_000 = 2, X_111 = 1 and ranks 1: 1 = 1 + 0 + 0.

    Hypotheses: there is one tensor, no stack.
    """
    require_one_tensor(method, tensor)
    discarded = errors.dense(result.discarded)
    return errors.tensor_frobenius_squared(tensor, result), np.asarray(np.sum(discarded**2))
