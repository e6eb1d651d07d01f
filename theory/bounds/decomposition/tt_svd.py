"""The tensor-train decomposition by successive singular value decompositions, and rounding, which gives the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.decomposition.instances import decaying, with_faces
from theory.bounds.decomposition.unfoldings import bond_tails, require_one_tensor, size
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.decomposition.tensor_train.truncated_train import TruncatedTensorTrain
from tnattn.decomposition.tensor_train.tt_rounding import TTRounding
from tnattn.decomposition.tensor_train.tt_svd import TTSVD
from tnattn.structured.tensor_train import TensorTrain

# of the instance that spends its budget: rounding is far below, and the tensor far above
TOLERANCE = 0.05


def _two_faces(rng: np.random.Generator) -> Instance:
    return TTSVD(ranks=2), with_faces(rng, (1.0, 0.0, 3.0))


def _one_face(rng: np.random.Generator) -> Instance:
    return TTSVD(ranks=2), with_faces(rng, (0.0, 0.0, 3.0))


def _decaying(rng: np.random.Generator) -> Instance:
    return TTSVD(ranks=(3, 4)), decaying(rng, (6, 7, 8))


def _order_four(rng: np.random.Generator) -> Instance:
    return TTSVD(ranks=(3, 5, 2), order=4), decaying(rng, (4, 5, 6, 3))


def _long_train(rng: np.random.Generator) -> Instance:
    """A train of ranks (4, 15, 3), twice as large as the tolerance needs: a sum of a decaying one with itself."""
    train = TensorTrain(tuple(TTSVD(rtol=1e-12, order=4)(decaying(rng, (4, 5, 6, 3)))))
    return TTRounding(rtol=0.1), train + 0.5 * train


def _budget_spent(rng: np.random.Generator) -> Instance:
    """Both steps discard 0.98 of their share of the tolerance."""
    # 2 % below the budget, so that rounding cannot keep one more singular value
    share = 0.98 * TOLERANCE**2 / 2
    face = 100.0 * share / (1 - 2 * share)
    return TTSVD(rtol=TOLERANCE), with_faces(rng, (face, 0.0, face))


def _alike(method: TTSVD | TTRounding, tensor: Any) -> TTSVD:
    """Return the decomposition of the formed tensor that gives the result of a rounding."""
    if isinstance(method, TTSVD):
        return method
    order = len(tensor.shape)
    svd = method.truncation(order)
    if svd.ranks is None:
        return svd
    wanted = svd.ranks if isinstance(svd.ranks, tuple) else (svd.ranks,) * (order - 1)
    # ranks beyond the sizes of an unfolding are cut, as rounding does
    return TTSVD(ranks=tuple(map(min, wanted, svd.rank_limits(tensor.shape))), order=order)


oseledets = Paper("Oseledets 2011", method=(TTSVD, TTRounding), instances=(_two_faces, _decaying))


@oseledets("Theorem 2.2", error=errors.tensor_frobenius)
def ttsvd(method: TTSVD | TTRounding, tensor: Any) -> Values:
    """||X - X'||_F <= (sum_k tau_k^2)^(1/2), tau_k the tail of the unfolding of the first k modes at rank r_k.

    Hence at most sqrt(d - 1) times the best error at these ranks (Corollary 2.4). For X_000 = 2, X_111 = 1 and ranks
    1 the tails are 1 and 1: the bound is sqrt(2).

    Hypotheses: there is one tensor, no stack; the ranks are given.
    """
    return np.asarray(np.linalg.norm(bond_tails(_alike(method, tensor), tensor)))


@oseledets("proof of Corollary 2.4", error=errors.tensor_frobenius, side="lower", instances=(_one_face, _order_four))
def ttsvd_lower(method: TTSVD | TTRounding, tensor: Any) -> Values:
    """||X - B||_F >= max_k tau_k for every B of TT-ranks at most (r_k).

    Letters: B any tensor of these ranks.
    Hypotheses: there is one tensor, no stack; the ranks are given.
    """
    return np.asarray(bond_tails(_alike(method, tensor), tensor).max())


@oseledets("proof of Theorem 2.2", error=errors.tensor_frobenius_squared, instances=(_two_faces, _order_four))
def ttsvd_identity(method: TTSVD | TTRounding, tensor: Any, result: TruncatedTensorTrain) -> tuple[Values, Values]:
    """||X - X'||_F^2 = sum_k d_k^2, d_k the norm of the part that step k discards.

    For X_000 = 2, X_111 = 1 and ranks 1: 1 = 1 + 0.

    Hypotheses: there is one tensor, no stack.
    """
    require_one_tensor(_alike(method, tensor), tensor)
    discarded = errors.dense(result.discarded)
    return errors.tensor_frobenius_squared(tensor, result), np.asarray(np.sum(discarded**2))


@oseledets("Algorithm 1", error=errors.tensor_frobenius, instances=(_budget_spent, _long_train))
def tt_rounding(method: TTSVD | TTRounding, tensor: Any) -> Values:
    """||X - X'||_F <= epsilon ||X||_F if every step discards at most delta = epsilon ||X||_F / sqrt(d - 1).

    For d = 4, ||X||_F = 1 and epsilon = 0.03: delta = 0.03 / sqrt(3) = 0.0173205.

    Letters: epsilon the relative tolerance; delta the tolerance of one step.
    Hypotheses: there is one tensor, no stack; a tolerance is given.
    """
    require_one_tensor(_alike(method, tensor), tensor)
    require(method.rtol is not None, "a tolerance is given")
    return np.asarray((method.rtol or 0.0) * size(tensor))
