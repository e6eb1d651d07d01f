"""Result types of cross interpolation: a train, its cross of entries, and an estimate of its error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tnattn.arrays import Array, array_namespace, contract
from tnattn.decomposition.tensor_train.truncated_train import true_storage
from tnattn.randnla.accuracy import Accuracy
from tnattn.structured.tensor_train import TensorTrain

__all__ = ["CrossFit", "CrossTrain"]


@dataclass(frozen=True, eq=False, repr=False)
class CrossTrain(Accuracy, TensorTrain):
    """A train fitted to entries of a tensor that was not formed.

    Parameters
    ----------
    cores
        See ``TensorTrain``; a stack of different ranks is padded with zeros.
    ranks : Array, (..., d - 1), integer
        Ranks of the inner bonds of each tensor of the stack; the cores have the largest.
    fit : CrossFit
        The cross that the train interpolates or fits, before its bonds were rounded.
    evaluations : int
        Number of entries computed, over the whole stack, those of the error estimates included.
    residual : Array, (...)
        Estimated relative error, on fibres sampled after the train was made, which makes it unbiased. An error in few
        entries that no fibre meets is not detected.
    interval : tuple of Array, (...) each
        Confidence bounds on the relative error from these fibres; see ``SampledFibres.interval``.
    converged : Array, (...), bool
        True where the upper bound is within the tolerance, or within rounding if none was given.
    sampled_fibres : int
        Number of fibres.
    sweeps : int
        Passes from the left that were made.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tensor_train import TTCross
    >>> i, j, k = np.ogrid[:30, :30, :30]
    >>> tensor = 1 / (1.0 + i + j + k)
    >>> train = TTCross(ranks=3)(tensor, rng=np.random.default_rng(0))
    >>> error = np.linalg.norm(tensor - train.to_dense()) / np.linalg.norm(tensor)
    >>> train.ranks.tolist(), train.sampled_fibres, bool(train.interval[0] <= error <= train.interval[1])
    ([3, 3], 144, True)
    """

    fit: CrossFit
    evaluations: int
    interval: tuple[Array, Array]
    sampled_fibres: int
    sweeps: int

    degrees: ClassVar[Mapping[str, float]] = {**TensorTrain.degrees, "fit": 1.0}

    @property
    def storage(self) -> int:
        """Scalars that the true ranks need, without the zeros that pad a stack."""
        return true_storage(self.ranks, self.sizes)


@dataclass(frozen=True, eq=False)
class CrossFit:
    """Rows chosen for every bond, and the pseudo-inverses of the fit to them.

    Level k of a tensor is the matrix A_k of its entries at the rows chosen for bond k with all indices of the modes to
    the right, A_0 the tensor itself, and ``B_k = inverses[k] A_k`` its coefficients in the train. Core k, as a matrix
    (r_k n_k, r_{k+1}), stands for ``B_k ~ core_k B_{k+1}``; the last core is B of the last bond.

    Parameters
    ----------
    train : TensorTrain
    rows : tuple of Array, (..., s_k, k), integer
        Multi-indices of the first k modes for the bonds k = 1, ..., d - 1, nested.
    inverses : tuple of Array, (..., r_k, s_k)
        Pseudo-inverses of the coefficients of these rows; the identity where a bond interpolates.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tensor_train import TTCross
    >>> i, j, k = np.ogrid[:30, :30, :30]
    >>> method = TTCross(ranks=3, enrichment=1.0, rows_per_column=1.0)
    >>> fit = method(1 / (1.0 + i + j + k), rng=np.random.default_rng(0)).fit
    >>> fit.interpolates, [rows.shape[-1] for rows in fit.rows]
    (True, [1, 2])
    """

    train: TensorTrain
    rows: tuple[Array, ...]
    inverses: tuple[Array, ...]

    degrees: ClassVar[Mapping[str, float]] = {"train": 1.0}

    @property
    def interpolates(self) -> bool:
        """True if every bond has as many rows as columns: it interpolates instead of fitting."""
        return all(inverse.shape[-2] == inverse.shape[-1] for inverse in self.inverses)


def solved(inverse: Array | None, matrix: Array, n: int) -> Array:
    """Return the core (..., r, n, c): the inverse (..., r, s) times a matrix (..., s n, c); None for the identity."""
    xp = array_namespace(matrix)
    core = xp.reshape(matrix, (*matrix.shape[:-2], matrix.shape[-2] // n, n, matrix.shape[-1]))
    if inverse is None or inverse.shape[-1] == inverse.shape[-2]:  # square: coefficients are the identity there
        return core
    return contract("...ab,...bnc->...anc", inverse, core)
