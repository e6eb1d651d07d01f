"""An initial guess for canonical polyadic fits: a fit to the core of a Tucker decomposition."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tnattn.arrays import Array, Rng, array_namespace
from tnattn.decomposition.base import require_at_least
from tnattn.decomposition.cp.als import CPALS
from tnattn.decomposition.cp.alternating import require_start
from tnattn.decomposition.cp.start import CPStart, SingularVectorStart
from tnattn.decomposition.history import require_stagnation
from tnattn.decomposition.multilinear import mode_sizes
from tnattn.decomposition.tucker.st_hosvd import STHOSVD
from tnattn.decomposition.tucker.tucker_truncation import TuckerTruncation


@dataclass(frozen=True)
class CoreStart(CPStart):
    """Compress the tensor, fit its core by alternating least squares, and take that fit.

    A fit of rank r lies in subspaces of at most r dimensions in every mode, which leading singular vectors come close
    to; the iteration in them costs next to nothing. A sweep or two on the full tensor then fit the part outside.

    Parameters
    ----------
    oversampling : int
        Dimensions kept in every mode beyond the rank of the fit.
    sweeps : int
        Largest number of sweeps on the core.
    stagnation : float
        See ``CPALS``; of the relative error on the core.
    start : CPStart
        Rule of the initial guess of the iteration on the core.
    truncation : TuckerTruncation
        Compression of the tensor; its ranks, tolerance and order are replaced.

    Notes
    -----
    The truncation and O(rank (rank + oversampling)^d) for each sweep. Bro and Andersson 1998; with bases that span the
    factors, Carroll, Pruzansky and Kruskal 1980 (CANDELINC), the fit to the core is the fit to the tensor.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.cp import CPALS, CoreStart
    >>> rng = np.random.default_rng(0)
    >>> a, b, c = (rng.standard_normal((n, 3)) for n in (8, 9, 10))
    >>> tensor = np.einsum("ir,jr,kr->ijk", a, b, c)
    >>> fit = CPALS(rank=3, sweeps=2, start=CoreStart(oversampling=2))(tensor)
    >>> int(fit.sweeps), bool(fit.residual < 1e-3)
    (2, True)
    """

    oversampling: int = 8
    sweeps: int = 50
    stagnation: float = 1e-6
    start: CPStart = dataclasses.field(default_factory=SingularVectorStart)
    truncation: TuckerTruncation = dataclasses.field(default_factory=STHOSVD)

    def __post_init__(self) -> None:
        require_at_least("oversampling", self.oversampling, low=0, cure="0 keeps as many dimensions as terms")
        if not isinstance(self.truncation, TuckerTruncation):
            raise TypeError(
                f"truncation must be a TuckerTruncation, such as STHOSVD(); got {type(self.truncation).__name__}"
            )
        require_at_least("sweeps", self.sweeps, low=1, cure="without a sweep there is no fit")
        require_stagnation(self.stagnation)
        require_start(self.start)

    def _fit(self, rank: int, order: int, start: CPStart) -> CPALS:
        return CPALS(rank=rank, sweeps=self.sweeps, stagnation=self.stagnation, start=start, order=order)

    def factors(self, tensor: Array, *, rank: int, order: int, rng: Rng | None) -> tuple[Array, ...]:
        xp, sizes = array_namespace(tensor), mode_sizes(tensor, order=order)
        truncation = dataclasses.replace(self.truncation, order=order).with_rank(rank + self.oversampling, sizes)
        # CANDELINC: compress, fit the core, expand the factors by the bases
        core, bases = truncation.decompose(tensor, rng=rng)
        fit = self._fit(rank, order, self.start.within(tuple(bases))).decompose(core, rng=rng)
        return tuple(xp.matmul(basis, factor) for basis, factor in zip(bases, fit.factors, strict=True))
