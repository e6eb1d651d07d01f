"""Cross interpolation by tensor trains."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from theory.bound import Instance, Source, Values, conditional_bound, require
from theory.bounds.decomposition.instances import decaying
from theory.bounds.decomposition.unfoldings import require_one_tensor
from theory.errors import Error, dense, singular_values
from theory.guarantee import Deterministic
from tnattn.arrays import eps, to_host
from tnattn.decomposition.tt_cross import CrossTrain, TTCross


def _largest(x: Any) -> Values:
    return np.asarray(np.abs(dense(x)).max())


largest_entry = Error("largest entry of the tensor", lambda t, r: _largest(dense(t) - dense(r)), _largest, _largest)


def _one_lossy_bond(rng: np.random.Generator) -> Instance:
    """The second bond has its full rank: all of the error is that of the first level."""
    return TTCross(ranks=(2, 6)), decaying(rng, (6, 5, 6))


def _decaying(rng: np.random.Generator) -> Instance:
    return TTCross(ranks=(3, 4, 2), order=4), decaying(rng, (4, 5, 6, 3))


def _exact_ranks(rng: np.random.Generator) -> Instance:
    cores = [rng.standard_normal(shape) for shape in ((1, 6, 2), (2, 7, 3), (3, 5, 1))]
    return TTCross(ranks=(2, 3)), np.einsum("xab,bcd,dey->ace", *cores)


def _product(rng: np.random.Generator) -> Instance:
    u, v, w = (rng.standard_normal(n) for n in (4, 5, 6))
    return TTCross(ranks=1), np.einsum("i,j,k->ijk", u, v, w)


def levels(tensor: Any, result: CrossTrain) -> tuple[Values, Values]:
    """Return the largest entries of the residuals of all levels, and the largest row l1 norms of their coefficients.

    Level k interpolates A_k, the entries of the rows chosen for bond k with all indices of the modes to the right.
    """
    x, left = dense(tensor), dense(tensor).reshape(1, -1)
    residuals, growth = [], []
    for k, core in enumerate(result.cores[:-1]):
        coefficients = dense(core).reshape(-1, core.shape[-1])
        chosen = np.asarray(to_host(result.rows[k]))
        following = x[tuple(chosen.T)].reshape(len(chosen), -1)  # A_k(I_k, :)
        level = left.reshape(coefficients.shape[0], -1)
        residuals.append(np.abs(level - coefficients @ following).max())
        growth.append(np.abs(coefficients).sum(axis=1).max())
        left = following
    return np.array(residuals), np.array(growth)


@conditional_bound(
    method=TTCross,
    error=largest_entry,
    guarantee=Deterministic(condition=100.0),
    source=Source("re-derived", "compare Savostyanov 2014"),
    extremal=_one_lossy_bond,
    generic=_decaying,
)
def tt_cross_telescoping(method: TTCross, tensor: Any, result: CrossTrain) -> Values:
    """||X - X'||_max <= sum_k (prod_{j<k} c_j) ||E_k||_max, E_k the residual of level k, c_k a row l1 norm.

    The residual of a level is interpolated by the levels before it, with coefficients T_j of absolute row sum at most
    c_j, so that c_j <= r_j where no coefficient exceeds one. For levels with residuals 0.1 and 0.01 and c_1 = 2: 0.12.
    The part of the catalogue that needs crosses of maximal volume is left out: nobody can certify the maximum.
    """
    require_one_tensor(method, tensor)
    residuals, growth = levels(tensor, result)
    return np.asarray(telescoped(residuals, growth))


def telescoped(residuals: Values, growth: Values) -> float:
    """Return sum_k (prod_{j<k} c_j) e_k."""
    before = np.concatenate([[1.0], np.cumprod(growth)[:-1]])
    return float(np.sum(before * residuals))


@conditional_bound(
    method=TTCross,
    error=largest_entry,
    guarantee=Deterministic(condition=1e4),
    source=Source("Oseledets & Tyrtyshnikov 2010", "Theorem 3.1"),
    extremal=_exact_ranks,
    generic=_product,
    must_fail=None,
)
def tt_cross_exactness(method: TTCross, tensor: Any, result: CrossTrain) -> Values:
    """X' = X if X has TT-ranks r_k and all cross matrices are non-singular.

    For X_ijk = u_i v_j w_k a cross at any non-zero entry: X_ij0k0 X_i0jk0 X_i0j0k / X_i0j0k0^2 = X_ijk.
    """
    require_one_tensor(method, tensor)
    x = dense(tensor)
    for k, rank in enumerate(result.ranks, start=1):
        s = singular_values(x.reshape(math.prod(x.shape[:k]), -1))
        beyond = float(s[rank]) if rank < s.size else 0.0
        require(beyond <= 100 * max(x.shape) * eps(x) * float(s[0]), "the tensor has the ranks of the train")
    require(max(float(np.abs(dense(core)).max()) for core in result.cores[:-1]) <= 100, "no cross is near singular")
    return np.zeros(())
