"""Volume sampling: column subsets of fixed size with probability proportional to their squared volume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace, device, eps, from_host, require_rng, to_host, uniform
from tnattn.device_budget import DeviceBudget, DeviceCounts
from tnattn.linalg import frobenius_norm, numerical_svd, small_svd
from tnattn.randnla.accuracy import counted, judged, require_rank
from tnattn.randnla.base import MatrixMethod, rank_budget
from tnattn.randnla.columns.cross import CrossResult
from tnattn.randnla.columns.selection import ColumnSelection
from tnattn.randnla.scores.leverage import sample_indices
from tnattn.scalars import require_count
from tnattn.structured.base import StructuredMatrix
from tnattn.structured.dense import Dense
from tnattn.structured.gather import take_columns, take_rows

__all__ = ["VolumeColumns", "VolumeCross"]


@dataclass(frozen=True)
class VolumeColumns(ColumnSelection):
    """Subsets J of columns sampled exactly with probability proportional to det(A_J^T A_J).

    Parameters
    ----------
    semidefinite : bool
        Treat the matrix as a positive semidefinite K (not checked) and sample with probability proportional to
        det K(J, J) instead: a determinantal point process of fixed size.

    Notes
    -----
    O(m n min(m, n)) for the singular value decomposition, O(r size) to select singular vectors, O(n size^2) to select
    columns. Deshpande et al. 2006; sampling as in Kulesza & Taskar 2012, Algorithms 1 and 8, with
    the elementary symmetric polynomials in logarithms, since they span hundreds of orders of magnitude. The uniform
    numbers are shared by the matrices of a stack.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import Dense, VolumeColumns
    >>> a = Dense(np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))  # columns 0 and 1 have no volume together
    >>> print([VolumeColumns().select(a, 2, rng=np.random.default_rng(seed)).tolist() for seed in range(4)])
    [[0, 2], [0, 2], [2, 0], [2, 1]]
    """

    semidefinite: bool = False

    def select(self, a: StructuredMatrix, size: int, *, rng: Rng | None) -> Array:
        require_count(size, "size", least=1)
        require_rank(size, a.shape)
        source = require_rng(rng, "VolumeColumns")
        dense = a.to_dense()
        xp = array_namespace(dense)
        _, s, vt = small_svd(dense)
        # singular values at rounding level are zeros: their vectors are noise and must not be selected
        s = xp.where(s > max(a.shape[-2:]) * eps(s) * s[..., :1], s, xp.zeros_like(s))
        s = s / xp.where(s[..., :1] > 0, s[..., :1], xp.ones_like(s[..., :1]))
        if bool(xp.any(s[..., size - 1] == 0)):
            raise ValueError(f"a matrix of the {a.shape} stack has rank below {size}: no {size} columns have a volume")
        # on the host, whatever the library: r short steps, each of which would be some thirty launches
        weights, uniforms = to_host(s if self.semidefinite else s * s), to_host(uniform(source, (s.shape[-1],), like=s))
        vectors = from_host(_chosen_vectors(weights, size, uniforms), like=s)  # (..., r), boolean
        # the selected vectors first: every matrix has exactly ``size`` of them
        order = xp.argsort(xp.astype(~vectors, xp.int64), axis=-1, stable=True)[..., :size]
        return _projection_sample(take_rows(vt, order).mT, uniform(source, (size,), like=s))


@dataclass(frozen=True)
class VolumeCross(MatrixMethod):
    """Cross approximation through rows I and columns J sampled with probability proportional to det(A(I, J))^2.

    Parameters
    ----------
    rank : int
        Number of rows and of columns, positive, at most the rank of the matrix.

    Notes
    -----
    Columns by their volume, then rows of these columns by theirs: by the Cauchy-Binet formula the pair has the stated
    distribution. Zamarashkin & Osinsky 2018. ``residual`` is the Frobenius norm of the error over that of the matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn import VolumeCross
    >>> from tnattn.gallery import exponential_spectrum, matrix_with_spectrum
    >>> rng = np.random.default_rng(0)
    >>> a = matrix_with_spectrum(exponential_spectrum(50), (80, 50), rng)
    >>> cross = VolumeCross(rank=8)(a, rng=rng)
    >>> print(cross.ranks, cross.residual < 0.1)
    8 True
    """

    device_budget: ClassVar = DeviceBudget(DeviceCounts(250, waits=14, copies=12), {"sampled index": DeviceCounts(40)})

    needs_full_rank: ClassVar = True

    rank: int = rank_budget(16)

    def __post_init__(self) -> None:
        require_count(self.rank, "rank", least=1)

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"sampled index": 2 * self.rank}

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> CrossResult:
        dense = Dense(a.to_dense())
        j = VolumeColumns().select(dense, self.rank, rng=rng)
        columns = take_columns(dense.array, j)
        i = VolumeColumns().select(Dense(columns.mT), self.rank, rng=rng)
        u, inverse, vt, _ = numerical_svd(take_rows(columns, i))
        # C G^-1 with the inverse of the intersection truncated at its numerical rank
        left, right = (columns @ vt.mT) * inverse[..., None, :] @ u.mT, take_rows(dense.array, i)
        error, size = frobenius_norm(dense.array - left @ right), frobenius_norm(dense.array)
        residual, converged = judged(error, size, 0.0, f"rank {self.rank}")
        return CrossResult(left, right, i, j, ranks=counted(i), residual=residual, converged=converged)


def elementary_symmetric(logs: Array, size: int) -> Array:
    """Return the logarithms of the elementary symmetric polynomials of all prefixes of numbers.

    Parameters
    ----------
    logs : Array, (..., r)
        Logarithms of non-negative numbers.
    size : int

    Returns
    -------
    Array, (..., r + 1, size + 1)
        Entry (i, k): the logarithm of e_k of the first i numbers; O(r size), r steps.
    """
    xp = array_namespace(logs)
    batch, place = tuple(logs.shape[:-1]), device(logs)
    nothing = xp.full((*batch, size), -float("inf"), dtype=logs.dtype, device=place)
    one = xp.zeros((*batch, 1), dtype=logs.dtype, device=place)
    tables = [xp.concat([one, nothing], axis=-1)]
    for i in range(logs.shape[-1]):
        before = tables[-1]
        more = xp.logaddexp(before[..., 1:], before[..., :-1] + logs[..., i, None])
        tables.append(xp.concat([one, more], axis=-1))
    return xp.stack(tables, axis=-2)


def _chosen_vectors(s: Array, size: int, uniforms: Array) -> Array:
    """Sample subsets of ``size`` indices with probability proportional to the product of s (..., r) over the subset.

    Kulesza & Taskar 2012, Algorithm 8.
    """
    xp = array_namespace(s)
    positive = s > 0
    logs = xp.where(positive, xp.log(xp.where(positive, s, xp.ones_like(s))), xp.full_like(s, -float("inf")))
    table = elementary_symmetric(logs, size)
    missing = xp.full((*s.shape[:-1], 1), size, dtype=xp.int64, device=device(s))
    flags = []
    for i in range(s.shape[-1] - 1, -1, -1):
        # probability of index i given k missing ones: s_i e_{k-1}(s_1, ..., s_{i-1}) / e_k(s_1, ..., s_i)
        k = xp.maximum(missing, xp.ones_like(missing))
        total = xp.take_along_axis(table[..., i + 1, :], k, axis=-1)
        with_it = logs[..., i, None] + xp.take_along_axis(table[..., i, :], k - 1, axis=-1)
        finite = with_it > -float("inf")
        chance = xp.where(finite, xp.exp(xp.where(finite, with_it - total, xp.zeros_like(total))), xp.zeros_like(total))
        # the last i + 1 indices are all needed: the quotient is one up to rounding
        taken = (missing > 0) & ((uniforms[i] < chance) | (missing == i + 1))
        missing = missing - xp.astype(taken, xp.int64)
        flags.append(taken[..., 0])
    return xp.flip(xp.stack(flags, axis=-1), axis=-1)


def _projection_sample(v: Array, uniforms: Array) -> Array:
    """Sample k rows J of matrices v (..., n, k) with orthonormal columns, with probability det(v_J)^2.

    Kulesza & Taskar 2012, Algorithm 1, second phase.
    """
    xp = array_namespace(v)
    n = v.shape[-2]
    free = xp.ones(v.shape[:-1], dtype=xp.bool, device=device(v))
    drawn = []
    for step in range(v.shape[-1]):
        squares = xp.where(free, xp.sum(v * v, axis=-1), xp.zeros_like(v[..., 0]))
        index = sample_indices(squares, uniforms[step : step + 1])  # (..., 1)
        drawn.append(index)
        free = free & (xp.arange(n, device=device(v)) != index)
        row = take_rows(v, index)  # (..., 1, k)
        length = xp.linalg.vector_norm(row, axis=-1, keepdims=True)
        row = row / xp.where(length > 0, length, xp.ones_like(length))
        v = v - (v @ row.mT) @ row  # conditional on the sampled row: project the others to its complement
    return xp.concat(drawn, axis=-1)
