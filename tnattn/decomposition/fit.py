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
        A change of the relative error by at most this is none.
    patience : int
        A tensor stops after this number of sweeps in a row without a change.
    """

    active: Array
    tolerance: float
    patience: int = 1
    errors: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        xp = array_namespace(self.active)
        self._sweeps = xp.zeros_like(self.active, dtype=xp.int64)
        self._idle = xp.zeros_like(self.active, dtype=xp.int64)

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
            changed = xp.abs(last - error) > self.tolerance
            self._idle = xp.where(changed, xp.zeros_like(self._idle), self._idle + 1)
            self.active = self.active & (self._idle < self.patience)
        return bool(xp.any(self.active))

    @property
    def sweeps(self) -> Array:
        """Sweeps (...) that each tensor took."""
        return self._sweeps

    @property
    def converged(self) -> Array:
        """Whether each tensor (...) has stopped."""
        return ~self.active

    def stacked(self) -> Array:
        """Return the errors (..., sweeps)."""
        return array_namespace(self.active).stack(self.errors, axis=-1)
