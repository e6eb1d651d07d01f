"""Trial of a matrix method: the method under test and the matrices of its laws."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from tnattn.arrays import is_array, to_host
from tnattn.randnla.accuracy import ToleranceWarning
from tnattn.randnla.base import MatrixMethod
from tnattn.structured.base import StructuredMatrix

N = 24  # more than the rank and the usual oversampling
RANK = 5  # well below N, so that approximations have an error


@dataclasses.dataclass(frozen=True)
class MatrixTrial:
    """A matrix method and the seed of its generators.

    Parameters
    ----------
    method : MatrixMethod
        Its rank is replaced. The class variables ``domain``, ``exact_at_full_rank``, ``recovers_rank``,
        ``rank_is_limit``, ``needs_full_rank`` and ``residual_norm`` select and parametrise the laws.
    seed : int

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.randnla.low_rank.randomized_svd import RandomizedSVD
    >>> from tnattn.testing.matrix_trial import MatrixTrial, relative_error
    >>> trial = MatrixTrial(RandomizedSVD(), seed=0)
    >>> a = trial.matrix(decay=0.5)
    >>> trial.shape, [round(relative_error(trial.dense(a, rank), a), 3) for rank in (2, 4)]
    ((26, 24), [0.25, 0.062])
    """

    method: MatrixMethod
    seed: int

    @property
    def ranked(self) -> bool:
        """True if the method has a rank."""
        try:
            return self.method.budget > 0
        except ValueError:
            return False

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the matrices: square if the domain of the method is symmetric or semidefinite."""
        return (N + 2, N) if self.method.domain == "any" else (N, N)

    def at_rank(self, rank: int, *, rtol: float | None = None) -> MatrixMethod:
        """Return the method at a rank, and at a tolerance where it has one and one is given."""
        method = self.method.with_rank(rank) if self.ranked else self.method
        if rtol is not None and self.tolerant:
            method = with_field(method, "rtol", rtol)
        return method

    @property
    def tolerant(self) -> bool:
        """True if the method has a tolerance."""
        return "rtol" in field_names(self.method)

    def run(self, a: Any, rank: int = RANK, *, rtol: float | None = None, seed: int | None = None) -> StructuredMatrix:
        """Return the approximation of a matrix; a warning that the tolerance is not met is no violation."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ToleranceWarning)
            method = self.at_rank(rank, rtol=rtol)
            return method(a, rng=np.random.default_rng(self.seed if seed is None else seed))

    def dense(self, a: Any, rank: int = RANK, **options: Any) -> np.ndarray:
        """Return the approximation as a float64 array on the host."""
        return to_host(self.run(a, rank, **options).to_dense()).astype(np.float64)

    def matrix(self, *batch: int, decay: float = 0.6, key: int = 0, dtype: str = "float64") -> np.ndarray:
        """Return matrices of the domain of the method, with singular values ``decay^i``."""
        m, n = self.shape
        rng = np.random.default_rng([self.seed, key])
        values = decay ** np.arange(n)
        v = np.linalg.qr(rng.standard_normal((*batch, n, n)))[0]
        if self.method.domain == "any":
            u = np.linalg.qr(rng.standard_normal((*batch, m, n)))[0]
            return np.asarray((u * values) @ np.swapaxes(v, -1, -2)).astype(dtype)
        # indefinite for symmetric methods: a third of the eigenvalues is negative
        signs = np.where(np.arange(n) % 3 == 1, -1, 1) if self.method.domain == "symmetric" else 1
        a = (v * (signs * values)) @ np.swapaxes(v, -1, -2)
        return np.asarray((a + np.swapaxes(a, -1, -2)) / 2).astype(dtype)  # symmetric to the last bit


def field_names(method: Any) -> list[str]:
    """Return the names of the fields of a method."""
    return [f.name for f in dataclasses.fields(method)]


def with_field(method: Any, name: str, value: Any) -> Any:
    """Return a method with one field changed."""
    return dataclasses.replace(method, **{name: value})


def relative_error(approximation: np.ndarray, a: np.ndarray) -> float:
    """Return the Frobenius error over the norm of the matrix."""
    return float(np.linalg.norm(approximation - a) / np.linalg.norm(a))


def arrays_of(result: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and array for all arrays that a result holds."""
    for f in dataclasses.fields(result):
        value = getattr(result, f.name)
        parts = value if isinstance(value, tuple) else (value,)
        for place, part in enumerate(parts):
            if is_array(part):
                yield (f"{f.name}[{place}]" if isinstance(value, tuple) else f.name), part
