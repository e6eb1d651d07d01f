"""Optimal errors by Eckart, Young and Mirsky: the least error of anything with the ranks of a result."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from theory.statement.errors import Error, Values, dense, spectrum_of, tail
from tnattn.structured.low_rank import LowRankMatrix
from tnattn.structured.tensor import MODES, StructuredTensor

__all__ = ["OptimalErrors", "unfolding_ranks"]

# 2^(d-1) - 1 ways to part d modes: 31 singular value decompositions for order 6
LARGEST_ORDER = 6
"""Tensors of higher order have too many unfoldings."""

# some thousand times the unit roundoff of float64, in which spectra are computed
ROUNDING = 1e-12
"""Of the size of the target: an optimal error below it is rounding, and no reference."""

Norm = Callable[[Values, int], Values]

MATRIX_NORMS: dict[str, Norm] = {
    "spectral norm": lambda s, k: s[..., k] if k < s.shape[-1] else np.zeros(s.shape[:-1]),
    "Frobenius norm": tail,
    "squared Frobenius norm": lambda s, k: tail(s, k) ** 2,
    "nuclear norm": lambda s, k: np.asarray(s[..., k:].sum(axis=-1)),
}
TENSOR_NORMS: dict[str, Norm] = {
    "Frobenius norm of the tensor": tail,
    "squared Frobenius norm of the tensor": lambda s, k: tail(s, k) ** 2,
}

Split = tuple[tuple[int, ...], tuple[int, ...]]


class OptimalErrors:
    """Optimal errors for the results of one target, whose singular values are found once.

    A matrix result has the rank of its factors, and the optimal error is the tail of the singular values beyond. A
    tensor result bounds the rank of each of its unfoldings, and the optimal error is the largest of their tails: no
    tensor of such ranks is nearer.

    Examples
    --------
    >>> import numpy as np
    >>> from theory.comparison import OptimalErrors
    >>> from theory.statement import errors
    >>> from tnattn.randnla.low_rank.truncated_svd import TruncatedSVD
    >>> a = np.diag([3.0, 2.0, 1.0])
    >>> float(OptimalErrors(a)(errors.matrix_frobenius, TruncatedSVD(rank=1)(a)).round(4))  # sqrt(2^2 + 1^2)
    2.2361
    """

    def __init__(self, target: Any) -> None:
        self._target = target
        self._values: dict[Split | None, Values] = {}
        self._found: dict[tuple[str, Any], Values] = {}

    def __call__(self, error: Error, result: Any) -> Values | None:
        """Return the optimal value (...) of an error: None where there is none, zero where it is rounding."""
        if isinstance(result, LowRankMatrix) and error.name in MATRIX_NORMS:
            if not hasattr(self._target, "shape") or tuple(self._target.shape) != tuple(result.shape):
                return None
            rank = int(result.factors()[0].shape[-1])
            return self._cached(error, rank, lambda: MATRIX_NORMS[error.name](self._singular(None), rank))
        if isinstance(result, StructuredTensor) and error.name in TENSOR_NORMS:
            if result.batch or result.order > LARGEST_ORDER or tuple(self._target.shape) != result.shape:
                return None
            ranks = unfolding_ranks(result)
            norm = TENSOR_NORMS[error.name]

            def largest() -> Values:
                return np.asarray(max(norm(self._singular(split), rank) for split, rank in ranks.items()))

            return self._cached(error, tuple(ranks.values()), largest)
        return None

    def _cached(self, error: Error, ranks: Any, make: Callable[[], Values]) -> Values:
        if (error.name, ranks) not in self._found:
            # an optimal error that is rounding would make a ratio out of noise
            least = (ROUNDING**2 if error.squared else ROUNDING) * error.norm(self._target)
            optimal = np.asarray(make())
            self._found[error.name, ranks] = np.where(optimal > least, optimal, 0.0)
        return self._found[error.name, ranks]

    def _singular(self, split: Split | None) -> Values:
        if split not in self._values:
            array = dense(self._target)
            if split is not None:
                rows = math.prod(array.shape[j] for j in split[0])
                array = np.transpose(array, split[0] + split[1]).reshape(rows, -1)
            self._values[split] = spectrum_of(array)
        return self._values[split]


def unfolding_ranks(tensor: StructuredTensor) -> dict[Split, int]:
    """Return the largest rank that each unfolding of a structured tensor can have, by its rows and columns.

    The least product of bond sizes over all cuts of its network that part the modes of the rows from the others: the
    multilinear ranks of a Tucker tensor, the bonds of a train, the number of terms of a canonical polyadic one.
    """
    terms = [letters for letters, _ in tensor.network()]
    sizes = {c: int(n) for letters, a in tensor.network() for c, n in zip(reversed(letters), reversed(a.shape))}
    return {split: _least_cut(terms, sizes, split[0]) for split in _splits(tensor.order)}


def _splits(order: int) -> Iterator[Split]:
    """Yield every way to part the modes in two, mode 0 always in the rows."""
    for count in range(order - 1):
        for others in itertools.combinations(range(1, order), count):
            rows = (0, *others)
            yield rows, tuple(j for j in range(order) if j not in rows)


def _least_cut(terms: list[str], sizes: dict[str, int], rows: tuple[int, ...]) -> int:
    pinned = {MODES[j] for j in rows}
    least = math.prod(sizes.values())
    # exponential in the number of factors, of which a network has at most d + 1
    for sides in itertools.product((True, False), repeat=len(terms)):
        touched: dict[str, set[bool]] = {c: {c in pinned} if c in MODES else set() for c in sizes}
        for side, letters in zip(sides, terms, strict=True):
            for c in letters:
                touched[c].add(side)
        least = min(least, math.prod(sizes[c] for c, both in touched.items() if len(both) == 2))
    return least
