"""Convergence histories of iterations on stacks of tensors, each of which stops once it is stationary."""

from __future__ import annotations

from dataclasses import dataclass, field

from tnattn.arrays import Array, array_namespace


@dataclass
class History:
    """Relative errors after each sweep, and a mask of the tensors of a stack that still change.

    Parameters
    ----------
    active : Array, (...), bool
        Tensors that take part in the next sweep.
    stagnation : float
        A change of the relative error by at most this is none.
    patience : int
        A tensor stops after this number of sweeps in a row without a change.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.history import History
    >>> history = History(active=np.array([True, True]), stagnation=1e-3)
    >>> [history.record(np.array(errors)) for errors in ([0.5, 0.9], [0.5, 0.4], [0.1, 0.4])]
    [True, True, False]
    >>> history.stacked().tolist(), history.sweeps
    ([[0.5, 0.5, 0.5], [0.9, 0.4, 0.4]], array([2, 3]))
    """

    active: Array
    stagnation: float
    patience: int = 1
    errors: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        xp = array_namespace(self.active)
        self._sweeps = xp.zeros_like(self.active, dtype=xp.int64)
        self._idle = xp.zeros_like(self.active, dtype=xp.int64)  # sweeps in a row without a change

    def begin(self, error: Array) -> None:
        """Record the errors (...) of the initial guess."""
        self.errors.append(error)

    def record(self, error: Array) -> bool:
        """Record the errors (...) after a sweep; return true while a tensor needs another. One synchronisation."""
        xp = array_namespace(error)
        first = not self.errors  # without an initial error there is nothing to compare the first sweep with
        last = xp.ones_like(error) if first else self.errors[-1]
        self._sweeps = self._sweeps + xp.astype(self.active, xp.int64)
        self.errors.append(xp.where(self.active, error, xp.zeros_like(error) if first else last))
        if not first:
            # the absolute value: a sampled sweep may raise the error, which is a change too
            changed = xp.abs(last - error) > self.stagnation
            self._idle = xp.where(changed, xp.zeros_like(self._idle), self._idle + 1)
            self.active = self.active & (self._idle < self.patience)
        return bool(xp.any(self.active))

    @property
    def sweeps(self) -> Array:
        """Sweeps (...) that each tensor took."""
        return self._sweeps

    @property
    def stationary(self) -> Array:
        """Mask (...) of the tensors that no longer change."""
        return ~self.active

    def stacked(self) -> Array:
        """Return the errors (..., sweeps)."""
        return array_namespace(self.active).stack(self.errors, axis=-1)


def require_stagnation(stagnation: float, steps: str = "sweeps") -> None:
    """Raise ValueError unless a change of the relative error that counts as none is in [0, 1)."""
    if not 0 <= stagnation < 1:
        raise ValueError(f"stagnation is {stagnation}; 0 <= stagnation < 1 is needed; 0 runs all {steps}")
