"""The history of an iteration on a stack of tensors, each of which stops when it has converged."""

from __future__ import annotations

from dataclasses import dataclass, field

from tnattn.arrays import Array, array_namespace


@dataclass
class History:
    """Relative errors after each sweep, and which tensors of a stack still change.

    Parameters
    ----------
    active : Array, (...), bool
        Tensors that take part in the next sweep.
    tolerance : float
        A tensor stops once a sweep changes its relative error by at most this.
    """

    active: Array
    tolerance: float
    errors: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._sweeps = array_namespace(self.active).astype(self.active, array_namespace(self.active).int64) * 0

    def start(self, error: Array) -> None:
        """Note the errors (...) before the first sweep."""
        self.errors.append(error)

    def record(self, error: Array) -> bool:
        """Note the errors (...) after a sweep; return whether any tensor needs another. One synchronisation."""
        xp = array_namespace(error)
        first = not self.errors
        last = xp.ones_like(error) if first else self.errors[-1]
        self._sweeps = self._sweeps + xp.astype(self.active, xp.int64)
        self.errors.append(xp.where(self.active, error, xp.zeros_like(error) if first else last))
        if not first:
            self.active = self.active & (xp.abs(last - error) > self.tolerance)
        return bool(xp.any(self.active))

    @property
    def sweeps(self) -> Array:
        """Sweeps (...) that each tensor took."""
        return self._sweeps

    @property
    def converged(self) -> Array:
        """Whether the last sweep (...) of each tensor changed its error by at most the tolerance."""
        return ~self.active

    def stacked(self) -> Array:
        """Return the errors (..., sweeps)."""
        return array_namespace(self.active).stack(self.errors, axis=-1)
