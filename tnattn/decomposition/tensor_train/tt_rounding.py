"""Rounding of tensor trains: fewer ranks, without forming the tensor."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import (
    Array,
    Rng,
    array_namespace,
    check_finite,
    contract,
    device,
    eps,
    normal,
    require_rng,
)
from tnattn.decomposition.base import require_integer, require_single_or_double
from tnattn.decomposition.scaling import energy, norm, restored, unit
from tnattn.decomposition.subspace import leading_subspace
from tnattn.decomposition.tensor_train.tt_svd import TTSVD
from tnattn.decomposition.truncated import (
    SketchedTensorTrain,
    TruncatedTensorTrain,
    relative_accuracy,
    truncation_record,
)
from tnattn.linalg import orthonormalise, orthonormalise_with_factor
from tnattn.linalg.scaling import times_power_of_two
from tnattn.scalars import Parameters
from tnattn.structured.tensor_train import TensorTrain


@dataclass(frozen=True)
class TTRounding(Parameters):
    """Lower the ranks of a tensor train: orthogonalise its cores from the right, then truncate from the left.

    Parameters
    ----------
    ranks : int or tuple of int, optional
        One for each inner bond; a bond of the train that is smaller stays as it is.
    rtol : float, optional
        Bound on the relative error; every bond may discard ``rtol^2 / (d - 1)`` of the energy. 0.01 if neither
        is given.

    Notes
    -----
    O(d n r^3). Oseledets 2011, Algorithm 2: the same result as TT-SVD of the formed tensor, and the same identity: the
    discarded energies add up to the square of the error.
    """

    ranks: int | tuple[int, ...] | None = None
    rtol: float | None = None

    def __post_init__(self) -> None:
        checked = self.truncation(len(self.ranks) + 1 if isinstance(self.ranks, tuple) else 3)
        object.__setattr__(self, "rtol", checked.rtol)

    def truncation(self, order: int) -> TTSVD:
        """Return the decomposition of a formed tensor that gives the same result."""
        return TTSVD(ranks=self.ranks, rtol=self.rtol, order=order)

    def __call__(self, train: TensorTrain) -> TruncatedTensorTrain:
        """Round a stack of trains.

        Raises
        ------
        TypeError
            If ``train`` is no tensor train, or its cores are not of float32 or float64.
        ValueError
            If it has a single core, the number of ranks does not fit its order, the tolerance is below rounding, or
            cores or result are not finite.
        """
        train = admitted(train)
        floor = max(train.sizes) * eps(train.like)
        if self.rtol is not None and self.rtol < floor:
            raise ValueError(f"rtol {self.rtol} is below {floor:.2g}, what the dtype resolves; raise it or give ranks")
        ranks = bounded_ranks(self.ranks, train)
        self.truncation(train.order)
        xp = array_namespace(*train.cores)
        cores, exponent = orthogonalised_from_right(train)
        total = energy(cores[0], order=3)
        allowed = None if self.rtol is None else self.rtol**2 / (train.order - 1) * total
        done, steps = [], []
        for place in range(train.order - 1):
            core = cores[place]
            batch, (left, n, right) = tuple(core.shape[:-3]), core.shape[-3:]
            matrix = xp.reshape(core, (*batch, left * n, right))
            rank = None if ranks is None else min(ranks[place], left * n, right)
            # through its triangular factor: sums over a long mode would lose digits that the short ones keep
            tall = left * n > right
            basis, short = orthonormalise_with_factor(matrix) if tall else (None, matrix)
            step = leading_subspace(short, rank=rank, energy=allowed)
            rest = xp.matmul(xp.matrix_transpose(step.basis), short)  # (..., rank, right)
            cores[place + 1] = contract("...ab,...bnc->...anc", rest, cores[place + 1])
            kept = step.basis if basis is None else xp.matmul(basis, step.basis)  # (..., left n, rank)
            done.append(xp.reshape(kept, (*batch, left, n, kept.shape[-1])))
            steps.append(step)
        found = TruncatedTensorTrain(
            cores=(*done, cores[-1]), **truncation_record(steps, norm(cores[-1], order=3), self.rtol)
        )
        return restored(found, exponent)


@dataclass(frozen=True)
class RandomizedTTRounding(Parameters):
    """Lower the ranks of a tensor train: sketch it by a random train, then orthogonalise.

    Parameters
    ----------
    ranks : int or tuple of int
        Ranks of the result; a bond of the train that is smaller stays as it is.
    oversampling : int
        Further ranks of the random train, which are cut by a deterministic rounding at the end.
    certify : bool
        Whether to measure what the sketch misses, O(d n r^3) in products. Without, the certificate is NaN.

    Notes
    -----
    O(d n r (r_new + p) (r + r_new + p)): no factorisation of a core with the large rank. Al Daas et al. 2023
    (randomize-then-orthogonalize). No bound is proved for random trains; ``TTRounding`` gives the reference. The
    sketch projects what is left of the train, one bond after the other: what it misses adds up to the square of its
    error. The rounding starts anew, so that the errors of the two are added.
    """

    ranks: int | tuple[int, ...] = 8
    oversampling: int = 5
    certify: bool = True

    def __post_init__(self) -> None:
        TTRounding(ranks=self.ranks)
        require_integer("oversampling", self.oversampling, low=0, cure="0 gives a sketch of exactly the ranks")

    def __call__(self, train: TensorTrain, *, rng: Rng | None = None) -> SketchedTensorTrain:
        """Round a stack of trains.

        Raises
        ------
        TypeError
            If ``train`` is no tensor train, its cores are not of float32 or float64, or there is no generator.
        ValueError
            See ``TTRounding``.
        """
        generator = require_rng(rng, type(self).__name__)
        train = admitted(train)
        wanted = bounded_ranks(self.ranks, train)
        assert wanted is not None
        sizes = [min(r + self.oversampling, bond) for r, bond in zip(wanted, train.largest_ranks, strict=True)]
        sketches = self._sketches(train, sizes, generator)
        grams = right_grams(train) if self.certify else [None] * len(sketches)
        xp = array_namespace(*train.cores)
        current, exponent = unit(train.cores[0], order=3)
        done, missed = [], []
        for sketch, gram, following in zip(sketches, grams, train.cores[1:], strict=True):
            batch, (left, n, right) = tuple(current.shape[:-3]), current.shape[-3:]
            matrix = xp.reshape(current, (*batch, left * n, right))
            sample = xp.matmul(matrix, sketch)  # (..., left n, size)
            basis = orthonormalise(sample[..., : min(left * n, sample.shape[-1])])
            done.append(xp.reshape(basis, (*basis.shape[:-2], left, n, basis.shape[-1])))
            rest = xp.matmul(xp.matrix_transpose(basis), matrix)
            if gram is not None:
                outside = matrix - xp.matmul(basis, rest)
                lost = xp.sum(xp.matmul(outside, gram[0]) * outside, axis=(-2, -1))
                missed.append((xp.sqrt(xp.maximum(lost, xp.zeros_like(lost))), exponent + gram[1]))
            scaled, further = unit(following, order=3)
            current, growth = unit(contract("...ab,...bnc->...anc", rest, scaled), order=3)
            exponent = exponent + further + growth
        rounded = TTRounding(ranks=self.ranks)(TensorTrain((*done, current)))
        if not missed:
            unknown = xp.full_like(rounded.error_certificate, xp.nan)
            found = SketchedTensorTrain(rounded.cores, ranks=rounded.ranks, error_certificate=unknown)
            return restored(found, exponent)
        parts = [times_power_of_two(lost, place - exponent, stack=True) for lost, place in missed]
        # bond by bond the sketch projects, as the rounding does: the squares add up to that of the norm of the train
        size = norm(xp.stack([*parts, rounded.error_certificate, rounded.norm()], axis=-1), order=1)
        error = rounded.error_certificate + norm(xp.stack(parts, axis=-1), order=1)
        accuracy = relative_accuracy(error, size, rounded.ranks, None)
        return restored(SketchedTensorTrain(rounded.cores, error_certificate=error, **accuracy), exponent)

    @staticmethod
    def _sketches(train: TensorTrain, sizes: list[int], rng: Rng) -> list[Array]:
        """Return for every bond the product (..., r_k, size_k) of the cores to its right with a random train.

        Up to a power of two, which changes no range.
        """
        bonds = [*sizes, 1]
        sketch, found = None, []
        for place in range(train.order - 1, 0, -1):
            core = unit(train.cores[place], order=3)[0]
            shape = (bonds[place - 1], int(core.shape[-2]), bonds[place])
            drawn = normal(rng, shape, like=core) / (shape[0] * shape[1]) ** 0.5
            if sketch is None:
                sketch = contract("...ab,cb->...ac", core[..., 0], drawn[..., 0])
            else:
                sketch = contract("...anb,...bd,cnd->...ac", core, sketch, drawn)
            sketch = unit(sketch, order=2)[0]
            found.append(sketch)
        return found[::-1]


def right_grams(train: TensorTrain) -> list[tuple[Array, Array]]:
    """Return for every inner bond the Gram matrix (..., r_k, r_k) of the rows of what lies to its right.

    With an exponent e (...): the Gram matrix is the array times 2^(2 e).
    """
    xp = array_namespace(*train.cores)
    found: list[tuple[Array, Array]] = []
    for place in range(train.order - 1, 0, -1):
        core, exponent = unit(train.cores[place], order=3)
        if not found:
            product = contract("...an,...cn->...ac", core[..., 0], core[..., 0])
        else:
            product = contract("...anb,...bd,...cnd->...ac", core, found[-1][0], core)
            exponent = exponent + found[-1][1]
        half = xp.floor(unit(product, order=2)[1] / 2)
        found.append((times_power_of_two(product, -2 * half, stack=True), exponent + half))
    return found[::-1]


def orthogonalised_from_right(train: TensorTrain) -> tuple[list[Array], Array]:
    """Return cores of the same tensor up to powers of two, and the exponents (...) that restore it.

    All but the first have orthonormal rows; bonds shrink to what cores admit. The largest entry of the first is between
    1 and 2, whatever the sizes of the cores: a product of many harmless ones is not.
    """
    xp = array_namespace(*train.cores)
    batch = train.batch
    pairs = [unit(xp.broadcast_to(core, (*batch, *core.shape[-3:])), order=3) for core in train.cores]
    cores, exponent = [core for core, _ in pairs], sum((e for _, e in pairs[1:]), start=pairs[0][1])
    for place in range(len(cores) - 1, 0, -1):
        left, n, right = cores[place].shape[-3:]
        columns = xp.matrix_transpose(xp.reshape(cores[place], (*batch, left, n * right)))
        if left > n * right:  # the bond is larger than the core can fill: absorb all of it
            factor, kept = columns, None
        else:
            kept, factor = orthonormalise_with_factor(columns)
        width = n * right if kept is None else left
        identity = xp.eye(width, dtype=columns.dtype, device=device(columns))
        rows = xp.broadcast_to(identity, (*batch, width, width)) if kept is None else xp.matrix_transpose(kept)
        cores[place] = xp.reshape(rows, (*batch, width, n, right))
        cores[place - 1], growth = unit(contract("...anb,...cb->...anc", cores[place - 1], factor), order=3)
        exponent = exponent + growth
    return cores, exponent


def bounded_ranks(ranks: int | tuple[int, ...] | None, train: TensorTrain) -> tuple[int, ...] | None:
    """Return one rank for each inner bond of a train, none above the bond; None where a tolerance decides.

    Raises
    ------
    ValueError
        If the number of ranks is not that of the inner bonds.
    """
    if ranks is None:
        return None
    wanted = ranks if isinstance(ranks, tuple) else (ranks,) * (train.order - 1)
    if len(wanted) != train.order - 1:
        raise ValueError(f"ranks {wanted} are {len(wanted)} numbers; a train of {train.order} cores has one bond less")
    return tuple(min(rank, bond) for rank, bond in zip(wanted, train.largest_ranks, strict=True))


def admitted(train: TensorTrain) -> TensorTrain:
    """Return a train that can be rounded.

    Raises
    ------
    TypeError
        If it is no tensor train, or its cores are not of float32 or float64.
    ValueError
        If there is no inner bond, or an entry of a core is not finite.
    """
    if not isinstance(train, TensorTrain):
        raise TypeError(f"train must be a TensorTrain; got {type(train).__name__}; decompose an array with TTSVD")
    if train.order < 2:
        raise ValueError("a train of one core has no bond to round; use its core as it is")
    for place, core in enumerate(train.cores):
        require_single_or_double(core, f"core {place} of the train")
        check_finite(core, f"core {place} of the train")
    return train
