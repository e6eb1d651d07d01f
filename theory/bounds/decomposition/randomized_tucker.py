"""Expected errors of truncations to Tucker form whose bases come from Gaussian range finders."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from theory.bounds.decomposition.instances import decaying, with_slabs
from theory.bounds.decomposition.unfoldings import mode_tails, realised_ranks
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import Error
from theory.statement.guarantee import InExpectation
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.decomposition.tucker.randomized_tucker import RandomizedHOSVD, RandomizedSTHOSVD, RandomizedTruncation
from tnattn.randnla.sketches.gaussian import Gaussian


def _energy(target: Any) -> Values:
    return np.asarray(np.sum(np.square(errors.dense(target))))


tensor_projection_squared = Error(
    "squared Frobenius norm of the tensor",
    errors.tensor_frobenius_squared.measure,
    _energy,
    _energy,
    _energy,  # a projection is never worse than nothing
)


def _sketched(
    cls: type[RandomizedTruncation], ranks: int | tuple[int, ...], oversampling: int, *, recompress: bool
) -> RandomizedTruncation:
    return cls(ranks, oversampling=oversampling, power_iterations=0, recompress=recompress, exact_below=0.0)


def _slabs(rng: np.random.Generator) -> Instance:
    return _sketched(RandomizedHOSVD, 6, 8, recompress=False), with_slabs(rng, 6, 30)


def _slabs_sequential(rng: np.random.Generator) -> Instance:
    return _sketched(RandomizedSTHOSVD, 6, 8, recompress=False), with_slabs(rng, 6, 30)


def _slabs_recompressed(rng: np.random.Generator) -> Instance:
    return _sketched(RandomizedSTHOSVD, 6, 8, recompress=True), with_slabs(rng, 6, 30)


def _decaying(rng: np.random.Generator) -> Instance:
    return _sketched(RandomizedHOSVD, (2, 3, 4), 3, recompress=False), decaying(rng, (8, 9, 10))


def _decaying_sequential(rng: np.random.Generator) -> Instance:
    return _sketched(RandomizedSTHOSVD, (2, 3, 4), 3, recompress=False), decaying(rng, (8, 9, 10))


def _decaying_recompressed(rng: np.random.Generator) -> Instance:
    return _sketched(RandomizedHOSVD, (2, 3, 4), 3, recompress=True), decaying(rng, (8, 9, 10))


def expected_energy(tails: Values, ranks: tuple[int, ...], oversampling: int, *, extra: float = 0.0) -> Values:
    """Return sum_j (1 + extra + r_j / (p - 1)) tau_j^2."""
    factors = 1 + extra + np.asarray(ranks) / (oversampling - 1)
    return np.asarray(np.sum(factors * np.square(tails)))


def _require_gaussian(method: RandomizedTruncation, tensor: Any) -> tuple[int, ...]:
    """Check the hypotheses that the theorems share; return the ranks."""
    ranks = realised_ranks(method, tensor)
    require(isinstance(method.sketch, Gaussian), "the test matrices are Gaussian")
    require(method.power_iterations == 0, "no power iterations")
    require(method.exact_below == 0, "every mode is sketched")
    require(method.oversampling >= 2, "p >= 2")
    return ranks


def _require_room(method: RandomizedTruncation, tensor: Any, ranks: tuple[int, ...]) -> None:
    """Require r_j + p <= min(n_j, product of the other sizes), of the core of the moment for sequential methods."""
    left, p = list(tensor.shape), method.oversampling
    sequential = isinstance(method, RandomizedSTHOSVD)
    order = method.modes(tensor.shape) if isinstance(method, RandomizedSTHOSVD) else tuple(range(len(left)))
    for mode in order:
        # an unfolding of the core of the moment, whose sizes shrink as modes are projected
        room = min(left[mode], math.prod(left) // left[mode])
        require(ranks[mode] + p <= room, "r_j + p is at most the rank of every unfolding")
        if sequential:
            left[mode] = ranks[mode] + (0 if method.recompress else p)


minster = Paper("Minster, Saibaba & Kilmer 2020", method=RandomizedHOSVD, instances=(_slabs, _decaying))


@minster("Theorem 3.1", error=tensor_projection_squared, guarantee=InExpectation())
def rand_hosvd_expected(method: RandomizedHOSVD, tensor: Any) -> Values:
    """E||X - X'||_F^2 <= sum_j (1 + r_j/(p-1)) tau_j^2, tau_j the tail at rank r_j of a mode that keeps r_j + p.

    For tails^2 (0.04, 0.01, 0.01), ranks (2, 2, 3) and p = 3: 0.125, so E||X - X'||_F <= 0.353553.

    Letters: p the oversampling.
    Hypotheses: there is one tensor, no stack; the ranks are given; the test matrices are Gaussian; no power iterations;
    every mode is sketched; p >= 2; bases keep r + p columns; r_j + p is at most the rank of every unfolding.
    """
    ranks = _require_gaussian(method, tensor)
    require(not method.recompress, "bases keep r + p columns")
    _require_room(method, tensor, ranks)
    return expected_energy(mode_tails(method, tensor), ranks, method.oversampling)


minster_sequential = replace(minster, method=RandomizedSTHOSVD, instances=(_slabs_sequential, _decaying_sequential))


@minster_sequential("Theorem 3.2", error=tensor_projection_squared, guarantee=InExpectation())
def rand_sthosvd_expected(method: RandomizedSTHOSVD, tensor: Any) -> Values:
    """E||X - X'||_F^2 <= sum_j (1 + r_j/(p-1)) tau_j^2, tau_j the tail of X at rank r_j; modes keep r_j + p.

    A projection of the other modes does not increase a tail. Example as ``rand_hosvd_expected``.

    Letters: p the oversampling.
    Hypotheses: there is one tensor, no stack; the ranks are given; the test matrices are Gaussian; no power iterations;
    every mode is sketched; p >= 2; bases keep r + p columns; r_j + p is at most the rank of every unfolding.
    """
    ranks = _require_gaussian(method, tensor)
    require(not method.recompress, "bases keep r + p columns")
    _require_room(method, tensor, ranks)
    return expected_energy(mode_tails(method, tensor), ranks, method.oversampling)


minster_recompressed = replace(
    minster, method=(RandomizedHOSVD, RandomizedSTHOSVD), instances=(_slabs_recompressed, _decaying_recompressed)
)


@minster_recompressed(
    "re-derived for bases cut to the rank", error=tensor_projection_squared, guarantee=InExpectation()
)
def rand_tucker_recompressed_expected(method: RandomizedTruncation, tensor: Any) -> Values:
    """E||X - X'||_F^2 <= sum_j (2 + r_j/(p-1)) tau_j^2 if every basis is cut to the leading r_j directions it captures.

    The cut discards the tail of Q^T X_(j), at most tau_j^2 and orthogonal to the part outside the basis. For
    tails^2 (0.04, 0.01, 0.01), ranks (2, 2, 3) and p = 3: 0.125 + 0.06 = 0.185.

    Letters: p the oversampling.
    Hypotheses: there is one tensor, no stack; the ranks are given; the test matrices are Gaussian; no power iterations;
    every mode is sketched; p >= 2; bases are cut to r columns; r_j + p is at most the rank of every unfolding.
    """
    ranks = _require_gaussian(method, tensor)
    require(method.recompress, "bases are cut to r columns")
    _require_room(method, tensor, ranks)
    return expected_energy(mode_tails(method, tensor), ranks, method.oversampling, extra=1.0)
