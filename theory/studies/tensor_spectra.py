"""Mode spectra of the tensor of all heads' weights, and the ranks that follow, mode by mode and bond by bond."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from theory.comparison.table import table
from tnattn.decomposition.multilinear import mode_gram

__all__ = ["BONDS", "MODES", "TOLERANCES", "TensorSpectra", "mode_spectra"]

Values = npt.NDArray[np.float64]
Row = dict[str, Any]

MODES = ("head", "query", "key")

BONDS = ("head", "key")
"""The mode whose unfolding has the singular values of each bond of a tensor train."""

TOLERANCES = (0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 1e-3, 1e-4, 1e-5)


@dataclass(frozen=True, eq=False)
class TensorSpectra:
    """Singular values of the unfoldings of one tensor of order 3, and the ranks that follow from them.

    Parameters
    ----------
    shape : (heads, n_q, n_k)
    singular_values : mapping from mode to (min(n, product of the others),)
        Of the unfoldings along ``head``, ``query`` and ``key``, descending.

    Raises
    ------
    ValueError
        If a mode is missing, or has another number of values than its unfolding.

    Notes
    -----
    A tensor train of order 3 has two bonds. Cut after the first mode, the tensor is the head unfolding; cut before the
    last, it is the transpose of the key unfolding. The bonds of the train so have the singular values of the head and
    of the key mode, and the query mode asks for nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.studies import mode_spectra
    >>> tensor = np.zeros((2, 3, 3))
    >>> tensor[0, 0, 0], tensor[1, 1, 1] = 1.0, 0.2
    >>> spectra = mode_spectra(tensor)
    >>> spectra.tucker_ranks(0.1), spectra.tucker_ranks(0.5), spectra.train_ranks(0.1)
    ((2, 2, 2), (1, 1, 1), (2, 2))
    """

    shape: tuple[int, int, int]
    singular_values: Mapping[str, Values]

    def __post_init__(self) -> None:
        total = int(np.prod(self.shape))
        expected = {mode: (min(n, total // n),) for mode, n in zip(MODES, self.shape, strict=True)}
        found = {mode: np.shape(values) for mode, values in self.singular_values.items()}
        if found != expected:
            raise ValueError(f"singular values have the shapes {found}; a tensor of shape {self.shape} has {expected}")

    def __repr__(self) -> str:
        tucker, train = self.tucker_ranks(0.1), self.train_ranks(0.1)
        return f"<spectra of a tensor {self.shape}: at tolerance 0.1 Tucker ranks {tucker}, train ranks {train}>"

    def _repr_html_(self) -> str:
        """Return the ranks by tolerance as a table, for notebooks."""
        rows = self.table()
        columns = [name.replace("_", " ") for name in rows[0]]
        return table(columns, [list(row.values()) for row in rows], caption=f"Ranks of a tensor {self.shape}")

    @property
    def resolution(self) -> float:
        """Relative tail below which Gram matrices in float64 show rounding: sqrt(eps times the largest size)."""
        return float(np.sqrt(np.finfo(np.float64).eps * max(self.shape)))

    def relative(self, mode: str) -> Values:
        """Return sigma_k / sigma_1 of the unfolding along a mode, (r,); zero for a tensor that is zero."""
        if mode not in self.singular_values:
            raise ValueError(f"no mode {mode!r}; a tensor of heads has {', '.join(MODES)}")
        values = self.singular_values[mode]
        return np.asarray(values / (values[0] if values[0] > 0 else 1.0))

    def rank(self, mode: str, rtol: float, *, cuts: int = 1) -> int:
        """Return the least rank, at least 1, of a mode that discards at most ``rtol^2 / cuts`` of the energy.

        With one cut: no approximation whose relative Frobenius error is at most ``rtol`` has a smaller rank along this
        mode (Eckart and Young 1936, for the unfolding).

        Raises
        ------
        ValueError
            If ``rtol`` lies outside [sqrt(cuts) resolution, 1).
        """
        least = cuts**0.5 * self.resolution
        if not least <= rtol < 1:
            raise ValueError(
                f"rtol is {rtol}; singular values from Gram matrices tell ranks apart for a tolerance of at least "
                f"{least:.1e} and below 1"
            )
        energy = self.relative(mode) ** 2
        tails = np.cumsum(energy[::-1])[::-1]  # from the small end, or the tails would drown in the head
        return max(1, int(np.sum(tails > rtol**2 / cuts * tails[0])))

    def necessary(self, rtol: float) -> tuple[int, int, int]:
        """Return multilinear ranks (head, query, key) that every approximation within ``rtol`` has at least."""
        return self._ranks(rtol, cuts=1)

    def tucker_ranks(self, rtol: float) -> tuple[int, int, int]:
        """Return multilinear ranks (head, query, key) with which the HOSVD is within ``rtol``.

        Every mode may discard a third of ``rtol^2``: De Lathauwer, De Moor and Vandewalle 2000, Property 10.
        """
        return self._ranks(rtol, cuts=3)

    def train_ranks(self, rtol: float) -> tuple[int, int]:
        """Return ranks of the two bonds with which the TT-SVD is within ``rtol``.

        Every bond may discard half of ``rtol^2``: Oseledets 2011, Theorem 2.2.
        """
        first, second = (self.rank(mode, rtol, cuts=2) for mode in BONDS)
        return first, second

    def table(self, tolerances: Sequence[float] = TOLERANCES) -> list[Row]:
        """Return one row per relative tolerance: ranks that suffice, their storage, and ranks that are necessary.

        Storage is relative to the entries of the tensor; above 1, the format stores more than the tensor itself.
        """
        return [self._row(rtol) for rtol in tolerances]

    def _ranks(self, rtol: float, *, cuts: int) -> tuple[int, int, int]:
        head, query, key = (self.rank(mode, rtol, cuts=cuts) for mode in MODES)
        return head, query, key

    def _row(self, rtol: float) -> Row:
        entries = float(np.prod(self.shape))
        heads, n_q, n_k = self.shape
        tucker, train = self.tucker_ranks(rtol), self.train_ranks(rtol)
        # core and factors
        stored = float(np.prod(tucker)) + sum(n * r for n, r in zip(self.shape, tucker, strict=True))
        return {
            "rtol": rtol,
            **{f"tucker_{mode}": rank for mode, rank in zip(MODES, tucker, strict=True)},
            "tucker_storage": stored / entries,
            **{f"tt_bond_{i}": rank for i, rank in enumerate(train, start=1)},
            "tt_storage": (heads * train[0] + train[0] * n_q * train[1] + train[1] * n_k) / entries,
            **{f"least_{mode}": rank for mode, rank in zip(MODES, self.necessary(rtol), strict=True)},
        }


def mode_spectra(tensor: Values) -> TensorSpectra:
    """Return the singular values of the three unfoldings of a tensor.

    Parameters
    ----------
    tensor : (heads, n_q, n_k), float64

    Raises
    ------
    ValueError
        If the tensor is not of order 3, or empty.
    TypeError
        If it is not in float64: Gram matrices halve the digits, and float32 has none to spare.

    Notes
    -----
    O(heads n_q n_k (heads + n_q + n_k)) and one eigenvalue decomposition per mode, O(n^3), never an SVD of an
    unfolding, whose long side is the product of two modes. Accuracy: a Gram matrix squares the singular values, so that
    those below about sqrt(eps) = 1.5e-8 times the largest are rounding, however small they should be; the sum of the
    squares of a tail is right to about eps n sigma_1^2. ``TensorSpectra.resolution`` is the least relative tail above
    it. Not checked: that the tensor is finite.
    """
    if tensor.ndim != 3 or tensor.size == 0:
        raise ValueError(f"the tensor has shape {tensor.shape}; (heads, n_q, n_k) is needed, none of them 0")
    if tensor.dtype != np.float64:
        raise TypeError(f"the tensor is {tensor.dtype}; convert it to float64, Gram matrices halve the digits")
    heads, n_q, n_k = tensor.shape
    # a power of two leaves every digit, and the squares then neither overflow nor vanish
    scale = np.ldexp(1.0, int(np.frexp(np.max(np.abs(tensor)))[1]))
    tensor = tensor / scale
    found = {}
    for axis, mode in enumerate(MODES):
        count = min(tensor.shape[axis], tensor.size // tensor.shape[axis])
        # ascending; of a Gram matrix larger than the rank of the unfolding the first are rounding
        squares = np.linalg.eigvalsh(mode_gram(tensor, axis, order=3))[::-1][:count]
        found[mode] = scale * np.sqrt(np.maximum(squares, 0.0))
    return TensorSpectra((heads, n_q, n_k), found)
