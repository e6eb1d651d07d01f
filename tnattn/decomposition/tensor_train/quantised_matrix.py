"""Matrices in tensor-train form over pairs of binary digits, one of the row and one of the column."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.decomposition.tensor_train.binary_digits import levels, padded, train_over
from tnattn.decomposition.tensor_units import norm
from tnattn.device_budget import DeviceBudget, DeviceCounts
from tnattn.randnla.accuracy import Accuracy, RankOrTolerance, judged, require_above_rounding
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.tt_matrix import TTMatrix


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class QuantisedMatrix(Accuracy, TTMatrix):
    """A matrix in tensor-train form over pairs of binary digits.

    Parameters
    ----------
    cores, rows, columns
        See ``TTMatrix``.
    error_certificate : Array, (...)
        Frobenius error with the padding: an upper bound on that of the matrix, and exact where nothing is padded.
    ranks : Array, (..., L - 1), integer
        Ranks of the bonds of each matrix of the stack.
    residual, converged
        See ``Accuracy``; the residual is that of the certificate.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tensor_train import QuantisedTTMatrix
    >>> i, j = np.ogrid[:64, :64]
    >>> matrix = np.exp(-abs(i - j) / 50)
    >>> result = QuantisedTTMatrix(rank=2)(matrix)
    >>> error = np.linalg.norm(matrix - result.to_dense())
    >>> len(result.cores), bool(np.isclose(error, result.error_certificate, atol=1e-9))
    (6, True)
    """

    degrees: ClassVar[Mapping[str, float]] = {"cores": 1.0, "error_certificate": 1.0}

    error_certificate: Array


@dataclass(frozen=True)
class QuantisedTTMatrix(MatrixMethod, RankOrTolerance):
    """Approximate a matrix in tensor-train form over pairs of binary digits, one of the row and one of the column.

    Parameters
    ----------
    rank : int
        Of every bond at most, lowered where the sizes admit less.
    rtol : float, optional
        Smaller ranks are used where they leave a relative error of at most this. Without it the rank is taken. A
        ``ToleranceWarning`` reports that the rank does not suffice.

    Notes
    -----
    As ``TTSVD`` on a tensor of log2(n) modes of size 4; the matrix is formed. Of two sizes the smaller has its digits
    at the end, without padding to the larger one; both are padded with zeros to powers of two. Kazeev, Khoromskij &
    Tyrtyshnikov 2013: matrices of functions of i - j have small ranks if the functions have.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tensor_train import QuantisedTTMatrix
    >>> i, j = np.ogrid[:256, :256]
    >>> result = QuantisedTTMatrix(rank=8, rtol=1e-6)(np.exp(-abs(i - j) / 50))
    >>> result.storage, max(result.ranks.tolist()), bool(result.residual < 1e-6)
    (240, 3, True)
    """

    device_budget: ClassVar = DeviceBudget(DeviceCounts(150, waits=6, copies=4), {"bond": DeviceCounts(45, waits=2)})

    forms_matrix: ClassVar = True
    rank_is_limit: ClassVar = True
    recovers_rank: ClassVar = False  # the ranks of the bonds are not the rank of the matrix
    residual_norm: ClassVar = "estimate"  # padding makes it an upper bound

    rank: int = rank_budget(16)
    rtol: float | None = None

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"bond": max(target.shape[-2:]).bit_length()}

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> QuantisedMatrix:
        dense = a.to_dense()
        xp = array_namespace(dense)
        require_above_rounding(self.rtol or 0.0, dense)
        m, n = (int(size) for size in dense.shape[-2:])
        count = max(levels(m), levels(n), 1)
        digits = [[2 if place >= count - levels(size) else 1 for place in range(count)] for size in (m, n)]
        extended = padded(dense, [math.prod(one) for one in digits])
        batch = tuple(dense.shape[:-2])
        split = xp.reshape(extended, (*batch, *digits[0], *digits[1]))
        # (i_1 ... i_L, j_1 ... j_L) -> (i_1 j_1, ..., i_L j_L)
        pairs = [len(batch) + j + side * count for j in range(count) for side in (0, 1)]
        paired = xp.permute_dims(split, (*range(len(batch)), *pairs))
        sizes = [i * j for i, j in zip(*digits, strict=True)]
        train = train_over(paired, sizes, 2 * count, None if self.rtol else self.rank, self.rtol)
        if self.rtol is not None and max(train.largest_ranks) > self.rank:  # ``rank`` bounds, tolerance or not
            train = train_over(paired, sizes, 2 * count, self.rank, None)
        cores = [
            xp.asarray(xp.reshape(core, (*batch, core.shape[-3], i, j, core.shape[-1])), copy=True)  # the caller's own
            for core, i, j in zip(train.cores, *digits, strict=False)
        ]
        if len(train.cores) > count:  # a single pair of digits: the train has an end of one entry
            cores[-1] = cores[-1] * train.cores[-1][..., None]
        error = train.error_certificate
        residual, converged = judged(error, norm(dense, order=2), self.rtol or 0.0, f"rank {self.rank}")
        return QuantisedMatrix(
            tuple(cores),
            m,
            n,
            error_certificate=error,
            ranks=train.ranks,
            residual=residual,
            converged=converged,
        )
