"""Errors of the truncated higher-order SVD, and bounds for every Tucker truncation."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.bounds.decomposition.instances import decaying, with_faces
from theory.bounds.decomposition.unfoldings import mode_tails, require_one_tensor, size
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.decomposition.truncation import Truncation
from tnattn.decomposition.tucker.hooi import HOOI
from tnattn.decomposition.tucker.hosvd import HOSVD
from tnattn.decomposition.tucker.st_hosvd import STHOSVD

# of the instance that spends its budget: rounding is far below, and the tensor far above
TOLERANCE = 0.05


def _every_face(rng: np.random.Generator) -> Instance:
    return HOSVD(ranks=2), with_faces(rng, (1.0, 2.0, 3.0))


def _one_face(rng: np.random.Generator) -> Instance:
    return HOSVD(ranks=2), with_faces(rng, (0.0, 2.0, 0.0))


def _decaying(rng: np.random.Generator) -> Instance:
    return HOSVD(ranks=(2, 3, 4)), decaying(rng, (6, 7, 8))


def _order_four(rng: np.random.Generator) -> Instance:
    return STHOSVD(ranks=(2, 2, 3, 2), order=4), decaying(rng, (4, 5, 6, 3))


def _budget_spent(rng: np.random.Generator) -> Instance:
    """Every mode discards 0.98 of its share of the tolerance."""
    # 2 % below the budget, so that rounding cannot keep one more singular value
    share = 0.98 * TOLERANCE**2 / 3
    return STHOSVD(rtol=TOLERANCE), with_faces(rng, [100.0 * share / (1 - 3 * share)] * 3)


def _tolerance(rng: np.random.Generator) -> Instance:
    return HOSVD(rtol=0.5), decaying(rng, (6, 7, 8))


delathauwer = Paper("De Lathauwer, De Moor & Vandewalle 2000", method=HOSVD, instances=(_every_face, _decaying))


@delathauwer("Property 10", error=errors.tensor_frobenius)
def hosvd(method: HOSVD, tensor: Any) -> Values:
    """||X - X'||_F <= (sum_j tau_j^2)^(1/2), tau_j the tail of the mode-j unfolding at rank r_j.

    Hence at most sqrt(d) times the best error at these ranks, no tail being larger than that. For X_000 = 2,
    X_111 = 1 and ranks 1 every tail is 1: the bound is sqrt(3).

    Hypotheses: there is one tensor, no stack; the ranks are given.
    """
    return np.asarray(np.linalg.norm(mode_tails(method, tensor)))


hackbusch = Paper("Hackbusch 2012", method=(HOSVD, STHOSVD, HOOI), instances=(_one_face, _order_four))


@hackbusch("every unfolding for itself, re-derived", error=errors.tensor_frobenius, side="lower")
def hosvd_lower(method: Truncation, tensor: Any) -> Values:
    """||X - B||_F >= max_j tau_j for every B of multilinear ranks at most (r_j).

    Letters: B any tensor of these ranks.
    Hypotheses: there is one tensor, no stack; the ranks are given.
    """
    return np.asarray(mode_tails(method, tensor).max())


vannieuwenhoven = Paper(
    "Vannieuwenhoven, Vandebril & Meerbergen 2012", method=(HOSVD, STHOSVD), instances=(_budget_spent, _tolerance)
)


@vannieuwenhoven("re-derived", error=errors.tensor_frobenius)
def tucker_tolerance(method: Truncation, tensor: Any) -> Values:
    """||X - X'||_F <= epsilon ||X||_F if every mode discards at most epsilon ||X||_F / sqrt(d).

    Letters: epsilon the relative tolerance.
    Hypotheses: there is one tensor, no stack; a tolerance is given.
    """
    require_one_tensor(method, tensor)
    require(method.rtol is not None, "a tolerance is given")
    return np.asarray((method.rtol or 0.0) * size(tensor))
