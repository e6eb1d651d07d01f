"""Trial of a tensor decomposition: the decomposition under test and the tensors of its laws."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from tnattn.arrays import is_array, to_host
from tnattn.decomposition.base import Decomposition
from tnattn.gallery import exponential_spectrum, tensor_with_spectrum
from tnattn.structured.tensor import StructuredTensor

SHAPE = (6, 7, 8)  # three different sizes: a confusion of modes changes a shape
RANK = 3


@dataclasses.dataclass(frozen=True)
class TensorTrial:
    """A decomposition and the seed of its generators.

    Parameters
    ----------
    decomposition : Decomposition
        Its ranks are replaced.
    seed : int

    Examples
    --------
    >>> from tnattn.decomposition.tucker import STHOSVD
    >>> from tnattn.testing.tensor_trial import TensorTrial, error_of
    >>> trial = TensorTrial(STHOSVD(), seed=0)
    >>> tensor = trial.decaying()
    >>> [round(error_of(trial.run(tensor, rank), tensor), 2) for rank in (1, 2, 4)]
    [0.4, 0.15, 0.02]
    """

    decomposition: Decomposition
    seed: int

    @property
    def allowance(self) -> float:
        """Relative difference that another order of the same operations may make."""
        return 1e-9 if self.decomposition.recovery <= Decomposition.recovery else self.decomposition.recovery

    def run(self, tensor: Any, rank: int) -> StructuredTensor:
        """Decompose a tensor at a rank, lowered to what it admits."""
        sizes = tensor.shape[len(tensor.shape) - self.decomposition.order :]
        return self.decomposition.with_rank(rank, sizes)(tensor, rng=np.random.default_rng(self.seed))

    def decaying(self, dtype: str = "float64") -> np.ndarray:
        """Return a tensor with an exponential spectrum and some noise."""
        rng = np.random.default_rng(self.seed)
        noise = 1e-3 * rng.standard_normal(SHAPE)  # full rank, so that no truncation is exact
        smooth = np.asarray(tensor_with_spectrum(exponential_spectrum(6, rate=1.0), SHAPE, rng))
        return (smooth + noise).astype(dtype)


def error_of(result: StructuredTensor, tensor: np.ndarray) -> float:
    """Return the Frobenius error of a result, in float64."""
    return float(np.linalg.norm(to_host(result.to_dense()).astype(np.float64) - tensor))


def arrays_of(result: Any, prefix: str = "", scaled: bool = True) -> Iterator[tuple[str, Any, bool]]:
    """Yield name, array and a flag, true if ``degrees`` declares that it scales with the tensor, for all arrays."""
    declared = getattr(result, "degrees", {})
    for f in dataclasses.fields(result):
        value, scales = getattr(result, f.name), scaled and f.name in declared
        parts = value if isinstance(value, tuple) else (value,)
        for place, part in enumerate(parts):
            name = f"{prefix}{f.name}[{place}]" if isinstance(value, tuple) else prefix + f.name
            last = scales and place == len(parts) - 1  # the last array of a tuple carries the scale
            if dataclasses.is_dataclass(part) and not isinstance(part, type):
                yield from arrays_of(part, f"{name}.", last)
            elif is_array(part):
                yield name, part, last
