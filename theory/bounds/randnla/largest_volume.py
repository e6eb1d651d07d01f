"""Errors of crosses through the intersection of largest volume."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from theory.bounds.hypotheses import has_rank
from theory.bounds.randnla.instances import steep_spectrum, with_singular_values
from theory.statement import errors
from theory.statement.bound import Instance, require
from theory.statement.errors import dense, spectrum_of
from theory.statement.guarantee import Deterministic
from theory.statement.paper import Paper
from theory.statement.prediction import Values
from tnattn.arrays import Rng, from_host
from tnattn.linalg import frobenius_norm
from tnattn.randnla.accuracy import counted, judged, require_rank
from tnattn.randnla.base import MatrixMethod
from tnattn.randnla.columns.cross import CrossResult
from tnattn.structured.base import StructuredMatrix


@dataclass(frozen=True)
class LargestVolumeCross(MatrixMethod):
    """The cross through rows and columns that maximise the projective volume, found by trying all.

    Exponential: it is here to be compared with theorems.

    Parameters
    ----------
    rank : int
        Number r of singular values in the volume; the intersection is pseudo-inverted at that rank.
    extra : int
        Rows, and columns, beyond r; 0 is the largest volume itself.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.bounds.randnla.largest_volume import LargestVolumeCross
    >>> a = np.array([[1.0, 2.0], [3.0, 9.0]])
    >>> cross = LargestVolumeCross(rank=1)(a)
    >>> cross.row_indices.tolist(), np.abs(a - cross.to_dense()).max().round(3).item()
    ([1], 0.333)
    """

    rank: int = 2
    extra: int = 0

    def factorise(self, a: StructuredMatrix, *, rng: Rng | None) -> CrossResult:
        require_rank(self.rank + self.extra, a.shape)
        matrices = dense(a)
        flat = [self._cross(matrix) for matrix in matrices.reshape(-1, *matrices.shape[-2:])]
        parts = [np.reshape([f[i] for f in flat], (*a.batch, *np.shape(flat[0][i]))) for i in range(4)]
        left, right = (from_host(part, like=a.like, dtype=a.dtype) for part in parts[:2])
        rows, columns = (from_host(part, like=a.like) for part in parts[2:])
        error, size = (frobenius_norm(x) for x in (a.to_dense() - left @ right, a.to_dense()))
        residual, converged = judged(error, size, 0.0, f"rank {self.rank}")
        return CrossResult(left, right, rows, columns, ranks=counted(rows), residual=residual, converged=converged)

    def _cross(self, matrix: Values) -> tuple[Any, ...]:
        size, best = self.rank + self.extra, -1.0
        chosen: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
        for rows in itertools.combinations(range(matrix.shape[0]), size):
            for columns in itertools.combinations(range(matrix.shape[1]), size):
                s = np.linalg.svd(matrix[np.ix_(rows, columns)], compute_uv=False)
                # the projective volume: the product of the leading r singular values of an intersection
                volume = float(np.prod(s[: self.rank]))
                if volume > best:
                    best, chosen = volume, (rows, columns)
        i, j = (np.asarray(part, dtype=np.int64) for part in chosen)
        # the pseudo-inverse at rank r, not of the whole intersection, as the theorem of the projective volume has it
        u, s, vt = np.linalg.svd(matrix[np.ix_(i, j)])
        middle = (vt[: self.rank].T / s[: self.rank]) @ u[:, : self.rank].T
        return matrix[:, j] @ middle, matrix[i], i, j


def alike(n: int, *, difference: float = 0.02) -> Values:
    """Return ones with a little more on the diagonal: a cross leaves about twice the second singular value."""
    return np.asarray(np.ones((n, n)) - difference * (np.ones((n, n)) - np.eye(n)))


def _largest_entry(rng: np.random.Generator) -> Instance:
    return LargestVolumeCross(1), alike(2)


def _small(rng: np.random.Generator) -> Instance:
    return LargestVolumeCross(2), with_singular_values(rng, steep_spectrum(6), 6, 6)


def condition_of_volume(s: Values, r: int, m: int, n: int) -> Values:
    """Bound the condition number of an intersection of largest volume by that of the leading singular values, (...)."""
    # a submatrix of largest volume keeps s_r but for sqrt((1 + r (m - r)) (1 + r (n - r)))
    return np.asarray(s[..., 0] / s[..., r - 1] * ((1 + r * (m - r)) * (1 + r * (n - r))) ** 0.5)


def _condition(method: LargestVolumeCross, a: Any) -> Values:
    return 10 * condition_of_volume(spectrum_of(a), method.rank, *a.shape[-2:])


goreinov = Paper(
    "Goreinov & Tyrtyshnikov 2001",
    method=LargestVolumeCross,
    instances=(_largest_entry, _small),
    guarantee=Deterministic(condition=_condition),
)


@goreinov("as given in Cortinovis, Kressner & Massei 2020, not numbered", error=errors.matrix_maximum)
def cross_maxvol_max(method: LargestVolumeCross, a: Any) -> Values:
    """Max |A - C G^-1 R| <= (r+1) s_{r+1} for the intersection G of largest volume.

    Letters: C the chosen columns; G the intersection; R the chosen rows; r the number of singular values in the volume.
    Hypotheses: the intersection is r by r; r < min(m, n) and rank A >= r, beyond rounding.
    """
    require(method.extra == 0, "the intersection is r by r")
    s, r = spectrum_of(a), method.rank
    require(r < s.shape[-1] and has_rank(a, r, s), "r < min(m, n) and rank A >= r, beyond rounding")
    return np.asarray((r + 1) * s[..., r])


def _projective(rng: np.random.Generator) -> Instance:
    return LargestVolumeCross(1, extra=1), alike(4)


def _projective_small(rng: np.random.Generator) -> Instance:
    return LargestVolumeCross(2, extra=1), with_singular_values(rng, steep_spectrum(5), 5, 5)


osinsky = Paper("Osinsky & Zamarashkin 2018", method=LargestVolumeCross, instances=(_projective, _projective_small))


@osinsky("from memory, not numbered", error=errors.matrix_maximum, guarantee=Deterministic(condition=_condition))
def cross_projective_volume(method: LargestVolumeCross, a: Any) -> Values:
    """Max |A - C G_r^+ R| <= (1 + r/(p-r+1)) s_{r+1} for the p-by-p intersection G of largest r-projective volume.

    Letters: C the chosen columns; G the intersection; r the number of singular values in the volume; R the chosen rows;
    p the size of the intersection.
    Hypotheses: r < min(m, n) and rank A >= r, beyond rounding.
    """
    s, r, size = spectrum_of(a), method.rank, method.rank + method.extra
    require(r < s.shape[-1] and has_rank(a, r, s), "r < min(m, n) and rank A >= r, beyond rounding")
    return np.asarray((1 + r / (size - r + 1)) * s[..., r])
