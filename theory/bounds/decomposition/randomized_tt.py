"""The tensor-train decomposition by successive Gaussian range finders."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from theory.bounds.decomposition.instances import decaying
from theory.bounds.decomposition.unfoldings import bond_tails, realised_ranks, require_one_tensor
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.guarantee import InExpectation
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.decomposition.tensor_train.randomized_tt import RandomizedTTSVD
from tnattn.decomposition.tensor_train.truncated_train import TruncatedTensorTrain
from tnattn.randnla.sketches.gaussian import Gaussian

# every step is an orthogonal projection: nothing is worse than discarding all of the tensor
projected = dataclasses.replace(errors.tensor_frobenius_squared, ceiling=errors.tensor_frobenius_squared.norm)


def _plain(ranks: int | tuple[int, ...], oversampling: int) -> RandomizedTTSVD:
    return RandomizedTTSVD(ranks=ranks, oversampling=oversampling, power_iterations=0, truncate=False, exact_below=0.0)


def _gap(rng: np.random.Generator) -> Instance:
    """A large train of ranks 3 under noise that the second unfolding, of rank 3, holds: one step loses."""
    rank, shared = 3, np.linalg.qr(rng.standard_normal((12, 3)))[0]
    left, right = np.linalg.qr(rng.standard_normal((40, 36)))[0], np.linalg.qr(rng.standard_normal((36, 36)))[0]
    strength = np.concatenate([np.full(rank, 1e4), np.ones(36 - rank)])
    unfolded = (left * strength) @ right  # (40, 12 * 3)
    return _plain(rank, 3), np.einsum("abc,dc->abd", unfolded.reshape(40, 12, 3), shared)


def _decaying(rng: np.random.Generator) -> Instance:
    return _plain((2, 4), 3), decaying(rng, (8, 9, 10))


huber = Paper("Huber, Schneider & Wolf 2017", method=RandomizedTTSVD, instances=(_gap, _decaying))


@huber("re-derived, step by step", error=projected, guarantee=InExpectation())
def rand_tt_expected(method: RandomizedTTSVD, tensor: Any) -> Values:
    """E||X - X'||_F^2 <= sum_k (1 + r_k/(p - 1)) tau_k^2, tau_k the tail of the unfolding of the first k modes at r_k.

    The bases keep all r_k + p columns. For squared tails (0.04, 0.01), ranks (2, 3) and p = 3: 0.105.

    Letters: p the oversampling.
    Hypotheses: the test matrices are Gaussian; no power iterations; every unfolding is sketched; the bases keep the
    oversampling; p >= 2; there is one tensor, no stack; the ranks are given; r_k + p is no larger than the unfoldings.
    """
    require(isinstance(method.sketch, Gaussian), "the test matrices are Gaussian")
    require(method.power_iterations == 0, "no power iterations")
    require(method.exact_below == 0, "every unfolding is sketched")
    require(not method.truncate, "the bases keep the oversampling")
    require(method.oversampling >= 2, "p >= 2")
    ranks = np.array(realised_ranks(method, tensor))
    limits = np.array(method.rank_limits(tensor.shape))
    require(bool(np.all(ranks + method.oversampling <= limits)), "r_k + p is no larger than the unfoldings")
    return np.asarray(np.sum((1 + ranks / (method.oversampling - 1)) * bond_tails(method, tensor) ** 2))


oseledets = Paper("Oseledets 2011", method=RandomizedTTSVD, instances=(_decaying, _decaying))


@oseledets("proof of Theorem 2.2, for any nested orthogonal projections", error=errors.tensor_frobenius_squared)
def rand_tt_identity(method: RandomizedTTSVD, tensor: Any, result: TruncatedTensorTrain) -> tuple[Values, Values]:
    """||X - X'||_F^2 = sum_k d_k^2, d_k the norm of the part that step k discards, for every sample.

    For X_000 = 2, X_111 = 1 and full bases: 0 = 0 + 0.

    Hypotheses: there is one tensor, no stack.
    """
    require_one_tensor(method, tensor)
    discarded = errors.dense(result.discarded)
    return errors.tensor_frobenius_squared(tensor, result), np.asarray(np.sum(discarded**2))
