"""Factors shared by all matrices of a stack, such as the heads of a layer or the layers of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import ClassVar

from tnattn.arrays import Array, Rng
from tnattn.decomposition.multilinear import mode_product
from tnattn.decomposition.tensor_units import norm
from tnattn.decomposition.truncation import Truncation
from tnattn.decomposition.tucker.partial_tucker import PartialTucker, TruncatedPartialTucker, require_distinct_modes


@dataclass(frozen=True, eq=False, repr=False)
class SharedTucker(TruncatedPartialTucker):
    """A stack of matrices or tensors, the index of mode 0, that share their factors.

    Parameters
    ----------
    core, factors, modes, mode_count, discarded, ranks, residual, converged, mode_order
        See ``TruncatedPartialTucker``. Slice i of the core belongs to member i; ``slices()`` multiplies as the stack.
    member_errors : Array, (..., n_0)
        Frobenius error of each member of the stack, largest for members that differ from the others.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tucker import SharedFactors
    >>> heads = np.stack([np.diag([1.0, 1, 0, 0]), np.diag([2.0, 1, 0, 0]), np.diag([0, 0, 0, 0.5])])
    >>> SharedFactors(ranks=2, modes=(1,))(heads).member_errors.round(2)
    array([0. , 0. , 0.5])
    """

    member_errors: Array

    degrees: ClassVar[Mapping[str, float]] = {**TruncatedPartialTucker.degrees, "member_errors": 1.0}


@dataclass(frozen=True)
class SharedFactors(Truncation):
    """Find factors that all members of a stack, the index of mode 0, have in common.

    Parameters
    ----------
    ranks : int or tuple of int, optional
        Columns of the shared factors, one for all or one for each of ``modes``.
    rtol : float, optional
        Bound on the relative error of the stack as a whole.
    modes : tuple of int
        Modes that get a shared factor, ascending, without 0: (1,) a basis for the columns of all matrices, (1, 2) one
        for columns and one for rows.
    order : int
        Number of modes, that of the stack included.

    Notes
    -----
    As ``PartialTucker``. One shared basis is the best one: the leading left singular vectors of ``[W_1 W_2 ...]``
    (Eckart and Young); several are within the root of their number of the best.

    Examples
    --------
    >>> import numpy as np
    >>> from tnattn.decomposition.tucker import SharedFactors
    >>> rng = np.random.default_rng(0)
    >>> heads = rng.standard_normal((16, 3)) @ rng.standard_normal((6, 3, 10))  # one column space
    >>> result = SharedFactors(ranks=3, modes=(1,))(heads)
    >>> result.factors[0].shape, result.core.shape, bool(result.residual < 1e-12)
    ((16, 3), (6, 3, 10), True)
    """

    modes: tuple[int, ...] = field(default=(1,), kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "modes", tuple(self.modes))
        if 0 in self.modes:  # a factor there would mix the members
            raise ValueError(f"modes are {self.modes}; mode 0 numbers the members of the stack and has no factor")
        super().__post_init__()
        require_distinct_modes(self.modes, self.order)

    def _inner(self, ranks: tuple[int, ...] | None = None) -> PartialTucker:
        return PartialTucker(ranks, None if ranks else self.rtol, modes=self.modes, order=self.order)

    @property
    def _rank_count(self) -> int:
        return len(self.modes)

    def rank_limits(self, sizes: Sequence[int]) -> tuple[int, ...]:
        return self._inner().rank_limits(sizes)

    def _require_consistent(self, ranks: tuple[int, ...], sizes: Sequence[int]) -> None:
        self._inner(ranks).ranks_for(sizes)

    def decompose(self, tensor: Array, *, rng: Rng | None) -> SharedTucker:
        ranks = self.ranks_for(tuple(tensor.shape[tensor.ndim - self.order :]))
        found = self._inner(ranks).decompose(tensor, rng=None)
        # member by member from the difference itself: the certificate knows only the error of the stack
        fitted = found.core
        for mode, factor in zip(found.modes, found.factors, strict=True):
            fitted = mode_product(fitted, factor, mode, order=self.order)
        common = {f.name: getattr(found, f.name) for f in fields(found)}
        return SharedTucker(**common, member_errors=norm(tensor - fitted, order=self.order - 1))
