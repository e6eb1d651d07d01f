"""The canonical polyadic decomposition by alternating least squares."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.decomposition.cp.alternating import AlternatingLeastSquares
from tnattn.decomposition.cp.fitted_cp import FittedCP, fitted_cp
from tnattn.decomposition.cp.path import Extrapolation
from tnattn.decomposition.cp.start import CPStart, SingularVectorStart
from tnattn.decomposition.cp.sweep import cp_sweep, relative_error
from tnattn.decomposition.cp.vanished_terms import revived
from tnattn.decomposition.history import History
from tnattn.decomposition.tensor_units import energy
from tnattn.device_budget import DeviceBudget, DeviceCounts, sweeps_taken


@dataclass(frozen=True)
class CPALS(AlternatingLeastSquares):
    """Solve for one factor at a time by linear least squares, the others fixed, in sweeps over the modes.

    Parameters
    ----------
    rank : int
        Number of terms; at most, if there is a tolerance on the error.
    sweeps : int
        Largest number of sweeps.
    stagnation : float
        A tensor of the stack is left as it is once a sweep changes its relative error by at most this; 0 runs
        all until one changes nothing.
    start : CPStart
        Rule of the initial guess. On a large tensor ``CoreStart`` saves nearly all sweeps.
    extrapolate : bool
        Start a sweep further along the step of the one before, where the fit there is no worse.
    rtol : float, optional
        Fewer terms are used where they leave a relative error of at most this; see ``fewest_terms``.
    order : int
        Number of modes.

    Notes
    -----
    Two products with the tensor a sweep, O(rank prod(n)) each, whatever the order: the modes are split in two
    halves, and all of a half share one product (Phan, Tichavsky and Cichocki 2013, the two-level tree). Least squares
    through a pseudo-inverse of the Hadamard product of Gram matrices (Kolda and Bader 2009, Figure 3.3), which squares
    the condition number of the Khatri-Rao product. Errors come from the last of these problems, without another pass.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.cp import CPALS
    >>> rng = np.random.default_rng(0)
    >>> a, b, c = (rng.standard_normal((n, 3)) for n in (8, 9, 10))
    >>> tensor = np.einsum("ir,jr,kr->ijk", a, b, c)
    >>> result = CPALS(rank=3)(tensor)
    >>> result.storage, bool(result.stationary), bool(result.residual < 1e-3)
    (84, True, True)
    """

    device_budget: ClassVar = DeviceBudget(DeviceCounts(700, waits=16, copies=4), {"sweep": DeviceCounts(250, waits=5)})

    rank: int = dataclasses.field(default=8, metadata={"budget": True})
    sweeps: int = 50
    stagnation: float = 1e-6
    start: CPStart = dataclasses.field(default_factory=SingularVectorStart)
    extrapolate: bool = True
    rtol: float | None = None

    def device_units(self, target: Any, result: Any = None) -> Mapping[str, int]:
        return {"sweep": sweeps_taken(self.sweeps, result)}

    def fitted(self, tensor: Array, rank: int, *, rng: Rng | None) -> FittedCP:
        xp, order = array_namespace(tensor), self.order
        size = xp.sqrt(energy(tensor, order=order))
        factors, captured = self._initial_factors(tensor, rank, rng=rng), xp.zeros_like(size)
        weights = xp.zeros_like(factors[0][..., 0, :])
        history, path = History(size > 0, self.stagnation), Extrapolation()  # a zero tensor needs no sweep
        for _ in range(self.sweeps):
            guess = path.guess(factors, weights) if self.extrapolate else None
            swept, lengths, reached, accepted = cp_sweep(tensor, factors, order=order, guess=guess, captured=captured)
            path.judge(accepted)
            active = history.active  # stationary tensors keep their factors, whatever the stack still needs
            factors = [xp.where(active[..., None, None], new, old) for new, old in zip(swept, factors, strict=True)]
            weights = xp.where(active[..., None], lengths, weights)
            captured = xp.where(active, reached, captured)
            # three digits decide whether a sweep has changed the error; the result is measured to six
            if not history.record(relative_error(tensor, weights, factors, captured, size, digits=3)):
                break
            factors = revived(tensor, weights, factors, captured, active=history.active)
        return fitted_cp(tensor, weights, factors, captured, size=size, history=history, sweeps=history.sweeps)
