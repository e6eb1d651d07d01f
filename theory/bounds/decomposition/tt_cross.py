"""Cross interpolation by tensor trains."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from theory.bounds.decomposition.instances import decaying
from theory.bounds.decomposition.unfoldings import require_one_tensor
from theory.bounds.randnla.largest_volume import LargestVolumeCross, alike, condition_of_volume
from theory.statement.bound import Instance, require
from theory.statement.errors import Error, dense, spectrum_of
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.arrays import Array, Rng, array_namespace, eps, to_host
from tnattn.decomposition.multilinear import mode_sizes
from tnattn.decomposition.tensor_train.cross_train import CrossTrain
from tnattn.decomposition.tensor_train.train_truncation import TrainTruncation
from tnattn.decomposition.tensor_train.tt_cross import TTCross
from tnattn.structured.dense import Dense
from tnattn.structured.tensor_train import TensorTrain


@dataclass(frozen=True)
class LargestVolumeTTCross(TrainTruncation):
    """The left-nested cross whose every intersection has the largest volume, found by trying all.

    Exponential: it is here to be compared with theorems. One tensor, no stack.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.decomposition.tt_cross import LargestVolumeTTCross, alike_slices
    >>> x = alike_slices(0.02)
    >>> round(float(np.max(np.abs(x - LargestVolumeTTCross((1, 1))(x).to_dense()))), 4)  # 2 d - d^2 for d = 0.02
    0.0396
    """

    def decompose(self, tensor: Array, *, rng: Rng | None) -> TensorTrain:
        xp, sizes = array_namespace(tensor), mode_sizes(tensor, order=self.order)
        level, cores = tensor, []
        bonds = (1, *(self.ranks_for(sizes) or self.rank_limits(sizes)))
        # level k: the rows are the previous bond and mode k, the columns all later modes
        for left, right, n in zip(bonds, bonds[1:], sizes, strict=False):
            cross = LargestVolumeCross(right).factorise(Dense(xp.reshape(level, (left * n, -1))), rng=None)
            level = cross.right
            cores.append(xp.reshape(cross.left, (left, n, right)))
        return TensorTrain((*cores, xp.reshape(level, (bonds[-1], sizes[-1], 1))))


def _largest(x: Any) -> Values:
    return np.asarray(np.abs(dense(x)).max())


largest_entry = Error("largest entry of the tensor", lambda t, r: _largest(dense(t) - dense(r)), _largest, _largest)


def plain(*ranks: int) -> TTCross:
    """Return the method that interpolates from as many rows as ranks, and rounds nothing."""
    return TTCross(ranks, enrichment=1, rows_per_column=1, oversampling=0, order=len(ranks) + 1)


def _one_lossy_bond(rng: np.random.Generator) -> Instance:
    """The second bond has its full rank: all of the error is that of the first level."""
    return plain(2, 6), decaying(rng, (6, 5, 6))


def _decaying(rng: np.random.Generator) -> Instance:
    return TTCross(ranks=(3, 4, 2), order=4), decaying(rng, (4, 5, 6, 3))


def _exact_ranks(rng: np.random.Generator) -> Instance:
    cores = [rng.standard_normal(shape) for shape in ((1, 6, 2), (2, 7, 3), (3, 5, 1))]
    return TTCross(ranks=(2, 3)), np.einsum("xab,bcd,dey->ace", *cores)


def _product(rng: np.random.Generator) -> Instance:
    u, v, w = (rng.standard_normal(n) for n in (4, 5, 6))
    return plain(1, 1), np.einsum("i,j,k->ijk", u, v, w)


def alike_slices(difference: float) -> Values:
    """Return X_ijk = M_ij v_k with v = (1, 0) and M two alike rows, ones on the diagonal."""
    return np.asarray(np.einsum("ij,k->ijk", alike(2, difference=difference), [1.0, 0.0]))


def _alike(rng: np.random.Generator) -> Instance:
    """A cross of rank one leaves about twice the second singular value, and the second level nothing."""
    return LargestVolumeTTCross((1, 1)), alike_slices(0.02)


def _small(rng: np.random.Generator) -> Instance:
    a, b, c = (rng.uniform(0, 1, n) for n in (3, 3, 4))
    return LargestVolumeTTCross((2, 2)), 1 / (1 + a[:, None, None] + b[:, None] + c)


def levels(tensor: Any, result: CrossTrain) -> tuple[Values, Values]:
    """Return the largest entries of the residuals of all levels, and the largest row l1 norms of their coefficients.

    Level k fits B_k, what the train holds of the entries at the rows chosen for bond k: ``B_k ~ core_k B_{k+1}``.
    """
    x, held = dense(tensor), dense(tensor).reshape(1, -1)
    residuals, growth = [], []
    for core, rows, inverse in zip(result.fit.train.cores, result.fit.rows, result.fit.inverses, strict=False):
        coefficients = dense(core).reshape(-1, core.shape[-1])
        # rows of indices of the first k modes, one for each chosen row
        entries = x[tuple(np.asarray(to_host(rows)).T)].reshape(rows.shape[-2], -1)
        following = dense(inverse) @ entries
        level = held.reshape(coefficients.shape[0], -1)
        residuals.append(np.abs(level - coefficients @ following).max())
        growth.append(np.abs(coefficients).sum(axis=1).max())
        held = following
    return np.array(residuals), np.array(growth)


own = Paper("re-derived", method=TTCross, instances=(_one_lossy_bond, _decaying))


@own("compare Savostyanov 2014", error=largest_entry, guarantee=Deterministic(condition=100.0))
def tt_cross_telescoping(method: TTCross, tensor: Any, result: CrossTrain) -> Values:
    """||X - X'||_max <= sum_k (prod_{j<k} c_j) ||E_k||_max, E_k the residual of level k, c_k a row l1 norm.

    The residual of a level passes through the levels before it, with coefficients T_j of absolute row sum at most c_j,
    so that c_j <= r_j where no coefficient exceeds one. For levels with residuals 0.1 and 0.01 and c_1 = 2: 0.12. What
    the rounding of the bonds changes, in the largest entry, is added.

    Letters: E the residuals of the levels.
    Hypotheses: there is one tensor, no stack.
    """
    require_one_tensor(method, tensor)
    residuals, growth = levels(tensor, result)
    return np.asarray(telescoped(residuals, growth) + _largest(dense(result.fit.train) - dense(result)))


def telescoped(residuals: Values, growth: Values) -> float:
    """Return sum_k (prod_{j<k} c_j) e_k."""
    # the error of level k passes through the coefficients of the levels before it
    before = np.concatenate([[1.0], np.cumprod(growth)[:-1]])
    return float(np.sum(before * residuals))


def _condition(method: LargestVolumeTTCross, tensor: Any) -> float:
    """Return ten times the largest condition number that an intersection of the levels may have."""
    x, found = dense(tensor), 1.0
    for k, rank in enumerate(method.ranks_for(x.shape) or (), start=1):
        unfolding = x.reshape(math.prod(x.shape[:k]), -1)
        found = max(found, float(condition_of_volume(spectrum_of(unfolding), rank, *unfolding.shape)))
    return 10 * found


largest_volume = replace(
    own, method=LargestVolumeTTCross, instances=(_alike, _small), guarantee=Deterministic(condition=_condition)
)


@largest_volume("with Goreinov & Tyrtyshnikov 2001", error=largest_entry)
def tt_cross_maximal_volume(method: LargestVolumeTTCross, tensor: Any) -> Values:
    """||X - X'||_max <= sum_k (prod_{j<k} r_j) (r_k + 1) s_{r_k+1}(X_<k>) for intersections of largest volume.

    Then no coefficient exceeds one, so that c_j <= r_j, and a level leaves at most (r_k + 1) s_{r_k+1} of its own
    matrix, which is a part of the unfolding. For X_ijk = M_ij v_k, M = [1, 1-d; 1-d, 1], v = (1, 0) and ranks 1: s_2 of
    the first unfolding is d, of the second 0, the bound 2 d, the error 1 - (1-d)^2 = 2 d - d^2.

    Hypotheses: there is one tensor, no stack; the ranks are given; every unfolding has at least its rank.
    """
    require_one_tensor(method, tensor)
    require(method.ranks is not None, "the ranks are given")
    x = dense(tensor)
    ranks = method.ranks_for(x.shape) or ()
    tails = []
    for k, rank in enumerate(ranks, start=1):
        s = np.append(spectrum_of(x.reshape(math.prod(x.shape[:k]), -1)), 0.0)
        require(bool(s[rank - 1] > max(x.shape) * eps(tensor) * s[0]), "every unfolding has at least its rank")
        tails.append((rank + 1) * s[rank])
    return np.asarray(telescoped(np.array(tails), np.array(ranks, dtype=np.float64)))


oseledets = Paper("Oseledets & Tyrtyshnikov 2010", method=TTCross, instances=(_exact_ranks, _product))


@oseledets("Theorem 3.1", error=largest_entry, guarantee=Deterministic(condition=1e4))
def tt_cross_exactness(method: TTCross, tensor: Any, result: CrossTrain) -> tuple[Values, Values]:
    """X' = X, entry by entry, if X has TT-ranks r_k and all cross matrices are non-singular.

    For X_ijk = u_i v_j w_k a cross at any non-zero entry: X_ij0k0 X_i0jk0 X_i0j0k / X_i0j0k0^2 = X_ijk.

    Hypotheses: there is one tensor, no stack; the tensor has the ranks of the train; no cross is near singular.
    """
    require_one_tensor(method, tensor)
    x = dense(tensor)
    for k, rank in enumerate(result.largest_ranks, start=1):
        s = spectrum_of(x.reshape(math.prod(x.shape[:k]), -1))
        # an unfolding of full rank has no singular value beyond
        beyond = float(s[rank]) if rank < s.size else 0.0
        require(beyond <= 100 * max(x.shape) * eps(x) * float(s[0]), "the tensor has the ranks of the train")
    # coefficients C G^-1 of a cross near a singular one are large
    largest = max(float(np.abs(dense(core)).max()) for core in result.fit.train.cores[:-1])
    require(largest <= 100, "no cross is near singular")
    return dense(result), x
