"""Rounding of tensor trains by a sketch with a random train."""

from __future__ import annotations

from dataclasses import dataclass

from tnattn.arrays import Array, Rng, array_namespace, contract, normal, require_rng
from tnattn.decomposition.base import require_at_least
from tnattn.decomposition.tensor_train.truncated_train import SketchedTensorTrain
from tnattn.decomposition.tensor_train.tt_rounding import TTRounding, admitted, bounded_ranks
from tnattn.decomposition.tensor_units import norm, restored_tensor, unit
from tnattn.decomposition.truncation import relative_accuracy, require_ranks
from tnattn.linalg import orthonormalise
from tnattn.linalg.scaling import times_power_of_two
from tnattn.scalars import Parameters
from tnattn.structured.tensor_train import TensorTrain

__all__ = ["RandomizedTTRounding"]


@dataclass(frozen=True)
class RandomizedTTRounding(Parameters):
    """Lower the ranks of a tensor train: sketch it by a random train, then orthogonalise.

    Parameters
    ----------
    ranks : int or tuple of int
        Ranks of the result; a bond of the train that is smaller stays as it is.
    oversampling : int
        Further ranks of the random train, removed by a deterministic rounding at the end.
    certify : bool
        Measure the residual of the sketch, O(d n r^3) in products. Without, the certificate is NaN.

    Notes
    -----
    O(d n r (r_new + p) (r + r_new + p)): no factorisation of a core with the large rank. Al Daas et al. 2023
    (randomize-then-orthogonalize), Algorithm 3.2. No bound is proved for random trains; ``TTRounding`` gives the
    reference. The sketch projects the remainder of the train, one bond after the other: its squared residuals add up to
    its squared error. The rounding is another projection, so that the errors of the two are added.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tensor_train import RandomizedTTRounding, TTSVD
    >>> i, j, k = np.ogrid[:12, :12, :12]
    >>> train = TTSVD(rtol=1e-8)(1 / (1.0 + i + j + k))
    >>> rounded = RandomizedTTRounding(ranks=3)(train, rng=np.random.default_rng(0))
    >>> train.largest_ranks, rounded.largest_ranks, round(float(rounded.residual), 3)
    ((8, 8), (3, 3), 0.005)
    """

    ranks: int | tuple[int, ...] = 8
    oversampling: int = 5
    certify: bool = True

    def __post_init__(self) -> None:
        require_ranks(self.ranks)
        require_at_least("oversampling", self.oversampling, low=0, cure="0 gives a sketch of exactly the ranks")

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
        wanted = bounded_ranks(self.ranks, train)  # never None: ranks are not optional here
        assert wanted is not None
        sizes = [min(r + self.oversampling, bond) for r, bond in zip(wanted, train.largest_ranks, strict=True)]
        sketches = self._sketches(train, sizes, generator)
        cores, exponent, residuals = _projected(train, sketches, right_grams(train) if self.certify else None)
        xp = array_namespace(*cores)
        rounded = TTRounding(ranks=self.ranks)(TensorTrain(cores))  # removes the oversampling
        if not residuals:
            unknown = xp.full_like(rounded.error_certificate, xp.nan)
            found = SketchedTensorTrain(rounded.cores, ranks=rounded.ranks, error_certificate=unknown)
            return restored_tensor(found, exponent)
        # sketch and rounding project orthogonally: by Pythagoras the norm of the train needs no further pass
        size = norm(xp.stack([*residuals, rounded.error_certificate, rounded.norm()], axis=-1), order=1)
        error = rounded.error_certificate + norm(xp.stack(residuals, axis=-1), order=1)
        accuracy = relative_accuracy(error, size, rounded.ranks, None)
        return restored_tensor(SketchedTensorTrain(rounded.cores, error_certificate=error, **accuracy), exponent)

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


def _projected(
    train: TensorTrain, sketches: list[Array], grams: list[tuple[Array, Array]] | None
) -> tuple[tuple[Array, ...], Array, list[Array]]:
    """Return cores of the train projected on the ranges of sketches, bond by bond, up to powers of two.

    Returns
    -------
    cores : tuple of Array
        Orthonormal but for the last.
    exponent : Array, (...)
        Of the powers of two that restore the train.
    residuals : list of Array, (...)
        Frobenius norm of the part discarded at each bond, in the unit of the cores; empty without ``grams``.
    """
    xp = array_namespace(*train.cores)
    current, exponent = unit(train.cores[0], order=3)
    done, residuals = [], []
    for place, (sketch, following) in enumerate(zip(sketches, train.cores[1:], strict=True)):
        batch, (left, n, right) = tuple(current.shape[:-3]), current.shape[-3:]
        matrix = xp.reshape(current, (*batch, left * n, right))
        sample = xp.matmul(matrix, sketch)  # (..., left n, size)
        # no more columns than rows
        basis = orthonormalise(sample[..., : min(left * n, sample.shape[-1])])
        done.append(xp.reshape(basis, (*basis.shape[:-2], left, n, basis.shape[-1])))
        coefficients = xp.matmul(xp.matrix_transpose(basis), matrix)
        if grams is not None:
            gram, gram_exponent = grams[place]
            # ||E R||_F^2 = <E (R R^T), E> for the part E of this core outside the basis, R the cores to the right
            outside = matrix - xp.matmul(basis, coefficients)
            squared = xp.sum(xp.matmul(outside, gram) * outside, axis=(-2, -1))
            residuals.append((xp.sqrt(xp.maximum(squared, xp.zeros_like(squared))), exponent + gram_exponent))
        scaled, further = unit(following, order=3)
        current, growth = unit(contract("...ab,...bnc->...anc", coefficients, scaled), order=3)
        exponent = exponent + further + growth
    in_unit = [times_power_of_two(residual, e - exponent, stack=True) for residual, e in residuals]
    return (*done, current), exponent, in_unit


def right_grams(train: TensorTrain) -> list[tuple[Array, Array]]:
    """Return for every inner bond the Gram matrix (..., r_k, r_k) of the rows of the interface to its right.

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
        half = xp.floor(unit(product, order=2)[1] / 2)  # an even power of two: its root, of the factor, is one too
        found.append((times_power_of_two(product, -2 * half, stack=True), exponent + half))
    return found[::-1]
