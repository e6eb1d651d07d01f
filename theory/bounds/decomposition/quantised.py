"""Ranks of quantised tensor trains."""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.statement.bound import Instance, require
from theory.statement.errors import Error, dense
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.arrays import to_host
from tnattn.decomposition.tensor_train.binary_digits import levels
from tnattn.decomposition.tensor_train.quantised import QuantisedTensor, QuantisedTT
from tnattn.decomposition.tensor_train.quantised_matrix import QuantisedMatrix, QuantisedTTMatrix
from tnattn.decomposition.tensor_train.tt_svd import TTSVD

TOLERANCE = 1e-9  # below it a rank counts as exact: the theorems are about exact arithmetic


def _bonds(result: Any) -> Values:
    """Return the ranks of the bonds of a quantised tensor or matrix."""
    ranks = result.digits.ranks if isinstance(result, QuantisedTensor) else result.ranks
    return np.asarray(to_host(ranks), dtype=np.float64)


def _most(target: Any) -> Values:
    """Return a trivial bound on the ranks, twice the largest size."""
    return np.asarray(2.0 * max(target.shape))


largest_rank = Error("largest rank of a bond", lambda t, r: np.asarray(_bonds(r).max()), _most, lambda t: np.ones(()))
bond_ranks = Error("rank of every bond", lambda t, r: _bonds(r), _most, lambda t: np.ones(()))


def _three_exponentials(rng: np.random.Generator) -> Instance:
    i = np.arange(64)
    return QuantisedTT(rtol=1e-10, order=2), (0.9**i + 2 * 0.5**i - 0.8**i)[None]


def _oscillation(rng: np.random.Generator) -> Instance:
    i = np.arange(32)
    return QuantisedTT(rtol=1e-10, order=2), ((1 + i) * np.cos(rng.uniform(0.2, 1) * i))[None]


def _distance(rng: np.random.Generator) -> Instance:
    i = np.arange(16)
    return QuantisedTTMatrix(rank=64, rtol=1e-10), np.exp(-0.3 * np.abs(i[:, None] - i))


def _random_toeplitz(rng: np.random.Generator) -> Instance:
    generator, i = rng.standard_normal(63), np.arange(32)
    return QuantisedTTMatrix(rank=64, rtol=1e-10), generator[i[:, None] - i + 31]


khoromskij = Paper("Khoromskij 2011", method=QuantisedTT, instances=(_three_exponentials, _oscillation))


@khoromskij("re-derived: an unfolding is a part of the Hankel matrix", error=largest_rank)
def qtt_ranks(method: QuantisedTT, tensor: Any) -> Values:
    """r_k <= rank of the Hankel matrix (v_{i+j}) for a sequence v[None] of length 2^L.

    Row i and column j of an unfolding meet in v at 2^m i + j, so that it is a part of the Hankel matrix. Its rank is 1
    for exponentials, 2 for cos and sin, p + 1 for polynomials of degree p and for their products with an exponential,
    and adds under sums. For n = 8, v_i = 2^-i: v = (1, 2^-4) x (1, 2^-2) x (1, 2^-1), ranks (1, 1).

    Letters: v the sequence; L the number of binary digits of an index.
    Hypotheses: the target is one sequence, v[None]; its length is a power of two, at least 4; the tolerance is far
    below what is kept; the sequence is not zero.
    """
    v = dense(tensor)
    require(method.order == 2 and v.ndim == 2 and v.shape[0] == 1, "the target is one sequence, v[None]")
    require(v.shape[1] >= 4 and v.shape[1] == 2 ** levels(v.shape[1]), "its length is a power of two, at least 4")
    require(method.rtol is not None and method.rtol <= TOLERANCE, "the tolerance is far below what is kept")
    require(bool(np.any(v != 0)), "the sequence is not zero")  # a train has ranks of at least one
    return np.asarray(float(hankel_rank(v[0])))


def hankel_rank(v: Values) -> int:
    """Return the numerical rank of the square Hankel matrix of a sequence."""
    half = (len(v) + 1) // 2
    i = np.arange(half)
    # an almost square Hankel matrix has the largest rank of all
    s = np.linalg.svd(v[i[:, None] + i[: len(v) - half + 1]], compute_uv=False)
    return int(np.sum(s > 1e-3 * TOLERANCE * s[0]))


kazeev = Paper(
    "Kazeev, Khoromskij & Tyrtyshnikov 2013", method=QuantisedTTMatrix, instances=(_distance, _random_toeplitz)
)


@kazeev("re-derived from the digits of a difference", error=bond_ranks)
def qtt_toeplitz_ranks(method: QuantisedTTMatrix, a: Any) -> Values:
    """r_k <= 2 s_k for a Toeplitz matrix, s_k the ranks of its generating sequence of length 2^(L+1) at the same cut.

    A difference of low digits falls into one of two neighbouring blocks of the sequence. For exp(-|i - j|) the sequence
    has ranks 2, the matrix 3; the causal mask has 2, exp(-(i - j)) has 1, |i - j| has 3, a window at most 4.

    Letters: L the number of binary digits of an index.
    Hypotheses: there is one square matrix; its size is a power of two, at least 4; the tolerance is far below what is
    kept; the ranks are not capped; all diagonals are constant.
    """
    x = dense(a)
    n = x.shape[-1]
    require(x.ndim == 2 and x.shape[0] == n, "there is one square matrix")
    require(n >= 4 and n == 2 ** levels(n), "its size is a power of two, at least 4")
    require(method.rtol is not None and method.rtol <= TOLERANCE, "the tolerance is far below what is kept")
    require(method.rank >= n, "the ranks are not capped")
    require(all(np.ptp(np.diagonal(x, offset)) == 0 for offset in range(1 - n, n)), "all diagonals are constant")
    return 2.0 * np.array(generator_ranks(x))


def generator_ranks(x: Values) -> tuple[int, ...]:
    """Return the ranks s_k of the sequence x_{i-j}, i - j = -n, ..., n - 1, at the cuts below digit 2, ..., L."""
    n = len(x)
    sequence = np.concatenate([[x[0, n - 1]], x[0, :0:-1], x[:, 0]])  # the first is free: no entry has i - j = -n
    count = levels(2 * n)
    train: Any = TTSVD(rtol=1e-3 * TOLERANCE, order=count)(sequence.reshape((2,) * count))
    return tuple(int(r) for r in train.largest_ranks[1:])


def realised(result: QuantisedMatrix | QuantisedTensor) -> tuple[int, ...]:
    """Return the ranks of a quantised matrix or tensor."""
    return tuple(int(r) for r in _bonds(result))
