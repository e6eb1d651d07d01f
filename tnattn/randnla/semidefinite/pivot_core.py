"""Partial factorisations of Gaussian kernels in the dtype that they need, and their factors at the pivots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tnattn.arrays import Array, array_namespace, device
from tnattn.randnla.semidefinite.pivoted_cholesky import (
    PivotedCholeskyResult,
    RandomlyPivotedCholesky,
    SharedSamples,
)
from tnattn.structured.conversion import as_structured
from tnattn.structured.gather import take_columns
from tnattn.structured.implicit import KernelEntries

__all__: list[str] = []  # for methods that interpolate from pivots


# Smallest residual of a pivot, of a diagonal of ones, with which the factor is computed in float32: its entries, and
# sums with it, then carry a few times the rounding of their own dtype.
_SOUND = 0.1


def gaussian_factor(
    method: RandomlyPivotedCholesky, kernel: Callable[[Any], KernelEntries], samples: SharedSamples, *, narrow: Any
) -> PivotedCholeskyResult:
    """Return a partial factorisation of matrices with ones on their diagonals, in the dtype that it needs.

    Parameters
    ----------
    method : RandomlyPivotedCholesky
    kernel : callable
        From the dtype of the entries, None for the widest, to the matrices.
    samples : SharedSamples
    narrow : dtype, optional
        Of entries and factors where all pivots have residuals that allow it. Pivots are the same, but for ties within
        rounding. As soon as a pivot has not, the factorisation starts again in the widest dtype.
    """
    if narrow is not None:
        found = method.well_conditioned(as_structured(kernel(narrow)), samples, least=_SOUND)
        if found is not None:
            return found
    return method.with_samples(as_structured(kernel(None)), samples)


def core_at_pivots(rows: Array, pivots: Array, valid: Array) -> Array:
    """Return the lower triangular factors (..., r, r) at the pivots, with rows of the identity where they are not used.

    Parameters
    ----------
    rows : Array, (..., r, n)
        Transposed factors.
    pivots : Array, (..., r), integer
        Any index where not valid.
    valid : Array, (..., r), boolean
        Unused pivots are the last ones, or have columns of zeros in the factor.
    """
    xp = array_namespace(rows)
    identity = xp.eye(rows.shape[-2], dtype=rows.dtype, device=device(rows))
    # a zero on the diagonal would make the core singular
    return xp.where(valid[..., None], take_columns(rows, pivots).mT, identity)
